"""Write which items are met by the same people, and which people meet the same items.

Reads:  silver.interactions   events up to as_of
        silver.moderation     what moderators have removed: it is similar to nothing, where the table exists
        silver.items          what items are about, where the table exists
        silver.images         their pictures, where the table exists
Writes: gold.similar_items    one row per item, kind and rank; replaces as_of. Items that share nobody with another have those whose
                              words, categories and hashtags are most like theirs (kind: content). Every item with words, a
                              picture or a price, met or not, has those of the most like vectors (kinds: word2vec, image, price)
        gold.similar_users    one row per user and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import SimilarConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.image.picture_vectors import picture_vectors
from shoal.recommend.candidates.configured import content_settings, vector_settings, word_settings
from shoal.recommend.candidates.content import ContentSettings, as_content, content_neighbours, content_terms
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.candidates.neighbours import NeighbourSettings, as_pairs, item_neighbours, swap_roles
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.price_vectors import price_vectors
from shoal.recommend.candidates.vector_neighbours import nearest_vectors
from shoal.recommend.candidates.word_vectors import word_vectors
from shoal.recommend.ranking.rules import removed_items, without_items
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.images", "silver.moderation")
WRITES = ("gold.similar_items", "gold.similar_users")
SETTINGS = ("content", "recommend")

# Price and categories have a zero that means something; words and pictures all share much that makes nobody alike.
CENTRED = ("word2vec", "image")


def build(known: DataFrame, conf: SimilarConf) -> DataFrame:
    """item_id, rank, similar_item_id, similarity: each item's `neighbours` nearest (see shoal.recommend.candidates.neighbours).

    `known`: preferences. Of a user only the newest `max_history` count. An item without a neighbour has no row. Cost:
    that of `item_neighbours`.
    """
    placed = with_places(known, conf.max_history)
    catalogue = catalogue_of(placed, conf.max_catalogue)
    settings = NeighbourSettings(conf.kind, conf.shrink, 0.0, conf.neighbours)
    return as_pairs(item_neighbours(placed, catalogue, settings), catalogue)


def with_lonely(similar: DataFrame, items: DataFrame, conf: SimilarConf, settings: ContentSettings) -> DataFrame:
    """`similar` with the content neighbours of the items that it does not have. Cost: that of `content_neighbours`; where it has
    all, a join."""
    lonely = items.select("item_id").join(similar.select("item_id").distinct(), "item_id", "left_anti")
    if lonely.isEmpty():
        return similar
    content = as_content(content_terms(items), settings)
    pairs = content_neighbours(content, conf.max_catalogue, conf.neighbours, conf.max_term_share)
    return similar.unionByName(pairs.join(lonely, "item_id", "left_semi").withColumn("kind", F.lit("content")))


def vectors_of(items: DataFrame, images: DataFrame | None, conf: SimilarConf, settings: ContentSettings) -> dict[str, DataFrame]:
    """Kind -> item_id, features, for the kinds of `conf.vectors`; `image` for the pictures of these `items` only."""
    made: dict[str, DataFrame] = {}
    if "word2vec" in conf.vectors:
        made["word2vec"] = word_vectors(content_terms(items), word_settings(conf), settings)
    if "image" in conf.vectors and images is not None:
        made["image"] = picture_vectors(images.join(items.select("item_id"), "item_id", "left_semi"), conf.max_pixels)
    if "price" in conf.vectors:
        made["price"] = price_vectors(items)
    return made


def run(lake: Lake, conf: SimilarConf, as_of: date) -> None:
    """Both tables from the day's preferences and from what the day's items are like."""
    known = preferences(lake.read("silver.interactions", before=as_of)).persist()
    held = [known]
    try:
        if known.isEmpty() and not lake.exists("silver.items"):
            raise SkippedError("silver.interactions has no event up to this day, and there is no silver.items")
        removed = removed_items(lake.read_if_exists("silver.moderation", before=as_of))
        if removed is not None:
            held.append(removed.persist())
        rows = build(without_items(known, removed), conf).withColumn("kind", F.lit(conf.kind)).persist()
        held.append(rows)
        if lake.exists("silver.items"):
            items = without_items(lake.read("silver.items", before=as_of), removed).persist()
            held.append(items)
            settings = content_settings(lake.settings.content)
            rows = with_lonely(rows, items, conf, settings)
            images = lake.read("silver.images") if lake.exists("silver.images") else None
            for kind, vectors in vectors_of(items, images, conf, settings).items():
                held.append(vectors.persist())
                pairs = nearest_vectors(vectors, vector_settings(conf, lake.settings.recommend.user_batch_size), kind in CENTRED)
                rows = rows.unionByName(pairs.withColumn("kind", F.lit(kind)))
        lake.replace("gold.similar_items", rows, on=as_of)
        users = build(swap_roles(known), conf).withColumnRenamed("item_id", "user_id")
        users = users.withColumnRenamed("similar_item_id", "similar_user_id").withColumn("kind", F.lit(conf.kind))
        lake.replace("gold.similar_users", users, on=as_of)
    finally:
        for frame in held:
            frame.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, SimilarConf, argv)


if __name__ == "__main__":
    sys.exit(main())
