"""Write whom each user might follow: people with contacts in common who are not followed yet, then people nearby.

Reads:  silver.follows                pairs up to as_of; a pair without a time always counts
Writes: gold.follow_recommendations   one row per user and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import FollowsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.feeds.follows import (
    WalkSettings,
    contacts_of,
    follow_pairs,
    short_lists,
    suggest_by_contacts,
    suggest_by_walk,
    with_reason,
)
from shoal.recommend.ranking.caching import caching
from shoal.runner.command import run_job

READS = ("silver.follows",)
WRITES = ("gold.follow_recommendations",)


def run(lake: Lake, conf: FollowsConf, as_of: date) -> None:
    """Suggest and replace the day's rows."""
    with caching() as keep:
        pairs = keep(follow_pairs(lake.read("silver.follows", before=as_of)))
        if pairs.isEmpty():
            raise SkippedError("silver.follows has no pair up to this day")
        contacts = keep(contacts_of(pairs, conf.max_contacts))
        listed = keep(suggest_by_contacts(pairs, contacts, conf.k))
        short = keep(short_lists(listed, pairs, conf.k))
        rows = listed.withColumn("source", F.lit("contacts"))
        # A walk of three steps for no user is still ten shuffles.
        if not short.isEmpty():
            walk = WalkSettings(conf.walk_steps, conf.walk_restart, conf.beam_width)
            more = suggest_by_walk(short, listed, pairs, contacts, conf.k, walk)
            rows = rows.unionByName(more.withColumn("source", F.lit("walk")))
        lake.replace("gold.follow_recommendations", with_reason(rows), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FollowsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
