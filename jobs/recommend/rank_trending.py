"""Write what is trending: the items of each kind with the most weight of late, and how their rate changes.

Reads:  silver.interactions   events up to as_of
        silver.moderation     what moderators have removed: it is not ranked, where the table exists
        gold.moderation       items that the moderation model removes, where the table exists
        silver.items          kinds of items, where the table exists
Writes: gold.trending         one row per kind and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import TrendingConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.models.decisions import read_decisions
from shoal.recommend.feeds.trending import TrendSettings, trending
from shoal.recommend.ranking.rules import removed_items, without_items
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.moderation", "gold.moderation")
WRITES = ("gold.trending",)
SETTINGS = ("train_recommender",)


def run(lake: Lake, conf: TrendingConf, as_of: date) -> None:
    """Rank and replace the day's rows; events weigh as train_recommender.event_weights says."""
    events = lake.read("silver.interactions", before=as_of)
    if events.isEmpty():
        raise SkippedError("silver.interactions has no event up to this day")
    events = without_items(events, removed_items(read_decisions(lake, as_of)))
    items = lake.read_if_exists("silver.items")
    settings = TrendSettings(conf.half_life_hours, conf.default_half_life_hours, conf.items)
    weights = lake.settings.train_recommender.event_weights
    lake.replace("gold.trending", trending(events, items, F.lit(end_of(as_of)), settings, weights), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrendingConf, argv)


if __name__ == "__main__":
    sys.exit(main())
