"""Which files an input holds, what they contain by hash, and where large ones can be cut for reading in parallel."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.formats.documents import holds_pages, is_document
from shoal.ingest.formats.files import is_hidden
from shoal.ingest.formats.parsing import Stretch, as_utf8, chunks, open_bytes
from shoal.ingest.formats.splitting import Limits, can_quote, fields

FORMS = {".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".dat": "csv", ".data": "csv", ".edges": "csv",
         ".edgelist": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}  # fmt: skip
# Files that are no tables, for the parts that read them.
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")
_HEADER_BYTES = 1 << 20
# Files that are few and short are looked through where the job runs: Spark's job for them takes longer.
FEW_FILES, FEW_BYTES = 100, 1 << 20


@dataclass(frozen=True)
class Survey:
    """A file as one look through it found it: content hash, column names (none for JSON), (start, end, line) of the
    stretches it can be read in. A zipped file and a JSON document are one stretch to their end (-1). `layout` is a Parquet
    file's schema as text: files of one layout can be read together. `hidden` is what a pseudonymised lake calls a file that is
    named after people."""

    path: str
    form: str
    delimiter: str
    bytes: int
    sha256: str
    header: tuple[str, ...]
    stretches: tuple[tuple[int, int, int], ...]
    layout: str = ""
    hidden: str = ""

    @property
    def shown(self) -> str:
        """What the lake calls the file."""
        return self.hidden or self.path


def form_of(path: str) -> str | None:
    """csv, jsonl or parquet by the name's ending, one .gz left out; picture; None for another ending."""
    if path.lower().endswith(PICTURES):
        return "picture"
    name = path.lower().removesuffix(".gz")
    return FORMS.get(Path(name).suffix)


def list_files(given: str, max_files: int, pictures: bool = False, unpacked: Sequence[str] = ()) -> list[str]:
    """The files at `given`, a file or a folder with all below it, and in the folders that its archives were `unpacked` into.

    Sorted in each folder. Hidden files and folders, and those that start with _, are none, as Spark has it; pictures only where
    asked for. Raises InputError where there is no such path, no file of a known ending, or more than `max_files`.
    """
    path = Path(given)
    if not path.exists():
        raise InputError(f"{given}: no such file or folder")
    if path.is_file() and not unpacked:
        if form_of(given) in _none_of(pictures):
            raise InputError(f"{given}: unknown ending; expected one of {', '.join(sorted(FORMS))}, also with .gz")
        return [str(path.resolve())]
    found = []
    for folder in [path, *map(Path, unpacked)] if path.is_dir() else map(Path, unpacked):
        for file in sorted(folder.rglob("*")):
            if is_hidden(file.relative_to(folder)) or not file.is_file() or form_of(file.name) in _none_of(pictures):
                continue
            found.append(str(file.resolve()))
            if len(found) > max_files:
                raise InputError(f"{given}: more than {max_files:,} files; raise it with --set max_files=N")
    if not found:
        raise InputError(f"{given}: no file in it ends in {', '.join(sorted(FORMS))}, also with .gz")
    return found


def _none_of(pictures: bool) -> tuple[str | None, ...]:
    """The forms that are not wanted."""
    return (None,) if pictures else (None, "picture")


def survey_files(
    spark: SparkSession, paths: list[str], conf: IngestConf, documents: bool = False, pages: frozenset[str] = frozenset()
) -> list[Survey]:
    """A Survey a file, in the order of `paths`: read once, a file a task at a time, in chunks; up to FEW_FILES of FEW_BYTES
    together, none of them zipped, without Spark. With `documents`, a .json file may be one document, and each line of another
    one, told by `pages`.

    Collects one row a file and stretch: at most ingest.max_files, and one per split_bytes of a large file. Raises InputError
    for a file that cannot be read or whose first line is no header.
    """

    def surveyed(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield pd.DataFrame([survey_row(path, conf, documents, pages) for path in batch["path"]], columns=list(_COLUMNS))

    found: dict[str, Any]
    if _are_few(paths):
        found = {path: dict(zip(_COLUMNS, survey_row(path, conf, documents, pages), strict=True)) for path in paths}
    else:
        tasks = max(1, min(len(paths), spark.sparkContext.defaultParallelism * 4))
        rows = spark.sparkContext.parallelize([(path,) for path in paths], tasks).toDF("path string")
        found = {row["path"]: row for row in rows.mapInPandas(surveyed, _SCHEMA).collect()}
    faults = [found[path]["fault"] for path in paths if found[path]["fault"]]
    if faults:
        raise InputError(faults[0])
    made = []
    for path in paths:
        row = found[path]
        stretches = tuple(zip(row["starts"], row["ends"], row["lines"], strict=True))
        head = (path, row["form"], row["delimiter"], row["bytes"], row["sha256"], tuple(row["header"]))
        made.append(Survey(*head, stretches, row["layout"]))
    return made


def _are_few(paths: list[str]) -> bool:
    if len(paths) > FEW_FILES or any(path.lower().endswith(".gz") for path in paths):
        return False
    try:
        return sum(Path(path).stat().st_size for path in paths) <= FEW_BYTES
    except OSError:
        # Told as for many files.
        return False


_SCHEMA = (
    "path string, form string, delimiter string, bytes long, sha256 string, header array<string>, starts array<long>, "
    "ends array<long>, lines array<long>, layout string, fault string"
)
_COLUMNS = tuple(part.split()[0] for part in _SCHEMA.split(", "))


def survey_row(path: str, conf: IngestConf, documents: bool = False, pages: frozenset[str] = frozenset()) -> tuple[object, ...]:
    """A file's survey as a row of _SCHEMA; a fault is told in its last column and leaves the rest empty.

    A file of Windows-1252 is cut as one of UTF-8: line breaks, quotes and an ASCII delimiter are the same bytes in both.
    """
    form = form_of(path) or ""
    name = path.lower().removesuffix(".gz")
    separator = conf.delimiter if conf.delimiter != "auto" else "\t" if name.endswith((".tsv", ".tab")) else ","
    try:
        size, digest = Path(path).stat().st_size, _sha256(path)
        if form == "parquet":
            schema = pq.read_schema(path)
            return path, form, "", size, digest, schema.names, [0], [-1], [1], schema.remove_metadata().to_string(), None
        if form == "picture":
            # Two products may have the same picture: a picture is its name and its content.
            digest = hashlib.sha256(f"{Path(path).name}\0{digest}".encode()).hexdigest()
            return path, form, "", size, digest, [], [0], [-1], [1], "", None
        if documents and is_document(path, conf.max_record_bytes):
            return path, "document", "", size, digest, [], [0], [-1], [1], "", None
        if pages and form == "jsonl" and holds_pages(path, conf.max_record_bytes, pages):
            return path, "pages", "", size, digest, [], [0], [-1], [1], "", None
        names, start, line = list(conf.header or []), 0, 1
        if form == "csv" and conf.header is None:
            with open_bytes(path) as stream:
                first = stream.readline(_HEADER_BYTES)
                while conf.comment is not None and first.startswith(conf.comment.encode()):
                    start, line = start + len(first), line + 1
                    first = stream.readline(_HEADER_BYTES)
            names = header_fields(as_utf8(first, conf.encoding), separator)
            start, line = start + len(first), line + 1
        # What is written to the file from now on is not of this content hash.
        cuts = [(start, -1 if path.lower().endswith(".gz") else size, line)]
        if not path.lower().endswith(".gz") and size > conf.split_bytes and separator.isascii():
            whole = Stretch(path, form, separator, start, size, line, ())
            limits = Limits(conf.max_record_bytes, conf.max_record_lines, len(names), can_quote(separator))
            cuts = _cuts(whole, limits, conf.split_bytes, size)
        return path, form, separator, size, digest, names, *(list(part) for part in zip(*cuts, strict=True)), "", None
    except (OSError, EOFError, zlib.error) as error:
        fault = f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
    except pa.ArrowInvalid as error:
        fault = f"{path}: not a Parquet file: {str(error).splitlines()[0][:200]}"
    except UnicodeDecodeError:
        fault = f"{path}:1: the header is not UTF-8; save the file as UTF-8"
    except ValueError as error:
        fault = f"{path}:1: {error}"
    return path, form, separator, 0, "", [], [], [], [], "", fault


def header_fields(line: bytes, delimiter: str) -> list[str]:
    """The column names of a header line; none for an empty file. ValueError for names that are no header."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("the file is UTF-16; save it as UTF-8")
    text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8").rstrip("\r\n")
    if not text.strip():
        return []
    if "\r" in text:
        raise ValueError("the lines end in lone carriage returns; save the file with line feeds")
    names = fields(text, delimiter) if can_quote(delimiter) else text.split(delimiter)
    if names is None:
        raise ValueError("the header's quotes do not match")
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"the header names {twice[0]!r} twice")
    return names


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _cuts(stretch: Stretch, limits: Limits, split_bytes: int, size: int) -> list[tuple[int, int, int]]:
    """Stretches of about `split_bytes` that begin at records, with their first lines."""
    cuts = []
    start, line, at, at_line = stretch.start, stretch.line, stretch.start, stretch.line
    for _, found, _ in chunks(stretch, limits):
        at += found.skipped + 1 if found.skipped else found.consumed
        at_line += found.lines
        if at - start >= split_bytes and at < size:
            cuts.append((start, at, line))
            start, line = at, at_line
    return [*cuts, (start, size, line)]
