"""What moderators have removed, as jobs ask a lake for it."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame

from shoal.lake import Lake
from shoal.recommend.rules import removed_items


def removed_as_of(lake: Lake, as_of: date) -> DataFrame | None:
    """item_id, once each, of the items that the newest decision up to the end of `as_of` removes; None where the lake has no
    silver.moderation. Cost: that of `removed_items`."""
    if not lake.exists("silver.moderation"):
        return None
    return removed_items(lake.read("silver.moderation", before=as_of))
