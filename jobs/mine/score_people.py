"""Say of each author how likely they are among the top quarter by followers, how much influence they have, and why.

Reads:  features.authors   the day's accounts
        gold.node_ranks    the day's PageRank on follows, where there is any
        and the champion of the registered model `shoal_influencers`
Writes: gold.influencers   one row per author; replaces as_of; without a champion, the probability is null
        gold.explanations  one row per author and feature of the task influencers; replaces as_of's part
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import PostsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.people.authors import with_influence
from shoal.models.influencers import INFLUENCERS
from shoal.models.post_scores import score_influencer_accounts
from shoal.runner.command import run_job

READS = ("features.authors", "gold.node_ranks", "models:/shoal_influencers")
WRITES = ("gold.influencers", "gold.explanations")


def run(lake: Lake, conf: PostsConf, as_of: date) -> None:
    """Put the influence score and the model's probability together, and replace the day's rows."""
    authors = lake.read("features.authors", on=as_of)
    if authors.isEmpty():
        raise SkippedError(f"features.authors has no row of {as_of}")
    influence = with_influence(authors, lake.read_if_exists("gold.node_ranks", on=as_of))
    found = score_influencer_accounts(lake, authors, conf)
    if found is None:
        lake.run.note(**{f"{INFLUENCERS}_skipped": "there is no champion of shoal_influencers: train_posts makes one"})
        nothing = {"probability": F.lit(None).cast("double"), "model_version": F.lit(None).cast("string")}
        lake.replace("gold.influencers", influence.withColumns(nothing), on=as_of, unique=True)
        return
    rows = influence.join(found.scores, "user_id", "left")
    lake.replace("gold.influencers", rows, on=as_of, unique=True)
    lake.replace("gold.explanations", found.explanations, on=as_of, unique=True, task=INFLUENCERS)
    lake.run.note(**{f"{INFLUENCERS}_version": found.version})


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PostsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
