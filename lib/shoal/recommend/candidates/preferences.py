"""From events to preferences: what each user has shown about each item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError


def preferences(events: DataFrame, event_weights: Mapping[Any, float] | None = None) -> DataFrame:
    """One row per user and item: `weight` (sum over the events), `value` (mean rating, null without one), `occurred_at`
    (first), and, where events have a kind, `event`, the heaviest (ties: the last by name).

    Grain of `events`: an event, with user_id, item_id, value (double, null for an event without a rating), occurred_at,
    and, where `event_weights` is given, event. A kind that `event_weights` does not name weighs 1; with None every
    event does. The first time is kept, so that a split by time asks "what will this user meet for the first time".
    Events with a null user or item are dropped; a NaN rating counts as none. A user and item whose events weigh 0
    together are dropped.

    Raises UsageError for a negative weight. Cost: one shuffle by user and item.
    """
    weight = event_weight(event_weights)
    # The value of another kind is no rating: a purchase's is its amount.
    is_rating = F.col("event") == "rating" if "event" in events.columns else F.lit(True)
    value = F.when(is_rating & ~F.isnan("value"), F.col("value"))
    heaviest = [F.max(F.struct(weight, "event"))["event"].alias("event")] if "event" in events.columns else []
    return (
        events.where(F.col("user_id").isNotNull() & F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id")
        .agg(F.sum(weight).alias("weight"), F.avg(value).alias("value"), F.min("occurred_at").alias("occurred_at"), *heaviest)
        .where("weight > 0")
    )


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
