"""How many edges, and how much weight, each node has."""

from __future__ import annotations

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
