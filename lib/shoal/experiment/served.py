"""What the lists that serve would have earned, from a log of what was shown with known propensities: inverse propensity scores."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.experiment.off_policy import OffPolicySettings, logged, with_folds


def served_terms(impressions: DataFrame, lists: DataFrame, settings: OffPolicySettings) -> DataFrame:
    """The rows of shoal.experiment.off_policy.weigh for the lists, a policy a model version, and of `logged` for the same rounds.

    `impressions`: silver.impressions; those without a user are no round. `lists`: gold.recommendations; an impression is a round of
    the newest list day before the day it was shown on, where that day has an item for its user at its position, with a propensity.
    The weight is the list's propensity over the log's where both have the same item, else 0: a list without chance has 1. `dr` is
    the weighted reward: there is no model of rewards for each user. Two joins of the impressions, one on the few days.
    """
    shown = impressions.where("user_id is not null").select(
        "user_id", "item_id", "position", "propensity", F.col("is_click").cast("int").alias("reward"),
        F.col("user_id").alias("unit"), F.to_date("occurred_at").alias("_day"),
    )  # fmt: skip
    days = lists.select("as_of").distinct()
    served_on = (
        shown.select("_day").distinct().join(F.broadcast(days), F.col("as_of") < F.col("_day"))
        .groupBy("_day").agg(F.max("as_of").alias("as_of"))
    )  # fmt: skip
    places = lists.where("propensity is not null").select(
        "as_of", "user_id", F.col("rank").alias("position"), F.col("item_id").alias("_listed"), F.col("propensity").alias("_given"),
        F.col("model_version").alias("policy"),
    )  # fmt: skip
    rounds = shown.join(F.broadcast(served_on), "_day").join(places, ["as_of", "user_id", "position"])
    raw = F.when(F.col("item_id") == F.col("_listed"), F.col("_given") / F.col("propensity")).otherwise(0.0)
    weight = raw if settings.max_weight is None else F.least(raw, F.lit(float(settings.max_weight)))
    reward = weight * F.col("reward")
    terms = with_folds(rounds, settings).select(
        "policy", "unit", "bucket", raw.alias("raw"), weight.alias("w"), reward.alias("wr"), reward.alias("dr")
    )
    return terms.unionByName(logged(rounds.select("unit", "reward"), settings))
