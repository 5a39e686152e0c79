"""Plain files in and out: `read_rows` gives the rows of CSV, TSV, JSON or Parquet files, `write_rows` one file of rows.

Files are read as ingest reads them, with its settings, by its parser; but a file with a fault is refused, in one line that names
the file and the line, where ingest puts the record in quarantine. So text is looked through once before anything is computed.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.conf.addresses import is_uri
from shoal.conf.loading import load
from shoal.conf.sections import IngestConf
from shoal.errors import InputError, TransientError, UsageError, one_line
from shoal.ingest.formats.json_objects import Left
from shoal.ingest.formats.listing import Survey, are_few, list_files, literal_path, shown_path, survey_files
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.formats.parsing import Stretch
from shoal.ingest.formats.reading import Columns, TextReading, each_stretch, stretches_of
from shoal.ingest.formats.storage import file_size
from shoal.spark.driver_files import written_by_tasks
from shoal.spark.hadoop_files import is_folder, put_file

# What is written: the last suffix decides the form; `.gz` may follow a form of text.
FORMS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
         ".parquet": "parquet"}  # fmt: skip
DELIMITERS = {"csv": ",", "tsv": "\t"}
# Parts of a text file: small enough that two cores share a megabyte, large enough that a task is worth starting.
MIN_PART_BYTES, MAX_PART_BYTES, PARTS = 256 << 10, 16 << 20, 16
# Names that JSON objects may have together: objects whose names are ids, millions of them, are no table.
MAX_COLUMNS = 10_000
NESTED = (T.StructType, T.ArrayType, T.MapType)


@dataclass
class Seen:
    """What a look through a stretch found: records, whether their lines ascend, the first fault as (line, rule, reason), and the
    names of its JSON objects."""

    rows: int = 0
    in_order: bool = True
    fault: tuple[int, str, str] | None = None
    names: dict[str, None] = field(default_factory=dict)


def read_rows(
    spark: SparkSession,
    path: str | Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    aliases: Mapping[str, Sequence[str]] | None = None,
    conf: IngestConf | None = None,
) -> DataFrame:
    """The rows of a file, or of all files of a folder, in the order of the file and of the file names.

    Columns: those of the file in its order. `columns` and `optional` are strings under these names, whether the file
    has the name itself or one of its `aliases`, where it has any also without regard to case, `_`, `-` and blanks; an
    optional column that is nowhere is null, and comes last. All others
    stay as they are: strings from text files, their own type from Parquet. In a folder, columns are matched
    by name, file by file; one that a file lacks is null there.

    Endings, delimiter, encoding, header, comment, quote, escape, null and renamed columns: those of ingest, by `conf` (the shipped
    settings without it). An empty field is null; a column without a name is called `_c<position from 0>`; blank lines and comments
    are no rows. JSON: one object a line, or a document that is an array of objects; numbers keep their digits, nested values become
    JSON. NUL is removed.

    Raises InputError, one line, for: nothing at `path`, an unknown ending, Parquet among text, no bytes, a header
    without rows, a missing or doubled column, and any record that ingest would reject for its form. Raises UsageError for a
    rename of a column that is not asked for.

    Cost: text is parsed twice: once before the result is returned, once, in parts of 256 KiB to 16 MiB
    (a gzipped file in one), where the result is used. Collects one small record a part.
    """
    conf = conf or load().ingest
    files = list_files(str(path), conf.max_files)
    total = sum(map(file_size, files))
    conf = conf.model_copy(update={"split_bytes": min(max(total // PARTS, MIN_PART_BYTES), MAX_PART_BYTES)})
    surveys = [s for s in survey_files(spark, files, conf, documents=True) if s.bytes and (s.form != "csv" or s.header)]
    if not surveys:
        raise InputError(f"{path}: the file is empty; expected a header line and rows")
    known = _spellings([*columns, *optional], aliases or {}, conf)
    is_parquet = {survey.form == "parquet" for survey in surveys}
    if len(is_parquet) > 1:
        raise InputError(f"{path}: the folder mixes Parquet with text; expected one of them")
    frame = _read_parquet(spark, surveys, path) if True in is_parquet else _read_text(spark, surveys, columns, known, conf)
    renames = _renames(frame.columns, columns, known, path)
    selected: list[Column] = []
    for found in frame.schema.fields:
        column = F.col(quoted(found.name))
        if found.name in renames:
            column = F.to_json(column) if isinstance(found.dataType, NESTED) else column.cast("string")
        selected.append(column.alias(renames.get(found.name, found.name)))
    absent = [F.lit(None).cast("string").alias(name) for name in optional if name not in renames.values()]
    rows = frame.select(*selected, *absent)
    if True in is_parquet and rows.isEmpty():
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
    in the file's place. Of a URI only the ending is looked at: a session, which comes later, asks the store.
    """
    target = Path(path)
    form_of(target)
    if is_uri(path):
        return
    if target.is_dir():
        raise UsageError(f"{path}: is a folder; expected the name of a file")
    if not target.parent.is_dir():
        raise UsageError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"{path}: the folder {target.parent} cannot be written to; choose another")


def write_rows(df: DataFrame, path: str | Path) -> None:
    """Write the rows as ONE file, at a path or a URI, in the order of the frame's partitions; the ending states the form.

    CSV and TSV: a header, LF, `""` for a quote, null as an empty field, nested columns as JSON. JSON lines: null fields
    excluded. `.gz` compresses text. An empty frame gives a file with a header and no rows. The file appears whole or not
    at all: it is made beside its place, then renamed over what was there.

    Raises UsageError as `check_output` does, and for a local path on a cluster; InputError where the store of a URI refuses;
    TransientError for a full disk. Cost: the partitions are written in parallel, then joined on the driver as a stream (bytes, or
    Parquet row groups): memory does not grow with the rows. A file at a URI lies on the driver's disk meanwhile.
    """
    check_output(path)
    if is_uri(path):
        with tempfile.TemporaryDirectory(prefix="shoal-output-") as made:
            here = Path(made) / Path(path).name
            parent, name = str(path).rsplit("/", 1)
            if is_folder(df.sparkSession, str(path)):
                raise UsageError(f"{path}: is a folder; expected the name of a file")
            _write_file(df, here, f"{parent}/.{name}.{secrets.token_hex(4)}")
            put_file(df.sparkSession, here, str(path))
        return
    _write_file(df, Path(path), None)


def _write_file(df: DataFrame, target: Path, shared: str | None) -> None:
    """`write_rows` to the driver's disk. `shared`: a folder that tasks on a cluster see, made and removed here."""
    form = form_of(target)
    mark = secrets.token_hex(4)
    parts, whole = (target.parent.resolve() / f".{target.name}.{mark}.{kind}" for kind in ("parts", "whole"))
    try:
        with written_by_tasks(df.sparkSession, parts, shared) as place:
            _write_parts(df, place, form, target.suffix.lower() == ".gz")
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
            raise TransientError(f"{target}: no space left on the disk; free some and run the command again") from None
        raise
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        whole.unlink(missing_ok=True)


def _spellings(names: Sequence[str], aliases: Mapping[str, Sequence[str]], conf: IngestConf) -> dict[str, Sequence[str]]:
    """Our names with those that a file may have for them, the first choice first: a rename alone, else our own and the aliases."""
    other = [name for name in conf.column_mapping if name not in names]
    if other:
        raise UsageError(f"--set column_mapping.{other[0]}: no such column is read here; there are {', '.join(names)}")
    return {name: (conf.column_mapping[name],) if name in conf.column_mapping else (name, *aliases.get(name, ())) for name in names}


def _renames(found: Sequence[str], columns: Sequence[str], known: Mapping[str, Sequence[str]], path: str | Path) -> dict[str, str]:
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
    other = next((mark for mark in (";", "\t", "|", ",", " ") if len(found) == 1 and mark in found[0]), None)
    hint = f"; the delimiter looks like {other!r}: --set delimiter={other!r}" if other else ""
    return f"{path}: no column {name!r}{also}; found {shown}{hint}"


def _read_parquet(spark: SparkSession, surveys: Sequence[Survey], path: str | Path) -> DataFrame:
    """The rows of Parquet files, columns matched by name."""
    try:
        return spark.read.option("mergeSchema", "true").parquet(*[literal_path(survey.path) for survey in surveys])
    except PySparkException as error:
        raise InputError(f"{path}: the Parquet files do not go together: {one_line(error)}") from None


def _read_text(
    spark: SparkSession, surveys: Sequence[Survey], columns: Sequence[str], known: Mapping[str, Sequence[str]], conf: IngestConf
) -> DataFrame:
    """The rows of text files, all columns strings."""
    headers = {survey.path: _column_names(survey) for survey in surveys if survey.form == "csv"}
    for file, header in headers.items():
        # JSON objects have no name where its value is null; a CSV file without the column is another file.
        for name in columns:
            if _spelled(header, known[name]) is None:
                raise InputError(_missing_column(shown_path(file), name, known[name], header))
    seen = _look_through(spark, surveys, {file: tuple(header) for file, header in headers.items()}, conf)
    in_objects = by_plain(name for each in seen for name in each.names)
    names = list(dict.fromkeys([*(name for header in headers.values() for name in header), *in_objects.values()]))
    # Columns are numbered on the way: a name may be any text.
    number = {name: f"_{place}" for place, name in enumerate(names)}
    pairs = tuple(f"{theirs}={number[ours]}" for theirs, ours in in_objects.items())
    given: Columns = {
        survey.path: tuple(map(number.get, headers[survey.path])) if survey.form == "csv" else pairs for survey in surveys
    }
    schema = T.StructType([T.StructField("_index", T.IntegerType()), T.StructField("_line", T.LongType())])
    for name in number.values():
        schema = schema.add(name, T.StringType())
    reading, numbered = TextReading(conf, objects_of), list(number.values())

    def parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for index, stretch in each_stretch(batches, reading, Left()):
            for found in reading.batches(stretch, numbered):
                of_file = pa.repeat(pa.scalar(index, pa.int32()), found.num_rows)
                yield pa.RecordBatch.from_arrays([of_file, found.column(0), *found.columns[4:]], names=schema.names)

    rows = stretches_of(spark, surveys, given, sum(len(s.stretches) for s in surveys)).mapInArrow(parsed, schema)
    if not all(each.in_order for each in seen):
        rows = rows.sortWithinPartitions("_index", "_line")
    return rows.select(*[F.translate(place, "\0", "").alias(name) for name, place in number.items()])


def objects_of(document: object, path: str) -> Iterator[object]:
    """The objects of a JSON document: the elements of an array, else the document itself."""
    return iter(document if isinstance(document, list) else [document])


def _column_names(survey: Survey) -> list[str]:
    """The names of a file's columns, `_c<position>` for one without; InputError where two differ in case only."""
    names = [name or f"_c{position}" for position, name in enumerate(survey.header)]
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise InputError(f"{survey.shown}:1: two columns are called {name!r} (case does not count); rename one of them")
        seen.add(name.casefold())
    return names


def _look_through(
    spark: SparkSession, surveys: Sequence[Survey], headers: Mapping[str, tuple[str, ...]], conf: IngestConf
) -> list[Seen]:
    """What each stretch holds, in the order of the files. Raises InputError for the first fault, and where there is no record."""
    # Of a JSON object only its names are looked at.
    columns: Columns = {survey.path: headers.get(survey.path, ("x=x",)) for survey in surveys}
    schema = "index int, rows long, in_order boolean, line long, rule string, reason string, names array<string>"

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for index, stretch in each_stretch(batches, TextReading(conf), Left()):
            seen = _seen_in(stretch, conf)
            line, rule, reason = seen.fault or (None, None, None)
            row = {"index": index, "rows": seen.rows, "in_order": seen.in_order, "line": line, "rule": rule, "reason": reason}
            types = pa.schema([("index", pa.int32()), ("rows", pa.int64()), ("in_order", pa.bool_()), ("line", pa.int64()),
                               ("rule", pa.string()), ("reason", pa.string()), ("names", pa.list_(pa.string()))])  # fmt: skip
            yield pa.RecordBatch.from_pylist([{**row, "names": list(seen.names)}], schema=types)

    if are_few([survey.path for survey in surveys]):
        found = [(i, _seen_in(stretch, conf)) for i, survey in enumerate(surveys) for stretch in _whole(survey, columns, conf)]
    else:
        rows = stretches_of(spark, surveys, columns, sum(len(s.stretches) for s in surveys)).mapInArrow(look, schema).collect()
        found = [
            (row["index"], Seen(row["rows"], row["in_order"], (row["line"], row["rule"], row["reason"]) if row["rule"] else None,
                                dict.fromkeys(row["names"])))
            for row in rows
        ]  # fmt: skip
    faults = sorted((index, *seen.fault) for index, seen in found if seen.fault)
    if faults:
        index, line, rule, reason = faults[0]
        hint = "; of another encoding: --set encoding=windows-1252" if rule == "bad_encoding" else ""
        raise InputError(f"{surveys[index].shown}:{line}: {reason}{hint}")
    if not any(seen.rows for _, seen in found):
        raise InputError(f"{surveys[0].shown}: a header but no row; expected at least one row")
    return [seen for _, seen in found]


def _whole(survey: Survey, columns: Columns, conf: IngestConf) -> Iterator[Stretch]:
    """The stretches of a file."""
    for start, end, line in survey.stretches:
        yield Stretch(
            survey.path, survey.form, survey.delimiter, start, end, line, columns[survey.path], encoding=conf.encoding,
            comment=conf.comment, null=conf.null,
        )  # fmt: skip


def _seen_in(stretch: Stretch, conf: IngestConf) -> Seen:
    """What a stretch holds."""
    seen = Seen()

    def noted(value: dict[str, Any]) -> dict[str, Any]:
        if len({plain(name) for name in value}) < len(value):
            twice = next(name for name in value if by_plain(value)[plain(name)] != name)
            raise ValueError(f"the names {by_plain(value)[plain(twice)]!r} and {twice!r} are one; rename one of them")
        # An object may be looked at twice.
        if len(seen.names.keys() | value.keys()) > MAX_COLUMNS:
            raise ValueError(f"more than {MAX_COLUMNS:,} names so far; expected objects of the same few")
        seen.names.update(dict.fromkeys(value))
        return {"x": None}

    last = 0
    looked = Stretch(**{**vars(stretch), "shaped": noted if stretch.form != "csv" else None})
    for batch in TextReading(conf, objects_of).batches(looked, []):
        lines = batch.column(0).to_numpy()
        seen.rows += len(lines)
        seen.in_order &= bool(len(lines) == 0 or (lines[0] > last and np.all(np.diff(lines) > 0)))
        last = int(lines[-1]) if len(lines) else last
        if batch.column(2).null_count < len(lines):
            bad = [(row["_line"], row["_rule"], row["_reason"]) for row in batch.to_pylist() if row["_rule"] is not None]
            seen.fault = min([*bad, *([seen.fault] if seen.fault else [])])
    return seen


def _write_parts(df: DataFrame, folder: str, form: str, is_gzip: bool) -> None:
    """One file a partition, without headers. `folder`: a URI, not percent-encoded."""
    compression = "gzip" if is_gzip else "none"
    if form == "parquet":
        df.write.parquet(folder)
    elif form == "jsonl":
        df.write.option("compression", compression).json(folder)
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
        ).csv(folder)


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
