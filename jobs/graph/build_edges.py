"""Write who is tied to whom, by relation: same hashtags, same items, mentions, answers, follows.

Reads:  silver.items          posts: hashtags, owners, words; those known by as_of
        silver.texts          comments, captions: authors, words, what they are about, up to as_of; may be missing
        silver.interactions   events up to as_of; may be missing
        silver.users          names; may be missing
        silver.follows        pairs up to as_of; may be missing
Writes: features.edges        one row per relation and pair; replaces as_of
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
from shoal.mine.graph.edges import follow_edges
from shoal.mine.graph.relations import mention_edges, reply_edges, shared_edges
from shoal.runner.command import run_job

READS = ("silver.items", "silver.texts", "silver.interactions", "silver.users", "silver.follows")
WRITES = ("features.edges",)


def relations(lake: Lake, conf: GraphConf, as_of: date) -> dict[str, DataFrame]:
    """src, dst, weight of each relation that there are tables for."""
    items, texts, events, users, follows = (
        lake.read_if_exists(name, before=as_of if name != "silver.users" else None) for name in READS
    )
    found: dict[str, DataFrame] = {}
    if items is not None:
        tags = items.select(F.col("owner_id").alias("user_id"), F.explode("hashtags").alias("thing"))
        found["hashtags"] = shared_edges(tags.withColumn("thing", F.lower("thing")), conf.edges_per_node)
    if events is not None:
        met = events.select("user_id", F.col("item_id").alias("thing"))
        found["co_engagement"] = shared_edges(met, conf.edges_per_node)
    if texts is not None and items is not None:
        found["replies"] = reply_edges(texts, items)
    if users is not None and items is not None:
        words = items.select(F.col("owner_id").alias("author_id"), "text")
        written = words if texts is None else words.unionByName(texts.select("author_id", "text"))
        found["mentions"] = mention_edges(written, users)
    if follows is not None:
        pairs = follow_edges(follows).groupBy("src", "dst").agg(F.sum(F.coalesce("weight", F.lit(1.0))).alias("weight"))
        found["follows"] = pairs
    return found


def run(lake: Lake, conf: GraphConf, as_of: date) -> None:
    """Put the relations together and replace the day's rows."""
    found = relations(lake, conf, as_of)
    frames = [edges.select(F.lit(name).alias("relation"), "src", "dst", "weight") for name, edges in found.items()]
    if not frames:
        raise SkippedError("no table that ties users to each other; `shoal ingest` writes them")
    rows = reduce(DataFrame.unionByName, frames).withColumnsRenamed({"src": "src_id", "dst": "dst_id"})
    # A group a pair.
    if not lake.replace("features.edges", rows, on=as_of, unique=True):
        raise SkippedError(f"no two users are tied to each other up to {as_of}")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, GraphConf, argv)


if __name__ == "__main__":
    sys.exit(main())
