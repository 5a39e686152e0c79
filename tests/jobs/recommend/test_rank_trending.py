"""Scores, windows by kind and accelerations by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.feeds.trending import TrendSettings, trending
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)
END = datetime(2024, 3, 2)
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
VERDICTS = "item_id string, decided_at timestamp, verdict string, source string"
SETTINGS = TrendSettings({"post": 10.0, "film": 100.0}, default_half_life_hours=20.0, items=2)
WEIGHTS = {"view": 0.0, "like": 1.0, "share": 2.0}


def events(spark: SparkSession, *rows: tuple[str, str, str, float]) -> DataFrame:
    """(user, item, event, hours before the end) as events."""
    made = [
        (f"e{n}", user, item, event, None, END - timedelta(hours=age), "test") for n, (user, item, event, age) in enumerate(rows)
    ]
    return spark.createDataFrame(made, EVENTS).repartition(3)


def test_by_hand(spark: SparkSession) -> None:
    kinds = [("p1", "post"), ("p2", "post"), ("p3", "post"), ("p4", "post"), ("f1", "film")]
    items = spark.createDataFrame(kinds, "item_id string, kind string")
    shown = events(
        spark,
        # A post's window is 10 hours. p1: 1 x 2^-1 now, twice the same user; 2 x 2^-2 the window before.
        ("u1", "p1", "like", 10), ("u1", "p1", "like", 10), ("u2", "p1", "share", 20),
        # p2: three of five hours ago are 3 x 2^-0.5.
        ("u1", "p2", "like", 5), ("u2", "p2", "like", 5), ("u3", "p2", "like", 5),
        # p3 has none in the last window; p4 only what weighs nothing; what is 20 windows old does not count at all.
        ("u1", "p3", "share", 10.5), ("u1", "p4", "view", 1), ("u9", "p2", "share", 200.1),
        # A film's window is 100 hours, that of an item nobody knows 20.
        ("u1", "f1", "like", 100), ("u1", "f1", "like", 100.5), ("u1", "f1", "view", 150), ("u1", "x", "like", 20),
        # After the end.
        ("u1", "x", "like", -0.5),
    )  # fmt: skip
    found = trending(shown, items, F.lit(END), SETTINGS, WEIGHTS).orderBy("kind", "rank").collect()
    assert [tuple(round(v, 4) if isinstance(v, float) else v for v in row) for row in found] == [
        # f1: 0.5 + 2^-1.005; one event against two before: -1 / sqrt(3).
        ("film", 1, "f1", 0.9983, -0.5774, 100.0, 1, 2, 1),
        ("other", 1, "x", 0.5, 1.0, 20.0, 1, 0, 1),
        # p2: 3 / sqrt(3). p1: 0.5 + 0.5 + 0.5; (2 - 1) / sqrt(3).
        ("post", 1, "p2", 2.1213, 1.7321, 10.0, 3, 0, 3), ("post", 2, "p1", 1.5, 0.5774, 10.0, 2, 1, 1),
    ]  # fmt: skip


def test_ties_go_to_the_smaller_id_and_only_the_best_are_kept(spark: SparkSession) -> None:
    shown = events(spark, *[(f"u{n}", item, "like", 1.0) for n, item in enumerate("dbca")], ("u9", "c", "like", 1))
    found = trending(shown, None, F.lit(END), SETTINGS, None).orderBy("rank").collect()
    assert [(r["kind"], r["rank"], r["item_id"]) for r in found] == [("other", 1, "c"), ("other", 2, "a")]


def test_a_planted_rise_stands_out_of_the_noise(spark: SparkSession) -> None:
    """A hundred items have some 60 events a window, by chance more or fewer; i7 has 60 more in the last."""
    rng = np.random.default_rng(3)
    aged = [(f"i{item}", float(age)) for item in range(100) for age in rng.uniform(0, 20, rng.poisson(120))]
    aged += [("i7", 5.0)] * 60
    shown = events(spark, *[(f"u{n}", item, "like", age) for n, (item, age) in enumerate(aged)])
    rule = TrendSettings({"post": 10.0}, default_half_life_hours=10.0, items=100)
    changes = {r["item_id"]: r["trend_z_score"] for r in trending(shown, None, F.lit(END), rule, None).collect()}
    assert changes.pop("i7") > 3 > max(changes.values())
    # Beyond 1.96 are 5 of 100 by chance.
    assert 1 <= sum(abs(change) > 1.96 for change in changes.values()) <= 12


def test_the_job_writes_the_same_twice(spark: SparkSession, lake: Lake) -> None:
    shown = [("u1", "a", "like", 1), ("u2", "a", "like", -1), ("u1", "b", "share", 47), ("u1", "removed", "like", 1)]
    lake.append("silver.interactions", events(spark, *shown))
    verdict = ("removed", datetime(2024, 2, 1), "removed", "test")
    lake.append("silver.moderation", spark.createDataFrame([verdict], VERDICTS))
    job = find_job("rank_trending")
    for _ in range(2):
        job.run(lake, lake.settings.trending, DAY)
        rows = lake.read_current("gold.trending").orderBy("rank").collect()
        # Half-life 48 hours: a 2^(-1/48); b 2 x 2^(-47/48).
        assert [(r["kind"], r["rank"], r["item_id"], round(r["score"], 4), r["users"]) for r in rows] == [
            ("other", 1, "b", 1.0145, 1), ("other", 2, "a", 0.9857, 1)
        ]  # fmt: skip
    with pytest.raises(SkippedError, match="no event up to this day"):
        job.run(lake, lake.settings.trending, date(2023, 1, 1))
