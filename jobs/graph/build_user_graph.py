"""Write each user's place in the network of follows.

Reads:  silver.follows    pairs up to as_of; a pair without a time always counts
        gold.node_ranks   the day's PageRank on follows; may be missing
        gold.communities  the day's labels; may be missing
Writes: features.user_graph  one row per user in a pair; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import engine_for, triangle_count
from shoal.mine.graph.degrees import user_graph
from shoal.runner.command import run_job

READS = ("silver.follows", "gold.node_ranks", "gold.communities")
WRITES = ("features.user_graph",)


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Count triangles, put the columns together, replace the day's rows."""
    follows = lake.read("silver.follows", before=as_of)
    edges = follows.select(*(F.col(f"{end}_id").alias(end) for end in ("src", "dst")), "weight", "followed_at").persist()
    engine = engine_for(edges, conf)
    if engine is None:
        raise SkippedError("silver.follows has no pair up to this day")
    lake.run.note(engine=engine)
    ranks = lake.read("gold.node_ranks", on=as_of, missing_ok=True)
    communities = lake.read("gold.communities", on=as_of, missing_ok=True).where("relation = 'follows'")
    triangles = triangle_count(edges, conf, engine)
    # A group a node, joined with tables whose key of the day is the node.
    lake.replace("features.user_graph", user_graph(edges, triangles, ranks, communities, as_of), on=as_of, unique=True)
    edges.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
