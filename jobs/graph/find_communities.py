"""Find communities among those who are tied to each other, by relation, and follow them from run to run.

Reads:  silver.follows          pairs up to as_of, for the relation follows; a pair without a time always counts
        features.edges          the day's edges, for the other relations of graph.community_relations; may be missing
        gold.communities        the last run's, whose ids stay
Writes: gold.communities        one row per relation and user with an edge; replaces as_of
        gold.community_changes  one row per birth, death, split and merge since the last run; replaces as_of

Leiden on the driver up to graph.local_max_edges, Louvain in Spark above, unless graph.community_method names label propagation.
"""

from __future__ import annotations

import sys
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import engine_for, find_communities
from shoal.mine.graph.lineage import carry_ids, changes, no_changes
from shoal.mine.graph.relations import edges_of
from shoal.runner.command import run_job
from shoal.spark.checkpoints import cut_lineage

READS = ("silver.follows", "features.edges", "gold.communities")
WRITES = ("gold.communities", "gold.community_changes")


def last_members(lake: Lake, relation: str, as_of: date) -> DataFrame | None:
    """node_id, community_id of the last run before as_of; None without one. One small job."""
    known = lake.read_if_exists("gold.communities")
    if known is None:
        return None
    earlier = known.where((F.col("relation") == relation) & (F.col("as_of") < F.lit(as_of)))
    last = earlier.agg(F.max("as_of")).collect()[0][0]
    return None if last is None else earlier.where(F.col("as_of") == F.lit(last)).select("node_id", "community_id")


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Find the communities of each relation that has an edge, then replace the day's rows of both tables."""
    follows, tied = lake.read_if_exists("silver.follows", before=as_of), lake.read_if_exists("features.edges", on=as_of)
    written: dict[str, list[DataFrame]] = {name: [] for name in WRITES}
    kept: list[DataFrame] = []
    for relation in conf.community_relations:
        given = edges_of(relation, follows, tied)
        if given is None:
            continue
        edges = given.persist()
        kept.append(edges)
        engine = engine_for(edges, conf)
        if engine is None:
            continue
        members, method = find_communities(edges, conf, engine)
        lake.run.note(**{f"engine_{relation}": engine, f"method_{relation}": method})
        marks = {"relation": F.lit(relation), "method": F.lit(method)}
        before = last_members(lake, relation, as_of)
        if before is not None:
            members = carry_ids(members, before, as_of.isoformat()).transform(cut_lineage)
        # The table is there from the first run on.
        changed = no_changes(members) if before is None else changes(members, before)
        written["gold.community_changes"].append(changed.withColumns(marks))
        written["gold.communities"].append(members.withColumns(marks))
    if not written["gold.communities"]:
        raise SkippedError(f"{', '.join(conf.community_relations)}: no two users are tied to each other up to this day")
    for name, frames in written.items():
        if frames:
            # A node has one label of a relation, and a change is a group's.
            lake.replace(name, reduce(DataFrame.unionByName, frames), on=as_of, unique=True)
    for edges in kept:
        edges.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
