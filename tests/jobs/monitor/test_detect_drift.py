"""The job on small lakes: planted shifts are found, quiet days and a stationary world raise no alarm, reruns write the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import DriftConf, Settings
from shoal.errors import SkippedError
from shoal.features.snapshots import Events, item_snapshot, user_snapshot
from shoal.lake.lake import Lake
from shoal.simulate import tables
from shoal.simulate.world import WorldConf

from jobs.monitor.detect_drift import run

DAY = date(2024, 3, 30)
FIRST_SECOND = 1_704_067_200  # 2024-01-01
EVENT = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


@pytest.fixture
def conf() -> DriftConf:
    return load(sets=["drift.window_days=10"]).drift


def put_events(lake: Lake, days: range, shifted_from: int) -> None:
    """200 ratings a day, half by each of two events; from a day on ratings are higher and purchases begin."""
    rows = lake.spark.range(days.start * 200, days.stop * 200)
    number, late = F.floor(F.col("id") / 200), F.col("id") >= shifted_from * 200
    kind = F.when(F.col("id") % 2 == 0, "rating").when(late, "purchase").otherwise("view")
    rating = (F.col("id") % 7 + F.when(late, 3).otherwise(0)).cast("double")
    made = rows.select(
        F.concat(F.lit("e"), F.col("id")).alias("event_id"),
        F.concat(F.lit("u"), F.col("id") % 50).alias("user_id"),
        F.concat(F.lit("i"), F.col("id") % 30).alias("item_id"),
        kind.alias("event"),
        F.when(kind == "rating", rating).alias("value"),
        F.timestamp_seconds(FIRST_SECOND + number * 86400 + F.col("id") * 432 % 86400).alias("occurred_at"),
        F.lit("test").alias("source"),
    )
    lake.append("silver.interactions", made)


def put_users(lake: Lake, as_of: date, monthly: int, users: int = 200) -> None:
    """A snapshot of features.users whose event_count_28d are `monthly` and up to nine more; user 0 had no event in that time."""
    counts = {f"{kind}_count": 0 for kind in ("view", "click", "like", "comment", "share", "save", "purchase", "rating")}
    last = datetime.combine(as_of, datetime.min.time())
    rows = lake.spark.range(users).select(
        F.concat(F.lit("u"), F.col("id")).alias("user_id"),
        F.lit(1000).cast("bigint").alias("event_count"),
        *(F.lit(n).cast("bigint").alias(name) for name, n in counts.items()),
        F.lit(0.0).alias("rating_sum"),
        F.lit(None).cast("double").alias("mean_rating"),
        F.lit(5).cast("bigint").alias("distinct_items"),
        F.lit(5).cast("bigint").alias("active_days"),
        *(F.lit(0).cast("bigint").alias(name) for name in ("event_count_7d", "rating_count_28d")),
        F.when(F.col("id") > 0, monthly + F.col("id") % 10).otherwise(0).alias("event_count_28d"),
        *(F.lit(0).cast("bigint").alias(name) for name in ("distinct_items_28d", "active_days_28d")),
        F.lit(None).cast("double").alias("mean_rating_28d"),
        F.lit(last - timedelta(days=30)).alias("first_event_at"),
        F.lit(last).alias("last_event_at"),
        F.lit(1.0).alias("recency_days"),
        F.lit(1.0).alias("events_per_day"),
    )
    lake.replace("features.users", rows, on=as_of)


def rows_of(lake: Lake, name: str, as_of: date) -> list[dict[str, Any]]:
    order = [c for c in ("table_name", "column_name", "comparison", "window", "metric") if c in lake.read(name).columns]
    return [row.asDict() for row in lake.read(name, on=as_of).drop("run_id").orderBy(*order).collect()]


def test_first_run_compares_windows_of_events(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    """One as_of only: the events' own times give three windows, and the shift planted in the last one is found."""
    lake = make_lake()
    put_events(lake, range(60), shifted_from=50)
    put_users(lake, day(59), 20)
    run(lake, conf, day(59))
    drift = rows_of(lake, "ops.drift", day(59))
    assert {row["table_name"] for row in drift} == {"silver.interactions"}
    assert {row["comparison"] for row in drift} == {"previous", "baseline"}
    assert {(row["reference_rows"], row["current_rows"]) for row in drift} == {(2000, 2000)}
    drifted = {(row["column_name"], row["metric"]) for row in drift if row["is_drifted"]}
    assert {column for column, _ in drifted} == {"event", "value"}
    assert ("event", "new_categories") in drifted
    assert next(row["note"] for row in drift if row["metric"] == "new_categories" and row["column_name"] == "event") == (
        "1 new: purchase"
    )
    spans = {(row["comparison"], row["reference_start"], row["reference_end"]) for row in drift}
    assert spans == {("previous", day(40), day(49)), ("baseline", day(0), day(9))}
    profiles = rows_of(lake, "ops.profiles", day(59))
    assert {(row["table_name"], row["window"]) for row in profiles} == {
        ("silver.interactions", "current"), ("silver.interactions", "previous"), ("silver.interactions", "baseline"),
        ("features.users", "current"),
    }  # fmt: skip
    assert "user_id" not in {row["column_name"] for row in profiles}
    assert {row["column_name"] for row in profiles if row["table_name"] == "silver.interactions"} == {
        "event", "value", "hour", "source",
    }  # fmt: skip


def test_quiet_days_raise_no_alarm_and_later_events_do_not_count(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    lake = make_lake()
    put_events(lake, range(60), shifted_from=50)
    run(lake, conf, day(49))
    drift = rows_of(lake, "ops.drift", day(49))
    assert [row for row in drift if row["is_drifted"]] == []
    assert {row["current_rows"] for row in drift} == {2000}


def test_snapshots_are_compared_and_reruns_write_the_same(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    lake = make_lake()
    for number, monthly in ((10, 10), (11, 20), (12, 20)):
        put_users(lake, day(number), monthly)
    run(lake, conf, day(11))
    first = rows_of(lake, "ops.drift", day(11))
    assert {row["comparison"] for row in first} == {"previous", "baseline"}
    assert {row["reference_start"] for row in first} == {day(10)}
    again = make_lake("run-2")
    run(again, conf, day(12))
    drift = rows_of(again, "ops.drift", day(12))
    severities = {(row["comparison"], row["metric"]): row["severity"] for row in drift if row["column_name"] == "event_count_28d"}
    assert severities["previous", "psi"] == "none"
    assert severities["baseline", "psi"] == "critical"
    # The user without an event in the window is not compared.
    assert {(row["reference_rows"], row["current_rows"]) for row in drift} == {(199, 199)}
    rerun = make_lake("run-3")
    run(rerun, conf, day(12))
    assert rows_of(rerun, "ops.drift", day(12)) == drift
    assert rows_of(rerun, "ops.drift", day(11)) == first
    assert {row["run_id"] for row in rerun.read("ops.drift", on=day(12)).select("run_id").collect()} == {"run-3"}


def test_a_fixed_baseline(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    for number in (1, 3, 5, 7):
        put_users(lake, day(number), 10)
    run(lake, load(sets=["drift.baseline=2024-01-05"]).drift, day(7))  # day 4: the snapshot of day 3
    references = {(row["comparison"], row["reference_end"]) for row in rows_of(lake, "ops.drift", day(7))}
    assert references == {("previous", day(5)), ("baseline", day(3))}


def test_an_empty_lake_is_skipped(lake: Lake, settings: Settings) -> None:
    with pytest.raises(SkippedError, match="no table to compare"):
        run(lake, settings.drift, DAY)


def test_nothing_up_to_as_of_is_skipped(lake: Lake, conf: DriftConf) -> None:
    put_users(lake, day(10), 10)
    with pytest.raises(SkippedError, match="nothing to compare: no event, text, feature or score up to 2024-01-06"):
        run(lake, conf, day(5))


def test_profiles_without_anything_to_compare_with_are_a_success(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    """A run that wrote a table did not skip."""
    lake = make_lake()
    put_users(lake, day(10), 10)
    run(lake, conf, day(10))
    assert lake.run.tags["compared"] == "nothing: no earlier snapshot or event"
    seen = make_lake("run-2")
    assert {row["window"] for row in rows_of(seen, "ops.profiles", day(10))} == {"current"}
    assert rows_of(seen, "ops.drift", day(10)) == []


def test_a_stationary_world_raises_no_alarm_and_a_planted_shift_is_found(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    """90 simulated days without a shift, snapshots of days 30 and 90; then the same world whose last 28 days have twice the
    events and ratings that are one and a half stars lower."""
    lake = make_lake()
    world = WorldConf(users=300, items=120, events=7_000, texts=0, days=90, shift_days=0, as_of=day(90), seed=7)
    steady = tables.events(lake.spark, world, 2).withColumn("source", F.lit("test")).persist()
    lake.append("silver.interactions", steady)
    items = lake.spark.createDataFrame([], "item_id string, created_at timestamp")

    def snapshots(lake: Lake, rows: DataFrame, *days: int) -> None:
        for number in days:
            known = rows.where(F.col("occurred_at") < F.lit(day(number + 1)))
            lake.replace("features.users", user_snapshot(lake.spark, Events(known), day(number)), on=day(number), unique=True)
            found = item_snapshot(lake.spark, Events(known), items, day(number), 30.0)
            lake.replace("features.items", found, on=day(number), unique=True)

    snapshots(lake, steady, 29, 89)
    run(lake, DriftConf.model_validate(conf.model_dump() | {"window_days": 30}), day(89))
    drift = rows_of(lake, "ops.drift", day(89))
    assert {row["table_name"] for row in drift} == {"silver.interactions", "features.users", "features.items"}
    alarms = [(row["table_name"], row["column_name"], row["metric"]) for row in drift if row["is_drifted"]]
    # The stated rate: each comparison alarms by chance with probability p_value.
    assert len(alarms) <= conf.p_value * len(drift), alarms

    late = F.col("occurred_at") >= F.lit(day(62))
    lower = F.when((F.col("event") == "rating") & late, F.greatest(F.col("value") - 1.5, F.lit(0.5))).otherwise(F.col("value"))
    again = steady.where(late).withColumn("event_id", F.concat(F.lit("again-"), "event_id"))
    shifted = steady.unionByName(again).withColumn("value", lower)
    other = make_lake("run-2")
    snapshots(other, shifted, 89)
    run(other, conf, day(89))
    found = {(row["table_name"], row["column_name"]) for row in rows_of(other, "ops.drift", day(89)) if row["is_drifted"]}
    # Items' counts spread so widely that twice as many is less than the effect of a warning.
    shifts = {("features.users", "event_count_28d"), ("features.users", "mean_rating_28d"), ("features.items", "mean_rating_28d")}
    assert shifts <= found
    steady.unpersist()
