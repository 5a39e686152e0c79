"""Places left to chance: propensities by hand, and as frequencies over many users."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.ranking.explore import Exploration, with_exploration

LISTS = "user_id string, rank int, item_id string, score double, parts map<string,double>, source string, because_item_id string"
USERS = 400


def rows_of(frame: DataFrame) -> list[tuple[str, int, str, str, float]]:
    found = frame.select("user_id", "rank", "item_id", "source", "propensity").orderBy("user_id", "rank").collect()
    return [tuple(row) for row in found]


def test_propensities_are_the_frequencies_of_what_is_shown(spark: SparkSession) -> None:
    """Everybody has the list a, b, c and has met x; two places are explored. c and x cannot be drawn: 0.3 of all."""
    rows = [(f"u{n:03}", rank, item, 1.0, {"als": 1.0}, "als", "w") for n in range(USERS) for rank, item in enumerate("abc", 1)]
    lists = spark.createDataFrame(rows, LISTS)
    seen = spark.createDataFrame([(f"u{n:03}", "x") for n in range(USERS)], "user_id string, item_id string")
    # Half of what the arms had before a rule took one of them away: they are drawn in proportion.
    shares = [("y", 0.25), ("z", 0.1), ("c", 0.1), ("x", 0.05), ("0", 0.0)]
    arms = spark.createDataFrame(shares, "item_id string, probability double")
    settings = Exploration(arms, 2, 1, date(2024, 3, 1))
    found = rows_of(with_exploration(lists.repartition(3), seen, settings))
    assert [(rank, propensity) for _, rank, item, _, propensity in found if item == "a"] == [(1, 1.0)] * USERS
    by_user = [found[n : n + 3] for n in range(0, len(found), 3)]
    assert all([row[1] for row in one] == [1, 2, 3] for one in by_user)
    assert all(len({row[2] for row in one}) == 3 for one in by_user)
    # The second place: y, z, or else the next of the list, b.
    second = Counter((one[1][2], one[1][3], round(one[1][4], 9)) for one in by_user)
    assert set(second) == {("y", "explore", 0.5), ("z", "explore", 0.2), ("b", "als", 0.3)}
    for (_, _, propensity), number in second.items():
        assert number / USERS == pytest.approx(propensity, abs=0.07)
    # A draw depends on seed, day, user and place only, so it is the same on every machine.
    assert [one[1][2] for one in by_user[:12]] == list("yybyzbybzyby")
    # The third, below y: z, or what is next of the list, b, where c, x or y again was drawn.
    third = Counter((one[2][2], round(one[2][4], 9)) for one in by_user if one[1][2] == "y")
    assert set(third) == {("z", 0.2), ("b", 0.8)}
    assert {(one[2][2], round(one[2][4], 9)) for one in by_user if one[1][2] == "b"} == {("y", 0.5), ("z", 0.2), ("c", 0.3)}


def test_cold_start_slots_are_not_explored(spark: SparkSession) -> None:
    """u has a slot at the end, v one in the middle, w nothing else; the place before, or the last open one, is drawn for."""
    lists = {"u": [("a", "als"), ("b", "als"), ("new", "content")], "v": [("a", "als"), ("new", "content"), ("p", "popularity")],
             "w": [("new", "content")]}  # fmt: skip
    rows = [(user, rank, item, 1.0, {source: 1.0}, source, None) for user, one in lists.items() for rank, (item, source) in
            enumerate(one, 1)]  # fmt: skip
    arms = spark.createDataFrame([("y", 0.75), ("new", 0.25)], "item_id string, probability double")
    nothing = spark.createDataFrame([], "user_id string, item_id string")
    found = rows_of(with_exploration(spark.createDataFrame(rows, LISTS), nothing, Exploration(arms, 1, 3, date(2024, 3, 1))))
    drawn = {"u": ("u", 2), "v": ("v", 3)}
    assert [row for row in found if row[:2] not in drawn.values()] == [
        ("u", 1, "a", "als", 1.0), ("u", 3, "new", "content", 1.0), ("v", 1, "a", "als", 1.0), ("v", 2, "new", "content", 1.0),
        ("w", 1, "new", "content", 1.0),
    ]  # fmt: skip
    # y by its probability, or what stood there, where the draw was the item of the slot.
    places = [row[2:] for row in found if row[:2] in drawn.values()]
    assert places[0] in [("y", "explore", 0.75), ("b", "als", 0.25)]
    assert places[1] in [("y", "explore", 0.75), ("p", "popularity", 0.25)]
