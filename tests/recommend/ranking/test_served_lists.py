"""Served lists from candidates: the order of sources, cold-start slots, fallback, rules, exploration."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.diversity import RerankSettings
from shoal.recommend.ranking.explore import Exploration
from shoal.recommend.ranking.served_lists import Candidates, ServingSettings, as_candidates, served_lists

DAY = date(2024, 3, 1)
PLAIN = ServingSettings(4, 1, 5, RerankSettings(None, None, 0.0, 0.0))
# u and v are known to the models, v to ALS with few items; w is a stranger. u has blocked the owner of b2.
BLEND = {"u": ["b1", "b2", "b3", "b4", "b5"]}
ALS = {"u": ["b1", "a1"], "v": ["a1"]}
NEW = {"u": ["new"], "v": ["new"]}
POPULAR = ["p1", "a1", "p2", "p3", "p4"]


@pytest.fixture(scope="module")
def context(spark: SparkSession) -> RecommendationContext:
    met = spark.createDataFrame([("u", "m1"), ("v", "m1"), ("v", "p2")], "user_id string, item_id string")
    items = [("b2", "x"), ("b3", "y"), ("b4", "y"), ("b5", "y"), ("a1", "z")]
    owners = spark.createDataFrame([(*row, None) for row in items], "item_id string, owner_id string, categories array<string>")
    blocked = spark.createDataFrame([("u", "b2")], "user_id string, item_id string")
    return RecommendationContext(met, met, owners, None, blocked)


def lists_of(spark: SparkSession, lists: dict[str, list[str]], source: str) -> DataFrame:
    rows = [(user, rank, item, 1.0 / rank) for user, one in lists.items() for rank, item in enumerate(one, 1)]
    return as_candidates(spark.createDataFrame(rows, "user_id string, rank int, item_id string, score double"), source)


def serve(
    spark: SparkSession, context: RecommendationContext, settings: ServingSettings, exploration: Exploration | None = None
) -> dict[str, list[tuple[str, str, float]]]:
    asked: list[str] = []

    def fallback(short: DataFrame) -> list[DataFrame]:
        asked.extend(row["user_id"] for row in short.collect())
        seen = {("v", "p2")}
        return [lists_of(spark, {u: [i for i in POPULAR if (u, i) not in seen] for u in asked}, "popularity")]

    users = spark.createDataFrame([("u",), ("v",), ("w",)], "user_id string")
    personal = [lists_of(spark, BLEND, "blend"), lists_of(spark, ALS, "als")]
    candidates = Candidates(personal, lists_of(spark, NEW, "content"), fallback)
    rows = served_lists(candidates, users, context, settings, lambda frame: frame, exploration).orderBy("user_id", "rank").collect()
    assert sorted(asked) == ["v", "w"]
    found: dict[str, list[tuple[str, str, float]]] = {}
    for row in rows:
        found.setdefault(row["user_id"], []).append((row["item_id"], row["source"], row["propensity"]))
        assert row["rank"] == len(found[row["user_id"]])
    return found


def test_sources_in_order_with_a_cold_start_slot(spark: SparkSession, context: RecommendationContext) -> None:
    found = serve(spark, context, PLAIN)
    assert {user: [row[:2] for row in one] for user, one in found.items()} == {
        "u": [("b1", "blend"), ("b3", "blend"), ("b4", "blend"), ("new", "content")],
        "v": [("a1", "als"), ("new", "content"), ("p1", "popularity"), ("p3", "popularity")],
        "w": [("p1", "popularity"), ("a1", "popularity"), ("p2", "popularity"), ("p3", "popularity")],
    }
    assert {row[2] for one in found.values() for row in one} == {1.0}
    # Two items an owner: b5 makes room for a1, which ALS lists below the blend's.
    limited = serve(spark, context, ServingSettings(5, 1, 5, RerankSettings(2, None, 0.0, 0.0)))
    assert [row[0] for row in limited["u"]] == ["b1", "b3", "b4", "a1", "new"]


def test_exploring_takes_no_cold_start_slot(spark: SparkSession, context: RecommendationContext) -> None:
    arms = spark.createDataFrame([("x", 0.5), ("m1", 0.25), ("b2", 0.25)], "item_id string, probability double")
    found = serve(spark, context, PLAIN, Exploration(arms, 1, 7, DAY))
    plain = serve(spark, context, PLAIN)
    drawn = {"u": 2, "v": 3, "w": 3}
    for user, place in drawn.items():
        assert [row for n, row in enumerate(found[user]) if n != place] == [row for n, row in enumerate(plain[user]) if n != place]
    # u has met m1 and blocked b2: x or the ranked item, each by half. v may see b2; w has met nothing.
    assert found["u"][2] in [("x", "explore", 0.5), ("b4", "blend", 0.5)]
    assert found["v"][3] in [("x", "explore", 0.5), ("b2", "explore", 0.25), ("p3", "popularity", 0.25)]
    assert found["w"][3] in [("x", "explore", 0.5), ("m1", "explore", 0.25), ("b2", "explore", 0.25)]


def test_no_item_is_in_more_lists_than_its_share(spark: SparkSession, context: RecommendationContext) -> None:
    """One list of three an item: a model's list keeps what a fallback list would show too; one of u and v has the new item."""
    found = serve(spark, context, replace(PLAIN, max_item_share=0.34))
    places = [row[0] for one in found.values() for row in one]
    assert len(places) == len(set(places))
    holder = "u" if ("new", "content", 1.0) in found["u"] else "v"
    assert [row[0] for row in found["u"]] == ["b1", "b3", "b4", "new" if holder == "u" else "b5"]
    assert [row[0] for row in found["v"]][: 1 + (holder == "v")] == ["a1", *["new"] * (holder == "v")]
    # p1 is first for w and third for v.
    assert [row[0] for row in found["w"]][:2] == ["p1", "p2"]
