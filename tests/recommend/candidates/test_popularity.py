"""Popularity, plain and decayed, and random lists."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.errors import UsageError
from shoal.recommend.candidates.popularity import decayed_popularity, list_popular, popularity
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.random import list_random

PAIRS = "user_id string, item_id string"


def scores_of(frame: DataFrame) -> dict[str, float]:
    return {r["item_id"]: r["score"] for r in frame.collect()}


def lists_of(frame: DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in frame.orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append(row["item_id"])
        assert row["rank"] == len(found[row["user_id"]])
    return found


def test_preferences_are_one_row_a_user_and_item(spark: SparkSession) -> None:
    early, late = datetime(2024, 1, 1), datetime(2024, 1, 2)
    rows = [
        ("u", "i", "view", None, late),
        ("u", "i", "purchase", 99.0, early),
        ("u", "i", "rating", 4.0, late),
        ("u", "i", "rating", 2.0, late),
        ("u", "j", "wave", None, None),  # a kind without a weight weighs 1
        ("u", "j", "rating", float("nan"), None),  # NaN is no rating
        ("u", "zero", "view", None, late),
        (None, "i", "view", None, late),
        ("u", None, "view", None, late),
    ]
    events = spark.createDataFrame(rows, "user_id string, item_id string, event string, value double, occurred_at timestamp")
    found = preferences(events, {"view": 0.0, "purchase": 3.0, "rating": 0.5}).orderBy("item_id").collect()
    assert [tuple(r) for r in found] == [
        ("u", "i", 4.0, 3.0, early, "purchase"),
        ("u", "j", 1.5, None, None, "wave"),
    ]
    plain = preferences(events.drop("event")).where("item_id = 'i'").first()
    assert (plain["weight"], plain["value"]) == (4.0, 35.0)  # without a kind every value is a rating
    with pytest.raises(UsageError, match="event_weights.view"):
        preferences(events, {"view": -1.0})


def test_popularity_sums_weights(spark: SparkSession) -> None:
    rows = [("u", "a", 1.0), ("v", "a", 2.0), ("u", "b", 0.5)]
    assert scores_of(popularity(spark.createDataFrame(rows, PAIRS + ", weight double"))) == {"a": 3.0, "b": 0.5}


def test_decay_halves_every_half_life(spark: SparkSession) -> None:
    rows = [
        ("now", datetime(2024, 1, 31)),
        ("now", datetime(2024, 2, 5)),  # after the moment: as of it
        ("month", datetime(2024, 1, 1)),
        ("month", datetime(2023, 12, 2)),
        ("timeless", None),
    ]
    events = spark.createDataFrame(rows, "item_id string, occurred_at timestamp")
    at = F.lit("2024-01-31 00:00:00").cast("timestamp")
    assert scores_of(decayed_popularity(events, 30, at)) == {"now": 2.0, "month": 0.5 + 0.25}
    doubled = decayed_popularity(events, 30, at, F.when(F.col("item_id") == "now", 0.5).otherwise(4.0))
    assert scores_of(doubled) == {"now": 1.0, "month": 3.0}
    with pytest.raises(UsageError, match="half_life_days"):
        decayed_popularity(events, 0, at)


def test_popular_lists_leave_out_the_seen_and_break_ties_by_id(spark: SparkSession) -> None:
    scores = spark.createDataFrame(
        [("i9", 2.0), ("i10", 2.0), ("a", 5.0), ("b", 1.0), ("n", float("nan")), ("z", None)], "item_id string, score double"
    )
    users = spark.createDataFrame([("u",), ("v",), ("w",)], "user_id string")
    seen = spark.createDataFrame([("u", "a"), ("u", "i10"), ("w", "a"), ("w", "b"), ("w", "i9"), ("w", "i10")], PAIRS)
    found = list_popular(scores, users, seen, 2, 256)
    assert lists_of(found) == {"u": ["i9", "b"], "v": ["a", "i10"]}  # w has seen all
    assert {r["item_id"]: r["score"] for r in found.collect()} == {"i9": 2.0, "b": 1.0, "a": 5.0, "i10": 2.0}
    assert list_popular(scores.limit(0), users, seen, 2, 256).collect() == []


def test_of_a_user_who_has_seen_a_million_items_no_more_come_to_the_driver(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.recommend.candidates.popularity.MAX_PLACES", 3)
    scores = spark.createDataFrame([("a", 4.0), ("b", 3.0), ("c", 2.0), ("d", 1.0)], "item_id string, score double")
    users = spark.createDataFrame([("u",), ("v",)], "user_id string")
    seen = spark.createDataFrame([("u", "a"), ("u", "b")], PAIRS)
    assert lists_of(list_popular(scores, users, seen, 2, 256)) == {"u": ["c"], "v": ["a", "b"]}


def test_random_lists_are_unseen_seeded_and_even(spark: SparkSession) -> None:
    items = spark.createDataFrame([(f"i{n}",) for n in range(30)] + [("i0",)], "item_id string")
    users = spark.createDataFrame([(f"u{n}",) for n in range(400)], "user_id string")
    seen = spark.createDataFrame([(f"u{n}", f"i{n % 30}") for n in range(400)] + [("u1", f"i{n}") for n in range(28)], PAIRS)
    found = lists_of(list_random(items, users, seen, 6, seed=1))
    assert found == lists_of(list_random(items.repartition(3), users.repartition(5), seen, 6, seed=1))
    assert found != lists_of(list_random(items, users, seen, 6, seed=2))
    assert sorted(found.pop("u1")) == ["i28", "i29"]  # only two are unseen
    assert all(len(set(one)) == 6 and f"i{int(user[1:]) % 30}" not in one for user, one in found.items())
    counts = Counter(item for one in found.values() for item in one)
    assert len(counts) == 30
    assert max(counts.values()) < 2 * min(counts.values())  # 80 each in expectation
