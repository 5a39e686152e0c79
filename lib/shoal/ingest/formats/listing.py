"""Which files an input holds, what they contain by hash, and where large ones can be cut for reading in parallel."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from shoal.conf.addresses import is_uri, local_path
from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.formats.documents import ASSIGNMENT, holds_pages, is_document
from shoal.ingest.formats.parsing import Stretch, as_utf8, chunks, open_bytes
from shoal.ingest.formats.splitting import Limits, can_quote, fields
from shoal.ingest.formats.storage import absolute, file_size, files_below, hadoop_uri, is_file, is_folder, open_binary, sha256_of

# Data of an archive of X; of other files of JavaScript nothing is read.
SCRIPT = ".js"
FORMS = {".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".dat": "csv", ".data": "csv", ".edges": "csv",
         ".edgelist": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
         SCRIPT: "jsonl"}  # fmt: skip
# Files that are no tables, for the parts that read them.
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")
_HEADER_BYTES, _ASSIGNMENT_BYTES = 1 << 20, 200
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
        return self.hidden or shown_path(self.path)


def shown_path(path: str) -> str:
    """A path as text that UTF-8 can hold: bytes of a name that are no UTF-8 as \\xNN.

    >>> shown_path("in/caf\\udce9.csv")
    'in/caf\\\\xe9.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_utf8_name(path: str) -> bool:
    """Whether the bytes of a path are UTF-8; Java opens no other file."""
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def unreadable_names(folder: str) -> list[str]:
    """The files below a folder, as text, that a stream cannot read: Java does not see a name that is not UTF-8. No hidden ones."""
    root = Path(folder)
    found = (file for file in root.rglob("*") if not is_hidden(file.relative_to(root)) and not is_utf8_name(str(file)))
    return sorted(shown_path(str(file)) for file in found if file.is_file())


def literal_path(path: str) -> str:
    """A local path as Spark reads it to the letter: with its scheme, or another default file system would be asked, and with marks
    of patterns escaped."""
    name = re.sub(r"([\\*?\[\]{}])", r"\\\1", shown_path(path))
    return hadoop_uri(name) if is_uri(path) else f"file://{name}"


def is_hidden(path: Path) -> bool:
    """Whether a part of the path, which is one inside a folder, starts with `.` or `_`, as Spark's and Delta's own files do."""
    return any(part[0] in "._" for part in path.parts)


def form_of(path: str) -> str | None:
    """csv, jsonl or parquet by the name's ending, after removing one .gz; picture; None for another ending."""
    if path.lower().endswith(PICTURES):
        return "picture"
    name = path.lower().removesuffix(".gz")
    return FORMS.get(Path(name).suffix)


def list_files(given: str, max_files: int, pictures: bool = False, unpacked: Sequence[str] = ()) -> list[str]:
    """The files at `given`, a file or a folder with all below it, and in the folders that its archives were `unpacked` into.

    Sorted in each folder. Hidden files and folders, and those that start with _, are none, as Spark has it; pictures only where
    asked for. Raises InputError where there is no such path, no file of a known ending, or more than `max_files`.
    """
    given = absolute(given) if is_uri(given) else local_path(given)
    alone = is_file(given)
    if not alone and not is_folder(given):
        raise InputError(f"{given}: no such file or folder")
    if alone and not unpacked:
        if form_of(given) in _none_of(pictures):
            _refuse_html(given, given.lower().endswith((".html", ".htm")))
            raise InputError(f"{shown_path(given)}: unknown ending; expected one of {', '.join(sorted(FORMS))}, also with .gz")
        return [absolute(given)]
    found, has_html = [], False
    for folder in unpacked if alone else [given, *unpacked]:
        for file, inside in files_below(folder):
            if is_hidden(inside):
                continue
            has_html |= inside.suffix.lower() in (".html", ".htm")
            if form_of(inside.name) in _none_of(pictures) or (inside.suffix.lower() == SCRIPT and not holds_data(file)):
                continue
            found.append(file)
            if len(found) > max_files:
                raise InputError(f"{given}: more than {max_files:,} files; raise it with --set max_files=N")
    if not any(form_of(file) != "picture" for file in found):
        _refuse_html(given, has_html)
    if not found:
        raise InputError(f"{given}: no file in it ends in {', '.join(sorted(FORMS))}, also with .gz")
    return found


def _refuse_html(given: str, has_html: bool) -> None:
    """Raise InputError for an input of web pages and no data."""
    if has_html:
        raise InputError(
            f"{shown_path(given)}: this is the HTML form of an archive, pages to look at without data to read; ask Instagram "
            "(Download your information, format JSON) or X (Download an archive of your data: its data/*.js) for the JSON form"
        )


def holds_data(path: str) -> bool:
    """Whether a file of JavaScript is data of an archive of X, `window.YTD.<name>.part<N> = [...]`; reads its first bytes."""
    try:
        with open_binary(path) as file:
            return ASSIGNMENT.match(file.read(_ASSIGNMENT_BYTES)) is not None
    except OSError:
        # The survey reads it and reports why it cannot.
        return True


def _none_of(pictures: bool) -> tuple[str | None, ...]:
    """The forms that are not wanted."""
    return (None,) if pictures else (None, "picture")


def survey_files(
    spark: SparkSession, paths: list[str], conf: IngestConf, documents: bool = False, pages: frozenset[str] = frozenset()
) -> list[Survey]:
    """A Survey a file, in the order of `paths`: read once, a file a task at a time, in chunks; up to FEW_FILES of FEW_BYTES
    together, none of them zipped, without Spark. With `documents`, a .json file may be one document, and each line of another
    one, as `pages` says.

    Collects one row a file and stretch: at most ingest.max_files, and one per split_bytes of a large file. Raises InputError
    for a file that cannot be read or whose first line is no header.
    """

    def surveyed(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            found = [(given, *survey_row(os.fsdecode(given), conf, documents, pages)[1:]) for given in map(bytes, batch["path"])]
            yield pd.DataFrame(found, columns=list(_COLUMNS))

    found: dict[str, Any]
    if are_few(paths):
        found = {path: dict(zip(_COLUMNS, survey_row(path, conf, documents, pages), strict=True)) for path in paths}
    else:
        tasks = max(1, min(len(paths), spark.sparkContext.defaultParallelism * 4))
        # As bytes: a name need not be UTF-8.
        rows = spark.sparkContext.parallelize([(os.fsencode(path),) for path in paths], tasks).toDF("path binary")
        found = {os.fsdecode(bytes(row["path"])): row for row in rows.mapInPandas(surveyed, _SCHEMA).collect()}
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


def are_few(paths: Sequence[str]) -> bool:
    """Whether the files are so few and short that they are read faster where the job runs."""
    if len(paths) > FEW_FILES or any(path.lower().endswith(".gz") for path in paths):
        return False
    try:
        return sum(map(file_size, paths)) <= FEW_BYTES
    except OSError:
        # Told as for many files.
        return False


_SCHEMA = (
    "path binary, form string, delimiter string, bytes long, sha256 string, header array<string>, starts array<long>, "
    "ends array<long>, lines array<long>, layout string, fault string"
)
_COLUMNS = tuple(part.split()[0] for part in _SCHEMA.split(", "))


def survey_row(path: str, conf: IngestConf, documents: bool = False, pages: frozenset[str] = frozenset()) -> tuple[object, ...]:
    """A file's survey as a row of _SCHEMA; a fault is in its last column, and the rest is null.

    A file of Windows-1252 is cut as one of UTF-8: line breaks, quotes and an ASCII delimiter are the same bytes in both.
    """
    form = form_of(path) or ""
    name = path.lower().removesuffix(".gz")
    separator = conf.delimiter if conf.delimiter != "auto" else "\t" if name.endswith((".tsv", ".tab")) else ","
    try:
        size, digest = file_size(path), sha256_of(path)
        if form == "parquet":
            with open_binary(path) as file:
                schema = pq.read_schema(file)
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
        limits = limits_of(conf, separator, len(names))
        if form == "csv" and conf.header is None:
            with open_bytes(path) as stream:
                first = stream.readline(_HEADER_BYTES)
                while conf.comment is not None and first.startswith(conf.comment.encode()):
                    start, line = start + len(first), line + 1
                    first = stream.readline(_HEADER_BYTES)
            names = header_fields(as_utf8(first, conf.encoding), separator, limits)
            start, line = start + len(first), line + 1
        # What is written to the file from now on is not of this content hash.
        cuts = [(start, -1 if path.lower().endswith(".gz") else size, line)]
        if not path.lower().endswith(".gz") and size > conf.split_bytes and separator.isascii():
            whole = Stretch(path, form, separator, start, size, line, ())
            cuts = _cuts(whole, replace(limits, width=len(names)), conf.split_bytes, size)
        return path, form, separator, size, digest, names, *(list(part) for part in zip(*cuts, strict=True)), "", None
    except (OSError, EOFError, zlib.error) as error:
        fault = f"{shown_path(path)}: cannot be read: {getattr(error, 'strerror', None) or error}"
    except pa.ArrowInvalid as error:
        fault = f"{shown_path(path)}: not a Parquet file: {str(error).splitlines()[0][:200]}"
    except UnicodeDecodeError:
        fault = (
            f"{shown_path(path)}:1: the header is not UTF-8; name its encoding (--set encoding=windows-1252) or save it as UTF-8"
        )
    except ValueError as error:
        fault = f"{shown_path(path)}:1: {error}"
    return path, form, separator, 0, "", [], [], [], [], "", fault


def limits_of(conf: IngestConf, delimiter: str, width: int = 0, has_quotes: bool = True) -> Limits:
    """What a record of a file may be, by the settings; `has_quotes`: whether the file's form knows quotes at all."""
    quote = conf.quote if has_quotes and can_quote(delimiter) else None
    # A quote that escapes itself is a doubled one.
    escape = conf.escape if quote is not None and conf.escape != quote else None
    return Limits(conf.max_record_bytes, conf.max_record_lines, width, quote, escape)


def header_fields(line: bytes, delimiter: str, limits: Limits) -> list[str]:
    """The column names of a header line; none for an empty file. ValueError for names that are no header."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("the file is UTF-16; save it as UTF-8")
    text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8").rstrip("\r\n")
    if not text.strip():
        return []
    if "\r" in text:
        raise ValueError("the lines end in lone carriage returns; save the file with line feeds")
    names = text.split(delimiter) if limits.quote is None else fields(text, delimiter, limits.quote, limits.escape)
    if names is None:
        raise ValueError("the header's quotes do not match")
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"the header names {twice[0]!r} twice")
    return names


def _cuts(stretch: Stretch, limits: Limits, split_bytes: int, size: int) -> list[tuple[int, int, int]]:
    """Stretches of about `split_bytes` that begin at records, with their first lines."""
    cuts = []
    start, line, at, at_line = stretch.start, stretch.line, stretch.start, stretch.line
    for _, found, _ in chunks(stretch, limits):
        # The first record of the chunk that begins far enough behind the last cut, again and again.
        while (place := int(np.searchsorted(found.starts, start + split_bytes - at))) < len(found.starts):
            cuts.append((start, at + int(found.starts[place]), line))
            start, line = at + int(found.starts[place]), at_line + int(found.line[place])
        at += found.skipped + 1 if found.skipped else found.consumed
        at_line += found.lines
    return [*cuts, (start, size, line)]
