"""What rises: planted bursts among flat things, the tests against scipy's."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.stats import binom, false_discovery_control
from shoal.mine.posts.trends import TrendRule, daily_users, find_trends, q_values, uses_of

RULE = TrendRule(28, 3, 10, 0.05)
FIELDS = "kind string, topic string, day int, users bigint"


def test_q_values_are_scipys() -> None:
    p = np.sort(np.random.default_rng(0).random(50) ** 3)
    assert q_values(p, 50) == pytest.approx(false_discovery_control(p))
    assert len(q_values(np.empty(0), 3)) == 0


def test_planted_bursts_are_found_and_flat_things_are_not(spark: SparkSession) -> None:
    draw = np.random.default_rng(5)
    rows = []
    for thing in range(300):
        days = draw.poisson(draw.choice([1, 5, 20]), 28)
        # Ten of 300 have three times as many users from the 26th day on.
        if thing < 10:
            days[25:] = draw.poisson(60, 3)
        # One bursts every week: a burst more says nothing.
        if thing == 10:
            days[:] = 0
            days[[5, 12, 19, 26]] = 60
        rows += [("hashtag", f"t{thing}", day, int(n)) for day, n in enumerate(days) if n]
    rows += [("item", "new", 27, 40), ("item", "old", 3, 40), ("item", "rare", 27, 3)]
    rows += [("item", "flat", day, 9) for day in range(28)]
    found = find_trends(spark.createDataFrame(rows, FIELDS).coalesce(1), RULE).collect()
    assert {r["topic"] for r in found} == {f"t{i}" for i in range(10)} | {"new"}
    tags = sorted((r for r in found if r["kind"] == "hashtag"), key=lambda r: r["p_value"])
    assert [r["rank"] for r in tags] == list(range(1, 11))
    new = next(r for r in found if r["topic"] == "new")
    # 40 + 3 + 27 of 335 user-days of items are recent; nothing before, so nothing is known of its dispersion.
    assert (new["users_recent"], new["users_before"]) == (40, 0)
    assert new["expected"] == pytest.approx(40 * 70 / 335)
    assert new["p_value"] == pytest.approx(binom.sf(39, 40, 70 / 335))
    assert new["rate_ratio"] == pytest.approx((40.5 / 0.5) * (265.5 / 70.5)) and new["q_value"] >= new["p_value"]
    y = np.r_[np.zeros(27), np.log(41)]
    assert new["slope"] == pytest.approx(np.polyfit(np.arange(28), y, 1)[0])


def test_who_turned_to_what_on_which_day(spark: SparkSession) -> None:
    noon = datetime(2024, 3, 1, 12)
    items = spark.createDataFrame(
        [("i1", "a", ["One", "two"], ["sport"], noon), ("i2", None, ["one"], None, noon), ("i3", "b", ["one"], [], None)],
        "item_id string, owner_id string, hashtags array<string>, categories array<string>, created_at timestamp",
    )
    events = spark.createDataFrame(
        [("i1", "u", noon), ("i1", "u", noon), ("i1", "v", datetime(2024, 2, 29, 23)), ("i2", "u", datetime(2024, 1, 1))],
        "item_id string, user_id string, occurred_at timestamp",
    )
    texts = spark.createDataFrame([(["one"], "c", noon)], "hashtags array<string>, user_id string, used_at timestamp")
    daily = daily_users(uses_of(items, events, texts), date(2024, 3, 1), 28)
    assert {(r["kind"], r["topic"], r["day"]): r["users"] for r in daily.collect()} == {
        ("hashtag", "one", 27): 2, ("hashtag", "two", 27): 1, ("item", "i1", 27): 1, ("item", "i1", 26): 1,
        ("topic", "sport", 27): 1, ("topic", "sport", 26): 1,
    }  # fmt: skip
    assert find_trends(daily, RULE).count() == 0
