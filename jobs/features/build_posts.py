"""Write what is known of each post when it appears: what it says, when, and its author's posts strictly before it.

Reads:  silver.items             posts and tweets made up to as_of, with an owner and a time
        silver.item_engagement   likes and comments observed up to as_of
        silver.interactions      events up to as_of: the likes and comments of posts that no source counts
        silver.users             followers, following, the day an account was made
        silver.follows           pairs up to as_of: the followers of whom no source states them
Writes: features.posts           one row per post; replaces as_of

All but silver.items may be missing.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import FeaturesConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.posts.from_tables import post_features, posts_of
from shoal.models.post_tables import POST_TABLES, read_post_tables
from shoal.runner.command import run_job

READS = POST_TABLES
WRITES = ("features.posts",)


def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    """Make the features and replace the day's rows."""
    posts = posts_of(read_post_tables(lake), end_of(as_of))
    if posts.isEmpty():
        raise SkippedError(f"silver.items has no post or tweet with an owner and a time up to {as_of}")
    # A row an item, whose id is the key of silver.items; the joins are on keys.
    lake.replace("features.posts", post_features(posts), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FeaturesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
