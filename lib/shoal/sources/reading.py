"""Surveyed files as one DataFrame of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf import IngestConf
from shoal.sources.listing import Survey
from shoal.sources.parsing import Stretch, records
from shoal.sources.splitting import Limits

Columns = dict[str, "tuple[str | None, ...]"]


def read_records(
    spark: SparkSession, surveys: Sequence[Survey], columns: Columns, names: Sequence[str], conf: IngestConf
) -> DataFrame:
    """Every record of the files: _file, _line, raw, _rule and _reason (null for a sound form), then `names` as strings.

    `columns` gives each file's columns under our names, in the file's order (for JSON lines and Parquet: pairs
    `theirs=ours`). A task reads about ingest.split_bytes, of one large file or of many small ones. Narrow: no shuffle.
    """
    text = [s for s in surveys if s.form != "parquet"]
    frames = [_read_parquet(spark, s.path, columns[s.path], names) for s in surveys if s.form == "parquet"]
    if text:
        frames.insert(0, _read_text(spark, text, columns, names, conf))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def _read_text(
    spark: SparkSession, surveys: Sequence[Survey], columns: Columns, names: Sequence[str], conf: IngestConf
) -> DataFrame:
    stretches = [
        Stretch(s.path, s.form, s.delimiter, start, end, line, columns[s.path])
        for s in surveys
        for start, end, line in s.stretches
    ]
    size = sum(s.bytes for s in surveys)
    tasks = max(1, min(len(stretches), max(spark.sparkContext.defaultParallelism, size // conf.split_bytes + 1)))
    max_bytes, max_lines, wanted = conf.max_record_bytes, conf.max_record_lines, list(names)

    def parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                stretch = Stretch(**{**row, "columns": tuple(row["columns"])})
                width = len(stretch.columns) if stretch.form == "csv" else 0
                yield from records(stretch, wanted, Limits(max_bytes, max_lines, width))

    schema = "path string, form string, delimiter string, start long, end long, line long, columns array<string>"
    rows = [(s.path, s.form, s.delimiter, s.start, s.end, s.line, list(s.columns)) for s in stretches]
    described = spark.createDataFrame(spark.sparkContext.parallelize(rows, tasks), schema)
    made = ", ".join(f"`{name}` string" for name in ("raw", "_rule", "_reason", *names))
    return described.mapInArrow(parsed, f"_file string, _line long, {made}")


def _read_parquet(spark: SparkSession, path: str, columns: tuple[str | None, ...], names: Sequence[str]) -> DataFrame:
    """A Parquet file's rows as records: raw is the row as JSON, line its number in the file's order (one task)."""
    rows = spark.read.parquet(path)
    pairs = [(pair or "=").partition("=") for pair in columns]
    types = {f.name: f.dataType.simpleString() for f in rows.schema.fields}

    def as_text(name: str) -> Column:
        nested = types[name].startswith(("array", "map", "struct"))
        value = F.to_json(F.col(f"`{name}`")) if nested else F.col(f"`{name}`").cast("string")
        return F.nullif(value, F.lit(""))

    theirs = {ours: name for name, _, ours in reversed(pairs) if name in types}
    nothing = F.lit(None).cast("string")
    return rows.coalesce(1).select(
        F.lit(path).alias("_file"), (F.monotonically_increasing_id() + 1).alias("_line"),
        F.to_json(F.struct(*[F.col(f"`{n}`") for n in rows.columns])).alias("raw"),
        nothing.alias("_rule"), nothing.alias("_reason"),
        *[(as_text(theirs[n]) if n in theirs else nothing).alias(n) for n in names],
    )  # fmt: skip
