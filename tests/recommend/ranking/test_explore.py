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
    settings = Exploration(2, 1, date(2024, 3, 1))
    found = rows_of(with_exploration(lists.repartition(3), seen, arms, settings))
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
