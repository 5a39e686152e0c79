"""How many edges, and how much weight, each node has."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def degrees(edges: DataFrame) -> DataFrame:
    """`node_id`, `in_degree`, `out_degree` (bigint), `in_strength`, `out_strength` (double): one row a node.

    edges: `src`, `dst`, `weight` without nulls (shoal.mine.graph.edges.clean_edges). A degree counts different neighbours, so
    parallel edges count once; a strength adds up their weights. A self loop counts on both sides. Two shuffles.
    """
    pairs = edges.groupBy("src", "dst").agg(F.sum("weight").alias("weight"))
    ends = pairs.select(F.col("src").alias("node_id"), F.lit(0).alias("is_in"), "weight").unionByName(
        pairs.select(F.col("dst").alias("node_id"), F.lit(1).alias("is_in"), "weight")
    )
    is_in = F.col("is_in")
    return ends.groupBy("node_id").agg(
        F.sum(is_in).alias("in_degree"),
        F.sum(1 - is_in).alias("out_degree"),
        F.sum(is_in * F.col("weight")).alias("in_strength"),
        F.sum((1 - is_in) * F.col("weight")).alias("out_strength"),
    )


def recent_degrees(edges: DataFrame, as_of: date, days: int) -> DataFrame:
    """`node_id`, `in_degree_<days>d`, `out_degree_<days>d` (bigint): edges of the last `days` days up to as_of, of the nodes
    that have any. edges: `src`, `dst`, `followed_at`, a pair once; an edge without a time does not count. One shuffle.
    """
    start = F.lit(f"{as_of - timedelta(days=days - 1)} 00:00:00").cast("timestamp")
    recent = edges.where(F.col("followed_at") >= start)
    ends = recent.select(F.col("src").alias("node_id"), F.lit(0).alias("is_in")).unionAll(
        recent.select(F.col("dst").alias("node_id"), F.lit(1).alias("is_in"))
    )
    is_in = F.col("is_in")
    return ends.groupBy("node_id").agg(F.sum(is_in).alias(f"in_degree_{days}d"), F.sum(1 - is_in).alias(f"out_degree_{days}d"))


def user_graph(edges: DataFrame, triangles: DataFrame, ranks: DataFrame, communities: DataFrame, as_of: date) -> DataFrame:
    """The rows of features.user_graph; a user without a rank or a community has null there."""
    page_rank = ranks.where("kind = 'follows'").select("node_id", F.col("score").alias("page_rank"))
    recent = [F.coalesce(name, F.lit(0)).cast("bigint").alias(name) for name in ("in_degree_28d", "out_degree_28d")]
    columns = ("page_rank", "community_id", "triangles")
    return (
        degrees(edges)
        .join(recent_degrees(edges, as_of, 28), "node_id", "left")
        .join(page_rank, "node_id", "left")
        .join(communities.select("node_id", "community_id"), "node_id", "left")
        .join(triangles, "node_id")
        .select("node_id", F.lit("user").alias("kind"), "in_degree", "out_degree", *recent, *columns)
    )
