"""Feature snapshots: exact values from literal events, point in time, and the carried-forward path equal to the whole one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.features.snapshots import Events, end_of, item_snapshot, user_snapshot
from shoal.lake.contract import contract

DAY = date(2024, 3, 10)
SCHEMA = "user_id string, item_id string, event string, value double, occurred_at timestamp"


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute)


ROWS = [
    ("u1", "i1", "view", None, at(1)),
    ("u1", "i1", "rating", 4.0, at(1, 1)),  # the same item and day again: one item, one day
    ("u1", "i2", "rating", 1.0, at(9)),
    ("u2", "i1", "purchase", 9.5, at(10, 12)),  # a price is no rating
]


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, SCHEMA)


def by_id(frame: DataFrame, key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row.asDict() for row in frame.collect()}


def test_user_features_are_the_hand_counted_ones(spark: SparkSession, events: DataFrame) -> None:
    users = by_id(user_snapshot(spark, Events(events), DAY), "user_id")
    assert set(users) == {"u1", "u2"}
    u1 = users["u1"]
    assert (u1["event_count"], u1["view_count"], u1["rating_count"], u1["purchase_count"]) == (3, 1, 2, 0)
    assert (u1["rating_sum"], u1["mean_rating"]) == (5.0, 2.5)
    assert (u1["distinct_items"], u1["active_days"]) == (2, 2)
    assert (u1["first_event_at"], u1["last_event_at"]) == (at(1), at(9))
    assert u1["recency_days"] == 2.0  # from 9 March 00:00 to the end of 10 March
    assert u1["events_per_day"] == pytest.approx(0.3)  # 3 events in the ten days from 1 to 10 March
    u2 = users["u2"]
    assert (u2["mean_rating"], u2["rating_sum"], u2["purchase_count"]) == (None, 0.0, 1)
    assert (u2["recency_days"], u2["events_per_day"]) == (0.5, 1.0)


def test_windows_count_the_last_days_only(spark: SparkSession) -> None:
    """28 days up to 10 March begin on 12 February, 7 on 4 March."""
    rows = [
        ("u", "x", "rating", 1.0, datetime(2024, 2, 11, 23, 59, 59)),
        ("u", "x", "rating", 4.0, datetime(2024, 2, 12)),
        ("u", "y", "view", None, datetime(2024, 2, 12, 23)),
        ("u", "y", "view", None, datetime(2024, 3, 3, 23, 59)),
        ("u", "x", "rating", 5.0, at(4)),
        ("v", "x", "view", None, datetime(2024, 2, 1)),
    ]
    events = Events(spark.createDataFrame(rows, SCHEMA))
    names = ("event_count_7d", "event_count_28d", "distinct_items_28d", "active_days_28d", "rating_count_28d", "mean_rating_28d")
    users = by_id(user_snapshot(spark, events, DAY), "user_id")
    assert {user: tuple(row[name] for name in names) for user, row in users.items()} == {
        "u": (1, 4, 2, 3, 2, 4.5), "v": (0, 0, 0, 0, 0, None),
    }  # fmt: skip
    names = ("event_count_7d", "event_count_28d", "distinct_users_28d", "rating_count_28d", "mean_rating_28d")
    catalogue = spark.createDataFrame([("z", None)], "item_id string, created_at timestamp")
    items = by_id(item_snapshot(spark, events, catalogue, DAY, 30.0), "item_id")
    assert {item: tuple(row[name] for name in names) for item, row in items.items()} == {
        "x": (1, 2, 1, 2, 4.5), "y": (0, 2, 1, 0, None), "z": (0, 0, 0, 0, None),
    }  # fmt: skip


def test_item_popularity_halves_with_the_half_life(spark: SparkSession, events: DataFrame) -> None:
    catalogue = spark.createDataFrame(
        [("i1", datetime(2024, 2, 28)), ("i3", None), ("i4", datetime(2024, 3, 10, 23)), ("i5", datetime(2024, 3, 11))],
        "item_id string, created_at timestamp",
    )
    items = by_id(item_snapshot(spark, Events(events), catalogue, DAY, half_life_days=1.0), "item_id")
    # i5 is of the day after; i3, whose creation is not known, and i4 have no event
    assert set(items) == {"i1", "i2", "i3", "i4"}
    # ages 10 days, 10 days less an hour, and half a day, to the end of 10 March
    assert items["i1"]["popularity"] == pytest.approx(2**-10 + 2 ** (-10 + 1 / 24) + 2**-0.5, abs=1e-11)
    assert items["i2"]["popularity"] == pytest.approx(0.25, abs=1e-11)
    assert (items["i1"]["distinct_users"], items["i1"]["event_count"], items["i1"]["mean_rating"]) == (2, 3, 4.0)
    assert items["i1"]["age_days"] == 12.0  # 28 February of a leap year to the end of 10 March
    assert items["i2"]["age_days"] == 2.0  # not in the catalogue: its first event counts
    assert items["i3"]["age_days"] is None
    assert (items["i3"]["event_count"], items["i3"]["popularity"], items["i3"]["recency_days"]) == (0, 0.0, None)


def test_events_without_a_time_count_and_have_no_age(spark: SparkSession) -> None:
    rows = [("u1", "i1", "rating", 4.0, None), ("u1", "i2", "like", None, None), ("u2", "i1", "like", None, None),
            ("u2", "i1", "view", None, at(9, 12))]  # fmt: skip
    untimed = Events(spark.createDataFrame(rows, SCHEMA))
    users = by_id(user_snapshot(spark, untimed, DAY), "user_id")
    names = ("event_count", "distinct_items", "active_days", "first_event_at", "recency_days", "events_per_day")
    assert [users["u1"][name] for name in names] == [2, 2, 0, None, None, None]
    assert [users["u2"][name] for name in names] == [2, 1, 1, at(9, 12), 1.5, 1.0]
    items = by_id(
        item_snapshot(spark, untimed, spark.createDataFrame([], "item_id string, created_at timestamp"), DAY, 1.5), "item_id"
    )
    assert {i: (row["event_count"], row["popularity"], row["last_event_at"]) for i, row in items.items()} == {
        "i1": (3, 0.5, at(9, 12)), "i2": (1, 0.0, None),
    }  # fmt: skip


def test_a_carried_snapshot_equals_the_whole_one(spark: SparkSession, events: DataFrame) -> None:
    """The earlier snapshot of 9 March had not seen the late first rating; everything else of that day it had. Between the two days
    an event leaves the window of 28 days and one that of 7."""
    leaving = [("u1", "i1", "rating", 2.0, datetime(2024, 2, 11, 12)), ("u2", "i2", "view", None, at(3, 12)),
               ("u1", "i1", "view", None, datetime(2024, 2, 1))]  # fmt: skip
    events = events.unionByName(spark.createDataFrame(leaving, SCHEMA))
    catalogue = spark.createDataFrame([("i9", at(1))], "item_id string, created_at timestamp")
    late = F.col("value") == 4.0
    counted = events.where("occurred_at < '2024-03-10'").where(~late | late.isNull())
    new = events.where(late | (F.col("occurred_at") >= "2024-03-10"))
    earlier = date(2024, 3, 9)
    for table, key, made in (
        ("features.users", "user_id", lambda e, day: user_snapshot(spark, e, day)),
        ("features.items", "item_id", lambda e, day: item_snapshot(spark, e, catalogue, day, 3.0)),
    ):
        first = made(Events(counted), earlier).withColumn("as_of", F.lit(earlier)).withColumn("run_id", F.lit("r"))
        previous = spark.createDataFrame(first.select(*contract(table).columns).collect(), contract(table).struct())
        carried, whole = by_id(made(Events(new, previous, counted, earlier), DAY), key), by_id(made(Events(events), DAY), key)
        assert set(carried) == set(whole)
        for one, row in whole.items():
            for column, value in row.items():
                expected = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
                assert carried[one][column] == expected, (one, column)
        if table == "features.users":
            # One event left each window and one came: to add would give 4 and 2.
            known = by_id(previous, key)
            assert (known["u1"]["event_count_28d"], whole["u1"]["event_count_28d"]) == (3, 3)
            assert (known["u2"]["event_count_7d"], whole["u2"]["event_count_7d"]) == (1, 1)


def test_no_event_gives_no_user_and_the_catalogue_only(spark: SparkSession, events: DataFrame) -> None:
    nothing = events.limit(0)
    catalogue = spark.createDataFrame([("i1", None)], "item_id string, created_at timestamp")
    assert user_snapshot(spark, Events(nothing), DAY).count() == 0
    assert [r["item_id"] for r in item_snapshot(spark, Events(nothing), catalogue, DAY, 1.0).collect()] == ["i1"]


def test_end_of_a_day_is_the_next_midnight() -> None:
    assert end_of(date(2024, 2, 29)).isoformat() == "2024-03-01T00:00:00+00:00"
