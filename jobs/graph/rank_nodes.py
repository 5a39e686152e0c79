"""Rank users and items by PageRank.

Reads:  silver.interactions   events up to as_of
        silver.follows        pairs up to as_of; a pair without a time always counts
Writes: gold.node_ranks       one row per ranking and node; replaces as_of

The engagement graph joins a user and an item by the summed worth of the user's events with it, in both directions, so that
an item ranks high by the engagement of users who rank high, and they by it. Either input may be missing.
"""

from __future__ import annotations

import sys
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import GraphConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.algorithms import choose_engine, page_rank
from shoal.mine.graph.edges import with_reverse
from shoal.mine.graph.node_index import number_rows
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.follows")
WRITES = ("gold.node_ranks",)

# Users and items may share an id: a prefix of one letter keeps them apart in one graph.
USER, ITEM = "u", "i"


def event_worth(conf: GraphConf) -> Column:
    """What an event adds to an edge: its kind's weight, times the value for a rating; null for a kind that conf leaves out."""
    weights = [F.when(F.col("event") == kind, F.lit(float(worth))) for kind, worth in conf.event_weights.items()]
    value = F.greatest(F.coalesce("value", F.lit(1.0)), F.lit(0.0))
    return F.coalesce(*weights, F.lit(None).cast("double")) * F.when(F.col("event") == "rating", value).otherwise(1.0)


def engagement_edges(events: DataFrame, conf: GraphConf) -> DataFrame:
    """`src`, `dst`, `weight`: a user and an item that events join, in both directions; no edge of weight 0."""
    pairs = events.withColumn("worth", event_worth(conf)).groupBy("user_id", "item_id").agg(F.sum("worth").alias("weight"))
    return with_reverse(
        pairs.where("weight > 0").select(
            F.concat(F.lit(USER), "user_id").alias("src"), F.concat(F.lit(ITEM), "item_id").alias("dst"), "weight"
        )
    )


def follow_edges(follows: DataFrame) -> DataFrame:
    """`src`, `dst`, `weight` of silver.follows."""
    return follows.select(F.col("src_id").alias("src"), F.col("dst_id").alias("dst"), "weight")


def engagement_ranks(scores: DataFrame) -> dict[str, DataFrame]:
    """Scores of the engagement graph, by kind: `node_id`, `score`."""
    kinds = {"engagement_user": USER, "engagement_item": ITEM}
    node_id = F.expr("substring(node_id, 2)").alias("node_id")
    return {kind: scores.where(F.col("node_id").startswith(mark)).select(node_id, "score") for kind, mark in kinds.items()}


def rank_by_score(scores: DataFrame, kind: str) -> DataFrame:
    """`kind`, `node_id`, `score`, `rank` from 1, ties by id: a distributed sort, not one window over all nodes."""
    numbered = number_rows(scores, [F.desc("score"), F.asc("node_id")], "place")
    return numbered.select(F.lit(kind).alias("kind"), "node_id", "score", (F.col("place") + 1).alias("rank"))


def build(events: DataFrame | None, follows: DataFrame | None, conf: GraphConf) -> tuple[DataFrame, dict[str, str]]:
    """The ranks of all kinds, and the engine that each graph ran on. Raises SkippedError where no graph has an edge."""
    ranked: list[DataFrame] = []
    engines: dict[str, str] = {}
    for name, given in (
        ("engagement", None if events is None else engagement_edges(events, conf)),
        ("follows", None if follows is None else follow_edges(follows)),
    ):
        if given is None:
            continue
        edges = given.persist()
        if not edges.isEmpty():
            engines[name] = choose_engine(edges, conf)
            scores = page_rank(edges, conf, engines[name])
            parts = engagement_ranks(scores) if name == "engagement" else {name: scores}
            ranked += [rank_by_score(part, kind) for kind, part in parts.items()]
        edges.unpersist()
    if not ranked:
        raise SkippedError("no event and no follow up to this day; `shoal ingest` brings them")
    return reduce(DataFrame.unionByName, ranked), engines


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Rank what there is and replace the day's rows."""
    events, follows = (
        lake.read(name, before=as_of) if lake.exists(name) else None for name in ("silver.interactions", "silver.follows")
    )
    ranks, engines = build(events, follows, conf)
    lake.run.note(**{f"engine_{name}": engine for name, engine in engines.items()})
    lake.replace("gold.node_ranks", ranks, on=as_of)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
