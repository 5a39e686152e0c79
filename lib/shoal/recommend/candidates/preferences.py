"""From events to preferences: what each user has shown about each item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.recommend.protocol.split import DEEDS, deeds_value, deeds_weight

# event: every rating is an event like any other, as published protocols have it; relative: see `with_relative_ratings`.
Ratings = Literal["event", "relative"]
# A user's mean is taken as if so many of the ratings were the mean of all: one rating does not say whether it is low.
MEAN_DAMPING = 3.0


def preferences(
    events: DataFrame, event_weights: Mapping[Any, float] | None = None, ratings: Ratings = "event", with_deeds: bool = False
) -> DataFrame:
    """One row per user and item: `weight` (sum over the events), `value` (mean rating, null without one), `occurred_at`
    (first), where events have a kind, `event`, the heaviest (ties: the last by name), and, with `with_deeds`, `deeds`: the events
    themselves (see protocol.split).

    Grain of `events`: an event, with user_id, item_id, value (double, null for an event without a rating), occurred_at (null
    without a time), and, where `event_weights` is given, event. A kind that `event_weights` does not name weighs 1; with None every
    event does. With `ratings` "relative" what a rating weighs depends on the user's mean, down to 0: see `with_relative_ratings`;
    whoever splits by time applies that to each part instead. The first time is kept, so that a split by time asks "what will this
    user meet for the first time". Events with a null user or item are dropped; a NaN rating counts as none. A user and item whose
    events are all of kinds that weigh 0 are dropped.

    Raises UsageError for a negative weight. Cost: one shuffle by user and item; with "relative" one more by user, and an
    aggregate over all.
    """
    weight = event_weight(event_weights)
    # The value of another kind is no rating: a purchase's is its amount.
    is_rating = F.col("event") == "rating" if "event" in events.columns else F.lit(True)
    value = F.when(is_rating & ~F.isnan("value"), F.col("value"))
    heaviest = [F.max(F.struct(weight, "event"))["event"].alias("event")] if "event" in events.columns else []
    has_deeds = with_deeds or ratings == "relative"
    deed = F.struct(F.col("occurred_at").alias("at"), weight.cast("double").alias("weight"), value.cast("double").alias("value"))
    kept = [F.array_sort(F.collect_list(deed)).alias(DEEDS)] if has_deeds else []
    pairs = (
        events.where(F.col("user_id").isNotNull() & F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id")
        .agg(
            F.sum(weight).alias("weight"), F.avg(value).alias("value"), F.min("occurred_at").alias("occurred_at"), *heaviest, *kept
        )
        .where("weight > 0")
    )
    if has_deeds:
        # Sorted sums, which splits make again: the same digits however rows lie.
        pairs = pairs.withColumns({"weight": deeds_weight(), "value": deeds_value()})
    if ratings == "relative":
        pairs = with_relative_ratings(pairs)
    return pairs if with_deeds else pairs.drop(DEEDS)


def with_relative_ratings(pairs: DataFrame) -> DataFrame:
    """The pairs (with `deeds`) with weights in which a rating counts by what it says of liking: its event's weight times
    1 + z, within 0 and 2, z = (rating - the user's mean) / the standard deviation of all ratings.

    So a rating at the user's mean weighs what an event of its kind weighs, one a standard deviation below it 0 (the item was met,
    not liked), one above it twice. The user's mean is damped by MEAN_DAMPING ratings at the mean of all. Where all ratings are
    equal z is 0. Events without a rating keep their weight. Rows of weight 0 stay: they say what a user has met. Cost: one
    aggregate over all, whose row is broadcast, one shuffle by user.
    """
    mean = pairs.agg(F.avg("value").alias("_mean"), F.coalesce(F.stddev_pop("value"), F.lit(0.0)).alias("_spread"))
    own = Window.partitionBy("user_id")
    # Five digits: sums over partitions differ in the last ones.
    damped = (F.sum("value").over(own) + MEAN_DAMPING * F.col("_mean")) / (F.count("value").over(own) + MEAN_DAMPING)
    rows = pairs.crossJoin(F.broadcast(mean.select(F.round("_mean", 5).alias("_mean"), F.round("_spread", 5).alias("_spread"))))
    rows = rows.withColumn("_own", F.round(damped, 5))

    def weighed(deed: Column) -> Column:
        z = F.when(F.col("_spread") > 0, (deed["value"] - F.col("_own")) / F.col("_spread")).otherwise(F.lit(0.0))
        factor = F.when(deed["value"].isNull(), F.lit(1.0)).otherwise(F.greatest(F.lit(0.0), F.least(F.lit(2.0), 1 + z)))
        return F.struct(deed["at"].alias("at"), (deed["weight"] * factor).alias("weight"), deed["value"].alias("value"))

    rows = rows.withColumn(DEEDS, F.transform(DEEDS, weighed)).withColumn("weight", deeds_weight())
    return rows.select(*pairs.columns)


def liked(preferences: DataFrame) -> DataFrame:
    """The rows that weigh anything: what a user is taken to like, of all that the user has met."""
    return preferences.where("weight > 0")


def event_weight(event_weights: Mapping[Any, float] | None) -> Column:
    """The weight of an event by the column `event`; 1 for a kind that is not named, 1 for all with None. Raises
    UsageError for a weight that is negative or no number.
    """
    weight = F.lit(1.0)
    for kind, amount in sorted((event_weights or {}).items()):
        if not 0 <= amount < float("inf"):
            raise UsageError(f"event_weights.{kind}: {amount}; expected a number from 0 on")
        weight = F.when(F.col("event") == kind, F.lit(float(amount))).otherwise(weight)
    return weight
