"""Names of communities that a person can read."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

TOP_HASHTAGS, NAMED = 10, 3


def with_hashtags(summary: DataFrame, members: DataFrame, items: DataFrame | None) -> DataFrame:
    """`summary` (community_id, nodes, internal_edges ...) with `top_hashtags` (array, those that most members have used first,
    ties by name), `name` and `density`.

    members: `node_id`, `community_id`; items: silver.items, or None. A hashtag that only one member uses is none of the
    community's. The name is the first NAMED hashtags, else the number of members. `density` is the share of pairs of members
    that have an edge, null for one member. Three shuffles.
    """
    pairs = F.col("nodes") * (F.col("nodes") - 1) / 2
    framed = summary.withColumn("density", F.when(pairs > 0, F.least(F.col("internal_edges") / pairs, F.lit(1.0))))
    if items is None:
        framed = framed.withColumn("top_hashtags", F.array().cast("array<string>"))
    else:
        used = items.select(F.col("owner_id").alias("node_id"), F.explode("hashtags").alias("tag")).distinct()
        counts = used.join(members, "node_id").groupBy("community_id", "tag").agg(F.count("*").alias("users")).where("users > 1")
        order = Window.partitionBy("community_id").orderBy(F.desc("users"), "tag")
        best = counts.withColumn("place", F.row_number().over(order)).where(F.col("place") <= TOP_HASHTAGS)
        ordered = F.array_sort(F.collect_list(F.struct("place", "tag")))["tag"]
        lists = best.groupBy("community_id").agg(ordered.alias("top_hashtags"))
        framed = framed.join(lists, "community_id", "left")
        framed = framed.withColumn("top_hashtags", F.coalesce("top_hashtags", F.array().cast("array<string>")))
    tags = F.transform(F.slice("top_hashtags", 1, NAMED), lambda tag: F.concat(F.lit("#"), tag))
    size = F.concat(F.col("nodes").cast("string"), F.when(F.col("nodes") == 1, " member").otherwise(" members"))
    return framed.withColumn("name", F.when(F.size("top_hashtags") > 0, F.concat_ws(" ", tags)).otherwise(size))
