"""Write which items are met by the same people, and which people meet the same items.

Reads:  silver.interactions   events up to as_of
        silver.items          what items are about, where the table exists
Writes: gold.similar_items    one row per item and rank; replaces as_of. Items that share nobody with another have those whose
                              words, categories and hashtags are most like theirs (kind: content)
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
from shoal.recommend.configured import content_settings
from shoal.recommend.content import ContentSettings, as_content, content_neighbours, content_terms
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


def with_lonely(similar: DataFrame, items: DataFrame, conf: SimilarConf, settings: ContentSettings) -> DataFrame:
    """`similar` with the content neighbours of the items that it does not have. Cost: that of `content_neighbours`; where it has
    all, a join."""
    lonely = items.select("item_id").join(similar.select("item_id").distinct(), "item_id", "left_anti")
    if lonely.isEmpty():
        return similar
    content = as_content(content_terms(items), settings)
    pairs = content_neighbours(content, conf.max_ids, conf.neighbours, conf.max_term_share)
    return similar.unionByName(pairs.join(lonely, "item_id", "left_semi").withColumn("kind", F.lit("content")))


def run(lake: Lake, conf: SimilarConf, as_of: date) -> None:
    """Both tables from the day's preferences."""
    known = preferences(lake.read("silver.interactions", before=as_of)).persist()
    try:
        if known.isEmpty():
            raise SkippedError("silver.interactions has no event up to this day")
        similar = build(known, conf).withColumn("kind", F.lit(conf.kind)).persist()
        if lake.exists("silver.items"):
            rows = with_lonely(similar, lake.read("silver.items", before=as_of), conf, content_settings(lake.settings.content))
            lake.replace("gold.similar_items", rows, on=as_of)
        else:
            lake.replace("gold.similar_items", similar, on=as_of)
        similar.unpersist()
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
