"""Which question a test asks, from times alone: hand-worked shares, and draws of which the share is known."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.protocol.question import estimate_random_share

START = datetime(2024, 1, 1)
EVENTS = "user_id string, occurred_at timestamp"
Rows = list[tuple[str, int | None]]


def events(spark: SparkSession, rows: Rows) -> DataFrame:
    timed = [(user, None if day is None else START + timedelta(days=day)) for user, day in rows]
    return spark.createDataFrame(timed, EVENTS)


@pytest.mark.parametrize(
    ("test", "share"),
    [
        # u has 3 training events, the last on day 30: of 4 drawn ones 4 / (3 + 1) = 1 is expected later, as it is here.
        ([("u", 5), ("u", 15), ("u", 25), ("u", 35)], 1.0),
        ([("u", 31), ("u", 32), ("u", 33), ("u", 34)], 0.0),
        # Two of four are later: (4 - 2) / (4 - 1).
        ([("u", 5), ("u", 15), ("u", 35), ("u", 36)], 0.6667),
        # Neither the tie, nor the event without a time, nor the user without a training time says anything.
        ([("u", 31), ("u", 30), ("u", None), ("v", 1), ("w", 1)], 0.0),
        ([("u", 30), ("u", None), ("v", 1), ("w", 1)], None),
        ([], None),
    ],
)
def test_the_share_is_worked_out_by_hand(spark: SparkSession, test: Rows, share: float | None) -> None:
    train = events(spark, [("u", 10), ("u", 20), ("u", 30), ("v", None)])
    assert estimate_random_share(train, events(spark, test)) == share


def test_short_histories_do_not_bias_the_share(spark: SparkSession) -> None:
    """Of two or three events one is held out, so that a draw often takes the last; and half of the users are asked what is next."""
    draw = random.Random(7)
    train: Rows = []
    drawn: Rows = []
    mixed: Rows = []
    for n in range(600):
        days = list(range(draw.choice([2, 3])))
        taken = draw.choice(days)
        train += [(f"u{n}", day) for day in days if day != taken]
        drawn.append((f"u{n}", taken))
        mixed.append((f"u{n}", taken if n % 2 else 99))
    known = events(spark, train)
    assert estimate_random_share(known, events(spark, drawn)) == pytest.approx(1.0, abs=0.08)
    assert estimate_random_share(known, events(spark, mixed)) == pytest.approx(0.5, abs=0.08)
