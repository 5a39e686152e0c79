"""Which events a snapshot counts: the job on a lake whose history grows, comes late, and is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.lake.lake import Lake
from shoal.lake.log import delta_log
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shipped settings, under which no history is too short to be carried, and four new rows not too many."""
    limits = {"full_refresh_below_rows": 0, "full_refresh_above_new_rows": 4}
    return settings.model_copy(update={"features": settings.features.model_copy(update=limits)})


def events(spark: SparkSession, *rows: tuple[str, str, int]) -> Any:
    """Likes of (user, item, day of March)."""
    made = [(f"{u}-{i}-{day}", u, i, "like", None, datetime(2024, 3, day, 12), "test") for u, i, day in rows]
    return spark.createDataFrame(made, EVENTS)


@pytest.mark.slow
def test_a_day_is_carried_forward_while_silver_only_gains_rows(
    spark: SparkSession, tmp_path: Path, settings: Settings, make_lake: Callable[..., Lake]
) -> None:
    root = tmp_path / "lake"

    def counted(day: int) -> tuple[Result, list[tuple[Any, ...]]]:
        result = execute(spark, find_job("build_users"), settings, root, date(2024, 3, day))
        assert result.status == "succeeded", result.message
        rows = make_lake().read("features.users", on=date(2024, 3, day))
        columns = ("user_id", "event_count", "distinct_items", "active_days", "last_event_at")
        return result, sorted(tuple(row) for row in rows.select(*columns).collect())

    def noon(day: int) -> datetime:
        return datetime(2024, 3, day, 12)

    silver = "silver.interactions"
    make_lake().append(silver, events(spark, ("a", "x", 1), ("a", "y", 2), ("b", "x", 2)))
    first, rows = counted(2)
    assert (first.tags["snapshot"], rows) == ("whole", [("a", 2, 2, 2, noon(2)), ("b", 1, 1, 1, noon(2))])
    # Of a known item, of a new one, on a known day come late, and of somebody new.
    make_lake("late").append(silver, events(spark, ("a", "x", 3), ("a", "z", 3), ("b", "y", 1), ("c", "x", 3), ("c", "x", 9)))
    second, rows = counted(3)
    assert second.tags["snapshot"] == "carried forward from 2024-03-02"
    assert rows == [("a", 4, 3, 3, noon(3)), ("b", 2, 2, 2, noon(2)), ("c", 1, 1, 1, noon(3))]
    # Nothing new but a later day, which takes what lay in its future.
    third, rows = counted(9)
    assert (third.tags["snapshot"], rows[-1]) == ("carried forward from 2024-03-03", ("c", 2, 1, 2, noon(9)))
    # A row that goes was counted.
    gone = make_lake("gone")
    gone.delete(silver, gone.read_current(silver).where("event_id = 'a-z-3'"))
    after, rows = counted(10)
    assert (after.tags["snapshot"], rows[0]) == ("whole", ("a", 3, 2, 3, noon(3)))
    # Files that are written together add no row.
    make_lake("more").append(silver, events(spark, ("d", "x", 11)))
    DeltaTable.forPath(spark, str(root / "silver" / "interactions")).optimize().executeCompaction()
    last, rows = counted(11)
    assert (last.tags["snapshot"], rows[-1]) == ("carried forward from 2024-03-10", ("d", 1, 1, 1, noon(11)))
    # What the log does not tell any more, as after its retention, cannot be carried.
    for day in (11, 12):
        make_lake(f"more-{day}").append(silver, events(spark, ("e", "x", day)))
    delta_log(make_lake().store, silver).checkpoint()
    last_commit = make_lake().version(silver)
    for file in (root / "silver" / "interactions" / "_delta_log").glob("*.json"):
        if int(file.stem) < last_commit:
            file.unlink()
    reported, rows = counted(12)
    assert (reported.tags["snapshot"], rows[-1]) == ("whole", ("e", 2, 1, 2, noon(12)))
    # So many new rows that to count them all anew costs no more.
    for day, many in ((13, 4), (14, 5)):
        make_lake(f"many-{day}").append(silver, events(spark, *(("f", f"{n}", day) for n in range(many))))
        most, rows = counted(day)
        expected = "carried forward from 2024-03-12" if many == 4 else "whole"
        assert (most.tags["snapshot"], rows[-1][:2]) == (expected, ("f", 4 if many == 4 else 9))
