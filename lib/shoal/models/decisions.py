"""What is removed, by moderators and by the moderation model, as the jobs of lists and trends read it."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.mine.text.moderation import with_model_decisions


def read_decisions(lake: Lake, as_of: date) -> DataFrame | None:
    """Decisions about items known by as_of: item_id, decided_at, verdict; those of silver.moderation, and before all of these the
    removals of gold.moderation, so that a moderator has the last word. None where neither table exists."""
    judged = lake.read_if_exists("gold.moderation")
    judged = None if judged is None else judged.where(F.col("as_of") <= F.lit(as_of))
    return with_model_decisions(lake.read_if_exists("silver.moderation", before=as_of), judged)
