"""What is on its way up: decayed popularity over a window that fits the kind of item, and whether its rate changed by more than
chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.candidates.preferences import event_weight
from shoal.recommend.ranking.sums import stable_sum

# Older events count less than a millionth.
HALF_LIVES = 20
OTHER = "other"


@dataclass(frozen=True)
class TrendSettings:
    """Hours of a window by kind of item, those of a kind that is not named, and how many items of a kind are kept."""

    half_life_hours: Mapping[str, float]
    default_half_life_hours: float
    items: int

    def longest(self) -> float:
        """Hours before the end after which no event counts, whatever its kind."""
        return HALF_LIVES * max(self.default_half_life_hours, *self.half_life_hours.values())


def window_of(kind: Column, settings: TrendSettings) -> Column:
    """The hours of a kind's window."""
    hours = F.lit(float(settings.default_half_life_hours))
    for name, amount in sorted(settings.half_life_hours.items()):
        hours = F.when(kind == name, F.lit(float(amount))).otherwise(hours)
    return hours


def trending(
    events: DataFrame, items: DataFrame | None, end: Column, settings: TrendSettings, event_weights: Mapping[Any, float] | None
) -> DataFrame:
    """One row per kind and rank: kind, rank, item_id, score, trend_z_score, half_life_hours, events, previous_events, users.

    score: sum over the item's events of weight * 2 ** (-age / window), ages up to 20 windows, before `end`. events and users:
    of the last window; previous_events: of the one before. trend_z_score: (events - previous_events) / sqrt(events +
    previous_events), in standard deviations of the difference of two Poisson counts of one rate. Only items with an event in the
    last window are listed, the `items` best of each kind by score, ties by item_id. An item that `items` does not know is of
    kind `other`. Events after `end` or without a time do not count.

    `events`: user_id, item_id, event, occurred_at; `items`: item_id, kind, unique. Cost: a join with the items, one shuffle of
    sums by item and user, one by item, a sort of each kind's best.
    """
    age = (F.unix_micros(end) - F.unix_micros("occurred_at")) / F.lit(3_600e6)
    recent = events.withColumn("_age", age).where((F.col("_age") > 0) & (F.col("_age") <= settings.longest()))
    if items is None:
        known = recent.withColumn("kind", F.lit(None).cast("string"))
    else:
        known = recent.join(items.select("item_id", "kind"), "item_id", "left")
    kinds = known.withColumn("kind", F.coalesce("kind", F.lit(OTHER)))
    windows = kinds.withColumn("half_life_hours", window_of(F.col("kind"), settings))
    counted = ["kind", "half_life_hours", "item_id"]
    passed = F.col("_age") / F.col("half_life_hours")
    amount = F.when(passed <= HALF_LIVES, event_weight(event_weights) * F.pow(F.lit(2.0), -passed))
    pairs = windows.groupBy(*counted, "user_id").agg(
        F.sum(amount).alias("amount"), F.count_if(passed <= 1).alias("now"),
        F.count_if((passed > 1) & (passed <= 2)).alias("before"),
    )  # fmt: skip
    totals = pairs.groupBy(*counted).agg(
        stable_sum("amount").alias("score"), F.sum("now").alias("events"), F.sum("before").alias("previous_events"),
        F.count_if(F.col("now") > 0).alias("users"),
    )  # fmt: skip
    place = F.row_number().over(Window.partitionBy("kind").orderBy(F.desc("score"), "item_id")).alias("rank")
    change = (F.col("events") - F.col("previous_events")) / F.sqrt(F.col("events") + F.col("previous_events"))
    ranked = totals.where("events > 0 and score > 0").select("*", place).where(F.col("rank") <= settings.items)
    return ranked.select(
        "kind", "rank", "item_id", "score", change.alias("trend_z_score"), "half_life_hours", "events", "previous_events", "users"
    )
