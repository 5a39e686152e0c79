"""Lists from several models as one, and lists that groups of users share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.ranking.sums import stable_sum


def backfill_lists(lists: Sequence[DataFrame], k: int) -> DataFrame:
    """One row per user and rank 1..k: each user's first list, then what the later lists have and it has not.

    `lists`: frames of the same columns, user_id, rank and item_id among them; an item stands where it stands first. Empty lists
    give none. Cost: two shuffles by user (one by user and item).
    """
    marked = [rows.withColumn("_priority", F.lit(n)) for n, rows in enumerate(lists)]
    together = reduce(DataFrame.unionByName, marked)
    first = Window.partitionBy("user_id", "item_id").orderBy("_priority", "rank")
    once = together.withColumn("_copy", F.row_number().over(first)).where("_copy = 1").drop("_copy")
    order = Window.partitionBy("user_id").orderBy("_priority", "rank", "item_id")
    return once.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k).drop("_priority")


def list_groups(members: DataFrame, scores: DataFrame, seen: DataFrame, k: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the best items of the user's groups.

    `members`: user_id, group_id; `scores`: group_id, item_id, score; an item of several of the user's groups counts with their
    sum. `seen`: user_id, item_id, left out. Ties go to the smaller item_id. Cost: members x the items of their groups, so
    `scores` should have each group's best only (`best_of_groups`).
    """
    scored = members.join(scores, "group_id").groupBy("user_id", "item_id").agg(stable_sum("score").alias("score"))
    unseen = scored.join(seen.select("user_id", "item_id"), ["user_id", "item_id"], "left_anti")
    order = Window.partitionBy("user_id").orderBy(F.desc("score"), "item_id")
    ranked = unseen.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("user_id", "rank", "item_id", "score")


def best_of_groups(scores: DataFrame, n: int) -> DataFrame:
    """The `n` best items of each group: group_id, item_id, score; ties to the smaller item_id. One shuffle by group."""
    order = Window.partitionBy("group_id").orderBy(F.desc("score"), "item_id")
    return scores.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= n).drop("_place")


def users_below_k(users: DataFrame, lists: DataFrame, k: int) -> DataFrame:
    """The users with fewer than k rows in `lists`: user_id. One shuffle of each frame by user."""
    counts = lists.groupBy("user_id").agg(F.count(F.lit(1)).alias("_rows"))
    found = users.select("user_id").distinct().join(counts, "user_id", "left")
    return found.where(F.coalesce("_rows", F.lit(0)) < k).select("user_id")
