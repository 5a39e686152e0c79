"""Find the hashtags, topics and items that more people turn to than before, and than chance would have it.

Reads:  silver.items          hashtags and categories of the items known by as_of
        silver.interactions   events up to as_of; may be missing
        silver.texts          who wrote what when, up to as_of; may be missing
        gold.entities         the hashtags of texts; may be missing
Writes: gold.trends           one row per kind and thing that rises; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import TrendsConf
from shoal.lake.lake import Lake
from shoal.mine.posts.trends import TrendRule, daily_users, find_trends, uses_of
from shoal.runner.command import run_job

READS = ("silver.items", "silver.interactions", "silver.texts", "gold.entities")
WRITES = ("gold.trends",)


def tagged_texts(lake: Lake, as_of: date) -> DataFrame | None:
    """Hashtags, author and time of the texts that have any; None where a table is missing."""
    texts, entities = lake.read_if_exists("silver.texts", before=as_of), lake.read_if_exists("gold.entities")
    if texts is None or entities is None:
        return None
    found = entities.where(F.col("is_current") & (F.size("hashtags") > 0)).select("text_id", "hashtags")
    written = texts.select("text_id", F.col("author_id").alias("user_id"), F.col("created_at").alias("used_at"))
    return found.join(written, "text_id")


def run(lake: Lake, conf: TrendsConf, as_of: date) -> None:
    """Count, test and replace the day's rows; none may rise."""
    items, events = lake.read("silver.items", before=as_of), lake.read_if_exists("silver.interactions", before=as_of)
    uses = uses_of(items, events, tagged_texts(lake, as_of))
    rule = TrendRule(conf.window_days, conf.recent_days, conf.min_users, conf.false_discovery_rate)
    # A row a group.
    lake.replace("gold.trends", find_trends(daily_users(uses, as_of, conf.window_days), rule), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrendsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
