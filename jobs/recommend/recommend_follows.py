"""Write whom each user might follow: people with contacts in common who are not followed yet, then people near by.

Reads:  silver.follows                pairs up to as_of; a pair without a time always counts
Writes: gold.follow_recommendations   one row per user and rank; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import FollowsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.feeds.follows import WalkSettings, follow_pairs, short_lists, suggest_by_contacts, suggest_by_walk
from shoal.runner.command import run_job

READS = ("silver.follows",)
WRITES = ("gold.follow_recommendations",)


def with_reason(suggested: DataFrame) -> DataFrame:
    """The rows with `reason`, one sentence that names nobody, in place of follows_back."""
    common = F.when(F.col("common") == 1, "1 contact in common.").otherwise(F.format_string("%d contacts in common.", "common"))
    why = F.when(F.col("source") == "contacts", common).otherwise("Near you in the network.")
    reason = F.when(F.col("follows_back"), F.concat(F.lit("Follows you. "), why)).otherwise(why)
    return suggested.withColumn("reason", reason).drop("follows_back")


def run(lake: Lake, conf: FollowsConf, as_of: date) -> None:
    """Suggest and replace the day's rows."""
    pairs = follow_pairs(lake.read("silver.follows", before=as_of)).persist()
    try:
        if pairs.isEmpty():
            raise SkippedError("silver.follows has no pair up to this day")
        listed = suggest_by_contacts(pairs, conf.k, conf.max_contacts).persist()
        few = short_lists(listed, pairs, conf.k).persist()
        rows = listed.withColumn("source", F.lit("contacts"))
        # A walk of three steps over nobody is still ten shuffles.
        if not few.isEmpty():
            walk = WalkSettings(conf.walk_steps, conf.walk_restart, conf.beam_width)
            more = suggest_by_walk(few, listed, pairs, conf.k, conf.max_contacts, walk)
            rows = rows.unionByName(more.withColumn("source", F.lit("walk")))
        lake.replace("gold.follow_recommendations", with_reason(rows), on=as_of)
        few.unpersist()
        listed.unpersist()
    finally:
        pairs.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FollowsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
