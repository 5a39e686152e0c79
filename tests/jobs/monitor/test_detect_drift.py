"""Which windows are compared, what is compared in them, and a lake whose planted shift is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import DriftConf, Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake

from jobs.monitor.detect_drift import (
    Span,
    describe_texts,
    divide_by_mean,
    event_spans,
    run,
    select_features,
    select_rank_scores,
    select_recommendation_scores,
    snapshot_spans,
)

DAY = date(2024, 3, 30)
FIRST_SECOND = 1_704_067_200  # 2024-01-01
EVENT = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


def spans(first: int, as_of: int, window_days: int, baseline: int | None = None) -> dict[str, tuple[int, int]]:
    """Name to first and last day, all as days since 2024-01-01."""
    found = event_spans(day(first), day(as_of), window_days, None if baseline is None else day(baseline))
    zero = day(0)
    return {name: ((s.start - zero).days, (s.end - zero).days) for s in found for name in s.names}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # a long history: three windows of ten days
        ((0, 99, 10), {"current": (90, 99), "previous": (80, 89), "baseline": (0, 9)}),
        # two and a half windows: baseline and previous overlap
        ((0, 24, 10), {"current": (15, 24), "previous": (5, 14), "baseline": (0, 9)}),
        # two windows: both references are the same one
        ((0, 19, 10), {"current": (10, 19), "previous": (0, 9), "baseline": (0, 9)}),
        # one and a half: what there is before the current window
        ((0, 14, 10), {"current": (5, 14), "previous": (0, 4), "baseline": (0, 4)}),
        # nothing before it
        ((5, 14, 10), {"current": (5, 14)}),
        # a fixed baseline ends with its day; where that reaches into the current window it is cut
        ((0, 99, 10, 50), {"current": (90, 99), "previous": (80, 89), "baseline": (41, 50)}),
        ((0, 99, 10, 95), {"current": (90, 99), "previous": (80, 89), "baseline": (86, 89)}),
        # a fixed baseline before the history began
        ((30, 99, 10, 20), {"current": (90, 99), "previous": (80, 89)}),
    ],
)
def test_windows_of_events(arguments: tuple[int, ...], expected: dict[str, tuple[int, int]]) -> None:
    assert spans(*arguments) == expected


def test_one_window_with_both_names_is_read_once() -> None:
    assert [span.names for span in event_spans(day(0), day(19), 10, None)] == [("current",), ("previous", "baseline")]


def test_windows_of_snapshots() -> None:
    now, old, older = day(9), day(8), day(1)
    current = Span(("current",), now, now)
    assert snapshot_spans(None, None, None, now) == [current]
    assert snapshot_spans(old, old, None, now) == [current, Span(("previous", "baseline"), old, old)]
    apart = [current, Span(("previous",), old, old), Span(("baseline",), older, older)]
    assert snapshot_spans(older, old, None, now) == apart
    fixed = [current, Span(("previous",), old, old), Span(("baseline",), day(5), day(5))]
    assert snapshot_spans(older, old, day(5), now) == fixed


def test_features_lose_ids_and_times_become_ages(spark: SparkSession) -> None:
    schema = "as_of date, user_id string, community_id string, run_id string, n bigint, last_event_at timestamp"
    rows = spark.createDataFrame([(DAY, "u", "c", "r", 3, datetime(2024, 3, 30, 12))], schema)
    features = select_features(rows, ["as_of", "user_id"], DAY)
    assert [row.asDict() for row in features.collect()] == [{"n": 3, "last_event_age_days": 0.5}]


def test_texts_are_described_in_code_points_and_words(spark: SparkSession) -> None:
    rows = [("post", None, " two  words😀\n", datetime(2024, 3, 1, 7, 59), "s"), ("post", "x", "", datetime(2024, 3, 1, 0), "s")]
    texts = spark.createDataFrame(rows, "kind string, label string, text string, created_at timestamp, source string")
    first, blank = describe_texts(texts).collect()
    assert first.asDict() == {
        "kind": "post", "label": None, "text_length": 13, "word_count": 2, "hour": "07", "source": "s",
    }  # fmt: skip
    assert (blank["text_length"], blank["word_count"], blank["hour"]) == (0, 0, "00")


def test_scores_of_one_part_only(spark: SparkSession) -> None:
    recommended = spark.createDataFrame([("als", 0.5), ("popularity", 90.0)], "source string, score double")
    assert select_recommendation_scores(recommended, "als").collect() == [(0.5,)]
    ranks = spark.createDataFrame([("follows", 0.1), ("follows", 0.3), ("engagement_user", 0.9)], "kind string, score double")
    shown = select_rank_scores(ranks, "follows")
    assert shown.columns == ["score:follows"]
    assert sorted(row[0] for row in shown.collect()) == pytest.approx([0.5, 1.5])


def test_ranks_without_any_stay_null(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(None, 1), (None, 2)], "page_rank double, n int")
    assert [tuple(row) for row in divide_by_mean(rows, "page_rank").orderBy("n").collect()] == [(None, 1), (None, 2)]


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


def put_users(lake: Lake, as_of: date, per_day: float, users: int = 200) -> None:
    """A snapshot of features.users whose events_per_day are around `per_day`."""
    counts = {f"{kind}_count": 0 for kind in ("view", "click", "like", "comment", "share", "save", "purchase", "rating")}
    last = datetime.combine(as_of, datetime.min.time())
    rows = lake.spark.range(users).select(
        F.concat(F.lit("u"), F.col("id")).alias("user_id"),
        F.lit(20).cast("bigint").alias("event_count"),
        *(F.lit(n).cast("bigint").alias(name) for name, n in counts.items()),
        F.lit(0.0).alias("rating_sum"),
        F.lit(None).cast("double").alias("mean_rating"),
        F.lit(5).cast("bigint").alias("distinct_items"),
        F.lit(5).cast("bigint").alias("active_days"),
        F.lit(last - timedelta(days=30)).alias("first_event_at"),
        F.lit(last).alias("last_event_at"),
        F.lit(1.0).alias("recency_days"),
        (per_day + F.col("id") % 10 / 10).alias("events_per_day"),
    )
    lake.replace("features.users", rows, on=as_of)


def rows_of(lake: Lake, name: str, as_of: date) -> list[dict[str, Any]]:
    order = [c for c in ("table_name", "column_name", "comparison", "window", "metric") if c in lake.read(name).columns]
    return [row.asDict() for row in lake.read(name, on=as_of).drop("run_id").orderBy(*order).collect()]


def test_first_run_compares_windows_of_events(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    """One as_of only: the events' own times give three windows, and the shift planted in the last one is found."""
    lake = make_lake()
    put_events(lake, range(60), shifted_from=50)
    put_users(lake, day(59), 2.0)
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
    for number, per_day in ((10, 1.0), (11, 2.0), (12, 2.0)):
        put_users(lake, day(number), per_day)
    run(lake, conf, day(11))
    first = rows_of(lake, "ops.drift", day(11))
    assert {row["comparison"] for row in first} == {"previous", "baseline"}
    assert {row["reference_start"] for row in first} == {day(10)}
    again = make_lake("run-2")
    run(again, conf, day(12))
    drift = rows_of(again, "ops.drift", day(12))
    severities = {(row["comparison"], row["metric"]): row["severity"] for row in drift if row["column_name"] == "events_per_day"}
    assert severities["previous", "psi"] == "none"
    assert severities["baseline", "psi"] == "critical"
    # An age is measured at its own snapshot's end: the calendar alone is no drift.
    assert {row["statistic"] for row in drift if row["column_name"] == "first_event_age_days"} == {0.0}
    rerun = make_lake("run-3")
    run(rerun, conf, day(12))
    assert rows_of(rerun, "ops.drift", day(12)) == drift
    assert rows_of(rerun, "ops.drift", day(11)) == first
    assert {row["run_id"] for row in rerun.read("ops.drift", on=day(12)).select("run_id").collect()} == {"run-3"}


def test_a_fixed_baseline(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    for number in (1, 3, 5, 7):
        put_users(lake, day(number), 1.0)
    run(lake, load(sets=["drift.baseline=2024-01-05"]).drift, day(7))  # day 4: the snapshot of day 3
    references = {(row["comparison"], row["reference_end"]) for row in rows_of(lake, "ops.drift", day(7))}
    assert references == {("previous", day(5)), ("baseline", day(3))}


def test_an_empty_lake_is_skipped(lake: Lake, settings: Settings) -> None:
    with pytest.raises(SkippedError, match="no table to compare"):
        run(lake, settings.drift, DAY)


def test_nothing_up_to_as_of_is_skipped(lake: Lake, conf: DriftConf) -> None:
    put_users(lake, day(10), 1.0)
    with pytest.raises(SkippedError, match="nothing to compare: no event, text, feature or score up to 2024-01-06"):
        run(lake, conf, day(5))


def test_nothing_to_compare_with_is_skipped_but_profiled(make_lake: Callable[..., Lake], conf: DriftConf) -> None:
    lake = make_lake()
    put_users(lake, day(10), 1.0)
    with pytest.raises(SkippedError, match="no snapshot before 2024-01-11 and no event before the last 10 days"):
        run(lake, conf, day(10))
    seen = make_lake("run-2")
    assert {row["window"] for row in rows_of(seen, "ops.profiles", day(10))} == {"current"}
    assert rows_of(seen, "ops.drift", day(10)) == []
