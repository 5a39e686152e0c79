"""Say of each young post how likely it is to go far, how many likes and comments it will get, and why; and when posts do best.

Reads:  silver.items, silver.item_engagement, silver.users, silver.interactions, silver.follows   posts, as build_posts reads them
        and the champions of the registered models `shoal_viral` and `shoal_engagement`
Writes: gold.viral_posts, gold.engagement_predictions   one row per post of the last posts.mature_days
        gold.explanations        one row per task, post and feature of the tasks viral and engagement
        gold.posting_times       one row per author (or all) and hour; all replace as_of, explanations the task's part

What is said of a post is what was known when it appeared: its own counts, and those of posts as young as it, are hidden.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import PostsConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.mine.posts.features import with_author_history
from shoal.mine.posts.from_tables import posts_of
from shoal.mine.posts.times import posting_times
from shoal.models.post_scores import YoungPosts, read_engagement, read_viral, young_posts
from shoal.models.post_tables import POST_TABLES, read_post_tables
from shoal.models.posts import ENGAGEMENT, VIRAL
from shoal.runner.command import run_job

READS = (*POST_TABLES, "models:/shoal_viral", "models:/shoal_engagement")
WRITES = ("gold.viral_posts", "gold.engagement_predictions", "gold.explanations", "gold.posting_times")


def run(lake: Lake, conf: PostsConf, as_of: date) -> None:
    """Score and explain with the models that there are; write the hours of all mature posts."""
    end = end_of(as_of)
    posts = posts_of(read_post_tables(lake), end)
    is_young = F.col("created_at") >= F.lit(end - timedelta(days=conf.mature_days))
    mature = posts.where(~is_young & F.col("likes").isNotNull())
    times = posting_times(with_author_history(mature, ("likes",)), conf.best_hours)
    # An hour is a group's.
    hours = lake.replace("gold.posting_times", times, on=as_of, unique=True)
    posts = posts.persist()
    try:
        said = _score(lake, conf, as_of, young_posts(posts, is_young))
    finally:
        posts.unpersist()
    if not hours and not said:
        raise SkippedError(f"no champion of {VIRAL} or {ENGAGEMENT}, and no post with likes up to {as_of}")


def _score(lake: Lake, conf: PostsConf, as_of: date, young: YoungPosts) -> int:
    """Score with each champion that there is; how many rows were written."""
    rows = 0
    tasks = (("gold.viral_posts", VIRAL, read_viral), ("gold.engagement_predictions", ENGAGEMENT, read_engagement))
    for table, task, read in tasks:
        scorer = read(lake, young, conf)
        if scorer is None:
            lake.run.note(**{f"{task}_skipped": f"there is no champion of shoal_{task}: train_posts makes one"})
            continue
        rows += lake.replace(table, scorer.scores, on=as_of, unique=True)
        explained: DataFrame = scorer.explanations
        lake.replace("gold.explanations", explained, on=as_of, unique=True, task=task)
        lake.run.note(**{f"{task}_version": scorer.version})
    return rows


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PostsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
