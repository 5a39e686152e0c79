"""Lists from several models as one, and lists that groups of users share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.ranking.sums import stable_sum


def distinct_users(frames: Sequence[DataFrame]) -> DataFrame:
    """user_id, once each and never null, of frames with that one column; at least one frame. Cost: one shuffle."""
    return reduce(DataFrame.unionByName, frames).where("user_id is not null").distinct()


def backfill_lists(lists: Sequence[DataFrame], k: int) -> DataFrame:
    """One row per user and rank 1..k: each user's first list, then the items of the later lists that are in no earlier one.

    `lists`: frames of the same columns, user_id, rank and item_id among them; an item stands where it stands first. Empty lists
    give an empty frame. Cost: that of `merge_by_priority`.
    """
    marked = [rows.withColumn("_priority", F.lit(n)) for n, rows in enumerate(lists)]
    return merge_by_priority(reduce(DataFrame.unionByName, marked), k)


def merge_by_priority(rows: DataFrame, k: int) -> DataFrame:
    """One row per user and rank 1..k: the rows in order of _priority, then rank, then item_id, each item once; without _priority.

    Cost: one shuffle by user, two sorts within a user.
    """
    first = Window.partitionBy("user_id", "item_id").orderBy("_priority", "rank")
    order = Window.partitionBy("user_id").orderBy("_priority", "rank", "item_id")
    # Rows that lie together by user do so by user and item too: the first window needs no shuffle of its own.
    once = rows.repartition("user_id").withColumn("_copy", F.row_number().over(first)).where("_copy = 1").drop("_copy")
    return once.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k).drop("_priority")


def list_groups(members: DataFrame, scores: DataFrame, seen: DataFrame, k: int) -> DataFrame:
    """One row per source, user and rank 1..k: source, user_id, rank, item_id, score: the best items of the user's groups.

    `members`: source, user_id, group_id; `scores`: source, group_id, item_id, score; groups of different sources have nothing to do
    with each other. An item of several of the user's groups counts with their sum. `seen`: user_id, item_id, never listed. Ties go
    to the smaller item_id. Cost: members x the items of their groups, so `scores` should have each group's best only
    (`best_of_groups`).
    """
    scored = members.join(scores, ["source", "group_id"]).groupBy("source", "user_id", "item_id")
    unseen = scored.agg(stable_sum("score").alias("score")).join(
        seen.select("user_id", "item_id"), ["user_id", "item_id"], "left_anti"
    )
    order = Window.partitionBy("source", "user_id").orderBy(F.desc("score"), "item_id")
    ranked = unseen.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("source", "user_id", "rank", "item_id", "score")


def best_of_groups(scores: DataFrame, n: int) -> DataFrame:
    """The `n` best items of each group: source, group_id, item_id, score; ties to the smaller item_id. One shuffle by group."""
    order = Window.partitionBy("source", "group_id").orderBy(F.desc("score"), "item_id")
    return scores.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= n).drop("_place")


def users_below_k(users: DataFrame, lists: DataFrame, k: int) -> DataFrame:
    """The users with fewer than k rows in `lists`: user_id. One shuffle of each frame by user."""
    counts = lists.groupBy("user_id").agg(F.count(F.lit(1)).alias("_rows"))
    found = users.select("user_id").distinct().join(counts, "user_id", "left")
    return found.where(F.coalesce("_rows", F.lit(0)) < k).select("user_id")
