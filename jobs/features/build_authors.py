"""Write what each author is like at the end of a day: rhythm, subjects, answers, place among the others.

Reads:  silver.items             posts and tweets made up to as_of, with an owner and a time
        silver.item_engagement   likes and comments observed up to as_of
        silver.interactions      events up to as_of: who engages with an author, and the likes of posts that no source counts
        silver.users             followers, following, the day an account was made
        silver.follows           pairs up to as_of: who follows back, and the followers of whom no source states them
Writes: features.authors         one row per user with a post; replaces as_of

All but silver.items may be missing.
"""

from __future__ import annotations

import sys
from datetime import date

from shoal.conf.sections import FeaturesConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.people.authors import author_features
from shoal.mine.posts.features import with_post_features
from shoal.mine.posts.from_tables import engaging_users, posts_of
from shoal.models.post_tables import POST_TABLES, read_post_tables
from shoal.runner.command import run_job

READS = POST_TABLES
WRITES = ("features.authors",)


def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    """Make the features and replace the day's rows."""
    tables, end = read_post_tables(lake), end_of(as_of)
    posts = posts_of(tables, end)
    follows = lake.read_if_exists("silver.follows", before=as_of)
    engagers = engaging_users(tables.events, tables.items, end)
    # A group an author, joined with groups by author.
    if not lake.replace(
        "features.authors", author_features(with_post_features(posts), follows, engagers, end), on=as_of, unique=True
    ):
        raise SkippedError(f"silver.items has no post or tweet with an owner and a time up to {as_of}")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, FeaturesConf, argv)


if __name__ == "__main__":
    sys.exit(main())
