"""Shares of topics by hand, in the long run and of late."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.feeds.interests import InterestSettings, interests, topics_of
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)
END = datetime(2024, 3, 2)
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
ITEMS = "item_id string, hashtags array<string>, categories array<string>"
SETTINGS = InterestSettings(long_half_life_days=30.0, short_half_life_days=3.0, item_topics=3, topics=2)


def events(spark: SparkSession, *rows: tuple[str, str, str, float]) -> DataFrame:
    """(user, item, event, days before the end) as events."""
    made = [(f"e{n}", u, item, event, None, END - timedelta(days=age), "test") for n, (u, item, event, age) in enumerate(rows)]
    return spark.createDataFrame(made, EVENTS).repartition(3)


def test_topics_of_an_item_share_it_equally(spark: SparkSession) -> None:
    rows = [("a", ["x", " X ", "", "y"], None), ("b", [], ["Drama"]), ("c", None, None), ("d", ["1", "2", "3", "4"], [])]
    found = topics_of(spark.createDataFrame(rows, ITEMS), 3).orderBy("item_id", "topic").collect()
    third = pytest.approx(1 / 3)
    assert [tuple(r) for r in found] == [
        ("a", "hashtag", "x", 0.5), ("a", "hashtag", "y", 0.5), ("b", "category", "drama", 1.0),
        ("d", "hashtag", "1", third), ("d", "hashtag", "2", third), ("d", "hashtag", "3", third),
    ]  # fmt: skip


def test_by_hand(spark: SparkSession) -> None:
    items = spark.createDataFrame([("a", ["x"], ["c"]), ("b", ["y", "x"], None), ("z", ["z"], ["c"]), ("n", None, None)], ITEMS)
    shown = events(
        spark, ("u1", "a", "like", 30), ("u1", "b", "share", 3), ("u1", "z", "view", 1), ("u1", "z", "like", -1),
        # Nothing of late, and nothing that has a topic.
        ("u2", "a", "like", 9000), ("u2", "z", "like", 9003), ("u3", "n", "like", 1),
    )  # fmt: skip
    found = interests(shown, items, F.lit(END), SETTINGS, {"view": 0.0, "share": 2.0}).orderBy("user_id", "topic_kind", "rank")
    # u1, long: a gives 0.5 to x; b 2 x 2^-0.1 = 1.8661 in halves to x and y: x 1.4330, y 0.9330 of 2.3661.
    # Short: a 2^-10 = 0.00098; b 2 x 0.5 in halves: x 0.50098, y 0.5 of 1.00098. The view of z weighs nothing.
    # u2, long: 2^-300 and 2^-300.1. Short: both a thousand half-lives old, and so alike.
    assert [tuple(round(v, 4) if isinstance(v, float) else v for v in row) for row in found.collect()] == [
        ("u1", "category", 1, "c", 1.0, 1.0, 1),
        ("u1", "hashtag", 1, "x", 0.6057, 0.5005, 2), ("u1", "hashtag", 2, "y", 0.3943, 0.4995, 1),
        ("u2", "category", 1, "c", 1.0, 1.0, 2),
        ("u2", "hashtag", 1, "x", 0.5173, 0.5, 1), ("u2", "hashtag", 2, "z", 0.4827, 0.5, 1),
    ]  # fmt: skip


def test_shares_sum_to_one_before_the_cut_and_ties_go_by_name(spark: SparkSession) -> None:
    items = spark.createDataFrame([(name, [name], None) for name in "dbca"], ITEMS)
    shown = events(spark, *[("u", item, "like", 1.0) for item in "dbca"])
    found = interests(shown, items, F.lit(END), SETTINGS, None).orderBy("rank").collect()
    assert [(r["topic"], r["long_term"], r["short_term"]) for r in found] == [("a", 0.25, 0.25), ("b", 0.25, 0.25)]


def test_the_job_writes_the_same_twice(spark: SparkSession, lake: Lake) -> None:
    job = find_job("find_interests")
    lake.append("silver.interactions", events(spark, ("u1", "a", "like", 1), ("u2", "a", "like", -1)))
    with pytest.raises(SkippedError, match=r"silver\.items does not exist"):
        job.run(lake, lake.settings.interests, DAY)
    made = spark.createDataFrame([("a", ["Sun", "sea"], None)], ITEMS)
    text = ["kind", "owner_id", "title", "text", "image_path", "location", "source"]
    others = {"is_video": "boolean", "image_count": "int", "price_usd": "double", "created_at": "timestamp"}
    blank = {name: F.lit(None).cast("string") for name in text} | {n: F.lit(None).cast(t) for n, t in others.items()}
    lake.append("silver.items", made.withColumns(blank | {"kind": F.lit("post"), "source": F.lit("test")}))
    for _ in range(2):
        job.run(lake, lake.settings.interests, DAY)
        rows = lake.read_current("gold.user_interests").orderBy("rank").collect()
        assert [(r["user_id"], r["rank"], r["topic"], r["long_term"], r["events"]) for r in rows] == [
            ("u1", 1, "sea", 0.5, 1), ("u1", 2, "sun", 0.5, 1)
        ]  # fmt: skip
    with pytest.raises(SkippedError, match="no event up to this day"):
        job.run(lake, lake.settings.interests, date(2023, 1, 1))
