"""Files of pictures as the pictures of the products that name them, once both are in silver."""

from __future__ import annotations

from shoal.conf.sections import IngestConf
from shoal.ingest.sources.fashion_catalog import nobodys_pictures, seen_pictures
from shoal.lake.lake import Lake


def link_images_to_products(lake: Lake, conf: IngestConf) -> None:
    """Make files of pictures that products name by their records the pictures of these. Safe to repeat, also after a kill between
    the two commits: what goes is determined by what the first left."""
    if not lake.exists("silver.images"):
        return
    better = seen_pictures(lake.read_current("silver.images"))
    if better.limit(1).count():
        lake.upsert("silver.images", better, unique=True)
    # Not persisted: a commit makes Spark fill what is cached of a table anew, from the table as it is then.
    lake.create("silver.items")
    gone = nobodys_pictures(lake.read_current("silver.images"), lake.read_current("silver.items"))
    if gone.limit(1).count():
        lake.delete("silver.images", gone)
