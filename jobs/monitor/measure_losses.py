"""Measure the loss of earlier predictions on the cases whose truth became known in the last retrain.evaluation_days days.

Reads:  gold.sentiments, silver.texts                          texts of these days that have a label, or an emotion_label
        gold.viral_posts, gold.engagement_predictions          the first score of each post whose likes became mature in these days
        silver.items, silver.item_engagement, silver.users, silver.interactions, silver.follows   their likes
        gold.moderation, silver.moderation                     judgements of items that a moderator decided about in these days
        gold.influencers                                       accounts whose followers became known in these days
        gold.recommendations, silver.interactions              the lists before these days, and what their users met in them
        gold.recommendations, silver.impressions               what was shown in these days, and where the lists had it
Writes: ops.model_metrics   one row per task, model version and metric. Slice matured: log_loss, absolute_error of log1p(likes),
                            ndcg@10 and recall@10 of lists. Slice impressions: what the lists would have earned, by propensity:
                            click_rate (self-normalised), click_rate_low, click_rate_high (95%), logged_click_rate, effective_rounds
        ops.drift           one row per model version, metric and comparison: whether the loss of slice matured is larger than in an
                            earlier window of the version (concept drift); replaces kind loss of as_of
Skipped: where there is no such case.

Labels are late: a post's likes count from posts.mature_days on, so this is the loss of what was said so long ago. What `retrain`
reads as the reason `loss`. Not in `shoal pipeline`; run it before `retrain`.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from shoal.conf.sections import RetrainConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.models.challengers import RECOMMENDER
from shoal.models.champion_figures import MATURED
from shoal.models.influencers import INFLUENCERS
from shoal.models.lake_posts import mature_posts, model_name
from shoal.models.loss_windows import compared_pairs, learned_days
from shoal.models.matured_lists import list_rows, newest_day
from shoal.models.matured_losses import (
    decision_losses,
    emotion_losses,
    engagement_losses,
    influencer_losses,
    mean_losses,
    text_losses,
    viral_losses,
)
from shoal.models.metrics_table import SPREAD, metric_frame
from shoal.models.post_tables import POST_TABLES
from shoal.models.posts import ENGAGEMENT, VIRAL
from shoal.models.recommender import MODEL as RECOMMENDER_MODEL
from shoal.models.registry import champion
from shoal.models.text_classifiers import EMOTION, MODERATION, SENTIMENT
from shoal.monitor.drift.losses import LOSS, LossRules, compare_losses
from shoal.runner.command import run_job

READS = ("gold.sentiments", "silver.texts", "gold.viral_posts", "gold.engagement_predictions", *POST_TABLES,
         "gold.moderation", "silver.moderation", "gold.influencers", "gold.recommendations", "silver.impressions",
         "ops.model_metrics",
         "models:/shoal_sentiment", "models:/shoal_emotion", "models:/shoal_viral", "models:/shoal_engagement",
         "models:/shoal_moderation", "models:/shoal_influencers", "models:/shoal_recommender")  # fmt: skip
WRITES = ("ops.model_metrics", "ops.drift")
SETTINGS = ("drift", "evaluate_policies", "posts")


def losses_of(lake: Lake, conf: RetrainConf, as_of: date) -> dict[str, tuple[str, DataFrame]]:
    """Of each task whose tables exist: the metric, and model_version and loss of each case."""
    cutoff = as_of - timedelta(days=conf.evaluation_days)
    found = {}
    if lake.exists("gold.sentiments") and lake.exists("silver.texts"):
        texts = lake.read("silver.texts", before=as_of).where(F.to_date("created_at") > F.lit(cutoff))
        scores = lake.read("gold.sentiments")
        found[SENTIMENT] = ("log_loss", text_losses(scores, texts.where(F.trim("label") != "")))
        found[EMOTION] = ("log_loss", emotion_losses(scores, texts.where(F.trim("emotion_label") != "")))
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
    if lake.exists("gold.moderation") and lake.exists("silver.moderation"):
        decided = lake.read("silver.moderation", before=as_of).where(F.to_date("decided_at") > F.lit(cutoff))
        newest = decided.groupBy("item_id").agg(F.max_by(F.struct("decided_at", "verdict"), "decided_at").alias("last"))
        last = newest.select("item_id", "last.*")
        items = lake.read_if_exists("silver.items")
        owned = last.withColumn("owner_id", F.lit(None).cast("string"))
        if items is not None:
            owned = last.join(items.select("item_id", "owner_id"), "item_id", "left")
        found[MODERATION] = ("log_loss", decision_losses(lake.read("gold.moderation"), owned))
    if lake.exists("gold.influencers"):
        accounts = lake.read("gold.influencers")
        before, now = newest_day(accounts, cutoff), newest_day(accounts, as_of)
        if before is not None and now is not None and before < now:
            known = [accounts.where(F.col("as_of") == F.lit(day)) for day in (before, now)]
            found[INFLUENCERS] = ("log_loss", influencer_losses(*known))
    return found


def run(lake: Lake, conf: RetrainConf, as_of: date) -> None:
    """Measure each task, a row a version, and put the rows beside those of the trainings."""
    rows = []
    for task, (metric, losses) in losses_of(lake, conf, as_of).items():
        held = champion(lake, model_name(task))
        ours = losses.where(F.col("model_version").startswith(f"{model_name(task)}/"))
        for row in mean_losses(ours).orderBy("model_version").collect():
            serves = held is not None and held.label == row["model_version"]
            version = row["model_version"].rpartition("/")[2]
            rows.append((task, task, version, MATURED, metric, row["value"], row["units"], serves, *(row[name] for name in SPREAD)))
    held = champion(lake, RECOMMENDER_MODEL)
    for label, part, metric, value, units, *spread in list_rows(lake, conf.evaluation_days, as_of):
        if label.startswith(f"{RECOMMENDER_MODEL}/"):
            serves = held is not None and held.label == label
            rows.append((RECOMMENDER, "served", label.rpartition("/")[2], part, metric, value, units, serves, *spread))
    if not rows:
        raise SkippedError(f"no prediction whose truth became known in the {conf.evaluation_days} days up to {as_of}")
    lake.upsert("ops.model_metrics", metric_frame(lake.spark, rows).withColumn("as_of", F.lit(as_of)).coalesce(1), unique=True)
    noted = [row for row in rows if row[3] == MATURED and not row[4].startswith("recall") and row[5] is not None]
    lake.run.note(**{f"{row[0]}_{row[2]}": f"{row[5]:.4g}" for row in noted})
    compare(lake, conf.evaluation_days, as_of)


def compare(lake: Lake, days: int, as_of: date) -> None:
    """Test each loss measured on as_of against the earlier windows of its version, all at one rate of false discoveries."""
    delays = dict.fromkeys((VIRAL, ENGAGEMENT), lake.settings.posts.mature_days)
    drift = lake.settings.drift
    rules = LossRules(drift.loss_false_discovery_rate, drift.loss_warning, drift.loss_critical)
    found = compare_losses(compared_pairs(lake, days, as_of, delays, partial(learned_days, lake)), rules)
    if not found and not lake.exists("ops.drift"):
        return
    kept = StructType([field for field in contract("ops.drift").struct() if field.name not in ("as_of", "run_id")])
    tests = lake.spark.createDataFrame([tuple(row[name] for name in kept.names) for row in found], kept)
    lake.replace("ops.drift", tests.withColumn("as_of", F.lit(as_of)).coalesce(1), on=as_of, unique=True, kind=LOSS)
    lake.run.note(drifted=", ".join(sorted({row["table_name"] for row in found if row["is_drifted"]})) or "none")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RetrainConf, argv)


if __name__ == "__main__":
    sys.exit(main())
