"""How many edges, and how much weight, each node has."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def degrees(edges: DataFrame) -> DataFrame:
    """`node_id`, `in_degree`, `out_degree`, `degree` (bigint), `in_strength`, `out_strength` (double): one row a node.

    edges: `src`, `dst`, `weight` without nulls (shoal.mine.graph.edges.clean_edges). In- and out-degree count different neighbours,
    so parallel edges count once; `degree` counts those in either direction once and leaves the node itself aside. A strength adds
    up weights. A self loop counts on both sides of all but `degree`. Two shuffles.
    """
    is_up, weight = F.col("src") <= F.col("dst"), F.col("weight")
    pairs = edges.groupBy(F.least("src", "dst").alias("low"), F.greatest("src", "dst").alias("high")).agg(
        F.max(is_up.cast("int")).alias("up"),
        F.max((~is_up).cast("int")).alias("down"),
        F.sum(F.when(is_up, weight).otherwise(0.0)).alias("up_weight"),
        F.sum(F.when(is_up, 0.0).otherwise(weight)).alias("down_weight"),
    )
    is_other = (F.col("low") != F.col("high")).cast("int").alias("degree")

    def end(node: str, outward: str, inward: str) -> DataFrame:
        out = (F.col(outward).alias("out_degree"), F.col(f"{outward}_weight").alias("out_strength"))
        into = (F.col(inward).alias("in_degree"), F.col(f"{inward}_weight").alias("in_strength"))
        return pairs.select(F.col(node).alias("node_id"), *into, *out, is_other)

    sums = [F.sum(name).alias(name) for name in ("in_degree", "out_degree", "degree", "in_strength", "out_strength")]
    return end("low", "up", "down").unionByName(end("high", "down", "up")).groupBy("node_id").agg(*sums)


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
    """The rows of features.user_graph; a user without a rank or a community has null there, one of fewer than two neighbours a
    clustering of 0 (as networkx has it)."""
    degree = F.col("degree")
    clustering = F.when(degree > 1, 2 * F.col("triangles") / (degree * (degree - 1))).otherwise(0.0).alias("clustering")
    page_rank = ranks.where("kind = 'follows'").select("node_id", F.col("score").alias("page_rank"))
    recent = [F.coalesce(name, F.lit(0)).cast("bigint").alias(name) for name in ("in_degree_28d", "out_degree_28d")]
    columns = ("page_rank", "community_id", "triangles", clustering)
    return (
        degrees(edges)
        .join(recent_degrees(edges, as_of, 28), "node_id", "left")
        .join(page_rank, "node_id", "left")
        .join(communities.select("node_id", "community_id"), "node_id", "left")
        .join(triangles, "node_id")
        .select("node_id", F.lit("user").alias("kind"), "in_degree", "out_degree", *recent, *columns)
    )
