"""Feature snapshots: all from the events, or an earlier snapshot carried forward by the events it had not seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.features.query import query
from shoal.lake.contract import contract


@dataclass(frozen=True)
class Events:
    """The inputs of a snapshot: the events to add, and, where it carries an earlier one forward, that one and its events.

    `new` has each event that the earlier snapshot had not counted, whether it happened later or only arrived later;
    `counted` each that it had. `day` is the earlier snapshot's as_of.
    """

    new: DataFrame
    previous: DataFrame | None = None
    counted: DataFrame | None = None
    day: date | None = None


# The windows of days that end with as_of: columns ..._7d and ..._28d.
WINDOWS = (7, 28)


def end_of(day: date) -> datetime:
    """The first moment after `day`, UTC: what happened before it is known at as_of."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc) + timedelta(days=1)


def user_snapshot(spark: SparkSession, events: Events, as_of: date) -> DataFrame:
    """features.users but for as_of and run_id: one row per user with an event before the end of `as_of`.

    No event: no row. Two shuffles of the new events by user, one of the earlier snapshot, one of the last 28 days' events;
    `counted` is scanned against the new pairs, which are broadcast (see features.full_refresh_above_new_rows), from the first day
    of the new events on against their days, and for its last 28 days.
    """
    values = {**_times(as_of), "first_day": _first_day(events) or as_of}
    return query(spark, "users", values, **_frames(events, "features.users"))


def item_snapshot(spark: SparkSession, events: Events, items: DataFrame, as_of: date, half_life_days: float) -> DataFrame:
    """features.items but for as_of and run_id: one row per item that was made or had an event before the end of `as_of`.

    Popularity: the sum over events of 2^(-age / half_life_days). Cost as user_snapshot, and a join with the catalogue.
    """
    passed = float((as_of - events.day).days) if events.day else 0.0
    values = {**_times(as_of), "half_life_days": half_life_days, "days_since_previous": passed}
    return query(spark, "items", values, **_frames(events, "features.items"), items=items.select("item_id", "created_at"))


def _times(as_of: date) -> dict[str, datetime]:
    """`end` and the starts of the windows."""
    end = end_of(as_of)
    return {"end": end} | {f"start_{days}d": end - timedelta(days=days) for days in WINDOWS}


def _first_day(events: Events) -> date | None:
    """The day of the earliest new event; None without one, and where nothing was counted before. One pass over the new ones."""
    if events.counted is None:
        return None
    found: date | None = events.new.agg(F.min(F.to_date("occurred_at"))).collect()[0][0]
    return found


def _frames(events: Events, table: str) -> dict[str, DataFrame]:
    """The query's frames; without an earlier snapshot two are empty, and the optimiser drops what reads them."""
    new = events.new.select("user_id", "item_id", "event", "value", "occurred_at")
    counted = new.limit(0) if events.counted is None else events.counted.select(*new.columns)
    empty = new.sparkSession.createDataFrame([], contract(table).struct())
    return {"events": new, "counted": counted, "previous": empty if events.previous is None else events.previous}
