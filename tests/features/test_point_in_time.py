"""Features as of an event: literal snapshots and events about midnight."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError
from shoal.features.point_in_time import join_as_of

SNAPSHOTS = [("u", date(2024, 3, 1), 1), ("u", date(2024, 3, 3), 3), ("v", date(2024, 3, 2), 20)]
EVENTS = [
    ("u", datetime(2024, 3, 1, 23, 59, 59), "the day of the snapshot: not known yet"),
    ("u", datetime(2024, 3, 2), "the moment after"),
    ("u", datetime(2024, 3, 3, 12), "the day of the second"),
    ("u", datetime(2024, 3, 4), "its moment"),
    ("u", datetime(2024, 3, 4), "its moment"),
    ("u", datetime(2024, 4, 1), "long after"),
    ("v", datetime(2024, 3, 2), "before the only one"),
    ("w", datetime(2024, 3, 9), "an unknown key"),
    (None, datetime(2024, 3, 9), "no key"),
    ("u", None, "no time"),
]
EXPECTED = [None, 1, 1, 3, 3, 3, None, None, None, None]


def joined(spark: SparkSession, **more: float) -> list[tuple[str, int | None]]:
    snapshots = spark.createDataFrame(SNAPSHOTS, "user_id string, as_of date, n int")
    events = spark.createDataFrame(EVENTS, "user_id string, occurred_at timestamp, note string")
    rows = join_as_of(events, snapshots, "user_id", "occurred_at", ["n"], **more).collect()
    return sorted(((row["note"], row["n"]) for row in rows), key=str)


def test_only_what_was_known_at_the_event(spark: SparkSession) -> None:
    assert joined(spark) == sorted(((note, n) for (_, _, note), n in zip(EVENTS, EXPECTED, strict=True)), key=str)


def test_old_snapshots_count_as_none(spark: SparkSession) -> None:
    found = dict(joined(spark, max_age_days=1.5))
    assert found["the day of the second"] == 1 and found["long after"] is None and found["its moment"] == 3


def test_equal_to_merge_asof_of_pandas(spark: SparkSession) -> None:
    import numpy as np

    drawn = np.random.default_rng(3)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(drawn.integers(0, 40, 300), unit="D")
    snapshots = pd.DataFrame({"user_id": [f"u{n}" for n in drawn.integers(0, 9, 300)], "day": days}).drop_duplicates()
    snapshots["n"] = range(len(snapshots))
    events = pd.DataFrame({"user_id": [f"u{n}" for n in drawn.integers(0, 10, 500)], "i": range(500)})
    events["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(drawn.integers(0, 50 * 86_400, 500), unit="s")
    known = snapshots.assign(at=snapshots["day"] + pd.Timedelta(days=1)).sort_values("at")
    theirs = pd.merge_asof(events.sort_values("at"), known, on="at", by="user_id")
    expected = {int(row.i): None if np.isnan(row.n) else int(row.n) for row in theirs.itertuples()}
    ours = join_as_of(
        spark.createDataFrame(events), spark.createDataFrame(snapshots).selectExpr("user_id", "cast(day AS date) AS as_of", "n"),
        "user_id", "at", ["n"],
    )  # fmt: skip
    assert {row["i"]: row["n"] for row in ours.collect()} == expected


def test_a_name_that_is_taken_is_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("u", datetime(2024, 1, 1), 1)], "user_id string, at timestamp, n int")
    with pytest.raises(InputError, match="the events have a column n already"):
        join_as_of(rows, rows.selectExpr("user_id", "cast(at AS date) AS as_of", "n"), "user_id", "at", ["n"])
