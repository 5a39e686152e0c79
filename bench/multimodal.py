"""Ablation of features.item_vectors: what text, picture and graph are worth for new items, one by one and together.

A simulated world is made, with a picture an item. A fifth of its items (by a hash) is new: their events, and the texts about them,
are taken away. Then build_texts, build_images and build_item_vectors run as they do in a lake. What is asked of each set of parts:

- NDCG@10 of the new items for the users who have met one of them, where only new items are ranked: a ridge regression from the
  parts to the factors of ALS (docs/adr/0042), here without terms
- the share of the ten nearest of a new item, among all items, that have its planted topic; an item without a part has none right

The names of topics, which the world gives items as categories, are taken away: they are the answer. In the patchy world each of
text, picture, and owner with hashtags is missing for half of the items.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.arrays import Floats
from shoal.conf.loading import load
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als
from shoal.recommend.candidates.configured import content_settings
from shoal.recommend.candidates.content import (
    ContentSettings,
    as_factors,
    content_factors,
    fit_mapping,
    with_vector_terms,
)
from shoal.recommend.candidates.item_vectors import named_vectors
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.protocol.metrics import mean_metrics, user_metrics
from shoal.recommend.ranking.top_k import rank_top_k
from shoal.runner.job import find_job
from shoal.simulate import tables
from shoal.simulate.pictures import picture
from shoal.simulate.words import TOPICS
from shoal.simulate.world import DEMO_AS_OF, WorldConf

WORLD = WorldConf(users=1_000, items=800, events=30_000, texts=2_000)
NEW_SHARE, MISSING, K = 0.2, 0.5, 10
PARTS = ("text", "image", "graph")
SETS: tuple[tuple[str, ...], ...] = (("text",), ("image",), ("graph",), ("around",), ("text", "image"), ("text", "graph"), PARTS)
# Of ALS and of the regression from parts alone, whose rows have length VECTOR_WEIGHT.
ALS = AlsSettings("implicit", 32, 0.1, 0.5, 8, 7)
VECTOR_WEIGHT, L2 = 10.0, 100.0


@dataclass(frozen=True)
class Asked:
    """One world: `vectors` of all `items`, those that are `new`, what is `sought` of them (user_id, item_id), `topics` by item, ALS
    on the rest."""

    vectors: DataFrame
    items: DataFrame
    new: DataFrame
    sought: DataFrame
    topics: dict[str, str]
    als: AlsModel


def drawn(key: Column, name: str) -> Column:
    """A number in 0..1 for each key, by a hash."""
    return F.pmod(F.xxhash64(key, F.lit(name)), F.lit(1_000_000)) / 1_000_000


def put(lake: Lake, table: str, rows: DataFrame) -> None:
    """The rows with the contract's other columns null."""
    struct = [field for field in contract(table).struct() if field.name != "run_id"]
    rows = rows.withColumn("source", F.lit("bench"))
    lake.append(table, rows.select(*[
        (F.col(f.name) if f.name in rows.columns else F.lit(None)).cast(f.dataType).alias(f.name) for f in struct
    ]))  # fmt: skip


def ask(spark: SparkSession, root: Path, patchy: bool) -> Asked:
    """The lake of one world with its item vectors. Collects the topics of its items, whose number is WORLD's."""
    lake = Lake(spark, root / "lake", load(), Run("bench", "bench"))
    truth = tables.items_with_truth(spark, WORLD).persist()
    events = tables.events(spark, WORLD).persist()
    topics = {row["item_id"]: row["topic"] for row in truth.select("item_id", "topic").collect()}
    is_new = drawn(F.col("item_id"), "new") < NEW_SHARE
    gone = {name: drawn(F.col("item_id"), name) < (MISSING if patchy else 0.0) for name in ("words", "picture", "around")}
    words = F.split("text", " #").getItem(0)
    # Hashtags are words of the text as well as edges of the graph.
    given = {"title": ("words", F.col("title")), "text": ("words", words), "owner_id": ("around", F.col("owner_id")),
             "hashtags": ("around", F.col("hashtags"))}  # fmt: skip
    columns = [F.when(~gone[by], column).alias(name) for name, (by, column) in given.items()]
    items = truth.select("item_id", "kind", "created_at", *columns).persist()
    put(lake, "silver.items", items)
    put(lake, "silver.interactions", events.where(~is_new))
    about = tables.texts_with_truth(spark, WORLD).where(~is_new & ~gone["words"])
    put(lake, "silver.texts", about.drop("label"))
    names, folder = [topic.name for topic in TOPICS], root / "pictures"
    folder.mkdir()
    shown = sorted(row["item_id"] for row in items.where(~gone["picture"]).select("item_id").collect())
    for n, item in enumerate(shown):
        picture(names.index(topics[item]), n).save(folder / f"{item}.png")
    paths = [(f"p-{item}", item, str(folder / f"{item}.png"), "found") for item in shown]
    put(lake, "silver.images", spark.createDataFrame(paths, "image_id string, item_id string, path string, status string"))
    for name in ("build_texts", "build_images", "build_item_vectors"):
        job = find_job(name)
        job.run(lake, lake.settings.section(job.model), DEMO_AS_OF)
    vectors = lake.read_current("features.item_vectors").persist()
    new = items.where(is_new).select("item_id").persist()
    sought = events.join(new, "item_id", "left_semi").select("user_id", "item_id").distinct().persist()
    return Asked(vectors, items, new, sought, topics, fit_als(preferences(events.where(~is_new)), ALS))


def of_parts(vectors: DataFrame, parts: Sequence[str]) -> DataFrame:
    """item_id, vector: the named parts one behind the other, of length 1 each; without the items that have none of them."""
    has = reduce(lambda a, b: a | b, [F.exists(f"{name}_vector", lambda x: x != 0) for name in parts])
    found = named_vectors(vectors.where(has), parts)
    assert found is not None
    return found


def factors_of_parts(asked: Asked, parts: Sequence[str]) -> DataFrame:
    """item_id, features of the new items by a regression on the parts alone."""
    settings = ContentSettings(1, 1, L2, VECTOR_WEIGHT)
    nothing = asked.items.select(
        "item_id", F.array().cast("array<int>").alias("terms"), F.array().cast("array<float>").alias("weights")
    )
    content = with_vector_terms(nothing, of_parts(asked.vectors, parts), settings).persist()
    mapping = fit_mapping(content, asked.als.item_factors, settings, load().item_vectors.size * len(parts))
    return as_factors(content, mapping).join(asked.new, "item_id")


def ndcg(asked: Asked, factors: dict[str, DataFrame]) -> dict[str, float]:
    """Name -> NDCG@K of the users who have met a new item, ranking new items by `factors`."""
    users = asked.als.user_factors.join(asked.sought.select("user_id").distinct(), "user_id", "left_semi").persist()
    lists = [rank_top_k(users, rows, None, K, 256).withColumn("model", F.lit(name)) for name, rows in factors.items()]
    per_user = user_metrics(reduce(DataFrame.unionByName, lists), asked.sought, [K], list(factors))
    return {row["model"]: row[f"ndcg@{K}"] for row in mean_metrics(per_user).collect()}


def topic_share(asked: Asked, parts: Sequence[str]) -> float:
    """Of the new items: the mean share of their K nearest, among all items with a part, that have their topic."""
    rows = {row["item_id"]: np.array(row["vector"]) for row in of_parts(asked.vectors, parts).collect()}
    names = sorted(rows)
    matrix: Floats = np.array([rows[name] / np.linalg.norm(rows[name]) for name in names], np.float32)
    labels = np.array([asked.topics[name] for name in names])
    new = {row["item_id"] for row in asked.new.collect()}
    near = matrix @ matrix.T
    np.fill_diagonal(near, -np.inf)
    best = np.argsort(-near, axis=1, kind="stable")[:, :K]
    right = {name: float((labels[best[n]] == labels[n]).mean()) for n, name in enumerate(names)}
    return float(np.mean([right.get(name, 0.0) for name in new]))


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a world and set of parts, and the regression from terms with and without the vector."""
    rows = []
    for patchy in (False, True):
        world = "patchy world" if patchy else "complete world"
        with tempfile.TemporaryDirectory() as folder:
            asked = ask(spark, Path(folder), patchy)
            factors = {"+".join(parts): factors_of_parts(asked, parts) for parts in SETS}
            plain = content_settings(load().content)
            factors["terms"] = content_factors(asked.items, asked.als.item_factors, plain).join(asked.new, "item_id")
            for parts in (("text",), ("image",), ("graph",), PARTS, ("around",)):
                made = content_factors(asked.items, asked.als.item_factors, plain, named_vectors(asked.vectors, parts))
                factors[f"terms with {'+'.join(parts)}"] = made.join(asked.new, "item_id")
            found = ndcg(asked, factors)
            shares = {"+".join(parts): topic_share(asked, parts) for parts in SETS}
            for name, value in found.items():
                share = shares.get(name)
                note = "" if share is None else f"share of the ten nearest with the planted topic: {share:.3f}"
                rows.append({
                    "what": f"new items of the {world}, {name}: NDCG@10", "ours": value, "peer": found["terms"],
                    "ratio": value / found["terms"], "unit": "NDCG@10", "target": "", "note": note,
                })  # fmt: skip
            spark.catalog.clearCache()
    return rows
