"""Reasons: codes, sentences, and items that are never named."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.recommend.ranking.audiences import because_items
from shoal.recommend.ranking.reason import CODES, GENERAL, SENTENCES, als_reason, sentence, with_liked, with_reason
from shoal.recommend.ranking.top_k import Items, Seen


def test_a_code_gives_a_sentence(spark: SparkSession) -> None:
    rows = [("because_rating", "Film $1 {item}"), ("because_comment", None), ("popular", "ignored"), ("unknown", "x")]
    frame = spark.createDataFrame(rows, "code string, name string")
    found = [row[0] for row in frame.select(sentence(F.col("code"), F.col("name"))).collect()]
    assert found == ["Because you rated Film $1 {item}.", "Because you commented on something.", SENTENCES["popular"], None]
    assert {*CODES.values(), GENERAL} <= set(SENTENCES)


def test_an_item_below_the_users_mean_is_no_because_item(spark: SparkSession) -> None:
    """u rates 1 to 5 with mean 3; v gives everything a 2, which is v's mean; w has likes, and one rating."""
    rated = [("u", "bad", "rating", 1.0), ("u", "fair", "rating", 3.0), ("u", "good", "rating", 5.0), ("v", "x", "rating", 2.0),
             ("v", "y", "rating", 2.0), ("w", "liked", "like", None), ("w", "one", "rating", 0.5)]  # fmt: skip
    preferences = with_liked(spark.createDataFrame(rated, "user_id string, item_id string, event string, value double"))
    disliked = {(row["user_id"], row["item_id"]) for row in preferences.where("not is_liked").collect()}
    assert disliked == {("u", "bad")}
    lists = [("u", "1", "bad", "blend"), ("u", "2", "good", "blend"), ("u", "3", "gone", "als"), ("w", "4", "liked", "als"),
             ("w", "5", None, "popularity"), ("u", "6", "fair", "als"), ("u", "7", "bad", "content")]  # fmt: skip
    frame = spark.createDataFrame(lists, "user_id string, item_id string, because_item_id string, source string")
    removed = spark.createDataFrame([("fair",), ("1",)], "item_id string")
    rows = with_reason(frame, preferences, removed).collect()
    assert sorted((row["item_id"], row["reason_code"], row["because_item_id"]) for row in rows) == [
        ("1", "similar_users", None), ("2", "because_rating", "good"), ("3", "because_event", "gone"),
        ("4", "because_like", "liked"), ("5", "popular", None), ("6", "similar_users", None), ("7", "new_item", None),
    ]  # fmt: skip
    kept = {row["item_id"]: row["because_item_id"] for row in with_reason(frame, preferences).collect()}
    assert (kept["6"], kept["1"]) == ("fair", None)


ITEMS = Items(pa.array(["a", "b", "c", "d"]), np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0.1]], np.float32), np.ones(4))


def test_als_names_the_liked_item_with_the_largest_term() -> None:
    reason = als_reason(0.1, None)
    listed = np.array([[3, -1]])
    for liked, expected in (([True, True, True], 0), ([False, True, True], 1), ([False, False, False], -1)):
        seen = Seen(np.array([0, 3]), np.array([0, 1, 2]), np.array([5.0, 4.0, 1.0]), np.array(liked))
        assert reason(ITEMS, np.empty((1, 0), np.float32), seen, listed).tolist() == [[expected, -1]]


def test_the_strongest_reason_decides(spark: SparkSession) -> None:
    """In `parts` stands what each kind adds; without these entries, and on a tie, the item that was liked is named."""
    given = [("1", {"by_history": 0.5, "by_next": 0.2}), ("2", {"by_history": 0.1, "by_next": 0.2}),
             ("3", {"by_content": 0.2, "by_next": -0.1}), ("4", {"by_people": 0.4, "by_history": 0.3}),
             ("5", {"by_popularity": 0.4, "by_history": 0.3}), ("6", {"by_history": 0.3, "by_popularity": 0.3}),
             ("7", {"als": 9.0}), ("8", {"by_next": 0.2})]  # fmt: skip
    rows = [("u", item, None if item == "8" else "x", parts, "blend") for item, parts in given]
    columns = "user_id string, item_id string, because_item_id string, parts map<string,double>, source string"
    lists = spark.createDataFrame(rows, columns)
    liked = spark.createDataFrame([("u", "x", "like", True)], "user_id string, item_id string, event string, is_liked boolean")
    found = {row["item_id"]: (row["reason_code"], row["because_item_id"]) for row in with_reason(lists, liked).collect()}
    assert found == {
        "1": ("because_like", "x"), "2": ("because_next", "x"), "3": ("because_content", "x"), "4": ("because_like", "x"),
        "5": ("popular", None), "6": ("because_like", "x"), "7": ("because_like", "x"), "8": ("similar_users", None),
    }  # fmt: skip


def test_pairs_of_users_and_items_get_their_because_item(spark: SparkSession) -> None:
    factors = list(zip(ITEMS.ids.to_pylist(), ITEMS.factors.tolist(), strict=True))
    items = spark.createDataFrame(factors, "item_id string, features array<float>")
    seen = [("u", "a", 5.0, False), ("u", "b", 4.0, True), ("v", "c", 3.0, True), ("x", "a", 1.0, True)]
    met = spark.createDataFrame(seen, "user_id string, item_id string, weight double, is_liked boolean")
    pairs = spark.createDataFrame([("u", "d"), ("u", "new"), ("v", "d"), ("v", "a"), ("w", "d")], "user_id string, item_id string")
    found = {tuple(row) for row in because_items(pairs, items, met, als_reason(0.1, None)).collect()}
    # u dislikes a; no factors of `new`; c speaks for d a little and not for a; w has met nothing.
    assert found == {("u", "d", "b"), ("v", "d", "c")}
