"""Surveyed files as one DataFrame of records."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark import Accumulator, AccumulatorParam
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.formats.documents import RecordsOf, document_records
from shoal.ingest.formats.json_objects import MOST_NAMES, PLAIN, Left, Shaped
from shoal.ingest.formats.listing import Survey, is_utf8_name, limits_of, literal_path
from shoal.ingest.formats.parsing import Stretch, batch_schema, records, slow_batch
from shoal.ingest.formats.pictures import picture_records
from shoal.ingest.formats.splitting import Limits

# Names of files up to this number stand in the query.
FEW_FILES = 100
Columns = dict[str, "tuple[str | None, ...]"]


class _Names(AccumulatorParam[set[str]]):
    """Sets of names, united; the first MOST_NAMES of them."""

    def zero(self, value: set[str]) -> set[str]:
        return set()

    def addInPlace(self, value1: set[str], value2: set[str]) -> set[str]:  # noqa: N802 - Spark's name
        return set(sorted(value1 | value2)[:MOST_NAMES])


def seen_names(spark: SparkSession) -> Accumulator[set[str]]:
    """Collect from tasks the names of JSON objects that no field uses; a task that runs twice reports the same."""
    return spark.sparkContext.accumulator(set(), _Names())


def read_records(
    spark: SparkSession,
    surveys: Sequence[Survey],
    columns: Columns,
    names: Sequence[str],
    conf: IngestConf,
    records_of: RecordsOf | None = None,
    has_quotes: bool = True,
    seen: Accumulator[set[str]] | None = None,
    refuse: bool = False,
    shaped: Shaped | None = None,
) -> DataFrame:
    """Every record of the files: _file, _line, raw, _rule and _reason (null for a sound form), then `names` as strings.

    `columns` gives each file's columns under our names, in the file's order (for JSON and Parquet: pairs `theirs=ours`).
    `records_of` takes JSON documents apart, where there are any, `shaped` is done to each JSON object; `has_quotes`: see Limits.
    Names of JSON objects that no field uses are added to `seen`, at most MOST_NAMES, when the records are read; with `refuse`
    such records are rejected (rule unknown_column). A task reads about ingest.split_bytes, of one large file or of many small ones.
    Narrow.
    """
    by_spark = {survey.path for survey in surveys if survey.form == "parquet" and is_utf8_name(survey.path)}
    text = [survey for survey in surveys if survey.path not in by_spark]
    reading = TextReading(conf, records_of, has_quotes, refuse, shaped)
    frames = [_read_text(spark, text, columns, names, reading, seen)] if text else []
    layouts: dict[tuple[str, tuple[str | None, ...]], list[str]] = {}
    for survey in surveys:
        if survey.path in by_spark:
            layouts.setdefault((survey.layout, columns[survey.path]), []).append(survey.path)
    frames += [_read_parquet(spark, paths, pairs, names, layout) for (layout, pairs), paths in layouts.items()]
    return reduce(DataFrame.unionByName, frames)


@dataclass(frozen=True)
class TextReading:
    """How the records of text files are read; see `read_records`. Goes to the tasks."""

    conf: IngestConf
    records_of: RecordsOf | None = None
    has_quotes: bool = True
    refuse: bool = False
    shaped: Shaped | None = None

    def batches(self, stretch: Stretch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The records of a stretch, whatever its form, with `batch_schema(names)`."""
        if stretch.form == "picture":
            return picture_records(stretch, names)
        if stretch.form == "parquet":
            reason = "the file's name is not UTF-8, and Spark opens no Parquet file of such a name; rename it"
            return iter([slow_batch([(1, "", "file_name", reason, None)], names)])
        if stretch.form in ("document", "pages") and self.records_of:
            return document_records(stretch, names, self.records_of, self.conf.max_document_bytes)
        return records(stretch, names, self.limits(stretch))

    def limits(self, stretch: Stretch) -> Limits:
        """What a record of the stretch may be."""
        width = len(stretch.columns) if stretch.form == "csv" else 0
        return limits_of(self.conf, stretch.delimiter, width, self.has_quotes)

    def tasks(self, spark: SparkSession, surveys: Sequence[Survey]) -> int:
        """How many tasks the files are read in: each reads about ingest.split_bytes."""
        stretches, size = sum(len(s.stretches) for s in surveys), sum(s.bytes for s in surveys)
        return max(1, min(stretches, max(spark.sparkContext.defaultParallelism, size // self.conf.split_bytes + 1)))


# Paths are bytes on the way to a task: a name need not be UTF-8.
STRETCHES = "index int, path binary, form string, delimiter string, start long, end long, line long, columns array<string>"


def stretches_of(spark: SparkSession, surveys: Sequence[Survey], columns: Columns, tasks: int) -> DataFrame:
    """One row of STRETCHES per stretch of the surveyed files, in their order, in so many partitions."""
    rows = [
        (i, os.fsencode(s.path), s.form, s.delimiter, start, end, line, list(columns[s.path]))
        for i, s in enumerate(surveys)
        for start, end, line in s.stretches
    ]
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, tasks), STRETCHES)


def each_stretch(batches: Iterable[pa.RecordBatch], reading: TextReading, left: Left) -> Iterator[tuple[int, Stretch]]:
    """(number of its file, stretch) of rows of STRETCHES. Runs in a task."""
    conf = reading.conf
    for batch in batches:
        for row in batch.to_pylist():
            index, path, given = row.pop("index"), os.fsdecode(row.pop("path")), tuple(row.pop("columns"))
            yield index, Stretch(
                path, **row, columns=given, left=left, shaped=reading.shaped, encoding=conf.encoding, comment=conf.comment,
                null=conf.null,
            )  # fmt: skip


def _read_text(
    spark: SparkSession, surveys: Sequence[Survey], columns: Columns, names: Sequence[str], reading: TextReading,
    seen: Accumulator[set[str]] | None,
) -> DataFrame:  # fmt: skip
    """The records of CSV, JSON lines, JSON documents and pictures."""
    wanted = list(names)

    def parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = batch_schema(wanted).insert(0, pa.field("_index", pa.int32()))
        left = Left(reading.refuse)
        for index, stretch in each_stretch(batches, reading, left):
            for found in reading.batches(stretch, wanted):
                number = pa.repeat(pa.scalar(index, pa.int32()), found.num_rows)
                yield pa.RecordBatch.from_arrays([number, *found.columns], schema=schema)
        if seen is not None:
            seen.add(left.names)

    described = stretches_of(spark, surveys, columns, reading.tasks(spark, surveys))
    made = ", ".join(f"`{name}` string" for name in ("raw", "_rule", "_reason", *(n.replace("`", "``") for n in names)))
    found = described.mapInArrow(parsed, f"_index int, _line long, {made}")
    # Python sends the file's number: the path with every row would double what goes from process to process.
    if len(surveys) == 1:
        return found.withColumn("_file", F.lit(surveys[0].shown)).drop("_index")
    if len(surveys) <= FEW_FILES:
        # Names in the query itself spare the job of a broadcast.
        return found.withColumn("_file", F.array(*[F.lit(s.shown) for s in surveys])[F.col("_index")]).drop("_index")
    paths = spark.createDataFrame([(i, s.shown) for i, s in enumerate(surveys)], "_index int, _file string")
    return found.join(F.broadcast(paths), "_index").drop("_index")


def _read_parquet(
    spark: SparkSession, paths: Sequence[str], columns: tuple[str | None, ...], names: Sequence[str], layout: str
) -> DataFrame:
    """The rows of Parquet files of one layout as records: raw is the row as JSON, the line its number in its file.

    Raises InputError, naming a file, for a type of column that Spark cannot read.
    """
    try:
        rows = spark.read.parquet(*map(literal_path, paths))
    except (Py4JJavaError, PySparkException) as error:
        found_type = re.search(r"Illegal Parquet type: [^.\n]{1,80}", str(error))
        if found_type is None:
            raise
        raise InputError(f"{paths[0]}: {found_type.group()}; write that column as a text, a number or a timestamp") from error
    pairs = [(pair or "=").removesuffix(PLAIN).rpartition("=") for pair in columns]
    types = {f.name: f.dataType.simpleString() for f in rows.schema.fields}
    lines = layout.splitlines()
    nanos = {n for n, t in types.items() if t == "bigint" and any(line.startswith(f"{n}: timestamp[ns") for line in lines)}

    def value(name: str) -> Column:
        # pandas writes times in nanoseconds; Spark reads them as numbers (conf/spark).
        return F.expr(f"timestamp_micros(`{name}` div 1000)") if name in nanos else F.col(f"`{name}`")

    def as_text(name: str) -> Column:
        if types[name].startswith(("array", "map", "struct")):
            return F.to_json(value(name))
        if types[name] in ("double", "float"):
            # pandas makes numbers with gaps floating-point ones: an id would be 3.6063641E7.
            is_whole = (value(name) == F.floor(value(name))) & (F.abs(value(name)) < 2.0**53)
            return F.when(is_whole, value(name).cast("bigint").cast("string")).otherwise(value(name).cast("string"))
        return F.nullif(value(name).cast("string"), F.lit(""))

    theirs = {ours: name for name, _, ours in reversed(pairs) if name in types}
    nothing = F.lit(None).cast("string")
    uri = spark._jvm.org.apache.hadoop.fs.Path
    named = spark.createDataFrame([(uri("file:" + p).toUri().toString(), p) for p in paths], "_uri string, _file string")
    found = rows.select(
        F.regexp_replace("_metadata.file_path", "^file:/+", "file:/").alias("_uri"),
        (F.col("_metadata.row_index") + 1).alias("_line"),
        F.to_json(F.struct(*[value(n).alias(n) for n in rows.columns])).alias("raw"),
        nothing.alias("_rule"), nothing.alias("_reason"),
        *[(as_text(theirs[n]) if n in theirs else nothing).alias(n) for n in names],
    )  # fmt: skip
    return found.join(F.broadcast(named), "_uri").drop("_uri")
