"""Lists filled up from others, and lists of groups."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.ranking.lists import backfill_lists, best_of_groups, list_groups, users_below_k


def lists_of(spark: SparkSession, rows: list[tuple[str, int, str]], source: str) -> DataFrame:
    return spark.createDataFrame([(*row, source) for row in rows], "user_id string, rank int, item_id string, source string")


def test_later_lists_fill_what_is_left_and_repeat_nothing(spark: SparkSession) -> None:
    first = lists_of(spark, [("u", 1, "a"), ("u", 2, "b")], "first")
    second = lists_of(spark, [("u", 1, "b"), ("u", 2, "c"), ("u", 3, "d"), ("v", 5, "x")], "second")
    found = [tuple(row) for row in backfill_lists([first, second], 3).orderBy("user_id", "rank").collect()]
    assert found == [("u", 1, "a", "first"), ("u", 2, "b", "first"), ("u", 3, "c", "second"), ("v", 1, "x", "second")]
    users = spark.createDataFrame([("u",), ("v",), ("w",)], "user_id string")
    assert {row["user_id"] for row in users_below_k(users, backfill_lists([first, second], 3), 3).collect()} == {"v", "w"}


def test_groups_add_up_and_what_was_seen_is_left_out(spark: SparkSession) -> None:
    members = spark.createDataFrame(
        [("s", "u", "g"), ("s", "u", "h"), ("s", "v", "h"), ("t", "u", "g")], "source string, user_id string, group_id string"
    )
    scored = [("g", "a", 1.0), ("g", "b", 3.0), ("h", "a", 2.5), ("h", "c", 0.5), ("h", "d", 0.5)]
    scores = spark.createDataFrame([("s", *row) for row in scored] + [("t", "g", "z", 9.0)],
                                   "source string, group_id string, item_id string, score double")  # fmt: skip
    seen = spark.createDataFrame([("v", "a")], "user_id string, item_id string")
    found = [tuple(row) for row in list_groups(members, scores, seen, 2).orderBy("source", "user_id", "rank").collect()]
    # a: 1 + 2.5; v has had a; c and d are equal, so the smaller id first; a group of another source of the same name is another.
    assert found == [
        ("s", "u", 1, "a", 3.5), ("s", "u", 2, "b", 3.0), ("s", "v", 1, "c", 0.5), ("s", "v", 2, "d", 0.5), ("t", "u", 1, "z", 9.0),
    ]  # fmt: skip
    best = {(row["group_id"], row["item_id"]) for row in best_of_groups(scores, 2).collect()}
    assert best == {("g", "a"), ("g", "b"), ("h", "a"), ("h", "c"), ("g", "z")}
