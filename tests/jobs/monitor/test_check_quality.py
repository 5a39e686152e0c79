"""The job on a lake of literal rows with planted faults: what it finds, what it leaves out, what a rerun writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.monitor.quality.references import Reference, measure_gap, references
from shoal.spark.job_count import counted_jobs

from jobs.monitor.check_quality import run

DAY = date(2024, 3, 10)
QUALITY = "ops.data_quality"


def table(spark: SparkSession, name: str, rows: list[dict[str, Any]]) -> DataFrame:
    """Rows of a table, columns that are not given null."""
    fields = StructType([field for field in contract(name).struct() if field.name != "run_id"])
    return spark.createDataFrame([tuple(row.get(field.name) for field in fields) for row in rows], fields)


def event(number: int, item: str, at: datetime | None, value: float | None = None) -> dict[str, Any]:
    row = {"event_id": f"e{number}", "user_id": "u", "item_id": item, "event": "like", "source": "t"}
    return {**row, "value": value, "occurred_at": at}


def loaded(batch: str, source: str, records: int, rejected: int, hour: int, run: str) -> tuple[Any, ...]:
    return (batch, source, "events", batch, "h", "s", 1, records, records - rejected, 0, rejected, datetime(2024, 3, 9, hour), run)


@pytest.fixture
def opened(spark: SparkSession, settings: Settings, tmp_path: Path) -> Callable[..., Lake]:
    """A function that opens the test's lake for a run that began at a time of the day."""

    def lake(hour: int, day: date = DAY, run_id: str = "run-1") -> Lake:
        started = datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc)
        return Lake(spark, tmp_path / "lake", settings, Run(run_id, "check_quality", started))

    return lake


@pytest.fixture
def lake(spark: SparkSession, opened: Callable[..., Lake]) -> Lake:
    """Ten events up to the day, one of them twice, one of an item that is not there; one of the day after; a snapshot of three
    users that is two days old, and one of a day to come."""
    lake = opened(12)
    at = datetime(2024, 3, 8, 18)
    rows = [event(n, "i1", at - timedelta(hours=n), 1.0 if n < 3 else None) for n in range(8)]
    rows += [event(7, "i1", None), event(8, "gone", at), event(9, "i2", datetime(2024, 3, 11, 1))]
    lake.append("silver.interactions", table(spark, "silver.interactions", rows), unique=True)
    items = [{"item_id": each, "kind": "post", "source": "t", "hashtags": [], "categories": []} for each in ("i1", "i2")]
    lake.append("silver.items", table(spark, "silver.items", items), unique=True)
    ranks = [{"kind": "follows", "node_id": f"u{n}", "rank": n + 1, "score": 1.0} for n in range(3)]
    for day in (date(2024, 3, 8), date(2024, 3, 12)):
        lake.replace("gold.node_ranks", table(spark, "gold.node_ranks", [{"as_of": day, **row} for row in ranks]), on=day)
    # A table that gathers rows: what was scored on an earlier day counts as well.
    for text, day in (("t1", date(2024, 2, 1)), ("t2", date(2024, 3, 8)), ("t3", date(2024, 3, 12))):
        words = {"content_hash": 1, "language": "en", "language_confidence": 1.0, "keywords": [], "keyword_scores": []}
        scored = {"as_of": day, "text_id": text, "is_current": True, "model_version": "v", **words}
        lake.append("gold.keywords", table(spark, "gold.keywords", [scored]), unique=True)
    files = [loaded("a", "events", 10, 9, 1, "old"), loaded("b", "events", 90, 1, 2, "new"), loaded("c", "events", 10, 4, 2, "new"),
             loaded("d", "items", 3, 0, 1, "old")]  # fmt: skip
    lake.append_log("ops.ingest_files", spark.createDataFrame(files, contract("ops.ingest_files").struct()))
    return lake


def figures(lake: Lake, day: date = DAY) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    rows = lake.read_current(QUALITY).where(F.col("as_of") == F.lit(day)).collect()
    return {(r["table_name"], r["rule"], r["column_name"]): (r["value"], r["row_count"], r["status"]) for r in rows}


def test_planted_faults_are_found_and_a_rerun_writes_the_same(lake: Lake, settings: Settings, opened: Callable[..., Lake]) -> None:
    run(lake, settings.quality, DAY)
    found = figures(lake)
    events = "silver.interactions"
    assert {key[1:]: value for key, value in found.items() if key[0] == events} == {
        # The event of the day after is not known on the day; that without a time is.
        ("row_count", ""): (10.0, 10, "not_enough"),
        ("row_growth", ""): (None, 10, "not_enough"),
        ("key_duplicates", ""): (1.0, 10, "fail"),
        # The newest is of the 8th, 18:00; the run began on the 10th at 12:00.
        ("freshness_hours", ""): (42.0, 10, "warn"),
        ("missing_parents", "item_id in silver.items"): (0.1, 10, "warn"),
        ("null_share", "value"): (0.7, 10, "not_enough"),
        ("null_share", "occurred_at"): (0.1, 10, "not_enough"),
    }
    ranks = {key[1:]: value for key, value in found.items() if key[0] == "gold.node_ranks"}
    # The day to come is not looked at. The 8th ended 36 hours before the run.
    assert ranks["row_count", ""] == (3.0, 3, "not_enough")
    assert ranks["freshness_hours", ""] == (36.0, 3, "warn")
    assert ranks["missing_parents", "node_id in silver.items"] == (None, 0, "not_enough")  # no node is an item
    # Two of three days are known, and their age is no fault: there may have been nothing to score.
    assert found["gold.keywords", "row_count", ""] == (2.0, 2, "not_enough")
    assert found["gold.keywords", "freshness_hours", ""] == (36.0, 2, "ok")
    assert found["silver.items", "freshness_hours", ""] == (None, 2, "not_enough")  # no item has a time
    assert found["ops.ingest_files", "quarantine_share", "events"] == (0.05, 100, "warn")  # the last run's two files
    assert found["ops.ingest_files", "quarantine_share", "items"] == (0.0, 3, "ok")
    before = sorted(map(str, lake.read_current(QUALITY).drop("run_id").collect()))
    run(opened(12, run_id="again"), settings.quality, DAY)
    assert sorted(map(str, lake.read_current(QUALITY).drop("run_id").collect())) == before


def test_a_loss_of_rows_is_seen_on_the_day_after(lake: Lake, settings: Settings, opened: Callable[..., Lake]) -> None:
    run(lake, settings.quality, date(2024, 3, 9))
    ranks = [{"as_of": DAY, "kind": "follows", "node_id": f"u{n}", "rank": n + 1, "score": 1.0} for n in range(400)]
    lake.replace("gold.node_ranks", table(lake.spark, "gold.node_ranks", ranks), on=DAY)
    run(opened(12, run_id="second"), settings.quality, DAY)
    lake.replace("gold.node_ranks", table(lake.spark, "gold.node_ranks", [{**r, "as_of": date(2024, 3, 11)} for r in ranks[:100]]),
                 on=date(2024, 3, 11))  # fmt: skip
    later = opened(23, date(2024, 3, 11), "later")
    with counted_jobs(lake.spark) as jobs:
        run(later, settings.quality, date(2024, 3, 11))
    key = ("gold.node_ranks", "row_growth", "")
    assert figures(lake)[key] == (397 / 3, 400, "ok")
    assert figures(lake, date(2024, 3, 11))[key] == (-0.75, 100, "fail")
    assert figures(lake, date(2024, 3, 11))["gold.node_ranks", "freshness_hours", ""] == (0.0, 100, "ok")
    one = "as_of = '2024-03-11' and table_name = 'gold.node_ranks' and rule = 'row_growth'"
    row = later.read_current(QUALITY).where(one).collect()[0]
    assert (row["warn_at"], row["fail_at"], row["past_runs"]) == (-0.2, -0.5, 1)
    # Newest days, tables, references, ingest, the past, the write: with adaptive execution a shuffle is a job of its own.
    assert jobs.number <= 30, jobs.descriptions


def test_a_lake_without_tables_is_skipped(opened: Callable[..., Lake], settings: Settings) -> None:
    with pytest.raises(SkippedError, match="neither of silver, features nor gold"):
        run(opened(1), settings.quality, DAY)


def test_references_come_from_contracts() -> None:
    assert references(["silver.interactions", "silver.items", "gold.near_duplicates", "silver.texts"]) == [
        Reference("gold.near_duplicates", "silver.texts", (("group_id", "text_id"),), "kind = 'text'"),
        Reference("gold.near_duplicates", "silver.texts", (("id", "text_id"),), "kind = 'text'"),
        Reference("gold.near_duplicates", "silver.texts", (("other_id", "text_id"),), "kind = 'text'"),
        Reference("silver.interactions", "silver.items", (("item_id", "item_id"),)),
        Reference("silver.texts", "silver.items", (("item_id", "item_id"),)),
    ]
    assert references(["silver.interactions"]) == []


def test_a_gap_counts_rows_of_several_columns_and_no_nulls(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", 1), ("a", 1), ("a", 2), ("b", 1), (None, 1)], "x string, y int")
    # A parent that is there twice counts once.
    parents = spark.createDataFrame([("a", 1), ("a", 1), ("b", 2)], "p string, q int")
    found = measure_gap(rows, parents, Reference("t", "parent", (("x", "p"), ("y", "q")))).collect()
    assert [tuple(row) for row in found] == [("t", "x,y", "parent", 4, 2)]
