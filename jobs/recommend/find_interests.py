"""Write what each user is interested in: hashtags and categories, in the long run and of late.

Reads:  silver.interactions   events up to as_of
        silver.items          hashtags and categories
        silver.moderation     items that moderators have removed, where the table exists
        gold.moderation       items that the moderation model removes, where the table exists
Writes: gold.user_interests   one row per user, kind of topic and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import InterestsConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.models.decisions import read_decisions
from shoal.recommend.feeds.interests import InterestSettings, interests
from shoal.recommend.ranking.rules import removed_items, without_items
from shoal.runner.command import run_job

READS = ("silver.interactions", "silver.items", "silver.moderation", "gold.moderation")
WRITES = ("gold.user_interests",)
SETTINGS = ("train_recommender",)


def run(lake: Lake, conf: InterestsConf, as_of: date) -> None:
    """Find and replace the day's rows; events weigh as train_recommender.event_weights says."""
    events, items = lake.read("silver.interactions", before=as_of), lake.read("silver.items")
    if events.isEmpty():
        raise SkippedError("silver.interactions has no event up to this day")
    events = without_items(events, removed_items(read_decisions(lake, as_of)))
    settings = InterestSettings(conf.long_half_life_days, conf.short_half_life_days, conf.item_topics, conf.topics)
    weights = lake.settings.train_recommender.event_weights
    lake.replace("gold.user_interests", interests(events, items, F.lit(end_of(as_of)), settings, weights), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, InterestsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
