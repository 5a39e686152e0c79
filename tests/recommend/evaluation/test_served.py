"""The lists that are served at the moment of a split: sources in order, and nothing that was known later."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.recommend.candidates.als import AlsModel, AlsSettings
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.trained import RecommenderSpec
from shoal.recommend.evaluation.served import ServingInputs, TrainingPart, served_at_split
from shoal.recommend.ranking.context import Sources

MOMENT = datetime(2024, 2, 1)
EARLY, LATE = datetime(2024, 1, 31), datetime(2024, 2, 10)
ALS = AlsSettings("implicit", 1, 0.1, 1.0, 1, 1)
EVENTS = "user_id string, item_id string, event string, value double, occurred_at timestamp"


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def inputs_of(spark: SparkSession, settings: Settings) -> ServingInputs:
    early = [("u", "a"), ("v", "a"), ("x", "a"), ("v", "p"), ("x", "p"), ("v", "b"), ("v", "c"), ("x", "d")]
    late = [("w", "new"), ("v", "new"), ("w", "z"), ("u", "z"), ("v", "z"), ("x", "z"), ("u", "p")]
    rows = [(*pair, "like", None, at) for pairs, at in ((early, EARLY), (late, LATE)) for pair in pairs]
    events = spark.createDataFrame(rows, EVENTS)
    owners = {"c": "maker", "d": "rival"}
    created = [(item, owners.get(item), LATE if item == "z" else EARLY) for item in ("a", "b", "c", "d", "p", "new", "z")]
    items = spark.createDataFrame(
        [(item, "film", owner, ["x"], None, None, None, None, at) for item, owner, at in created],
        "item_id string, kind string, owner_id string, categories array<string>, hashtags array<string>, title string, text "
        "string, price_usd double, created_at timestamp",
    )
    # u blocks the owner of d before the moment, that of c after it; b is removed before it, a after it.
    blocks = spark.createDataFrame(
        [("u", "rival", EARLY), ("u", "maker", LATE)], "user_id string, blocked_id string, occurred_at timestamp"
    )
    decisions = spark.createDataFrame(
        [("b", EARLY, "removed"), ("a", LATE, "removed")], "item_id string, decided_at timestamp, verdict string"
    )
    conf = settings.recommend.model_copy(update={"k": 3, "cold_start_slots": 1, "explore": 1})
    content = settings.content.model_copy(update={"min_items": 1})
    return ServingInputs(Sources(events, items, blocks, decisions), conf, content, 30.0, {}, date(2024, 3, 1))


def test_rules_slots_and_fallback_as_they_were_at_the_moment(spark: SparkSession, settings: Settings) -> None:
    inputs = inputs_of(spark, settings)
    train = preferences(inputs.sources.events.where("occurred_at < timestamp'2024-02-01'"), {})
    users = spark.createDataFrame([("u",), ("w",)], "user_id string")
    item_factors = spark.createDataFrame(
        [("a", [0.9]), ("b", [0.8]), ("c", [0.5]), ("d", [0.6])], "item_id string, features array<float>"
    )
    user_factors = spark.createDataFrame([("u", [1.0]), ("v", [1.0])], "user_id string, features array<float>")
    model = AlsModel(ALS, user_factors, item_factors)
    part = TrainingPart(train, users, micros(MOMENT))
    lists = served_at_split(RecommenderSpec(ALS, (), "als"), model, None, part, inputs, lambda rows: rows.persist())
    found: dict[str, list[tuple[int, str, str]]] = {}
    for row in lists.orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append((row["rank"], row["item_id"], row["source"]))
        if row["source"] == "als":
            assert row["score"] == pytest.approx(0.5)
    assert found == {
        # Met a; b is removed, d's owner blocked. Nobody had met `new`, and z did not exist.
        "u": [(1, "c", "als"), (2, "new", "content"), (3, "p", "popularity")],
        # Unknown at the moment: three users of a, two of p, then c before d by id.
        "w": [(1, "a", "popularity"), (2, "p", "popularity"), (3, "c", "popularity")],
    }
