"""Who is training, who is test."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import UsageError
from shoal.recommend.protocol.split import (
    test_part as only_test,
)
from shoal.recommend.protocol.split import (
    training_part,
    with_global_time_split,
    with_last_out,
    with_random_split,
    with_time_split,
    with_validation_split,
)

DAY = datetime(2024, 1, 1, tzinfo=timezone.utc)


def events(spark: SparkSession, rows: list[tuple[str, str, int | None]]) -> DataFrame:
    """Events at hours after DAY."""
    timed = [(u, i, None if h is None else (DAY + timedelta(hours=h)).replace(tzinfo=None)) for u, i, h in rows]
    return spark.createDataFrame(timed, "user_id string, item_id string, occurred_at timestamp")


def marked(frame: DataFrame) -> set[tuple[str, str]]:
    return {(r["user_id"], r["item_id"]) for r in only_test(frame).collect()}


def test_the_last_fifth_of_each_user_is_test(spark: SparkSession) -> None:
    rows = [("a", f"i{n:02}", n) for n in range(10)]  # ten events: two are test
    rows += [("b", f"i{n:02}", 100 - n) for n in range(5)]  # newest first: i00 is the last
    rows += [("c", f"i{n:02}", n) for n in range(4)]  # floor(0.8) is none
    frame = with_time_split(events(spark, rows), 0.2)
    assert marked(frame) == {("a", "i08"), ("a", "i09"), ("b", "i00")}
    assert training_part(frame).count() == 19 - 3


def test_leaving_the_last_out_keeps_those_who_have_no_more(spark: SparkSession) -> None:
    rows = [("a", "x", 1), ("a", "y", 3), ("a", "z", 2), ("b", "x", 1), ("b", "y", 2), ("c", "x", 1)]
    frame = events(spark, rows)
    assert marked(with_last_out(frame, 1)) == {("a", "y"), ("b", "y")}
    assert marked(with_last_out(frame.repartition(3), 2)) == {("a", "y"), ("a", "z")}
    with pytest.raises(UsageError, match="last: 0"):
        with_last_out(frame, 0)


def test_events_that_differ_in_their_rating_only_are_told_apart(spark: SparkSession) -> None:
    rows = [("a", "x", DAY.replace(tzinfo=None), value) for value in (3.0, 1.0, 2.0)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, occurred_at timestamp, value double")
    for one in (frame, frame.orderBy("value"), frame.repartition(3)):
        assert [row["value"] for row in only_test(with_last_out(one, 1)).collect()] == [3.0]


def test_equal_times_are_ordered_by_item_and_no_time_is_earliest(spark: SparkSession) -> None:
    # Strings: i10 stands before i9. Without a time "z" is first although its name is last.
    rows = [("a", "i9", 5), ("a", "i10", 5), ("a", "i1", 5), ("a", "z", None)]
    assert marked(with_time_split(events(spark, rows), 0.5)) == {("a", "i10"), ("a", "i9")}


def test_a_share_of_n_is_not_lost_to_rounding(spark: SparkSession) -> None:
    # 0.29 * 100 is 28.999999999999996 in binary.
    assert len(marked(with_time_split(events(spark, [("a", f"{n:03}", n) for n in range(100)]), 0.29))) == 29


def test_global_time_split_puts_no_training_event_after_a_test_event(spark: SparkSession) -> None:
    rows = [(f"u{n % 7}", f"i{n}", n // 3) for n in range(60)] + [("u0", "untimed", None)]  # hours come in threes
    found = with_global_time_split(events(spark, rows), 0.2).collect()
    test_times = [r["occurred_at"] for r in found if r["is_test"]]
    train_times = [r["occurred_at"] for r in found if not r["is_test"] and r["occurred_at"]]
    assert len(test_times) == 12  # four whole hours of three
    assert max(train_times) < min(test_times)
    assert not next(r["is_test"] for r in found if r["item_id"] == "untimed")


def test_random_split_takes_its_share_of_each_group_whatever_the_partitions(spark: SparkSession) -> None:
    frame = events(spark, [(f"u{n % 3}", f"i{n}", n) for n in range(30)])
    by_user = marked(with_random_split(frame, 0.25, 1, "a"))
    assert [sum(u == f"u{n}" for u, _ in by_user) for n in range(3)] == [2, 2, 2]
    assert by_user == marked(with_random_split(frame.repartition(5), 0.25, 1, "a"))
    assert by_user != marked(with_random_split(frame, 0.25, 2, "a"))
    by_item = with_random_split(events(spark, [(f"u{n}", f"i{n % 2}", n) for n in range(20)]), 0.3, 1, "a", within="item_id")
    assert sorted(i for _, i in marked(by_item)) == ["i0"] * 3 + ["i1"] * 3


def test_a_second_draw_from_what_the_first_left_is_independent_of_it(spark: SparkSession) -> None:
    # Items of 3 events lose none to a draw within items, those of 20 a quarter. Were both draws one, what is left with the
    # smallest hashes would be the small items' events, and the second draw would hold little else: 110 and more of 120.
    rows = [(f"u{n % 10}", f"small{n // 3}", n) for n in range(300)] + [(f"u{n % 10}", f"large{n // 20}", n) for n in range(1200)]
    first = with_random_split(events(spark, rows), 0.25, 1, "outer", within="item_id")
    left = training_part(first)
    assert left.count() == 300 + 900
    second = only_test(with_random_split(left, 0.1, 1, "inner"))
    drawn = [row["item_id"] for row in second.collect()]
    assert 110 < len(drawn) <= 120  # the floor of a tenth of each of ten users
    assert 15 <= sum(item.startswith("small") for item in drawn) <= 45  # 30 expected, deviation 4.5


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, float("nan")])
def test_a_ratio_outside_is_refused(spark: SparkSession, ratio: float) -> None:
    with pytest.raises(UsageError, match="test_ratio"):
        with_time_split(events(spark, [("a", "i", 1)]), ratio)


def test_no_event_stays_none(spark: SparkSession) -> None:
    empty = events(spark, [("a", "i", 1)]).limit(0)
    for frame in (with_time_split(empty, 0.2), with_global_time_split(empty, 0.2), with_random_split(empty, 0.2, 1, "a")):
        assert frame.columns[-1] == "is_test"
        assert frame.collect() == []


def test_validation_is_half_last_and_half_drawn(spark: SparkSession) -> None:
    frame = with_validation_split(events(spark, [(f"u{n % 2}", f"i{n:03}", n) for n in range(80)]), 0.2, seed=3)
    for user in ("u0", "u1"):
        rows = sorted((r["item_id"], r["is_test"]) for r in frame.where(f"user_id = '{user}'").collect())
        assert len(rows) == 40
        assert [is_test for _, is_test in rows[-4:]] == [True] * 4
        assert sum(is_test for _, is_test in rows[:-4]) == 4
