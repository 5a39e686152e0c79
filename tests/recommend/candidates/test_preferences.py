"""What users are taken to like, of all that they have met."""

from __future__ import annotations

from datetime import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.candidates.preferences import liked, preferences, with_relative_ratings
from shoal.recommend.protocol.split import test_part as held_out_part
from shoal.recommend.protocol.split import training_part, with_global_time_split, with_last_out, with_split_at, with_time_split

EVENTS = "user_id string, item_id string, event string, value double, occurred_at timestamp"
WEIGHTS = {"view": 0.2, "purchase": 3.0, "rating": 1.0}


def frame(spark: SparkSession, rows: list[tuple[str, str, str, float | None, datetime | None]]) -> DataFrame:
    return spark.createDataFrame(rows, EVENTS)


def day(month: int, number: int) -> datetime:
    return datetime(2024, month, number)


def weights(rows: DataFrame) -> dict[tuple[str, str], float]:
    return {(r["user_id"], r["item_id"]): round(r["weight"], 6) for r in rows.collect()}


def test_no_training_weight_holds_an_event_of_the_test_period(spark: SparkSession) -> None:
    """A pair viewed on 1 January and bought on 1 March weighs a view, .2, beside a test event of 1 February."""
    rows = [
        ("u", "a", "view", None, day(1, 1)), ("u", "a", "purchase", 9.0, day(3, 1)), ("u", "b", "purchase", 9.0, day(2, 1)),
        ("v", "c", "view", None, day(1, 2)), ("v", "c", "view", None, day(1, 3)), ("v", "d", "view", None, day(1, 4)),
        ("v", "z", "view", None, None),
    ]  # fmt: skip
    pairs = preferences(frame(spark, rows), WEIGHTS, with_deeds=True)
    assert weights(pairs)["u", "a"] == 3.2
    micros = int(datetime(2024, 1, 20).timestamp() * 1_000_000)
    expected = {("u", "a"): 0.2, ("v", "c"): 0.4, ("v", "d"): 0.2, ("v", "z"): 0.2}
    for split in (with_split_at(pairs, micros), with_global_time_split(pairs, 0.34)):
        assert weights(training_part(split)) == expected
        assert weights(held_out_part(split)) == {("u", "b"): 3.0}
    # By user: u's last new item is b, v's d; z has no time and is the earliest.
    for split in (with_last_out(pairs, 1), with_time_split(pairs, 0.5)):
        assert weights(training_part(split)) == {("u", "a"): 0.2, ("v", "c"): 0.4, ("v", "z"): 0.2}
        assert weights(held_out_part(split)) == {("u", "b"): 3.0, ("v", "d"): 0.2}


def test_the_rating_of_a_training_pair_is_that_of_its_earlier_events(spark: SparkSession) -> None:
    rows = [("u", "a", "rating", 1.0, day(1, 1)), ("u", "a", "rating", 5.0, day(3, 1)), ("u", "b", "view", None, day(2, 1))]
    pairs = preferences(frame(spark, rows), WEIGHTS, with_deeds=True)
    known = training_part(with_last_out(pairs, 1)).collect()
    assert [(r["item_id"], r["value"]) for r in known] == [("a", 1.0)]


def test_half_a_star_counts_less_than_five(spark: SparkSession) -> None:
    """All ratings: mean 3, standard deviation 1.6330. u's damped mean is (9 + 3 x 3) / 6 = 3, v's (3 + 9) / 4 = 3."""
    rows = [
        ("u", "low", "rating", 1.0, day(1, 1)), ("u", "middle", "rating", 3.0, day(1, 2)), ("u", "high", "rating", 5.0, day(1, 3)),
        ("u", "seen", "view", None, day(1, 4)), ("u", "high", "purchase", 1.0, day(1, 5)),
    ]  # fmt: skip
    events = frame(spark, rows)
    found = weights(preferences(events, WEIGHTS, "relative"))
    # z of 1 and 5 is -+1.2247: met and not liked, and twice, which is the most; the purchase counts as it is.
    assert found == {("u", "low"): 0.0, ("u", "middle"): 1.0, ("u", "high"): 5.0, ("u", "seen"): 0.2}
    assert ("u", "low") not in weights(liked(preferences(events, WEIGHTS, "relative")))
    assert weights(preferences(events, WEIGHTS)) == {
        ("u", "low"): 1.0, ("u", "middle"): 1.0, ("u", "high"): 4.0, ("u", "seen"): 0.2
    }  # fmt: skip


def test_one_rating_is_compared_with_the_mean_of_all_and_equal_ones_weigh_as_events(spark: SparkSession) -> None:
    rows = [("u", f"i{n}", "rating", 4.0, day(1, 1)) for n in range(6)]
    assert set(weights(preferences(frame(spark, rows), WEIGHTS, "relative")).values()) == {1.0}
    rows += [("v", "i0", "rating", 1.0, day(1, 1))]
    pairs = with_relative_ratings(preferences(frame(spark, rows), WEIGHTS, with_deeds=True))
    # Mean 25 / 7 = 3.57143, deviation 1.04978; v's damped mean (1 + 3 x 3.57143) / 4 = 2.92857: z = -1.83712.
    assert weights(pairs)["v", "i0"] == 0.0
    assert weights(pairs)["u", "i0"] == pytest.approx(1 + (4 - (24 + 3 * 3.57143) / 9) / 1.04978, abs=1e-4)
