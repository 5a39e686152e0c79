"""One film under one item id in silver, once the records of its sources are there."""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.sources import media_reviews
from shoal.ingest.sources.films import CATALOGUES, enriched, moved, same_films
from shoal.ingest.validation import rows_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

# The tables whose rows name an item.
NAME_ITEMS = ("silver.interactions", "silver.texts", "silver.item_external_ratings")


def resolve_film_entities(lake: Lake, conf: IngestConf) -> None:
    """Make items that silver.item_external_ids says are one film one item: what the catalogues know fills it, and what names it by
    their ids names it by its own. Safe to repeat: where nothing is left to do, nothing is written.
    """
    if not lake.exists("silver.item_external_ids"):
        return
    links = lake.read_current("silver.item_external_ids")
    if not links.where(F.col("source") == CATALOGUES).limit(1).count():
        return
    aliases = same_films(links).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        if not aliases.limit(1).count():
            return
        _enrich(lake, conf, aliases)
        for name in NAME_ITEMS:
            if lake.exists(name):
                rows = moved(lake.read_current(name), aliases, list(contract(name).key)).persist(StorageLevel.MEMORY_AND_DISK)
                if rows.limit(1).count():
                    lake.upsert(name, rows, unique=True)
                rows.unpersist()
        for name in ("silver.items", "silver.item_external_ratings"):
            old = lake.read_current(name).join(aliases, "item_id") if lake.exists(name) else None
            if old is not None and old.limit(1).count():
                gone = old.select("item_id", F.lit("").alias("source")).distinct()
                lake.delete_duplicates(name, gone, ["item_id"], "source", "true")
    finally:
        aliases.unpersist()


def _enrich(lake: Lake, conf: IngestConf, aliases: DataFrame) -> None:
    """Fill the kept items with what the catalogues know."""
    # From bronze: a later batch of the other source may have replaced what was filled in before.
    known = [(each.bronze, also) for each in media_reviews.PARTS for also in each.also if also.silver == "silver.items"]
    sources = [(lake.read_current(name).where("_rule is null"), also) for name, also in known if lake.exists(name)]
    lake.create("silver.items")
    better = enriched(lake.read_current("silver.items"), rows_of(sources, conf), aliases).persist(StorageLevel.MEMORY_AND_DISK)
    if better.limit(1).count():
        lake.upsert("silver.items", better, unique=True)
    better.unpersist()
