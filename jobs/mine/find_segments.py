"""Divide the users into segments by what they do, and name the segments.

Reads:  features.users   the day's snapshot
Writes: gold.segments    one row per user; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import PostsConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.mine.people.segments import find_segments, with_segment
from shoal.runner.command import run_job

READS = ("features.users",)
WRITES = ("gold.segments",)

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


def run(lake: Lake, conf: PostsConf, as_of: date) -> None:
    """Find the segments and replace the day's rows; the run's tags say how good they are."""
    users = lake.read("features.users", on=as_of)
    rows = users.select("user_id", F.xxhash64("user_id").alias("position"), *[F.col(name).cast("double") for name in COLUMNS])
    try:
        segments = find_segments(rows, COLUMNS, None, conf.seed)
    except InputError as error:
        raise SkippedError(f"features.users of {as_of}: {error}") from None
    # A row a user, whose id is the key of the snapshot.
    found = with_segment(rows, segments).select("user_id", "segment_id", "segment_name")
    lake.replace("gold.segments", found, on=as_of, unique=True)
    lake.run.note(segments=len(segments.names), silhouette=segments.silhouette, stability=segments.stability)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PostsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
