"""How good a partition into communities is: modularity, conductance, edges inside and across."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.mine.graph.degrees import degrees
from shoal.mine.graph.edges import as_undirected


def summarise_communities(edges: DataFrame, communities: DataFrame) -> DataFrame:
    """One row a community: `community_id`, `nodes`, `internal_edges` (bigint), `internal_weight`, `external_weight`,
    `conductance`, `modularity`, `total_modularity` (double).

    edges: `src`, `dst`, `weight` (shoal.mine.graph.edges.clean_edges), taken as undirected. communities: `node_id`,
    `community_id`, one row a node; an edge of a node that has none is excluded. With m the summed weight, w the weight
    inside and x the weight across, the volume is 2w + x, and

    modularity = w / m - (volume / 2m)^2, the community's term of Newman's Q (Analysis of weighted networks, 2004, eq. 6);
    total_modularity, in every row, is their sum, -0.5 to 1. A self loop is inside and adds twice its weight to the volume.
    conductance = x / min(volume, 2m - volume), 0 to 1; null where that minimum is 0 (one community holds everything).
    All three are null in a graph whose weight is 0. Three shuffles, and a broadcast of one row.
    """
    of = communities.select("node_id", "community_id")
    pairs = (
        as_undirected(edges)
        .join(of.toDF("src", "a"), "src")
        .join(of.toDF("dst", "b"), "dst")
        .select("a", "b", "weight", (F.col("a") == F.col("b")).alias("is_inside"))
    )
    inside = F.when(F.col("is_inside"), F.col("weight")).otherwise(0.0)
    across = F.when(F.col("is_inside"), 0.0).otherwise(F.col("weight"))
    sides = F.when(F.col("is_inside"), F.array("a")).otherwise(F.array("a", "b"))
    found = (
        pairs.select(F.explode(sides).alias("community_id"), F.col("is_inside"), inside.alias("w"), across.alias("x"))
        .groupBy("community_id")
        .agg(F.count_if("is_inside").alias("internal_edges"), F.sum("w").alias("w"), F.sum("x").alias("x"))
    )
    weight = pairs.agg(F.sum("weight").alias("m"))
    volume = 2 * F.col("w") + F.col("x")
    smaller = F.least(volume, 2 * F.col("m") - volume)
    term = F.when(F.col("m") > 0, F.col("w") / F.col("m") - F.pow(volume / (2 * F.col("m")), F.lit(2.0)))
    rows = (
        of.groupBy("community_id")
        .agg(F.count("*").alias("nodes"))
        .join(found, "community_id", "left")
        .fillna(0, ["internal_edges", "w", "x"])
        .crossJoin(F.broadcast(weight))
        .select(
            "community_id",
            "nodes",
            "internal_edges",
            F.col("w").alias("internal_weight"),
            F.col("x").alias("external_weight"),
            F.when(smaller > 0, F.col("x") / smaller).alias("conductance"),
            term.alias("modularity"),
        )
    )
    return rows.crossJoin(F.broadcast(rows.agg(F.sum("modularity").alias("total_modularity"))))


def modularity(edges: DataFrame, communities: DataFrame) -> float | None:
    """Newman's Q of the partition, see summarise_communities; None for a graph without weight. Collects one number."""
    row = summarise_communities(edges, communities).agg(F.max("total_modularity")).first()
    return None if row is None or row[0] is None else float(row[0])


def leader_scores(edges: DataFrame, ranks: DataFrame | None) -> DataFrame:
    """`node_id`, `score`: PageRank on follows where `ranks` (gold.node_ranks of a day) has any, else the summed weight of a node's
    edges. One small job."""
    ranked = None if ranks is None else ranks.where("kind = 'follows'").select("node_id", "score")
    if ranked is not None and not ranked.isEmpty():
        return ranked
    return degrees(edges).select("node_id", (F.col("in_strength") + F.col("out_strength")).alias("score"))


def with_top_members(summary: DataFrame, communities: DataFrame, scores: DataFrame, count: int) -> DataFrame:
    """`summary` with `top_members` (array<string>): the `count` members of highest score, best first, ties by id.

    communities: `node_id`, `community_id`; scores: `node_id`, `score`. A member without a score comes last.
    """
    best = Window.partitionBy("community_id").orderBy(F.desc_nulls_last("score"), "node_id")
    ranked = (
        communities.select("node_id", "community_id")
        .join(scores.select("node_id", "score"), "node_id", "left")
        .withColumn("place", F.row_number().over(best))
        .where(F.col("place") <= count)
    )
    lists = ranked.groupBy("community_id").agg(F.sort_array(F.collect_list(F.struct("place", "node_id"))).alias("top"))
    return summary.join(lists.select("community_id", F.col("top.node_id").alias("top_members")), "community_id", "left")
