"""optimize_tables: fewer files, the same rows; what is too old goes; readers of an earlier version are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

DAY = date(2024, 6, 30)


def events(spark: SparkSession, *numbers: int) -> DataFrame:
    made = contract("silver.interactions")
    rows = [(f"e{n}", f"u{n}", "i", "like", datetime(2024, 1, 1) + timedelta(days=n)) for n in numbers]
    frame = spark.createDataFrame(rows, "event_id string, user_id string, item_id string, event string, occurred_at timestamp")
    for name in made.columns:
        if name not in (*frame.columns, "run_id"):
            frame = frame.withColumn(name, F.lit(None).cast("double") if name == "value" else F.lit("test"))
    return frame


def rejected(spark: SparkSession, *days: date) -> DataFrame:
    columns = [n for n in contract("ops.quarantine").columns if n not in ("line", "ingested_at", "run_id")]
    rows = [("x",) * len(columns) + (i, datetime(d.year, d.month, d.day)) for i, d in enumerate(days)]
    return spark.createDataFrame(rows, ", ".join(f"{n} string" for n in columns) + ", line bigint, ingested_at timestamp")


def optimized(spark: SparkSession, settings: Settings, lake: Lake) -> Result:
    return execute(spark, find_job("optimize_tables"), settings, lake.root, DAY)


def test_small_files_become_one_old_rows_go_and_a_reader_of_before_still_reads(
    spark: SparkSession, make_lake: Callable[..., Lake]
) -> None:
    lake = make_lake()
    for n in range(4):
        lake.append("silver.interactions", events(spark, n), unique=True)
    # 365 days before 2024-06-30 is 2023-07-01: that day itself stays.
    lake.append("ops.quarantine", rejected(spark, date(2023, 6, 30), date(2023, 7, 1), date(2024, 6, 29)))
    reader = make_lake(run_id="reader")
    before = reader.read("silver.interactions")
    settings = load(sets=["optimize.tables=[silver.interactions, ops.quarantine]"])
    result = optimized(spark, settings, lake)
    assert result.status == "succeeded", result.message
    assert (result.tags["files_before"], result.tags["files_after"]) == ("5", "2")
    assert result.tags["silver.interactions"].startswith("files 4 -> 1, bytes ")
    assert result.tags["rows_too_old"] == "1"
    assert "1 rows too old" in result.tags["ops.quarantine"]
    after = make_lake(run_id="after")
    assert sorted(r["event_id"] for r in after.read("silver.interactions").collect()) == ["e0", "e1", "e2", "e3"]
    assert sorted(r["line"] for r in after.read("ops.quarantine").collect()) == [1, 2]
    assert sorted(r["event_id"] for r in before.collect()) == ["e0", "e1", "e2", "e3"]
    again = optimized(spark, settings, lake)
    assert (again.tags["files_before"], again.tags["files_after"], again.tags["rows_too_old"]) == ("2", "2", "0")


def test_a_lake_without_tables_is_a_reason_to_skip(spark: SparkSession, settings: Settings, lake: Lake) -> None:
    assert optimized(spark, settings, lake).status == "skipped"
