"""Train the models of posts and people on what was known by as_of, test them beside baselines, register them.

Reads:  silver.items, silver.item_engagement, silver.users, silver.interactions, silver.follows   posts, as build_posts reads them
        features.authors             the day's accounts
Writes: ops.model_metrics            one row per model, slice and metric of the tasks viral, engagement, influencers
        gold.feature_importances     one row per task, kind and feature; both replace as_of's part
        and a version each of the registered models `shoal_viral`, `shoal_engagement` and `shoal_influencers`

Posts younger than posts.mature_days still gather likes: they teach nothing, and are what score_posts scores. A task that the lake
has too little for is skipped with the reason in the run's tags; the job is skipped where all are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date

from shoal.conf.sections import PostsConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.models.influencers import INFLUENCERS
from shoal.models.lake_posts import Registered, prepared_posts, register_engagement, register_influencers, register_viral
from shoal.models.metrics_table import metric_frame
from shoal.models.post_tables import POST_TABLES
from shoal.models.posts import ENGAGEMENT, VIRAL
from shoal.runner.command import run_job

READS = (*POST_TABLES, "features.authors")
WRITES = (
    "ops.model_metrics", "gold.feature_importances", "models:/shoal_viral", "models:/shoal_engagement", "models:/shoal_influencers",
)  # fmt: skip
IMPORTANCES = "task string, model_version string, kind string, feature string, importance double"


def run(lake: Lake, conf: PostsConf, as_of: date) -> None:
    """Train each task that there is enough for, then write metrics and importances of all."""
    done: list[Registered] = []
    skipped: dict[str, str] = {}

    def attempt(task: str, train: Callable[[], Registered]) -> None:
        try:
            found = train()
        except (InputError, SkippedError) as error:
            skipped[task] = str(error)
            return
        done.append(found)
        lake.run.note(**{f"{task}_version": found.model.label, f"{task}_is_champion": found.model.is_champion})

    try:
        prepared = prepared_posts(lake, conf, as_of)
        attempt(VIRAL, lambda: register_viral(lake, prepared, conf, as_of))
        attempt(ENGAGEMENT, lambda: register_engagement(lake, prepared, conf, as_of))
    except (InputError, SkippedError) as error:
        skipped[VIRAL] = skipped[ENGAGEMENT] = str(error)
    attempt(INFLUENCERS, lambda: register_influencers(lake, lake.read("features.authors", on=as_of), conf, as_of))
    lake.run.note(**{f"{task}_skipped": why for task, why in skipped.items()})
    if not done:
        raise SkippedError("; ".join(f"{task}: {why}" for task, why in skipped.items()))
    for found in done:
        rows = metric_frame(lake.spark, found.metrics).coalesce(1)
        lake.replace("ops.model_metrics", rows, on=as_of, unique=True, task=found.task)
    importances = lake.spark.createDataFrame([row for found in done for row in found.importances], IMPORTANCES).coalesce(1)
    lake.replace("gold.feature_importances", importances, on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PostsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
