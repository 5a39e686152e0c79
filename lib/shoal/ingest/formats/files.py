"""Plain files in and out: `read_rows` gives the rows of CSV, TSV, JSON lines or Parquet files, `write_rows` one file of rows.

A text file is looked through once before anything is computed from it, so that a fault ends in one line that names the
file and the line, and so that the file is parsed in parts, in parallel, and still in its own order.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.errors import InputError, TransientError, UsageError, one_line
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.formats.records import DELIMITERS, Survey, read_part, survey

LOG = logging.getLogger(__name__)

# The last suffix decides the form; `.gz` may follow a form of text.
FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
MAX_FILES = 10_000
# Parts of a text file: small enough that two cores share a megabyte, large enough that a task is worth starting.
MIN_PART_BYTES, MAX_PART_BYTES, PARTS = 256 << 10, 16 << 20, 16
NESTED = (T.StructType, T.ArrayType, T.MapType)


def read_rows(
    spark: SparkSession,
    path: str | Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> DataFrame:
    """The rows of a file, or of all files of a folder, in the order of the file and of the file names.

    Columns: those of the file in its order. `columns` and `optional` are strings under these names, whether the file
    has the name itself or one of its `aliases`, where it has any also without regard to case, `_`, `-` and blanks; an
    optional column that is nowhere is null, and comes last. All others
    stay as they are: strings from CSV, TSV and JSON lines, their own type from Parquet. In a folder, columns are matched
    by name, file by file; one that a file lacks is null there.

    CSV and TSV: a header line; fields quoted by `"`, with `""` for a quote inside, also over several lines; an empty
    field is null; a column without a name is called `_c<position from 0>`; blank lines are no rows. JSON lines: one
    object a line; numbers keep their digits, nested values become JSON. Text is UTF-8 with or without BOM, lines end in
    LF or CRLF, `.gz` may follow; a byte that is no UTF-8 is read as Windows-1252, with a warning; NUL becomes U+FFFD.

    Raises InputError, one line, for: nothing at `path`, an unknown ending, Parquet among text, no bytes, a header
    without rows, a missing or doubled column, a record with too few or too many fields, a quote that is never closed, a
    line that is no JSON object, a file that is no Parquet or no gzip.

    Cost: text is parsed twice: once in a task a file before the result is returned, once, in parts of 256 KiB to 16 MiB
    (a gzipped file in one), where the result is used. Collects one small record a file, at most 10,000.
    """
    root = Path(path)
    files = _input_files(root)
    known = {name: (name, *(aliases or {}).get(name, ())) for name in (*columns, *optional)}
    is_parquet = _common_form(files, root) == "parquet"
    frame = _read_parquet(spark, files, root) if is_parquet else _read_text(spark, files, columns, known)
    renames = _renames(frame.columns, columns, known, root)
    selected: list[Column] = []
    for field in frame.schema.fields:
        column = F.col(quoted(field.name))
        if field.name in renames:
            column = F.to_json(column) if isinstance(field.dataType, NESTED) else column.cast("string")
        selected.append(column.alias(renames.get(field.name, field.name)))
    absent = [F.lit(None).cast("string").alias(name) for name in optional if name not in renames.values()]
    rows = frame.select(*selected, *absent)
    if is_parquet and rows.isEmpty():
        raise InputError(f"{path}: there are columns but no row; expected at least one row")
    return rows


def refuse_faults(rows: DataFrame, path: str | Path, faults: Mapping[str, tuple[Column, str]], empty: str = "left empty") -> None:
    """Nothing, where no row has a fault.

    `faults`: column -> what is wrong with it (boolean), what was expected. Raises InputError for the first column with a
    fault: one line with the number of rows and an example; `empty` stands for one where nothing was given. Cost: one pass.
    """
    counts = [F.count_if(fault).alias(f"{name}_count") for name, (fault, _) in faults.items()]
    examples = [F.min(F.when(fault, F.col(name))).alias(f"{name}_example") for name, (fault, _) in faults.items()]
    seen = rows.agg(*counts, *examples).collect()[0]
    for name, (_, expected) in faults.items():
        if seen[f"{name}_count"]:
            example = seen[f"{name}_example"]
            shown = f"such as {example[:40]!r}" if example is not None else empty
            raise InputError(f"{path}: column {name}: {seen[f'{name}_count']} rows {shown}; expected {expected}")


def form_of(path: str | Path) -> str:
    """The form that a file's name states: csv, tsv, jsonl or parquet. Raises UsageError for any other ending."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    is_gzip = suffixes[-1:] == [".gz"]
    form = FORMS.get("".join(suffixes[-2:-1] if is_gzip else suffixes[-1:]))
    if form is None or (is_gzip and form == "parquet"):
        raise UsageError(f"{path}: expected a name that ends in .csv, .tsv, .jsonl (each also .gz) or .parquet")
    return form


def quoted(name: str) -> str:
    """The column name as Spark SQL reads it literally, dots and back quotes included."""
    return "`" + name.replace("`", "``") + "`"


def check_output(path: str | Path) -> None:
    """Nothing, where `write_rows` can write `path`: for a command to call before its long work.

    Raises UsageError, one line, for an unknown ending, a folder that does not exist or cannot be written to, or a folder
    in the file's place.
    """
    target = Path(path)
    form_of(target)
    if target.is_dir():
        raise UsageError(f"{path}: is a folder; expected the name of a file")
    if not target.parent.is_dir():
        raise UsageError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"{path}: the folder {target.parent} cannot be written to; choose another")


def write_rows(df: DataFrame, path: str | Path) -> None:
    """Write the rows as ONE file, in the order of the frame's partitions; the ending states the form.

    CSV and TSV: a header, LF, `""` for a quote, null as an empty field, nested columns as JSON. JSON lines: null fields
    left out. `.gz` compresses text. An empty frame gives a file with a header and no rows. The file appears whole or not
    at all: it is made beside its place, then renamed over what was there.

    Raises UsageError as `check_output` does; TransientError for a full disk. Cost: the partitions are written in
    parallel, then joined on the driver as a stream (bytes, or Parquet row groups): memory does not grow with the rows.
    The folder must be one that driver and workers share.
    """
    check_output(path)
    target = Path(path)
    form = form_of(target)
    mark = secrets.token_hex(4)
    parts, whole = (target.parent / f".{target.name}.{mark}.{kind}" for kind in ("parts", "whole"))
    try:
        _write_parts(df, parts, form, target.suffix.lower() == ".gz")
        files = sorted(part for part in parts.iterdir() if part.name.startswith("part-"))
        if form == "parquet":
            _join_parquet(files, whole)
        else:
            header = b"" if form == "jsonl" else _header_line(df.columns, DELIMITERS[form])
            # Gzip members may follow one another, so the parts are joined without being unpacked.
            _join_text(files, whole, gzip.compress(header) if target.suffix.lower() == ".gz" else header)
        whole.replace(target)
    except Exception as error:
        if "No space left on device" in str(error):
            raise TransientError(f"{path}: no space left on the disk; free some and run the command again") from None
        raise
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        whole.unlink(missing_ok=True)


def _input_files(path: Path) -> list[Path]:
    """The files that `path` means, by name; in a folder, empty files and those named `.x` or `_x` are none."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read: permission denied")
    if path.is_file():
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; expected a header line and rows")
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: neither a file nor a folder")
    found = sorted(file for file in path.rglob("*") if file.is_file() and not is_hidden(file.relative_to(path)))
    if not found:
        raise InputError(f"{path}: the folder has no file; expected .csv, .tsv, .jsonl or .parquet files")
    if len(found) > MAX_FILES:
        raise InputError(f"{path}: the folder has {len(found)} files; at most {MAX_FILES} are read at once")
    filled = [file for file in found if file.stat().st_size > 0]
    if not filled:
        raise InputError(f"{path}: every file in the folder is empty; expected a header line and rows")
    return filled


def is_hidden(path: Path) -> bool:
    """Whether a part of the path, which is one inside a folder, starts with `.` or `_`, as Spark's and Delta's own files do."""
    return any(part[0] in "._" for part in path.parts)


def _local(path: Path) -> str:
    """The path as Hadoop reads it: with its scheme, or another default file system would be asked; not percent-encoded."""
    return f"file://{path.resolve()}"


def _common_form(files: Sequence[Path], path: Path) -> str:
    """parquet where all files are, else text; a folder of both is refused."""
    try:
        forms = {form_of(file) for file in files}
    except UsageError as error:
        raise InputError(str(error)) from None
    if "parquet" in forms and len(forms) > 1:
        others = ", ".join(sorted(forms - {"parquet"}))
        raise InputError(f"{path}: the folder mixes Parquet with {others}; expected one of them")
    return "parquet" if "parquet" in forms else "text"


def _renames(found: Sequence[str], columns: Sequence[str], known: Mapping[str, Sequence[str]], path: Path) -> dict[str, str]:
    """The file's name -> ours for each known column that is there; its own name goes before its aliases."""
    renames: dict[str, str] = {}
    for name, spellings in known.items():
        match = _spelled([column for column in found if column not in renames], spellings)
        if match is not None:
            renames[match] = name
        elif name in columns:
            raise InputError(_missing_column(path, name, spellings, found))
    seen: set[str] = set()
    for name in (renames.get(name, name) for name in found):
        if name.casefold() in seen:
            raise InputError(f"{path}: two columns are called {name!r} (case does not count); rename one of them")
        seen.add(name.casefold())
    return renames


def _spelled(found: Sequence[str], spellings: Sequence[str]) -> str | None:
    """The one of the `found` names that the first spelling that any has names: to the letter, else as `plain` has it. A name of one
    spelling, a user's own word, is looked for to the letter only."""
    spelled = by_plain(found) if len(spellings) > 1 else {}
    matches = (spelling if spelling in found else spelled.get(plain(spelling)) for spelling in spellings)
    return next((match for match in matches if match is not None), None)


def _missing_column(path: str | Path, name: str, spellings: Sequence[str], found: Sequence[str]) -> str:
    """One line: the column, what there is, and the delimiter where that is the likely cause."""
    also = f" (or {', '.join(spellings[1:])})" if len(spellings) > 1 else ""
    shown = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
    other = next((mark for mark in (";", "\t", "|", ",") if len(found) == 1 and mark in found[0]), None)
    hint = f"; the delimiter seems to be {other!r}, expected a comma in .csv and a tab in .tsv" if other else ""
    return f"{path}: no column {name!r}{also}; found {shown}{hint}"


def _read_parquet(spark: SparkSession, files: Sequence[Path], path: Path) -> DataFrame:
    """The rows of Parquet files, columns matched by name."""
    for file in files:
        try:
            pq.read_schema(file)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{file}: not a whole Parquet file: {one_line(error)}") from None
    try:
        # Spark would take `*`, `[` and the like in a name for a pattern.
        names = [re.sub(r"([\\*?\[\]{}])", r"\\\1", _local(file)) for file in files]
        return spark.read.option("mergeSchema", "true").parquet(*names)
    except PySparkException as error:
        raise InputError(f"{path}: the Parquet files do not go together: {one_line(error)}") from None


def _read_text(spark: SparkSession, files: Sequence[Path], columns: Sequence[str], known: Mapping[str, Sequence[str]]) -> DataFrame:
    """The rows of text files, all columns strings."""
    surveys = _survey_files(spark, files)
    for file, found in zip(files, surveys, strict=True):
        if found.error is not None:
            raise InputError(found.error)
        # JSON lines leave fields out where they are null; a CSV file without the column is another file.
        for name in columns if form_of(file) != "jsonl" else ():
            if _spelled(found.header, known[name]) is None:
                raise InputError(_missing_column(file, name, known[name], found.header))
        if found.bad_bytes:
            LOG.warning("%s: %d bytes are no UTF-8 and are read as Windows-1252", file, found.bad_bytes)
    if not any(found.rows for found in surveys):
        raise InputError(f"{files[0]}: a header but no row; expected at least one row")
    names = list(dict.fromkeys(name for found in surveys for name in found.header))
    parts = [
        (str(file.resolve()), form_of(file), start, end, found.header)
        for file, found in zip(files, surveys, strict=True)
        for start, end in zip(found.cuts, found.cuts[1:], strict=False)
    ]

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                path, form, start, end, header = parts[index]
                yield from read_part(path, form, start, end, header, names)

    schema = T.StructType([T.StructField(name, T.StringType()) for name in names])
    return spark.range(0, len(parts), 1, len(parts)).mapInArrow(parse, schema)


def _survey_files(spark: SparkSession, files: Sequence[Path]) -> list[Survey]:
    """The survey of each file, in their order; a task a file."""
    wanted = [(str(file.resolve()), str(file), form_of(file)) for file in files]
    total = sum(file.stat().st_size for file in files)
    part_bytes = min(max(total // PARTS, MIN_PART_BYTES), MAX_PART_BYTES)

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                path, shown, form = wanted[index]
                found = survey(path, shown, form, part_bytes)
                yield pa.RecordBatch.from_pydict({"index": [index], "found": [json.dumps(asdict(found))]})

    tasks = spark.range(0, len(wanted), 1, min(len(wanted), 200)).mapInArrow(look, "index long, found string")
    found = {row["index"]: row["found"] for row in tasks.collect()}
    return [Survey(**json.loads(found[index])) for index in range(len(wanted))]


def _write_parts(df: DataFrame, folder: Path, form: str, is_gzip: bool) -> None:
    """One file a partition, without headers."""
    compression = "gzip" if is_gzip else "none"
    if form == "parquet":
        df.write.parquet(_local(folder))
    elif form == "jsonl":
        df.write.option("compression", compression).json(_local(folder))
    else:
        columns = [F.col(quoted(field.name)) for field in df.schema.fields]
        flat = [
            F.to_json(column).alias(field.name) if isinstance(field.dataType, NESTED) else column
            for column, field in zip(columns, df.schema.fields, strict=True)
        ]
        df.select(*flat).write.options(
            sep=DELIMITERS[form],
            quote='"',
            escape='"',
            nullValue="",
            # The writer trims fields unless told not to.
            ignoreLeadingWhiteSpace="false",
            ignoreTrailingWhiteSpace="false",
            compression=compression,
        ).csv(_local(folder))


def _header_line(names: Sequence[str], delimiter: str) -> bytes:
    """The header of a CSV or TSV file, names quoted where they need it."""
    marks = {delimiter, '"', "\n", "\r"}
    fields = ['"' + name.replace('"', '""') + '"' if marks & set(name) else name for name in names]
    return (delimiter.join(fields) + "\n").encode()


def _join_text(files: Sequence[Path], target: Path, header: bytes) -> None:
    """The header and all files, one after the other."""
    with target.open("wb") as out:
        out.write(header)
        for file in files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, out, 1 << 20)


def _join_parquet(files: Sequence[Path], target: Path) -> None:
    """The row groups of all files, one in memory at a time; Spark writes one file even for no rows."""
    with pq.ParquetWriter(target, pq.read_schema(files[0])) as writer:
        for file in files:
            source = pq.ParquetFile(file)
            for group in range(source.num_row_groups):
                writer.write_table(source.read_row_group(group))
