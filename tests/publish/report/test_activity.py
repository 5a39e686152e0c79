"""Events, ratings and popularity, counted from literal rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.activity import (
    CountClass,
    activity_part,
    count_classes,
    events_by_kind,
    events_over_time,
    popular_items,
    rank_curve,
    rating_counts,
    rating_step,
    span_of,
    top_share,
)
from shoal.publish.report.blocks import Bars, Figure, Missing, Table

EVENTS = "user_id string, item_id string, event string, value double, occurred_at timestamp"
ITEMS = "item_id string, popularity double, event_count bigint, distinct_users bigint, mean_rating double"


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    at = datetime(2024, 3, 1, 23, 59)
    rows = [
        ("a", "x", "rating", 4.0, at),
        ("a", "y", "rating", 4.24, at),  # nearest half star: 4
        ("b", "x", "rating", 4.25, at),  # half-way: the higher
        ("b", "y", "rating", None, at),  # a rating without a value counts as an event only
        ("b", "y", "view", None, datetime(2024, 3, 3, 0, 0)),
        ("c", "x", "purchase", 900.0, datetime(2024, 3, 3, 12, 0)),  # an amount is no rating
    ]
    return spark.createDataFrame(rows, EVENTS)


def test_kinds_come_by_number_then_name(events: DataFrame) -> None:
    kinds = events_by_kind(events)
    assert [(k["event"], k["events"], k["values"]) for k in kinds] == [("rating", 4, 3), ("purchase", 1, 1), ("view", 1, 0)]
    assert kinds[0]["mean"] == pytest.approx((4.0 + 4.24 + 4.25) / 3)
    assert (kinds[0]["minimum"], kinds[0]["maximum"], kinds[2]["mean"]) == (4.0, 4.25, None)


def test_ratings_go_to_the_nearest_step(events: DataFrame) -> None:
    assert rating_counts(events, 0.5) == [(4.0, 2), (4.5, 1)]
    assert rating_counts(events, 1.0) == [(4.0, 3)]


@pytest.mark.parametrize(("low", "high", "step"), [(0.5, 5, 0.5), (0, 10, 0.5), (0, 100, 5), (1, 1, 0.5), (-1000, 1000, 100)])
def test_steps_are_round_and_few(low: float, high: float, step: float) -> None:
    assert rating_step(low, high) == step
    assert (high - low) / step <= 20


def test_events_over_time_leave_empty_days_out(events: DataFrame) -> None:
    assert events_over_time(events, "day") == [(date(2024, 3, 1), 4), (date(2024, 3, 3), 2)]
    assert events_over_time(events, "week") == [(date(2024, 2, 26), 6)]  # from Monday
    assert events_over_time(events, "month") == [(date(2024, 3, 1), 6)]


def test_spans_grow_with_the_time_they_cover() -> None:
    first = date(2020, 1, 1)
    lasts = (date(2020, 1, 1), date(2020, 7, 2), date(2020, 7, 3), date(2024, 12, 31), date(2025, 6, 1))
    assert [span_of(first, last) for last in lasts] == ["day", "day", "week", "week", "month"]


def test_classes_are_exact_for_few_events_and_end_at_the_curve(spark: SparkSession) -> None:
    counts = [0, 1, 1, 1, 2, 3, 5, 1000, 1020]  # the last two are 2% apart: one class
    classes = count_classes(spark.createDataFrame([(n,) for n in counts], "event_count bigint"))
    assert classes == [
        CountClass(2, 1000, 1020, 2020), CountClass(1, 5, 5, 5), CountClass(1, 3, 3, 3), CountClass(1, 2, 2, 2),
        CountClass(3, 1, 1, 3),
    ]  # fmt: skip
    assert rank_curve(classes) == [(2, 1000), (3, 5), (4, 3), (5, 2), (8, 1)]


def test_every_point_of_the_curve_is_on_the_full_one(spark: SparkSession) -> None:
    counts = [math.ceil(5000 / (rank + 1)) for rank in range(700)]
    classes = count_classes(spark.createDataFrame([(n,) for n in counts], "event_count bigint"))
    assert sum(c.members for c in classes) == 700
    assert sum(c.events for c in classes) == sum(counts)
    for rank, events_at_rank in rank_curve(classes):
        assert counts[int(rank) - 1] == events_at_rank


def test_the_share_of_the_busiest() -> None:
    classes = [CountClass(1, 90, 90, 90), CountClass(9, 1, 2, 10)]
    assert top_share(classes, 0.1) == pytest.approx(0.9)
    assert top_share(classes, 0.55) == pytest.approx(0.95)  # half of the second class
    assert top_share(classes, 1.0) == pytest.approx(1.0)
    assert top_share([], 0.1) is None


def test_popular_items_are_ordered_by_popularity_then_id(spark: SparkSession) -> None:
    rows = [("b", 2.0, 2, 1, None), ("a", 2.0, 2, 2, 3.5), ("c", 0.0, 0, 0, None), ("d", 9.0, 9, 9, 4.0)]
    items = spark.createDataFrame(rows, ITEMS)
    named = [("d", "Dawn", "film"), ("z", "none of ours", "film")]
    titles = spark.createDataFrame(named, "item_id string, title string, kind string")
    top = popular_items(items, titles)
    assert [(r["item_id"], r["title"]) for r in top] == [("d", "Dawn"), ("a", None), ("b", None)]
    assert [r["item_id"] for r in popular_items(items, None)] == ["d", "a", "b"]


def test_the_part_shows_its_numbers(spark: SparkSession, events: DataFrame, absent: Callable[[str], Missing]) -> None:
    items = spark.createDataFrame([("x", 3.0, 3, 3, 4.125), ("y", 1.5, 3, 2, 4.24)], ITEMS)
    users = spark.createDataFrame([(2,), (3,), (1,)], "event_count bigint")
    part = activity_part(events, users, items, None, absent)
    assert part.lead == "6 events from 1 March 2024 to 3 March 2024 (UTC)."
    bars = next(b for b in part.blocks if isinstance(b, Bars))
    assert [(b.label, b.text) for b in bars.bars][0] == ("rating", "4 · 66.7%")
    alts = [b.alt for b in part.blocks if isinstance(b, Figure)]
    assert alts[0].startswith("Events a day, 1 March 2024 to 3 March 2024. Most: 4 (the day of 1 March 2024).")
    assert alts[1] == "Histogram of 3 ratings from 4 to 4.25, mean 4.16. 4: 2; 4.5: 1."
    assert "2 items with events: most 3, median 3" in alts[2]
    table = next(b for b in part.blocks if isinstance(b, Table))
    assert [row[0].text for row in table.rows] == ["x", "y"]
    assert not [b for b in part.blocks if isinstance(b, Missing)]


def test_what_is_missing_is_said(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    part = activity_part(None, None, None, None, absent)
    assert [b.what for b in part.blocks if isinstance(b, Missing)] == ["silver.interactions", "features.items", "features.users"]
    nothing = spark.createDataFrame([], EVENTS)
    assert [b.what for b in activity_part(nothing, None, None, None, absent).blocks if isinstance(b, Missing)][0] == (
        "silver.interactions"
    )
    views = spark.createDataFrame([("a", "x", "view", None, datetime(2024, 3, 1))], EVENTS)
    said = [b for b in activity_part(views, None, None, None, absent).blocks if isinstance(b, Missing)]
    assert said[0] == Missing("Ratings", "none of the events is a rating with a value")
