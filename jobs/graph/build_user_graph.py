"""Write each user's place in the network of follows.

Reads:  silver.follows    pairs up to as_of; a pair without a time always counts
        gold.node_ranks   the day's PageRank on follows; may be missing
        gold.communities  the day's labels; may be missing
Writes: features.user_graph  one row per user in a pair; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import choose_engine, triangle_count
from shoal.mine.graph.degrees import degrees
from shoal.runner.command import run_job

READS = ("silver.follows", "gold.node_ranks", "gold.communities")
WRITES = ("features.user_graph",)


def build(edges: DataFrame, triangles: DataFrame, ranks: DataFrame, communities: DataFrame) -> DataFrame:
    """The rows of features.user_graph; a user without a rank or a community has null there."""
    page_rank = ranks.where("kind = 'follows'").select("node_id", F.col("score").alias("page_rank"))
    return (
        degrees(edges)
        .select("node_id", F.lit("user").alias("kind"), "in_degree", "out_degree")
        .join(page_rank, "node_id", "left")
        .join(communities.select("node_id", "community_id"), "node_id", "left")
        .join(triangles, "node_id")
    )


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Count triangles, put the columns together, replace the day's rows."""
    follows = lake.read("silver.follows", before=as_of)
    edges = follows.select(F.col("src_id").alias("src"), F.col("dst_id").alias("dst"), "weight").persist()
    if edges.isEmpty():
        raise SkippedError("silver.follows has no pair up to this day")
    engine = choose_engine(edges, conf)
    lake.run.note(engine=engine)
    ranks = lake.read("gold.node_ranks", on=as_of, missing_ok=True)
    communities = lake.read("gold.communities", on=as_of, missing_ok=True)
    lake.replace("features.user_graph", build(edges, triangle_count(edges, conf, engine), ranks, communities), on=as_of)
    edges.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
