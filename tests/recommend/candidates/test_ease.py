"""EASE against its closed form in numpy, and the Gram matrix of windows by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from shoal.errors import InputError
from shoal.recommend.candidates.ease import EaseSettings, ease_weights, fit_ease, gram, list_ease, neighbour_weights
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.ranking.history_top_k import best_unseen

PREFERENCES = "user_id string, item_id string, weight double, occurred_at timestamp"
PLAIN = EaseSettings(2.0, 0.0, (), 100, 100)


def preferences_of(spark: SparkSession, histories: dict[str, str]):
    """One preference a letter, in order of time."""
    rows = [(user, item, 1.0, n) for user, items in histories.items() for n, item in enumerate(items)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, weight double, at int")
    return frame.selectExpr("user_id", "item_id", "weight", "timestamp_seconds(at) as occurred_at")


def test_weights_and_lists_are_the_closed_form(spark: SparkSession) -> None:
    rng = np.random.default_rng(5)
    met = rng.random((30, 12)) < 0.35
    met[0] = False
    met[0, 3] = True
    histories = {f"u{u:02d}": "".join(chr(97 + i) for i in np.flatnonzero(row)) for u, row in enumerate(met)}
    placed = with_places(preferences_of(spark, histories), 100)
    model = fit_ease(placed, PLAIN)
    # Steck 2019, equation 8, as printed.
    inverse = np.linalg.inv(met.T.astype(float) @ met + 2.0 * np.eye(12))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.weights, expected, atol=2e-5)
    users = placed.select("user_id").distinct()
    lists: dict[str, list[str]] = {}
    for row in list_ease(placed, users, model, 4).orderBy("user_id", "rank").collect():
        lists.setdefault(row["user_id"], []).append(row["item_id"])
    for user, row in enumerate(met):
        scores = np.where(row, -np.inf, row.astype(float) @ expected)
        best = [chr(97 + i) for i in np.argsort(-scores)[:4] if np.isfinite(scores[i])]
        assert lists[f"u{user:02d}"] == best


def random_gram(items: int, users: int = 80) -> np.ndarray:
    met = np.random.default_rng(7).random((users, items)) < 0.4
    return (met.T.astype(float) @ met).astype(np.float32)


def test_with_all_items_as_neighbours_the_weights_are_the_closed_form() -> None:
    counted = random_gram(15)
    found = neighbour_weights(csr_matrix(counted), 3.0, 15).toarray()
    np.testing.assert_allclose(found, ease_weights(counted.copy(), 3.0), atol=1e-5)


def test_each_item_is_explained_by_its_nearest_alone() -> None:
    counted = random_gram(15).astype(float)
    found = neighbour_weights(csr_matrix(counted.astype(np.float32)), 3.0, 4).toarray()
    cosine = counted / np.sqrt(np.outer(np.diag(counted), np.diag(counted)))
    np.fill_diagonal(cosine, -1)
    for item in range(15):
        nearest = np.sort(np.argsort(-cosine[item], kind="stable")[:4])
        expected = np.zeros(15)
        block = counted[np.ix_(nearest, nearest)] + 3.0 * np.eye(4)
        expected[nearest] = np.linalg.inv(block) @ counted[nearest, item]
        np.testing.assert_allclose(found[:, item], expected, atol=1e-5)
    # Without a shared user there is no weight; what is cut so that it is not positive definite still has one.
    assert neighbour_weights(csr_matrix(np.eye(3, dtype=np.float32)), 1.0, 2).nnz == 0
    odd = np.array([[4, 9, 9], [9, 4, 9], [9, 9, 4]], np.float32)
    assert np.isfinite(neighbour_weights(csr_matrix(odd), 0.1, 2).toarray()).all()


def test_windows_add_what_was_met_close_together(spark: SparkSession) -> None:
    # Windows of 2 from the end: (d)(cb)... with a shift of 1; places from the end: d 0, c 1, b 2, a 3.
    placed = with_places(preferences_of(spark, {"u": "abcd"}), 100)
    found = gram(placed, catalogue_of(placed, 10), EaseSettings(1.0, 2.0, (2,), 10, 100))
    # Without a shift {d, c}, {b, a}; with one {d}, {c, b}, {a}; each window counts 2 / 2 = 1, the history 1.
    expected = [[3, 2, 1, 1], [2, 3, 2, 1], [1, 2, 3, 2], [1, 1, 2, 3]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_times_there_are_no_windows(spark: SparkSession) -> None:
    rows = [("u", "a", 1.0, None), ("u", "b", 3.0, None)]
    placed = with_places(spark.createDataFrame(rows, PREFERENCES), 100)
    found = gram(placed, catalogue_of(placed, 10), EaseSettings(1.0, 2.0, (2,), 10, 100))
    # A weight of 3 counts log2(1 + 3) = 2.
    np.testing.assert_allclose(found, [[1, 2], [2, 4]], atol=1e-6)


def test_the_catalogue_is_bounded(spark: SparkSession) -> None:
    placed = with_places(preferences_of(spark, {"u": "abc", "v": "ab", "w": "bc"}), 100)
    small = EaseSettings(1.0, 0.0, (), 2, 100)
    with pytest.raises(InputError, match="EASE: more than max_items=2 items of two users"):
        fit_ease(placed, small)
    assert fit_ease(placed, small, refuse=False).catalogue.ids.to_pylist() == ["a", "b"]
    # Above the bound an item of one user does not count.
    placed = with_places(preferences_of(spark, {"u": "abc", "v": "ab", "w": "b"}), 100)
    assert fit_ease(placed, small).catalogue.ids.to_pylist() == ["a", "b"]
    assert fit_ease(placed, replace(small, max_items=3)).catalogue.ids.to_pylist() == ["a", "b", "c"]


def test_nothing_to_fit_is_refused(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="nothing to fit EASE on"):
        fit_ease(with_places(spark.createDataFrame([], PREFERENCES), 100), PLAIN)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(InputError, match="not positive definite; raise l2"):
        ease_weights(np.array([[1, 2], [2, 1]], np.float32), 0.5)


def test_only_the_newest_events_of_a_long_history_count(spark: SparkSession) -> None:
    placed = with_places(preferences_of(spark, {"u": "abcde"}), 2)
    assert sorted((row["item_id"], row["back"]) for row in placed.collect()) == [("d", 1), ("e", 0)]


@pytest.mark.parametrize(
    ("scores", "seen", "n", "expected"),
    [
        ([0.5, 0.9, 0.9, 0.1], [], 2, [1, 2]),  # a tie inside
        ([0.9, 0.5, 0.5, 0.5], [0], 2, [1, 2]),  # a tie at the last place goes to the smaller numbers
        ([0.1, float("nan"), 0.3], [2], 5, [0]),  # NaN and seen items are never listed
        ([1.0, 2.0], [0, 1], 1, []),  # all seen
    ],
)
def test_best_unseen(scores: list[float], seen: list[int], n: int, expected: list[int]) -> None:
    assert best_unseen(np.array(scores, np.float32), np.array(seen, np.int64), n).tolist() == expected


def test_ids_sort_as_spark_sorts_them(spark: SparkSession) -> None:
    placed = with_places(preferences_of(spark, {"u": "bA", "v": "é"}), 100)
    assert catalogue_of(placed, 10).ids == pa.array(["A", "b", "é"])
