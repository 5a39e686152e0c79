"""Neighbours against brute force, and lists by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.errors import UsageError
from shoal.recommend.candidates.als import with_numbers
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.candidates.neighbours import (
    KINDS,
    NeighbourSettings,
    as_pairs,
    item_neighbours,
    keep_nearest,
    list_item_neighbours,
    list_user_neighbours,
)  # fmt: skip

from tests.recommend.candidates.test_ease import preferences_of


def brute_force(met: np.ndarray, kind: str, shrink: float, beta: float) -> np.ndarray:
    """Similarity of every pair, by the formulas of the module's docstring, pair by pair."""
    users, items = met.shape
    found = np.zeros((items, items))
    for i in range(items):
        for j in range(items):
            both = met[:, i] & met[:, j]
            c, own, theirs = both.sum(), met[:, i].sum(), met[:, j].sum()
            if i == j or not c:
                continue
            if kind == "walk":
                found[i, j] = sum(1 / met[u].sum() for u in np.flatnonzero(both)) / own / theirs**beta
                continue
            if kind == "bm25":
                idf = sum(np.log(1 + (items - met[u].sum() + 0.5) / (met[u].sum() + 0.5)) for u in np.flatnonzero(both))
                found[i, j] = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * theirs / met.sum(axis=0).mean()))
                continue
            value = {"cosine": c / (own * theirs) ** 0.5, "jaccard": c / (own + theirs - c), "lift": c * users / (own * theirs)}
            found[i, j] = value[kind] * c / (c + shrink)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nearest_items_equal_brute_force(spark: SparkSession, kind: str) -> None:
    rng = np.random.default_rng(7)
    met = rng.random((25, 9)) < 0.4
    met[met.sum(axis=1) == 0, 0] = True
    histories = {f"u{u}": "".join(chr(97 + i) for i in np.flatnonzero(row)) for u, row in enumerate(met)}
    placed = with_places(preferences_of(spark, histories), 100)
    catalogue = catalogue_of(placed, 100)
    pairs = as_pairs(item_neighbours(placed, catalogue, NeighbourSettings(kind, 2.0, 0.5, 3)), catalogue).collect()
    expected = brute_force(met, kind, 2.0, 0.5)
    for i in range(9):
        rows = sorted((row["rank"], row["similar_item_id"], row["similarity"]) for row in pairs if row["item_id"] == chr(97 + i))
        best = sorted((j for j in range(9) if expected[i, j] > 0), key=lambda j, i=i: (-np.float32(expected[i, j]), j))[:3]
        assert [name for _, name, _ in rows] == [chr(97 + j) for j in best]
        np.testing.assert_allclose([value for *_, value in rows], [expected[i, j] for j in best], rtol=1e-6)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="neighbours: kind 'dice'"):
        keep_nearest(np.ones(1), 1, NeighbourSettings("dice"))


def test_lists_of_item_neighbours(spark: SparkSession) -> None:
    # a and b have two users in common, of two and three; a and c one, of two and two. u3 knows b only.
    placed = with_places(preferences_of(spark, {"u1": "abc", "u2": "ab", "u3": "b", "u4": "c", "u5": "d"}), 100)
    users = spark.createDataFrame([("u3",), ("u4",), ("u5",), ("nobody",)], "user_id string")
    settings = NeighbourSettings("cosine", 0.0, 0.0, 10)
    rows = list_item_neighbours(placed, users, catalogue_of(placed, 10), settings, 2).orderBy("user_id", "rank").collect()
    found = [(row["user_id"], row["rank"], row["item_id"], round(row["score"], 5)) for row in rows]
    # cosine(b, a) = 2 / sqrt(3 x 2), (b, c) = 1 / sqrt(3 x 2), (c, a) = 1 / 2; nothing speaks for anything to u5.
    assert found == [
        ("u3", 1, "a", 0.8165), ("u3", 2, "c", 0.40825), ("u4", 1, "a", 0.5), ("u4", 2, "b", 0.40825),
    ]  # fmt: skip


def test_lists_of_user_neighbours(spark: SparkSession) -> None:
    numbered = with_numbers(preferences_of(spark, {"u1": "abc", "u2": "ab", "u3": "b"}))
    users = spark.createDataFrame([("u2",), ("u3",)], "user_id string")
    settings = NeighbourSettings("cosine", 0.0, 0.0, 10)
    rows = list_user_neighbours(numbered, users, settings, 100, 5).orderBy("user_id", "rank").collect()
    found = [(row["user_id"], row["rank"], row["item_id"], round(row["score"], 5)) for row in rows]
    # cosine(u2, u1) = 2 / sqrt(2 x 3); (u3, u1) = 1 / sqrt(3), (u3, u2) = 1 / sqrt(2): a has both, c the first.
    assert found == [("u2", 1, "c", 0.8165), ("u3", 1, "a", 1.28446), ("u3", 2, "c", 0.57735)]
