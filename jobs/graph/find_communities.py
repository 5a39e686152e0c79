"""Find communities among those who follow each other.

Reads:  silver.follows          pairs up to as_of; a pair without a time always counts
        gold.node_ranks         the day's PageRank on follows, to name the leading members; degree without PageRank
Writes: gold.communities        one row per user in a pair; replaces as_of
        gold.community_summary  one row per community; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import engine_for, label_propagation
from shoal.mine.graph.edges import follow_edges
from shoal.mine.graph.modularity import leader_scores, summarise_communities, with_top_members
from shoal.runner.command import run_job

READS = ("silver.follows", "gold.node_ranks")
WRITES = ("gold.communities", "gold.community_summary")


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Label the nodes, then replace the day's rows of both tables."""
    edges = follow_edges(lake.read("silver.follows", before=as_of)).persist()
    engine = engine_for(edges, conf)
    if engine is None:
        raise SkippedError("silver.follows has no pair up to this day")
    lake.run.note(engine=engine)
    members = label_propagation(edges, conf, engine)
    scores = leader_scores(edges, lake.read_if_exists("gold.node_ranks", on=as_of))
    summary = summarise_communities(edges, members).transform(with_top_members, members, scores, conf.top_members)
    # A node has one label, and the summary is grouped by label.
    lake.replace("gold.communities", members, on=as_of, unique=True)
    lake.replace("gold.community_summary", summary, on=as_of, unique=True)
    edges.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
