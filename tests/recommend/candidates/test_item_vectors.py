"""Projections, vectors of the graph and the vector of all parts, by hand."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.recommend.candidates.content import ContentSettings, content_factors, with_vector_terms
from shoal.recommend.candidates.graph_vectors import GraphVectorSettings, around_vectors, graph_vectors
from shoal.recommend.candidates.item_vectors import item_vectors
from shoal.recommend.candidates.projection import projected, signs
from shoal.recommend.ranking.caching import caching

VECTORS = "item_id string, features array<float>"


def test_signs_are_a_names_own_and_keep_products() -> None:
    names = ["sea", "ship", "été"]
    rows = signs(names, 64, 42)
    assert rows.shape == (3, 64) and set(np.unique(rows)) == {-1.0, 1.0}
    # Not the place of a name, the name.
    assert np.array_equal(signs(names[::-1], 64, 42)[::-1], rows)
    assert not np.array_equal(signs(names, 64, 43), rows)
    many = signs([str(n) for n in range(400)], 512, 42)
    a, b = np.zeros(400), np.zeros(400)
    a[:200], b[100:300] = 1, 1  # cosine .5
    cosine = (a @ many) @ (b @ many) / np.linalg.norm(a @ many) / np.linalg.norm(b @ many)
    assert cosine == pytest.approx(0.5, abs=0.1)


def test_a_projection_is_the_sum_of_its_names_signs(spark: SparkSession) -> None:
    parts = [("a", [0, 2], [2.0, -1.0]), ("b", [], []), ("c", None, [0.5, 3.0])]
    frame = spark.createDataFrame(parts, "item_id string, indices array<int>, values array<float>")
    found = {row["item_id"]: row["features"] for row in projected(frame, ["x", "y", "z"], 8, 1).collect()}
    x, _, z = signs(["x", "y", "z"], 8, 1)
    first, second = signs(["0", "1"], 8, 1)
    expected = {"a": (2 * x - z).tolist(), "b": [0.0] * 8, "c": (0.5 * first + 3 * second).tolist()}
    assert found == expected


def test_items_of_the_same_people_are_alike_and_a_new_one_is_like_its_owners(spark: SparkSession) -> None:
    at = datetime(2024, 1, 1)
    # u1 to u4 meet ships, v1 to v4 hats; the new ones have no events. n0 has neither owner nor hashtag of another.
    pairs = [(f"{group}{n}", item, 1.0, at) for group, items in (("u", "abc"), ("v", "xyz")) for n in range(4) for item in items]
    met = spark.createDataFrame(pairs, "user_id string, item_id string, weight double, occurred_at timestamp")
    about = [(i, "anna", None) for i in "ab"] + [("c", None, ["Sea"])] + [(i, "ben", ["hat"]) for i in "xyz"]
    about += [("n0", "carl", None), ("n1", "anna", ["hat", "unheard"]), ("n2", None, ["sea"])]
    items = spark.createDataFrame(about, "item_id string, owner_id string, hashtags array<string>")
    with caching() as keep:
        graph, around = graph_vectors(met, items, GraphVectorSettings(16, 2, 100, 7), keep)
        found = {row["item_id"]: np.array(row["features"], np.float64) for row in graph.collect()}
        near = {row["item_id"]: np.array(row["features"], np.float64) for row in around.collect()}
    assert set(found) == {*"abcxyz", "n1", "n2"}
    # Two groups, less their mean: opposite directions.
    assert found["a"] @ found["b"] == pytest.approx(1, abs=1e-5) and found["a"] @ found["x"] == pytest.approx(-1, abs=1e-5)
    # anna's are ships, the hashtag's are hats: half of each. Sea is the same tag.
    assert found["n1"] == pytest.approx(np.zeros(16), abs=1e-5) and found["n2"] == pytest.approx(found["c"], abs=1e-5)
    # c is the only one with its hashtag, and has no owner.
    assert set(near) == {*"abxyz", "n1", "n2"}
    assert near["a"] == pytest.approx(found["b"], abs=1e-5) and near["n2"] == pytest.approx(found["c"], abs=1e-5)


def test_what_is_around_a_met_item_is_without_itself(spark: SparkSession) -> None:
    about = [("a", "o", ["t"]), ("b", "o", None), ("c", None, ["t", "T"]), ("alone", "p", None), ("new", "o", ["t"])]
    about.append(("bare", None, None))
    items = spark.createDataFrame(about, "item_id string, owner_id string, hashtags array<string>")
    vectors = spark.createDataFrame([("a", [6.0, 0.0]), ("b", [0.0, 2.0]), ("c", [4.0, 4.0]), ("alone", [1.0, 1.0])], VECTORS)
    found = {row["item_id"]: row["features"] for row in around_vectors(items, vectors).collect()}
    # a: b of its owner, c of its hashtag. new: (a + b) / 2 = (3, 1) and (a + c) / 2 = (5, 2).
    assert found == {"a": [2.0, 3.0], "b": [6.0, 0.0], "c": [6.0, 0.0], "new": [4.0, 1.5]}


def test_the_vector_of_all_parts_by_hand(spark: SparkSession) -> None:
    items = spark.createDataFrame([("a",), ("b",), ("none",)], "item_id string")
    texts = spark.createDataFrame([("a", [0.6, 0.8]), ("b", [0.0, 1.0]), ("gone", [1.0, 0.0])], VECTORS)
    graph = spark.createDataFrame([("a", [-1.0, 0.0])], VECTORS)
    rows = item_vectors(items, {"text": texts, "graph": graph}, {"text": 3.0, "image": 5.0, "graph": 1.0}, 2, graph).collect()
    found = {row["item_id"]: row for row in rows}
    assert {item: row["parts"] for item, row in found.items()} == {"a": ["text", "graph"], "b": ["text"], "none": []}
    # a: text weighs 3 of 4, graph 1 of 4; b has text only.
    assert found["a"]["vector"] == pytest.approx([0.75**0.5 * 0.6, 0.75**0.5 * 0.8, 0, 0, -0.5, 0])
    assert found["b"]["vector"] == pytest.approx([0, 1, 0, 0, 0, 0]) and found["none"]["vector"] == [0.0] * 6
    assert found["a"]["graph_vector"] == [-1.0, 0.0] and found["a"]["image_vector"] == [0.0, 0.0]
    assert found["a"]["around_vector"] == [-1.0, 0.0] and found["b"]["around_vector"] == [0.0, 0.0]


def test_numbers_of_a_vector_are_further_terms(spark: SparkSession) -> None:
    weights = "item_id string, terms array<int>, weights array<float>"
    content = spark.createDataFrame([("a", [0, 4], [1.0, 2.0]), ("b", [1], [3.0])], weights)
    vectors = spark.createDataFrame([("a", [0.5, -1.0]), ("c", [0.0, 1.0])], "item_id string, vector array<float>")
    found = with_vector_terms(content, vectors, ContentSettings(5, 1, 1.0, 10.0)).orderBy("item_id").collect()
    assert [tuple(row) for row in found] == [
        ("a", [0, 4, 5, 6], [1.0, 2.0, 5.0, -10.0]), ("b", [1], [3.0]), ("c", [5, 6], [0.0, 10.0]),
    ]  # fmt: skip


def test_a_new_item_without_a_word_has_factors_by_its_vector(spark: SparkSession) -> None:
    names = ["a", "b", "c", "x", "y", "z", "new"]
    items = spark.createDataFrame([(name, "same") for name in names], "item_id string, title string")
    factors = spark.createDataFrame([(i, [2.0, 0.0]) for i in "abc"] + [(i, [0.0, 2.0]) for i in "xyz"], VECTORS)
    vectors = spark.createDataFrame(
        [(i, [1.0, 0.0]) for i in "abc"] + [(i, [0.0, 1.0]) for i in "xyz"] + [("new", [0.0, 1.0]), ("gone", [1.0, 0.0])],
        "item_id string, vector array<float>",
    )
    found = {}
    for weight in (0.0, 10.0):
        rows = content_factors(items, factors, ContentSettings(5, 1, 0.1, weight), vectors).collect()
        found[weight] = {row["item_id"]: row["features"] for row in rows}
    assert set(found[10.0]) == set(names)
    # By the word that all have: the mean of all. By the vector: what x, y and z are.
    assert found[0.0]["new"] == pytest.approx([1.0, 1.0], abs=0.05)
    assert found[10.0]["new"] == pytest.approx([0.0, 2.0], abs=0.05)
