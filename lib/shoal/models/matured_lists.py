"""What became of lists: whether their users met the items, and what the lists would have earned from what was shown."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import EvaluatePoliciesConf
from shoal.experiment.off_policy import LOGGED, OffPolicySettings, estimate
from shoal.experiment.served import served_terms
from shoal.features.snapshots import end_of
from shoal.lake.lake import Lake
from shoal.models.champion_figures import MATURED
from shoal.recommend.protocol.metrics import user_metrics

# The places of a list that count, and the slice of ops.model_metrics of what was shown.
K, SHOWN = 10, "impressions"
# Versions of a day's lists; one is usual.
MAX_VERSIONS = 100


def list_rows(lake: Lake, days: int, as_of: date) -> list[tuple[Any, ...]]:
    """(model_version, slice, metric, value, units, clusters, standard_error, skewness) of the lists of the `days` days up to as_of;
    the last three as shoal.models.matured_losses.mean_losses has them, users as clusters, and null of impressions.

    Slice matured: ndcg@10 and recall@10 of the newest lists up to the start of these days, against what their users met for the
    first time in them; a user who met nothing new does not count. Slice impressions: see shoal.experiment.served. Empty where there
    is no list, or nothing to compare it with. Cost: a shuffle of the events of the lists' users, and `served_terms`.
    """
    if not lake.exists("gold.recommendations"):
        return []
    cutoff = as_of - timedelta(days=days)
    lists = lake.read("gold.recommendations").where(F.col("as_of") <= F.lit(as_of))
    day = newest_day(lists, cutoff)
    rows: list[tuple[Any, ...]] = []
    if day is not None and lake.exists("silver.interactions"):
        served = lists.where((F.col("as_of") == F.lit(day)) & (F.col("rank") <= K))
        rows += _met_rows(served, lake.read("silver.interactions", before=as_of), day)
    if lake.exists("silver.impressions"):
        shown = lake.read("silver.impressions", before=as_of).where(F.to_date("occurred_at") > F.lit(cutoff))
        near = lists if day is None else lists.where(F.col("as_of") >= F.lit(day))
        rows += _shown_rows(shown, near, lake.settings.evaluate_policies)
    return rows


def newest_day(rows: DataFrame, day: date) -> date | None:
    """The newest as_of up to `day`; None without one. One aggregate over partitions."""
    found: date | None = rows.where(F.col("as_of") <= F.lit(day)).agg(F.max("as_of")).collect()[0][0]
    return found


def _met_rows(served: DataFrame, events: DataFrame, day: date) -> list[tuple[Any, ...]]:
    versions = [row[0] for row in served.select("model_version").distinct().limit(MAX_VERSIONS).collect()]
    lists = served.select(F.col("model_version").alias("model"), "user_id", "rank", "item_id")
    found = user_metrics(lists, items_met_after(served, events, day), [K], versions)
    names = [f"ndcg@{K}", f"recall@{K}"]
    figures = [
        F.struct(F.avg(name), F.count(name), F.stddev_samp(name) / F.sqrt(F.count(name)), F.coalesce(F.skewness(name), F.lit(0.0)))
        for name in names
    ]
    means = found.groupBy("model").agg(*[each.alias(name) for name, each in zip(names, figures, strict=True)])
    rows = []
    for row in means.orderBy("model").collect():
        for name in names:
            value, users, error, skewness = row[name]
            rows.append((row["model"], MATURED, name, value, users, users, error, skewness))
    return rows


def _shown_rows(shown: DataFrame, lists: DataFrame, conf: EvaluatePoliciesConf) -> list[tuple[Any, ...]]:
    rule = OffPolicySettings(conf.max_weight, conf.folds, conf.reward_shrink, conf.buckets, conf.bootstrap_samples, conf.seed)
    judged = estimate(served_terms(shown, lists, rule), rule)
    rate = judged[LOGGED].estimates["ips"].estimate if LOGGED in judged else None
    rows: list[tuple[Any, ...]] = []
    for version, result in judged.items():
        reward = result.estimates["snips"]
        values = {"click_rate": reward.estimate, "click_rate_low": reward.low, "click_rate_high": reward.high,
                  "logged_click_rate": rate, "effective_rounds": result.effective_rounds}  # fmt: skip
        rows += [(version, SHOWN, metric, value, result.rounds, None, None, None)
                 for metric, value in values.items() if version != LOGGED]  # fmt: skip
    return rows


def items_met_after(lists: DataFrame, events: DataFrame, day: date) -> DataFrame:
    """user_id, item_id: what the users of `lists` met for the first time after `day`. Events without a time are before it. A
    shuffle of their events by user and item."""
    of_users = events.join(lists.select("user_id").distinct(), "user_id", "left_semi")
    first = of_users.groupBy("user_id", "item_id").agg(
        F.min(F.coalesce("occurred_at", F.lit(datetime(1970, 1, 1, tzinfo=timezone.utc)))).alias("_first")
    )
    return first.where(F.col("_first") >= F.lit(end_of(day))).select("user_id", "item_id")
