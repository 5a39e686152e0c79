"""Measure the loss of earlier predictions on the cases whose truth became known in the last retrain.evaluation_days days.

Reads:  gold.sentiments, silver.texts                          texts of these days that have a label
        gold.viral_posts, gold.engagement_predictions          the first score of each post whose likes became mature in these days
        silver.items, silver.item_engagement, silver.users, silver.interactions, silver.follows   their likes
Writes: ops.model_metrics   one row per task and model version, slice matured: log_loss, or absolute_error of log1p(likes)
Skipped: where there is no such case.

Labels are late: a post's likes count from posts.mature_days on, so this is the loss of what was said so long ago. What `retrain`
reads as the reason `loss`. Not in `shoal pipeline`; run it before `retrain`.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import RetrainConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.models.champion_figures import MATURED
from shoal.models.lake_posts import mature_posts, model_name
from shoal.models.matured_losses import engagement_losses, text_losses, viral_losses
from shoal.models.metrics_table import metric_frame
from shoal.models.post_tables import POST_TABLES
from shoal.models.posts import ENGAGEMENT, VIRAL
from shoal.models.registry import champion
from shoal.models.text_classifiers import SENTIMENT
from shoal.runner.command import run_job

READS = ("gold.sentiments", "silver.texts", "gold.viral_posts", "gold.engagement_predictions", *POST_TABLES,
         "models:/shoal_sentiment", "models:/shoal_viral", "models:/shoal_engagement")  # fmt: skip
WRITES = ("ops.model_metrics",)
SETTINGS = ("posts",)


def losses_of(lake: Lake, conf: RetrainConf, as_of: date) -> dict[str, tuple[str, DataFrame]]:
    """Of each task whose tables exist: the metric, and model_version and loss of each case."""
    cutoff = as_of - timedelta(days=conf.evaluation_days)
    found = {}
    if lake.exists("gold.sentiments") and lake.exists("silver.texts"):
        texts = lake.read("silver.texts", before=as_of).where((F.trim("label") != "") & (F.to_date("created_at") > F.lit(cutoff)))
        found[SENTIMENT] = ("log_loss", text_losses(lake.read("gold.sentiments"), texts))
    for task, table, metric, losses in (
        (VIRAL, "gold.viral_posts", "log_loss", viral_losses),
        (ENGAGEMENT, "gold.engagement_predictions", "absolute_error", engagement_losses),
    ):
        if lake.exists(table):
            posts = lake.settings.posts
            first = end_of(cutoff) - timedelta(days=posts.mature_days)
            matured = mature_posts(lake, posts, as_of).where(F.col("likes").isNotNull() & (F.col("created_at") >= F.lit(first)))
            scores = lake.read(table).where(F.col("as_of") <= F.lit(as_of))
            found[task] = (metric, losses(scores, matured))
    return found


def run(lake: Lake, conf: RetrainConf, as_of: date) -> None:
    """Measure each task, a row a version, and put the rows beside those of the trainings."""
    rows = []
    for task, (metric, losses) in losses_of(lake, conf, as_of).items():
        held = champion(lake, model_name(task))
        means = losses.groupBy("model_version").agg(F.avg("loss").alias("value"), F.count("*").alias("units"))
        for row in means.where(F.col("model_version").startswith(f"{model_name(task)}/")).orderBy("model_version").collect():
            serves = held is not None and held.label == row["model_version"]
            version = row["model_version"].rpartition("/")[2]
            rows.append((task, task, version, MATURED, metric, row["value"], row["units"], serves))
    if not rows:
        raise SkippedError(f"no prediction whose truth became known in the {conf.evaluation_days} days up to {as_of}")
    lake.upsert("ops.model_metrics", metric_frame(lake.spark, rows).withColumn("as_of", F.lit(as_of)).coalesce(1), unique=True)
    lake.run.note(**{f"{task}_{version}": f"{value:.4g}" for task, _, version, _, _, value, _, _ in rows})


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RetrainConf, argv)


if __name__ == "__main__":
    sys.exit(main())
