"""Sample recommendations: who is drawn, what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.blocks import Bars, Missing, Table
from shoal.publish.report.samples import last_events, lists_by_source, lists_of, sample_users, samples_part

ROWS = "user_id string, rank int, item_id string, score double, source string, reason_code string, because_item_id string"
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp"


@pytest.fixture(scope="module")
def recommendations(spark: SparkSession) -> DataFrame:
    rows = [(f"known{n}", r, f"i{r}", 1 / r, "als", "because_rating", "i1" if n else "i9") for n in range(5) for r in range(1, 8)]
    rows += [("new", 1, "i1", 12.5, "popularity", "popular", None), ("new", 2, "i2", 9.0, "popularity", "popular", None)]
    return spark.createDataFrame(rows, ROWS)


@pytest.fixture(scope="module")
def titles(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("i1", "First <b>light</b>"), ("i2", None)], "item_id string, title string")


def test_sources_are_counted_by_users(recommendations: DataFrame) -> None:
    assert lists_by_source(recommendations) == [
        {"source": "als", "users": 5, "rows": 35}, {"source": "popularity", "users": 1, "rows": 2},
    ]  # fmt: skip


def test_every_source_has_a_user_and_the_first_the_rest(recommendations: DataFrame) -> None:
    drawn = sample_users(recommendations, ["als", "popularity"], 3)
    assert [source for source, _ in drawn] == ["als", "als", "popularity"]
    assert drawn == sample_users(recommendations.repartition(4), ["als", "popularity"], 3)
    assert sample_users(recommendations, ["als", "popularity"], 0) == []
    assert [source for source, _ in sample_users(recommendations, ["als", "popularity"], 1)] == ["als"]
    # No more than there are.
    assert len(sample_users(recommendations, ["popularity"], 9)) == 1


def test_lists_are_the_first_places_with_titles(recommendations: DataFrame, titles: DataFrame) -> None:
    rows = lists_of(recommendations, ["new", "known1"], titles)
    assert [(r["user_id"], r["rank"]) for r in rows] == [("known1", r) for r in range(1, 6)] + [("new", 1), ("new", 2)]
    assert [r["title"] for r in rows][:2] == ["First <b>light</b>", None]
    # The because-item is called by its title, or by its id where it has none.
    assert {r["reason"] for r in rows if r["user_id"] == "known1"} == {"Because you rated First <b>light</b>."}
    assert {r["reason"] for r in lists_of(recommendations, ["known0"], titles)} == {"Because you rated i9."}
    assert [r["title"] for r in lists_of(recommendations, ["new"], None)] == [None, None]


def test_last_events_put_looking_after_doing(spark: SparkSession, titles: DataFrame) -> None:
    rows = [
        ("e1", "u", "i1", "view", None, datetime(2024, 3, 9)),
        ("e2", "u", "i1", "rating", 4.5, datetime(2024, 3, 1)),
        ("e3", "u", "i2", "like", None, datetime(2024, 3, 2)),
        ("e5", "u", "i9", "like", None, datetime(2024, 2, 2)),
        ("e4", "u", "i9", "like", None, datetime(2024, 2, 2)),
        ("e6", "someone else", "i1", "like", None, datetime(2024, 3, 2)),
    ]
    last = last_events(spark.createDataFrame(rows, EVENTS), ["u"], titles)
    assert [(r["event"], r["item_id"]) for r in last] == [("like", "i2"), ("rating", "i1"), ("like", "i9")]


def test_the_part_shows_lists_with_reasons(
    spark: SparkSession, recommendations: DataFrame, titles: DataFrame, day: date, absent: Callable[[str], Missing]
) -> None:
    events = spark.createDataFrame([("e1", "new", "i1", "rating", 4.5, datetime(2024, 3, 1))], EVENTS)
    part = samples_part(recommendations, day, day, events, titles, 2, absent)
    by_users, by_places = (b for b in part.blocks if isinstance(b, Bars))
    assert [(b.label, b.text) for b in by_users.bars] == [("als", "5 · 83.3%"), ("popularity", "1 · 16.7%")]
    assert [(b.label, b.text) for b in by_places.bars] == [("als", "35 · 94.6%"), ("popularity", "2 · 5.4%")]
    tables = [b for b in part.blocks if isinstance(b, Table)]
    assert tables[1].caption == "User new · popularity"
    assert [[c.text for c in row] for row in tables[1].rows] == [
        ["1", "First <b>light</b>", "Popular with everybody lately.", "12.5"], ["2", "i2", "Popular with everybody lately.", "9"],
    ]  # fmt: skip
    assert tables[1].note == "Last seen of this user: rating 4.5, First <b>light</b>."
    assert tables[0].note == "No event of this user is known."
    assert part.finding == "6 users have recommendations."


def test_the_part_shows_whose_items_get_the_places(
    spark: SparkSession, day: date, absent: Callable[[str], Missing]
) -> None:
    lists = spark.createDataFrame([("u", 1, "i1", 1.0, "als", "popular", None), ("v", 1, "i2", 1.0, "als", "popular", None)], ROWS)
    events = spark.createDataFrame([(f"e{n}", "u", "i2", "like", None, datetime(2024, 3, n)) for n in (1, 2, 3)], EVENTS)
    owned = [("i1", "First", "one"), ("i2", None, "two"), ("i3", None, "two")]
    items = spark.createDataFrame(owned, "item_id string, title string, owner_id string")
    part = samples_part(lists, day, day, events, items, 1, absent)
    table = next(b for b in part.blocks if isinstance(b, Table) and b.caption == "Places by size of owner")
    assert [[c.text for c in row] for row in table.rows] == [
        ["1", "1", "1", "33.3%", "0.0%", "50.0%"], ["2 to 5", "1", "2", "66.7%", "100.0%", "50.0%"],
    ]  # fmt: skip
    assert [row[2].under for row in table.rows] == ["1 listed", "1 listed"]
    assert "stands in 50.0% of all lists" in table.note


def test_without_lists_the_part_says_so(recommendations: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    for nothing in (None, recommendations.limit(0)):
        part = samples_part(nothing, None, day, None, None, 3, absent)
        assert part.blocks == [Missing("gold.recommendations", "not made", "make gold.recommendations")]
