"""Popularity: the same order for everybody, each user's seen items excluded. A baseline, and the answer for unknown
users.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.recommend.ranking.sums import stable_sum
from shoal.recommend.ranking.top_k import Items, rank_top_k

# Items that come to the driver, some 200 MB: a crawler's history of millions of items must not decide what a day's run holds.
MAX_PLACES = 1_000_000


def popularity(preferences: DataFrame) -> DataFrame:
    """One row per item: `score`, the sum of `weight` over its users (their number where every event weighs 1)."""
    return preferences.groupBy("item_id").agg(F.sum("weight").alias("score"))


def decayed_popularity(
    events: DataFrame, half_life_days: float, at: Column, weight: Column | None = None, by: Sequence[str] = ("item_id",)
) -> DataFrame:
    """One row per item (per `by`): `score`, the sum over its events of weight * 2 ** (-age / half_life_days), age in days before
    `at`.

    An event half_life_days old counts half; one after `at` counts as one of `at`; one without a time does not count.
    `weight` is 1 where it is not given. Raises UsageError for a half-life that is not above 0. Cost: one shuffle by
    item.
    """
    if not half_life_days > 0:
        raise UsageError(f"half_life_days: {half_life_days}; expected a number above 0")
    age_days = F.greatest(F.unix_micros(at) - F.unix_micros("occurred_at"), F.lit(0)) / F.lit(86_400e6)
    amount = (weight if weight is not None else F.lit(1.0)) * F.pow(F.lit(2.0), -age_days / F.lit(half_life_days))
    counted = events.where(F.col("occurred_at").isNotNull() & F.col("item_id").isNotNull())
    return counted.groupBy(*by).agg(stable_sum(amount).alias("score"))


def list_popular(scores: DataFrame, users: DataFrame, seen: DataFrame, k: int, user_batch_size: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the best-scored items that the user has not seen.

    `scores`: item_id, score (double, unique ids; null and NaN scores are excluded); `users`: user_id, unique; `seen`:
    user_id, item_id. Ties go to the smaller item_id. Who has seen nearly all of the first MAX_PLACES items gets a shorter list.
    Cost: only the first k + (most items seen by a user) items can matter; of these at most MAX_PLACES are collected, and go
    through the top-k engine as a model of rank one, whose factor is the place in the order, exact in float32 up to 16 million.
    """
    histories = seen.join(users, "user_id", "left_semi").groupBy("user_id").agg(F.count(F.lit(1)).alias("seen"))
    longest = histories.agg(F.max("seen")).first()
    places = min(k + ((longest[0] if longest is not None else None) or 0), MAX_PLACES)
    head = scores.where("score is not null and not isnan(score)").orderBy(F.desc("score"), "item_id").limit(places)
    placed = {row["item_id"]: (place, row["score"]) for place, row in enumerate(head.collect(), 1)}
    ids = sorted(placed)
    factors = np.array([[-placed[item][0]] for item in ids], np.float32).reshape(len(ids), 1)
    items = Items(pa.array(ids, pa.string()), factors, np.abs(factors[:, 0]).astype(np.float64))
    user_factors = users.select("user_id", F.array(F.lit(1.0).cast("float")).alias("features"))
    lists = rank_top_k(user_factors, items, seen, k, user_batch_size).drop("score")
    known = [(item, score) for item, (_, score) in placed.items()]
    scored = users.sparkSession.createDataFrame(known, "item_id string, score double")
    return lists.join(F.broadcast(scored), "item_id").select("user_id", "rank", "item_id", "score")
