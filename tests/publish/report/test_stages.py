"""Runs of a day and the tables they left."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.lake.contract import contract
from shoal.publish.report.blocks import Missing, Table
from shoal.publish.report.holdings import Holding, holdings_part
from shoal.publish.report.stages import Writer, last_writers, runs_of_day, stages_part


def run(run_id: str, job: str, minute: int, **more: Any) -> dict[str, Any]:
    started = datetime(2024, 3, 31, 10, minute)
    return {
        "run_id": run_id, "job": job, "stage": "features", "as_of": date(2024, 3, 31), "status": "succeeded",
        "started_at": started, "ended_at": started, "seconds": 2.0, "rows_in": {"silver.interactions": 1000},
        "rows_out": {"features.users": 10}, "input_versions": {}, "tags": {}, "conf_hash": "c", "code_hash": "h",
        "code_version": "v",
        "error_class": None, "message": None,
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def runs(spark: SparkSession) -> DataFrame:
    made = contract("ops.runs")
    rows = [
        run("r1", "build_users", 1, status="failed", message="no room", rows_out={}),
        run("r2", "build_users", 2, seconds=6.0, tags={"engine": "<b>local</b>"}),
        run("r3", "train_sentiment", 3, stage="train", status="skipped", message="no labelled text", rows_out={}, rows_in={}),
        run("i1", "ingest_files", 0, stage="ingest", rows_out={"silver.items": 5, "bronze.items": 5}),
        run("i2", "ingest_files", 4, stage="ingest"),
        run("old", "build_items", 0, as_of=date(2024, 3, 30), rows_out={"features.items": 7}),
        run("bad", "build_items", 9, status="failed", rows_out={"features.items": 1}, as_of=date(2024, 3, 30)),
    ]
    return spark.createDataFrame([tuple(row[name] for name in made.columns) for row in rows], made.struct())


def test_each_job_counts_with_its_last_run_and_ingest_with_all(runs: DataFrame, day: date) -> None:
    found = runs_of_day(runs, day)
    assert [(r["run_id"], r["attempts"]) for r in found] == [("i1", 1), ("r2", 2), ("r3", 1), ("i2", 1)]


def test_the_table_tells_rows_seconds_and_choices(runs: DataFrame, day: date) -> None:
    part = stages_part(runs_of_day(runs, day))
    assert part.lead.startswith("3 runs succeeded, 1 skipped; together they took 12 s.")
    assert part.finding == ""
    assert isinstance(part.blocks[0], Table)
    rows = part.blocks[0].rows
    assert [c.text for c in rows[1]] == ["build_users", "succeeded", "1,000", "10", "6.0 s", "engine: <b>local</b>"]
    assert rows[1][0].under == "features · run 2 times"
    assert rows[1][4].share == pytest.approx(0.5)
    assert (rows[2][1].text, rows[2][1].under, rows[2][1].tone) == ("skipped", "no labelled text", "muted")
    assert (rows[0][3].text, rows[0][3].under) == ("10", "2 tables")


def test_a_failed_run_is_told_at_the_top(runs: DataFrame) -> None:
    part = stages_part(runs_of_day(runs, date(2024, 3, 30)))
    assert part.finding == "1 run of this day failed; what they make may be missing or old."


def test_a_day_without_runs_says_so(runs: DataFrame) -> None:
    assert isinstance(stages_part(runs_of_day(runs, date(2023, 1, 1))).blocks[0], Missing)


def test_writers_are_the_last_that_succeeded(runs: DataFrame) -> None:
    writers = last_writers(runs)
    assert {name: w.run_id for name, w in writers.items()} == {
        "features.users": "i2", "features.items": "old", "silver.items": "i1", "bronze.items": "i1",
    }  # fmt: skip


def test_tables_are_told_with_rows_version_and_writer(day: date) -> None:
    tables = [
        Holding("silver.items", 1234, 3, "one row per item"),
        Holding("gold.recommendations", 10, 0, "one row per list place", date(2024, 3, 1), True),
        Holding("ops.drift", 0, 1, "one row per metric", None, True),
    ]
    part = holdings_part(tables, ["gold.sentiments"], {"silver.items": Writer("r9", "ingest_files", None)}, day)
    assert part.lead == "3 tables hold 1,244 rows, all days together. Not made yet: gold.sentiments."
    assert isinstance(part.blocks[0], Table)
    rows = part.blocks[0].rows
    assert [c.text for c in rows[0]] == ["silver.items", "1,234", "", "3", "ingest_files"]
    assert (rows[1][2].text, rows[1][2].under) == ("2024-03-01", "not of this day")
    assert rows[2][2].text == "none"
