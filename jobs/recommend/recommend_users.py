"""Write for each item the users who would like it best and have not met it: whom to tell of it.

Reads:  silver.interactions   events up to as_of
        silver.items          what the rules look at, items that nobody has met, where the table exists
        silver.moderation     what moderators have removed, where the table exists
        silver.blocks         who has blocked an item's owner, where the table exists
        and the champion of the registered model `shoal_recommender`
Writes: gold.item_audiences   one row per item and rank; replaces as_of

The users are those that the champion knows. An item without events has factors made of what it is about. No part of the pipeline:
`shoal run recommend_users`, with `only` and `max_age_days` for some items only.
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import RecommendConf
from shoal.lake.lake import Lake
from shoal.models.recommender import load_champion
from shoal.recommend.candidates.configured import content_settings
from shoal.recommend.candidates.content import content_factors
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.ranking.rules import allowed_items, blocked_items, removed_items
from shoal.recommend.ranking.top_k import rank_top_k
from shoal.runner.execute import run_job


def build(item_factors: DataFrame, user_factors: DataFrame, unlisted: DataFrame, n: int, block: int) -> DataFrame:
    """item_id, rank, user_id, score, source: each item's best n users but those of `unlisted` (user_id, item_id).

    `item_factors`: item_id, features, source; `user_factors`: user_id, features. Exact, ties by user_id. Cost: that of the top-k
    engine with users and items in each other's place: the users' factors are collected, up to 2 GiB.
    """
    asked = item_factors.select(F.col("item_id").alias("user_id"), "features")
    crowd = user_factors.select(F.col("user_id").alias("item_id"), "features")
    met = unlisted.select(F.col("item_id").alias("user_id"), F.col("user_id").alias("item_id"))
    found = rank_top_k(asked, crowd, met, n, block)
    rows = found.select(F.col("user_id").alias("item_id"), "rank", F.col("item_id").alias("user_id"), "score")
    return rows.join(item_factors.select("item_id", "source"), "item_id")


def run(lake: Lake, conf: RecommendConf, as_of: date) -> None:
    """Rank the champion's users for every item that the rules let through, and replace the day's rows."""
    unlisted = preferences(lake.read("silver.interactions", before=as_of)).select("user_id", "item_id")
    champion = load_champion(lake)
    als, label = champion.als, champion.model.label
    features = F.col("features").cast("array<float>").alias("features")
    factors = als.item_factors.select("item_id", features, F.lit("als").alias("source"))
    items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
    if items is not None:
        new = content_factors(items, als.item_factors, content_settings(lake.settings.content))
        new = new.join(factors.select("item_id"), "item_id", "left_anti").withColumn("source", F.lit("content"))
        factors = factors.unionByName(new)
        if lake.exists("silver.blocks"):
            unlisted = unlisted.unionByName(blocked_items(items, lake.read("silver.blocks", before=as_of)))
    allowed = allowed_items(items, conf, as_of, unlisted, removed_items(lake.read_if_exists("silver.moderation", before=as_of)))
    if allowed is not None:
        factors = factors.join(allowed, "item_id", "left_semi")
    rows = build(factors, als.user_factors, unlisted, conf.audience, conf.user_batch_size)
    lake.replace("gold.item_audiences", rows.withColumn("model_version", F.lit(label)), on=as_of)
    lake.run.note(model_version=label)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RecommendConf, argv)


if __name__ == "__main__":
    sys.exit(main())
