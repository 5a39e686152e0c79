"""What the people whom a user follows like: sums by hand, what was known at a moment, and an expert that learns to trust it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.recommend.candidates import followed
from shoal.recommend.candidates.blend import Expert, history_rows, list_blend
from shoal.recommend.candidates.experts import fit_experts
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.followed import follows_before, with_followed
from shoal.recommend.candidates.histories import catalogue_of
from shoal.recommend.candidates.parts import FEATURES

from tests.recommend.candidates.test_blend import SETTINGS

FOLLOWS = "src_id string, dst_id string, followed_at timestamp"
PREFERENCES = "user_id string, item_id string, weight double, value double, occurred_at timestamp"


def at(day: int) -> datetime:
    return datetime(2024, 1, day)


def met(spark: SparkSession) -> DataFrame:
    rows = [("a", "x", 1.0, 1), ("a", "y", 3.0, 2), ("a", "bad", 0.0, 3), ("b", "y", 1.0, 1), ("b", "z", 1.0, 2),
            ("u", "x", 1.0, 1), ("v", "z", 1.0, 1), ("w", "z", 1.0, 1)]  # fmt: skip
    return spark.createDataFrame([(user, item, weight, None, at(day)) for user, item, weight, day in rows], PREFERENCES)


def scores(spark: SparkSession, pairs: list[tuple[str, str, datetime | None]]) -> dict[str, Any]:
    preferences = met(spark)
    catalogue = catalogue_of(preferences, 10)
    ids = catalogue.ids.to_pylist()
    rows = preferences.select("user_id").distinct()
    found = with_followed(rows, preferences, catalogue, spark.createDataFrame(pairs, FOLLOWS)).collect()
    return {
        row["user_id"]: row["followed_items"]
        and [(ids[n], score) for n, score in zip(row["followed_items"], row["followed_scores"], strict=True)]
        for row in found
    }


def test_scores_are_sums_over_the_people_followed(spark: SparkSession) -> None:
    """a likes x (1) and y (log2(1 + 3) = 2) and not what weighs 0, b likes y and z; v follows a twice and itself,
    w somebody unknown."""
    pairs = [("u", "a", at(1)), ("u", "b", None), ("v", "a", at(1)), ("v", "a", at(2)), ("v", "v", at(1)), ("w", "nobody", at(1))]
    assert scores(spark, pairs) == {
        "u": [("y", 3.0), ("x", 1.0), ("z", 1.0)], "v": [("y", 2.0), ("x", 1.0)], "w": None, "a": None, "b": None,
    }  # fmt: skip


def test_the_people_followed_last_and_their_newest_events_count(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "MAX_FOLLOWED", 1)
    monkeypatch.setattr(followed, "MAX_EVENTS", 1)
    found = scores(spark, [("u", "a", at(1)), ("u", "b", at(2)), ("v", "a", at(1)), ("v", "b", None), ("w", "b", at(1))])
    # The newest event of a weighs 0.
    assert {user: found[user] for user in "uvw"} == {"u": [("z", 1.0)], "v": None, "w": [("z", 1.0)]}


def test_a_follow_that_may_be_later_than_the_moment_is_not_known(spark: SparkSession) -> None:
    pairs = spark.createDataFrame([("u", "a", at(1)), ("u", "b", at(3)), ("u", "c", None)], FOLLOWS)
    moment = int(at(2).timestamp() * 1_000_000)
    known, everything = follows_before(pairs, moment), follows_before(pairs, None)
    assert known is not None and [row["dst_id"] for row in known.collect()] == ["a"]
    assert everything is not None and everything.count() == 3
    assert follows_before(None, moment) is None


def test_an_expert_learns_to_trust_the_people_followed(spark: SparkSession) -> None:
    """Each of 60 users met four of the twelve items that one leader met, and four others."""
    rng = np.random.default_rng(5)
    rows, pairs = [], []
    for n in range(60):
        items = rng.choice(400, 12, replace=False)
        rows += [(f"lead{n:02d}", f"i{item:03d}", 1.0, None, None) for item in items]
        own = {*rng.choice(items, 4, replace=False), *rng.choice(np.setdiff1d(np.arange(400), items), 4, replace=False)}
        rows += [(f"user{n:02d}", f"i{item:03d}", 1.0, None, None) for item in own]
        pairs.append((f"user{n:02d}", f"lead{n:02d}", at(1)))
    preferences = spark.createDataFrame(rows, PREFERENCES).persist()
    follows = spark.createDataFrame(pairs, FOLLOWS)
    expert = fit_experts(preferences, SETTINGS, follows=follows)[0]
    weights = dict(zip(FEATURES, expert.coefficients, strict=True))
    # Half of the users follow; half of what is held out of theirs is of the leader, of whose events a fifth is held out too.
    assert expert.recall["followed"] == pytest.approx(0.5 * 0.5 * 0.8, abs=0.06)
    assert weights["followed"] > 0
    blind = fit_experts(preferences, SETTINGS)[0]
    assert "followed" not in blind.recall and dict(zip(FEATURES, blind.coefficients, strict=True))["followed"] == 0
    users = preferences.where("user_id like 'user%'").select("user_id").distinct()

    def share_of_leaders(one: Expert, known: DataFrame | None) -> float:
        fitted = fit_parts(preferences, SETTINGS)
        assert fitted is not None
        factors = fitted.als.user_factors
        histories = history_rows(preferences, fitted.catalogue, factors, SETTINGS.ease.max_history, users, known)
        listed = list_blend(blend_of(fitted, [one], SETTINGS), histories, 3, with_reason=True)
        leaders = F.concat(F.lit("lead"), F.substring("user_id", 5, 2)).alias("leader")
        own = preferences.select(F.col("user_id").alias("leader"), "item_id")
        shown = listed.select("item_id", leaders).persist()
        return shown.join(own, ["leader", "item_id"]).count() / shown.count()

    assert share_of_leaders(expert, follows) == 1.0
    assert share_of_leaders(blind, None) < 1.0
    preferences.unpersist()
