"""Write which items are met by the same people, and which people meet the same items.

Reads:  silver.interactions   events up to as_of
        silver.moderation     items that moderators have removed: they are similar to none, where the table exists
        gold.moderation       items that the moderation model removes, where the table exists
        silver.items          what items are about, where the table exists
        features.texts        vectors of what is written about them (silver.texts) and, by features.text_terms, in them, where the
                              tables exist and have such a text
        features.images       vectors of their pictures, where the table exists
        features.item_vectors   the day's vectors of texts, picture and graph together, where the table exists
Writes: gold.similar_items    one row per item, kind and rank; replaces as_of. Items that share no user with another have those
                              whose words, categories and hashtags are most like theirs (kind: content). Every item with words, a
                              picture or a price, met or not, has those of the most like vectors (kinds: text, image, price,
                              multimodal). In place of text, where features.texts has no text about an item: the kind
                              word2vec, of their own words
        gold.similar_users    one row per user and rank; replaces as_of
"""

from __future__ import annotations

import logging
import sys
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import SimilarConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.image.picture_vectors import picture_vectors
from shoal.models.decisions import read_decisions
from shoal.models.item_texts import item_text_parts
from shoal.recommend.candidates.configured import content_settings, vector_settings
from shoal.recommend.candidates.neighbours import swap_roles
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.feeds.similar import (
    item_content,
    item_vectors,
    neighbours_by_content,
    neighbours_by_events,
    neighbours_by_texts,
    neighbours_by_vectors,
)
from shoal.recommend.ranking.caching import Keep, caching
from shoal.recommend.ranking.rules import removed_items, without_items
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.texts", "features.texts", "features.text_terms", "features.images",
         "features.item_vectors", "silver.moderation", "gold.moderation")  # fmt: skip
WRITES = ("gold.similar_items", "gold.similar_users")
SETTINGS = ("content", "recommend", "texts")
LOG = logging.getLogger(__name__)


def similar_by_text(lake: Lake, conf: SimilarConf, items: DataFrame, as_of: date, keep: Keep) -> DataFrame | None:
    """The neighbours of `items` by the vectors of features.texts; None where it has no text about one of them, which the log states
    and the run's tag text_vectors."""
    found = item_text_parts(lake, items, as_of)
    if found is None:
        LOG.info("features.texts has no text about an item: neighbours by the items' own words, kind word2vec")
        lake.run.note(text_vectors="none in features.texts: own words")
        return None
    version, parts = found
    lake.run.note(text_vectors=version)
    return neighbours_by_texts(parts, conf, vector_settings(conf, lake.settings.recommend.user_batch_size), keep)


def similar_by_description(
    lake: Lake, conf: SimilarConf, items: DataFrame, by_events: DataFrame, as_of: date, keep: Keep
) -> list[DataFrame]:
    """The neighbours of `items` by content, for those without a row in `by_events`, by their texts, and by vectors."""
    others = lake.settings
    settings = content_settings(others.content)
    by_text = similar_by_text(lake, conf, items, as_of, keep) if "text" in conf.vectors else None
    if "text" in conf.vectors and by_text is None and "word2vec" not in conf.vectors:
        conf = conf.model_copy(update={"vectors": [*conf.vectors, "word2vec"]})
    lonely = keep(items.select("item_id").join(by_events.select("item_id").distinct(), "item_id", "left_anti"))
    is_needed = not lonely.isEmpty()
    content = item_content(items, settings, keep) if is_needed or "word2vec" in conf.vectors else None
    found = [neighbours_by_content(lonely, content, conf)] if is_needed and content is not None else []
    images = lake.read_if_exists("features.images") if "image" in conf.vectors else None
    pictures = None if images is None else picture_vectors(images.join(items.select("item_id"), "item_id", "left_semi"))
    vectors = item_vectors(items, content, pictures, conf, settings)
    together = lake.read_if_exists("features.item_vectors", on=as_of) if "multimodal" in conf.vectors else None
    if together is not None:
        kept = together.join(items.select("item_id"), "item_id", "left_semi")
        vectors["multimodal"] = kept.select("item_id", F.col("vector").alias("features"))
    found += [] if by_text is None else [by_text]
    return found + neighbours_by_vectors(vectors, vector_settings(conf, others.recommend.user_batch_size), keep)


def run(lake: Lake, conf: SimilarConf, as_of: date) -> None:
    """Both tables from the day's preferences and from what the day's items are like."""
    with caching() as keep:
        met = keep(preferences(lake.read("silver.interactions", before=as_of)))
        items = lake.read_if_exists("silver.items", before=as_of)
        if items is None and met.isEmpty():
            raise SkippedError("silver.interactions has no event up to this day, and there is no silver.items")
        removed = removed_items(read_decisions(lake, as_of))
        removed = None if removed is None else keep(removed)
        rows = [keep(neighbours_by_events(without_items(met, removed), conf, keep))]
        if items is not None:
            rows += similar_by_description(lake, conf, keep(without_items(items, removed)), rows[0], as_of, keep)
        lake.replace("gold.similar_items", reduce(DataFrame.unionByName, rows), on=as_of, unique=True)
        users = neighbours_by_events(swap_roles(met), conf, keep)
        named = users.withColumnsRenamed({"item_id": "user_id", "similar_item_id": "similar_user_id"})
        lake.replace("gold.similar_users", named, on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, SimilarConf, argv)


if __name__ == "__main__":
    sys.exit(main())
