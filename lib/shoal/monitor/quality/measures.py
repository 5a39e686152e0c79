"""What is measured of a table: frames of one row each, so that many tables are one query."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.contract import Contract

MEASURES = "table_name string, row_count bigint, distinct_keys bigint, nulls map<string,bigint>, newest_at timestamp"


def nullable_columns(made: Contract) -> list[str]:
    """The columns that may be null, in contract order."""
    return [name for name, column in made.columns.items() if column.null]


def is_by_day(made: Contract) -> bool:
    """Whether each day has all rows of the table anew, and the newest day is the table as it is now. A table whose key does not
    have the day gathers rows: as_of says when each came."""
    return "as_of" in made.key


def measure_rows(rows: DataFrame, made: Contract) -> DataFrame:
    """One row of MEASURES: row_count, nulls of each nullable column, newest_at of the contract's time_column, of as_of its end;
    distinct_keys null.

    Reads the nullable columns and the time once. No shuffle but one row a task.
    """
    nulls = [part for name in nullable_columns(made) for part in (F.lit(name), F.count_if(F.col(name).isNull()))]
    ends = F.date_add(F.max("as_of"), 1) if "as_of" in made.columns else F.lit(None)
    newest = F.max(made.time_column) if made.time_column else ends
    return rows.agg(
        F.lit(made.name).alias("table_name"), F.count("*").alias("row_count"), F.lit(None).cast("bigint").alias("distinct_keys"),
        F.create_map(*nulls).cast("map<string,bigint>").alias("nulls"), newest.cast("timestamp").alias("newest_at"),
    )  # fmt: skip


def measure_keys(rows: DataFrame, made: Contract) -> DataFrame:
    """One row of MEASURES: distinct_keys, exact but for a chance of 1e-20 among a billion keys; the others null.

    Reads the key columns, which are never nullable, so that together with `measure_rows` no column is read twice. One shuffle of
    two numbers a row: hashes of the key.
    """
    hashes = F.xxhash64(*made.key), F.xxhash64(F.lit(1), *made.key)
    return rows.agg(
        F.lit(made.name).alias("table_name"), F.lit(None).cast("bigint").alias("row_count"),
        F.count_distinct(*hashes).alias("distinct_keys"), F.lit(None).cast("map<string,bigint>").alias("nulls"),
        F.lit(None).cast("timestamp").alias("newest_at"),
    )  # fmt: skip


def last_ingests(files: DataFrame) -> DataFrame:
    """`source`, `records`, `rejected` of each source's latest run, of rows of ops.ingest_files. Two shuffles of a row a run."""
    runs = files.groupBy("source", "run_id").agg(
        F.sum("records").alias("records"), F.sum("rejected").alias("rejected"), F.max("ingested_at").alias("at")
    )
    last = F.max_by(F.struct("records", "rejected"), F.struct("at", "run_id"))
    return runs.groupBy("source").agg(last.alias("last")).select("source", "last.*")
