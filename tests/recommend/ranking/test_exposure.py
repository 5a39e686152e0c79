"""A limit to how many lists an item is in, by hand and in a larger world; and whose items are shown."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.recommend.ranking.exposure import (
    drop_overexposed,
    exposure_by_owner_size,
    largest_share,
    limit_exposure,
    most_lists,
)

LIST = "user_id string, rank int, item_id string, source string"


def lists(spark: SparkSession, **users: str) -> DataFrame:
    """Candidates a user, best first, by one letter."""
    rows = [(user, rank, item, "blend") for user, items in users.items() for rank, item in enumerate(items, 1)]
    return spark.createDataFrame(rows, LIST)


def by_user(rows: DataFrame) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows.orderBy("user_id", "rank").collect():
        found[row["user_id"]] = found.get(row["user_id"], "") + row["item_id"]
    return found


def test_the_users_in_whose_candidates_an_item_is_higher_keep_it(spark: SparkSession) -> None:
    """One place an item. a goes to u or v; whoever has it, the other's next is b, which w has at the end."""
    candidates = lists(spark, u="ab", v="abc", w="cdb")
    found = by_user(limit_exposure(candidates, 1, 1))
    assert sorted(found.values()) == ["a", "b", "c"] and found["w"] == "c"
    # Two a list: u and v share a and b; c is at rank 3 for v and at 1 for w.
    both = by_user(limit_exposure(candidates, 2, 1))
    assert both["w"] == "cd" and sorted(both.get("u", "") + both.get("v", "")) == ["a", "b"]


def test_without_too_many_nothing_changes_and_columns_stay(spark: SparkSession) -> None:
    candidates = lists(spark, u="abc", v="bca")
    found = limit_exposure(candidates, 2, 2)
    assert found.columns == candidates.columns
    assert by_user(found) == {"u": "ab", "v": "bc"}


def test_the_limit_holds_and_the_assignment_is_stable(spark: SparkSession) -> None:
    """60 users with the same taste for 40 items, 5 places each, 10 lists an item."""
    order = F.xxhash64("u", "i") % 7 + F.col("i") * 2
    pairs = spark.range(60).withColumnRenamed("id", "u").crossJoin(spark.range(40).withColumnRenamed("id", "i"))
    rank = F.expr("row_number() over (partition by u order by _order, i)")
    candidates = pairs.withColumn("_order", order).select(
        F.col("u").cast("string").alias("user_id"), rank.alias("rank"), F.col("i").cast("string").alias("item_id"))  # fmt: skip
    wanted = {(row["user_id"], row["item_id"]): row["rank"] for row in candidates.collect()}
    found = [(r["user_id"], r["item_id"], r["rank"]) for r in limit_exposure(candidates, 5, 10, rounds=40).collect()]
    held: dict[str, list[str]] = {}
    for user, item, _ in found:
        held.setdefault(item, []).append(user)
    assert max(map(len, held.values())) == 10
    assert sorted(rank for user, _, rank in found if user == "0") == [1, 2, 3, 4, 5]
    assert len(found) == 60 * 5
    worst = {user: max(wanted[user, i] for u, i, _ in found if u == user) for user, _ in wanted}
    for (user, item), rank in wanted.items():
        if user not in held.get(item, []) and rank < worst[user]:
            # The user would rather have it: then every holder has it as high or higher.
            assert len(held[item]) == 10 and all(wanted[other, item] <= rank for other in held[item])


def test_after_the_last_round_the_limit_holds_still(spark: SparkSession) -> None:
    candidates = lists(spark, u="abc", v="abc", w="abc")
    found = limit_exposure(candidates, 2, 1, rounds=1)
    assert found.groupBy("item_id").count().where("count > 1").count() == 0
    assert found.where("rank > 2").count() == 0


def test_fallback_rows_give_way(spark: SparkSession) -> None:
    rows = [("u", 1, "a", "popularity"), ("u", 2, "b", "popularity"), ("v", 1, "c", "blend"), ("v", 2, "a", "blend")]
    found = drop_overexposed(spark.createDataFrame(rows, LIST), 1, F.col("source") == "popularity")
    assert by_user(found) == {"u": "b", "v": "ca"}
    assert found.where("user_id = 'u'").select("rank").collect() == [(1,)]


def test_an_item_may_be_in_one_list_at_least() -> None:
    assert [most_lists(users, 0.1) for users in (5, 10, 25)] == [1, 1, 2]


def test_exposure_by_the_size_of_owners(spark: SparkSession) -> None:
    owned = [("a", "one"), ("b", "two"), ("c", "two"), ("d", None)]
    items = spark.createDataFrame(owned, "item_id string, owner_id string")
    events = spark.createDataFrame([("a",), ("b",), ("b",), ("c",), ("d",)], "item_id string")
    shown = lists(spark, u="ab", v="ad")
    small, larger = exposure_by_owner_size(shown, items, events)
    # Two first places; one second place, which is worth 1 / log2(3) = .6309 of one.
    assert small == {"size": "1", "owners": 1, "items": 1, "listed_items": 1, "items_share": pytest.approx(1 / 3),
                     "events_share": 0.25, "exposure_share": pytest.approx(2 / 2.6309, abs=1e-4)}  # fmt: skip
    assert (larger["size"], larger["owners"], larger["items"], larger["listed_items"]) == ("2 to 5", 1, 2, 1)
    assert larger["exposure_share"] == pytest.approx(0.6309 / 2.6309, abs=1e-4)
    assert largest_share(shown) == 1.0
    assert largest_share(shown.limit(0)) == 0.0
    assert exposure_by_owner_size(shown, items.where("owner_id is null"), events) == []
