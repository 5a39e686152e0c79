"""Divide the users into segments by what they do, name the segments, and say who moved since the last run.

Reads:  features.users         the day's snapshot
        gold.segments          the last run's, whose numbers stay
Writes: gold.segments          one row per user; replaces as_of
        gold.segment_changes   one row per user who was in another segment in the last run; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import PostsConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.lineage import inherited_ids
from shoal.mine.people.segment_changes import as_members, carry_segment_ids, segment_changes
from shoal.mine.people.segments import find_segments, with_segment
from shoal.runner.command import run_job

READS = ("features.users", "gold.segments")
WRITES = ("gold.segments", "gold.segment_changes")

# How much, how often, how lately, and what for.
COLUMNS = (
    "event_count",
    "active_days",
    "distinct_items",
    "recency_days",
    "purchase_count",
    "like_count",
    "comment_count",
    "rating_count",
)


def last_run(lake: Lake, as_of: date) -> tuple[date, int, DataFrame] | None:
    """The last day of gold.segments before as_of, the highest number of all such days, and the day's rows; None without one. One
    small job."""
    known = lake.read_if_exists("gold.segments")
    if known is None:
        return None
    earlier = known.where(F.col("as_of") < F.lit(as_of))
    day, highest = earlier.agg(F.max("as_of"), F.max("segment_id")).collect()[0]
    return None if day is None else (day, highest, earlier.where(F.col("as_of") == F.lit(day)))


def run(lake: Lake, conf: PostsConf, as_of: date) -> None:
    """Find the segments and replace the day's rows; the run's tags say how good they are."""
    users = lake.read("features.users", on=as_of)
    rows = users.select("user_id", F.xxhash64("user_id").alias("position"), *[F.col(name).cast("double") for name in COLUMNS])
    try:
        segments = find_segments(rows, COLUMNS, None, conf.seed)
    except InputError as error:
        raise SkippedError(f"features.users of {as_of}: {error}") from None
    # A row a user, whose id is the key of the snapshot.
    found = divided = with_segment(rows, segments).select("user_id", "segment_id", "segment_name").persist()
    last = last_run(lake, as_of)
    if last is None:
        # The table is there from the first run on.
        changed = segment_changes(found, found).withColumn("since", F.lit(as_of))
    else:
        since, highest, before = last
        found = carry_segment_ids(found, inherited_ids(as_members(found), as_members(before)), highest)
        changed = segment_changes(found, before).withColumn("since", F.lit(since))
    lake.replace("gold.segments", found, on=as_of, unique=True)
    moved = lake.replace("gold.segment_changes", changed, on=as_of, unique=True)
    divided.unpersist()
    lake.run.note(segments=len(segments.names), silhouette=segments.silhouette, stability=segments.stability, moved=moved)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PostsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
