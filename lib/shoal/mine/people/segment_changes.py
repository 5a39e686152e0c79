"""Segments from run to run: numbers that stay with most of their users, and who moved from one to another."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def as_members(found: DataFrame) -> DataFrame:
    """`node_id`, `community_id` of `user_id`, `segment_id`: what shoal.mine.graph.lineage matches."""
    return found.select(F.col("user_id").alias("node_id"), F.col("segment_id").cast("string").alias("community_id"))


def carry_segment_ids(found: DataFrame, inherited: DataFrame, highest: int) -> DataFrame:
    """`found` with `segment_id` (int) of the last run where a segment is the same; any other gets the next number above `highest`.

    found: `user_id`, `segment_id`, `segment_name`, a user once. inherited: `community_id`, `inherited` of
    shoal.mine.graph.lineage.inherited_ids on `as_members` of this and the last run. Collects a row a segment: MAX_K of
    shoal.mine.people.segments, ten, where it chooses their number.
    """
    present = as_members(found).select("community_id").distinct()
    rows = present.join(inherited, "community_id", "left").collect()
    # In the order of the day's numbers, the largest first.
    ids, following = dict[int, int](), highest + 1
    for row in sorted(rows, key=lambda row: int(row["community_id"])):
        if row["inherited"] is None:
            ids[int(row["community_id"])], following = following, following + 1
        else:
            ids[int(row["community_id"])] = int(row["inherited"])
    pairs = [F.lit(value) for pair in ids.items() for value in pair]
    return found.withColumn("segment_id", F.create_map(*pairs)[F.col("segment_id")])


def segment_changes(found: DataFrame, before: DataFrame) -> DataFrame:
    """A row a user of both runs whose segment is another: `user_id`, `segment_id`, `segment_name`, `segment_id_before`,
    `segment_name_before`. found: after `carry_segment_ids`. One join."""
    old = before.select(
        "user_id", F.col("segment_id").alias("segment_id_before"), F.col("segment_name").alias("segment_name_before")
    )
    both = found.select("user_id", "segment_id", "segment_name").join(old, "user_id")
    return both.where(F.col("segment_id") != F.col("segment_id_before"))
