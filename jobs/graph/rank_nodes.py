"""Rank users and items by PageRank, and users of follows by other measures too.

Reads:  silver.interactions   events up to as_of
        silver.follows        pairs up to as_of; a pair without a time always counts
Writes: gold.node_ranks       one row per ranking and node; replaces as_of

Either input may be missing.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.rankings import rank_graphs
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.follows")
WRITES = ("gold.node_ranks",)


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Rank what there is and replace the day's rows."""
    events, follows = (lake.read_if_exists(name, before=as_of) for name in READS)
    ranks, notes = rank_graphs(events, follows, conf)
    if ranks is None:
        raise SkippedError("no event and no follow up to this day; `shoal ingest` writes them")
    lake.run.note(**notes)
    # A node has one score of each kind.
    lake.replace("gold.node_ranks", ranks, on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
