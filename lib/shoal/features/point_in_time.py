"""Features as they were known at the moment of an event, never later: what a model may learn from."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.errors import InputError

SNAPSHOT_DAY = "features_as_of"


def join_as_of(
    events: DataFrame, snapshots: DataFrame, key: str, at: str, columns: Sequence[str], max_age_days: float | None = None
) -> DataFrame:
    """The events with `features_as_of` (date) and `columns` of the newest snapshot of their key that was known at the event.

    `events`: `key` and the time `at`, beside any columns; a row each, equal ones too. `snapshots`: `key`, as_of and `columns`,
    one row per key and as_of. A snapshot of day D holds events up to the end of D, so it is known from the next midnight (UTC)
    on: an event on D never sees it. `max_age_days`: an older snapshot counts as none (its age: from that midnight to the event).
    Nulls where no snapshot is known, of an event without a key or a time too. Raises InputError where the events have one of the
    new columns already. Cost: one shuffle by key and a sort; a task holds one row at a time.
    """
    taken = sorted({SNAPSHOT_DAY, *columns} & set(events.columns))
    if taken:
        raise InputError(f"the events have a column {taken[0]} already; rename it")
    empty = F.lit(None)
    features = F.struct(F.col("as_of").alias(SNAPSHOT_DAY), *columns)
    known = snapshots.select(
        F.col(key).alias("_key"), F.date_add("as_of", 1).cast("timestamp").alias("_at"), F.lit(0).alias("_order"),
        features.alias("_features"),
    )  # fmt: skip
    asked = events.select(
        F.col(key).alias("_key"), F.col(at).cast("timestamp").alias("_at"), F.lit(1).alias("_order"), F.struct("*").alias("_event")
    )
    rows = known.unionByName(asked, allowMissingColumns=True)
    # At equal times the snapshot first: it is known at that moment.
    past = Window.partitionBy("_key").orderBy("_at", "_order").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    found = rows.select("_event", "_key", "_at", F.last("_features", ignorenulls=True).over(past).alias("_found"))
    age = (F.unix_micros("_at") - F.unix_micros(F.date_add(F.col(f"_found.{SNAPSHOT_DAY}"), 1).cast("timestamp"))) / 86_400_000_000
    is_known = F.col("_key").isNotNull() & F.col("_at").isNotNull()
    if max_age_days is not None:
        is_known &= age <= F.lit(max_age_days)
    kept = F.when(is_known, F.col("_found")).otherwise(empty)
    return found.where("_event IS NOT NULL").select("_event.*", kept.alias("_kept")).select(
        *[F.col(f"`{name}`") for name in events.columns], *[F.col(f"_kept.{name}").alias(name) for name in (SNAPSHOT_DAY, *columns)]
    )  # fmt: skip
