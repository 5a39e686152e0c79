"""Describe each community: size, ties inside and out, leading members, hashtags, what its members' texts sound like.

Reads:  gold.communities        the day's members by relation
        silver.follows          pairs up to as_of, for the relation follows
        features.edges          the day's edges, for the other relations; may be missing
        silver.items            hashtags of what members posted, for names; may be missing
        gold.node_ranks         the day's PageRank on follows, to name the leading members; degree without PageRank
        silver.texts            texts up to as_of, by author; may be missing
        gold.sentiments         their polarities; may be missing
Writes: gold.community_summary  one row per relation and community; replaces as_of
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
from shoal.mine.graph.modularity import leader_scores, summarise_communities, with_top_members
from shoal.mine.graph.names import with_hashtags
from shoal.mine.graph.relations import edges_of
from shoal.mine.graph.tone import polarities, with_sentiment
from shoal.runner.command import run_job

READS = (
    "gold.communities", "silver.follows", "features.edges", "silver.items", "gold.node_ranks", "silver.texts", "gold.sentiments",
)  # fmt: skip
WRITES = ("gold.community_summary",)


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Describe the communities of each relation that has any, and replace the day's rows."""
    known = lake.read("gold.communities", on=as_of)
    # A row a relation: five at most.
    methods = {row["relation"]: row["method"] for row in known.select("relation", "method").distinct().collect()}
    if not methods:
        raise SkippedError(f"gold.communities has no row of {as_of}; `shoal run find_communities` writes them")
    follows, items, texts = (lake.read_if_exists(f"silver.{name}", before=as_of) for name in ("follows", "items", "texts"))
    tied, ranks = (lake.read_if_exists(name, on=as_of) for name in ("features.edges", "gold.node_ranks"))
    scored = lake.read_if_exists("gold.sentiments")
    tones = None if texts is None or scored is None else polarities(texts, scored)
    found: list[DataFrame] = []
    kept: list[DataFrame] = []
    for relation, method in sorted(methods.items()):
        given = edges_of(relation, follows, tied)
        if given is None:
            continue
        edges = given.persist()
        members = known.where(F.col("relation") == relation).select("node_id", "community_id").persist()
        kept += [edges, members]
        summary = summarise_communities(edges, members).transform(
            with_top_members, members, leader_scores(edges, ranks), conf.top_members
        )
        named = with_hashtags(summary, members, items).transform(with_sentiment, members, tones)
        found.append(named.withColumns({"relation": F.lit(relation), "method": F.lit(method)}))
    if not found:
        raise SkippedError("the edges that the communities were found in are gone")
    # A summary is a group's.
    lake.replace("gold.community_summary", reduce(DataFrame.unionByName, found), on=as_of, unique=True)
    for frame in kept:
        frame.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
