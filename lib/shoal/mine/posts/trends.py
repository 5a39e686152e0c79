"""What rises: hashtags, topics and items that more people turn to than before, and than chance would have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy.special import betainc

from shoal.arrays import Doubles
from shoal.spark.checkpoints import cut_lineage

# The smallest p-values that are ranked; more things than these never rise at once.
MAX_RANKED = 1_000_000
_FOUND = (
    "kind string, topic string, users_recent bigint, users_before bigint, expected double, rate_ratio double, slope double, "
    "p_value double"
)


@dataclass(frozen=True)
class TrendRule:
    """The last `recent_days` against those before them, `window_days` together; things of at least `min_users` user-days; the share
    of false discoveries among what is said to rise."""

    window_days: int
    recent_days: int
    min_users: int
    false_discovery_rate: float


def uses_of(items: DataFrame, events: DataFrame | None, tagged_texts: DataFrame | None) -> DataFrame:
    """`kind` (hashtag, topic, item), `topic`, `user_id`, `used_at`: who turned to what, when; rows repeat.

    items: silver.items: a post's hashtags are used by its owner. tagged_texts: `hashtags`, `user_id`, `used_at`, or None. events:
    silver.interactions, or None: a user's event with an item is one with each of its categories (topics) too. One join.
    """
    posted = items.select("hashtags", F.col("owner_id").alias("user_id"), F.col("created_at").alias("used_at"))
    tagged = posted if tagged_texts is None else posted.unionByName(tagged_texts.select("hashtags", "user_id", "used_at"))
    tags = tagged.select(F.lit("hashtag").alias("kind"), F.explode("hashtags").alias("topic"), "user_id", "used_at")
    frames = [tags.withColumn("topic", F.lower("topic"))]
    if events is not None:
        met = events.select("item_id", "user_id", F.col("occurred_at").alias("used_at"))
        frames.append(met.select(F.lit("item").alias("kind"), F.col("item_id").alias("topic"), "user_id", "used_at"))
        topics = items.where(F.size("categories") > 0).select("item_id", "categories")
        about = met.join(topics, "item_id").select(F.explode("categories").alias("topic"), "user_id", "used_at")
        frames.append(about.select(F.lit("topic").alias("kind"), "topic", "user_id", "used_at"))
    return reduce(DataFrame.unionByName, frames).where("user_id is not null and used_at is not null and topic <> ''")


def daily_users(uses: DataFrame, as_of: date, window_days: int) -> DataFrame:
    """`kind`, `topic`, `day` (0 the first of the window, window_days - 1 as_of), `users`: different users a day (UTC). Two
    shuffles."""
    first = as_of - timedelta(days=window_days - 1)
    day = F.datediff(F.to_date("used_at"), F.lit(first))
    within = uses.withColumn("day", day).where(F.col("day").between(0, window_days - 1))
    return within.select("kind", "topic", "day", "user_id").distinct().groupBy("kind", "topic", "day").agg(
        F.count("*").alias("users")
    )  # fmt: skip


def find_trends(daily: DataFrame, rule: TrendRule) -> DataFrame:
    """What rises: `kind`, `topic`, `users_recent`, `users_before`, `expected`, `rate_ratio`, `slope`, `p_value`, `q_value`, `rank`.

    daily: `daily_users`. Of n user-days of a thing, k in the recent days: with the share s that the recent days have of all
    user-days of the kind, k is binomial (n, s) where nothing rises, the exact test of two Poisson rates (Przyborowski and Wilenski
    1940). Both numbers are divided by the thing's dispersion, the variance of its days before over their mean, where that is above
    1: what comes in bursts at all times needs more. `expected` is n s, `rate_ratio` the recent rate over the rate before, relative
    to the kind's (1/2 added to each count), `slope` that of log1p of the daily users, per day. `q_value`: Benjamini and Hochberg
    (1995), over all things of all kinds with min_users; kept are those of at most false_discovery_rate that rise. `rank` is by
    p-value within the kind, ties by topic. Two shuffles; collects at most MAX_RANKED p-values.
    """
    span, start = rule.window_days, rule.window_days - rule.recent_days
    is_recent, users = F.col("day") >= start, F.col("users")
    y, x = F.log1p(users.cast("double")), F.col("day").cast("double")
    before = F.when(~is_recent, users).otherwise(0).cast("double")
    series = daily.groupBy("kind", "topic").agg(
        F.sum(F.when(is_recent, users).otherwise(0)).alias("users_recent"), F.sum(before).cast("bigint").alias("users_before"),
        F.sum(before * before).alias("squares"), F.sum(y).alias("y"), F.sum(x * y).alias("xy"),
    )  # fmt: skip
    kinds = series.groupBy("kind").agg(F.sum("users_recent").alias("kind_recent"), F.sum("users_before").alias("kind_before"))
    enough = series.where(F.col("users_recent") + F.col("users_before") >= rule.min_users).join(F.broadcast(kinds), "kind")

    def test(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield _tested(batch, span, start)

    tested = enough.mapInPandas(test, _FOUND).transform(cut_lineage)
    count = tested.count()
    rate = rule.false_discovery_rate
    # No p-value above the rate is ever a discovery.
    low: Any = tested.where(F.col("p_value") <= rate).select("p_value").orderBy("p_value").limit(MAX_RANKED).toPandas()
    ordered = low["p_value"].to_numpy(np.float64)
    values = q_values(ordered, count)

    def name(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            place = np.searchsorted(ordered, batch["p_value"].to_numpy(np.float64), side="right") - 1
            yield batch.assign(q_value=values[place] if len(values) else np.ones(len(batch)))

    few = tested.where((F.col("p_value") <= rate) & (F.col("slope") > 0)).mapInPandas(name, f"{_FOUND}, q_value double")
    order = Window.partitionBy("kind").orderBy("p_value", "topic")
    return few.where(F.col("q_value") <= rate).withColumn("rank", F.row_number().over(order))


def q_values(ordered: Doubles, count: int) -> Doubles:
    """Of ascending p-values, the smallest among `count`: the least false discovery rate at which each is a discovery.

    >>> q_values(np.array([0.01, 0.02]), 4).tolist()
    [0.04, 0.04]
    """
    raised = ordered * count / np.arange(1, len(ordered) + 1)
    return np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)


def _tested(batch: pd.DataFrame, span: int, start: int) -> pd.DataFrame:
    k, before = batch["users_recent"].to_numpy(np.float64), batch["users_before"].to_numpy(np.float64)
    all_k, all_before = batch["kind_recent"].to_numpy(np.float64), batch["kind_before"].to_numpy(np.float64)
    share = all_k / (all_k + all_before)
    mean = before / start
    variance = np.maximum(batch["squares"].to_numpy(np.float64) / start - mean**2, 0.0) * start / max(start - 1, 1)
    dispersion = np.maximum(np.where(mean > 0, variance / np.maximum(mean, 1e-12), 1.0), 1.0)
    # P(at least k of n) of a binomial, for numbers that need not be whole.
    p = np.where(k > 0, betainc(np.maximum(k / dispersion, 1e-12), before / dispersion + 1.0, share), 1.0)
    ratio = (k + 0.5) / (before + 0.5) * (all_before + 0.5) / (all_k + 0.5)
    days = np.arange(span, dtype=np.float64)
    slope = (span * batch["xy"].to_numpy(np.float64) - days.sum() * batch["y"].to_numpy(np.float64)) / (
        span * (days**2).sum() - days.sum() ** 2
    )
    return pd.DataFrame(
        {
            "kind": batch["kind"], "topic": batch["topic"], "users_recent": batch["users_recent"],
            "users_before": batch["users_before"], "expected": (k + before) * share, "rate_ratio": ratio, "slope": slope,
            "p_value": p,
        }
    )  # fmt: skip
