"""Write which items are met by the same people, and which people meet the same items.

Reads:  silver.interactions   events up to as_of
Writes: gold.similar_items    one row per item and rank; replaces as_of
        gold.similar_users    one row per user and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf import SimilarConf
from shoal.errors import SkippedError
from shoal.lake import Lake
from shoal.recommend.histories import catalogue_of, with_places
from shoal.recommend.neighbours import NeighbourSettings, as_pairs, item_neighbours, swap_roles
from shoal.recommend.preferences import preferences
from shoal.runs import run_job


def build(known: DataFrame, conf: SimilarConf) -> DataFrame:
    """item_id, rank, similar_item_id, similarity: each item's `neighbours` nearest (see shoal.recommend.neighbours).

    `known`: preferences. Of a user only the newest `max_history` count. An item without a neighbour has no row. Cost:
    that of `item_neighbours`.
    """
    placed = with_places(known, conf.max_history)
    catalogue = catalogue_of(placed, conf.max_ids)
    settings = NeighbourSettings(conf.kind, conf.shrink, 0.0, conf.neighbours)
    return as_pairs(item_neighbours(placed, catalogue, settings), catalogue)


def run(lake: Lake, conf: SimilarConf, as_of: date) -> None:
    """Both tables from the day's preferences."""
    known = preferences(lake.read("silver.interactions", before=as_of)).persist()
    try:
        if known.isEmpty():
            raise SkippedError("silver.interactions has no event up to this day")
        lake.replace("gold.similar_items", build(known, conf).withColumn("kind", F.lit(conf.kind)), on=as_of)
        users = build(swap_roles(known), conf).withColumnRenamed("item_id", "user_id")
        users = users.withColumnRenamed("similar_item_id", "similar_user_id").withColumn("kind", F.lit(conf.kind))
        lake.replace("gold.similar_users", users, on=as_of)
    finally:
        known.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runs for arguments and exit codes."""
    return run_job(__doc__, run, SimilarConf, argv)


if __name__ == "__main__":
    sys.exit(main())
