"""Find communities among those who follow each other.

Reads:  silver.follows          pairs up to as_of; a pair without a time always counts
        gold.node_ranks         the day's PageRank on follows, to name the leading members; degree where there is none
Writes: gold.communities        one row per user in a pair; replaces as_of
        gold.community_summary  one row per community; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import choose_engine, label_propagation
from shoal.mine.graph.degrees import degrees
from shoal.mine.graph.modularity import summarise_communities, with_top_members
from shoal.runner.command import run_job

READS = ("silver.follows", "gold.node_ranks")
WRITES = ("gold.communities", "gold.community_summary")


def follow_edges(follows: DataFrame) -> DataFrame:
    """`src`, `dst`, `weight` of silver.follows."""
    return follows.select(F.col("src_id").alias("src"), F.col("dst_id").alias("dst"), "weight")


def leader_scores(edges: DataFrame, ranks: DataFrame | None) -> DataFrame:
    """`node_id`, `score`: PageRank on follows where there is any of the day, else the summed weight of a node's edges."""
    ranked = None if ranks is None else ranks.where("kind = 'follows'").select("node_id", "score")
    if ranked is not None and not ranked.isEmpty():
        return ranked
    return degrees(edges).select("node_id", (F.col("in_strength") + F.col("out_strength")).alias("score"))


def summarise(edges: DataFrame, members: DataFrame, scores: DataFrame, top_members: int) -> DataFrame:
    """The rows of gold.community_summary."""
    return summarise_communities(edges, members).transform(with_top_members, members, scores, top_members)


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Label the nodes, then replace the day's rows of both tables."""
    edges = follow_edges(lake.read("silver.follows", before=as_of)).persist()
    if edges.isEmpty():
        raise SkippedError("silver.follows has no pair up to this day")
    engine = choose_engine(edges, conf)
    lake.run.note(engine=engine)
    members = label_propagation(edges, conf, engine)
    ranks = lake.read("gold.node_ranks", on=as_of) if lake.exists("gold.node_ranks") else None
    summary = summarise(edges, members, leader_scores(edges, ranks), conf.top_members)
    lake.replace("gold.communities", members, on=as_of)
    lake.replace("gold.community_summary", summary, on=as_of)
    edges.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
