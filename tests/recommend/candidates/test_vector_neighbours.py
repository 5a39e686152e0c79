"""Cosines beside brute force; lists of centres find planted neighbours and stay small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import InputError
from shoal.recommend.candidates import vector_neighbours
from shoal.recommend.candidates.vector_neighbours import VectorSettings, in_parts, nearest_vectors

EXACT = VectorSettings(neighbours=3, exact_items=10_000, probes=8, most=40, user_batch_size=16, seed=7)
LISTED = replace(EXACT, exact_items=0)


def frame_of(spark: SparkSession, rows: np.ndarray, parts: int = 2) -> DataFrame:
    named = [(f"i{n:03d}", [float(x) for x in row]) for n, row in enumerate(rows)]
    return spark.createDataFrame(named, "item_id string, features array<float>").repartition(parts)


def brute_force(rows: np.ndarray, centred: bool, k: int) -> dict[tuple[str, int], tuple[str, float]]:
    rows = rows.astype(np.float32).astype(np.float64)
    rows = rows - rows.mean(axis=0) if centred else rows
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = {}
    for n, row in enumerate(rows):
        cosines = rows @ row
        order = sorted((m for m in range(len(rows)) if m != n and cosines[m] > 0), key=lambda m, c=cosines: (-c[m], m))[:k]
        found |= {(f"i{n:03d}", rank): (f"i{m:03d}", pytest.approx(cosines[m], abs=1e-5)) for rank, m in enumerate(order, 1)}
    return found


def found_in(pairs: DataFrame) -> dict[tuple[str, int], tuple[str, float]]:
    return {(r["item_id"], r["rank"]): (r["similar_item_id"], r["similarity"]) for r in pairs.collect()}


def clusters(spread: float = 0.15) -> np.ndarray:
    """Sixty clusters of six, in twenty dimensions."""
    rng = np.random.default_rng(1)
    return np.repeat(rng.standard_normal((60, 20)), 6, axis=0) + spread * rng.standard_normal((360, 20))


@pytest.mark.parametrize("centred", [True, False])
def test_small_catalogues_are_ranked_exactly(spark: SparkSession, centred: bool) -> None:
    rows = np.random.default_rng(2).standard_normal((30, 5)) + 1.0
    assert found_in(nearest_vectors(frame_of(spark, rows), EXACT, centred)) == brute_force(rows, centred, 3)


def test_lists_of_centres_find_what_is_near(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    # All vectors point one way besides.
    rows = clusters() + 3.0
    found = found_in(nearest_vectors(frame_of(spark, rows), LISTED, False))
    expected = brute_force(rows, False, 3)
    met = sum(found.get(key, ("", 0.0))[0] == name for key, (name, _) in expected.items())
    assert met / len(expected) > 0.95
    # What is found is exact, whatever was missed.
    assert found["i000", 1] == expected["i000", 1]
    # The same from other partitions, and of a task each for a few vectors.
    monkeypatch.setattr(vector_neighbours, "TASK_BYTES", 100_000)
    assert found_in(nearest_vectors(frame_of(spark, rows, 5), LISTED, False)) == found


def test_a_full_list_is_cut(spark: SparkSession) -> None:
    placed = [(f"i{n:03d}", 1 if n < 200 else 2, True) for n in range(210)] + [(f"i{n:03d}", 2, False) for n in range(50)]
    rows = spark.createDataFrame(placed, "item_id string, list bigint, is_in boolean")
    parts = in_parts(rows, 20).persist()
    # Who only asks in a list does not make it full.
    assert [row["part"] for row in parts.where("list = 2").select("part").distinct().collect()] == [0]
    sizes = parts.where("is_in").groupBy("list", "part").count().collect()
    parts.unpersist()
    assert sum(row["count"] for row in sizes) == 210
    assert [row["count"] for row in sizes if row["list"] == 2] == [10]
    assert max(row["count"] for row in sizes) < 40
    # Two hundred that are one and the same still find each other.
    same = np.vstack([np.tile([1.0, 0.0, 0.0], (200, 1)), np.random.default_rng(3).standard_normal((10, 3))])
    found = found_in(nearest_vectors(frame_of(spark, same), replace(LISTED, most=20, probes=4), False))
    assert {round(value, 6) for (item, _), (_, value) in found.items() if item < "i200"} == {1.0}
    assert len([1 for item, rank in found if item < "i200" and rank == 3]) == 200


def test_what_has_no_direction_has_no_neighbour(spark: SparkSession) -> None:
    nothing = spark.createDataFrame([], "item_id string, features array<float>")
    assert found_in(nearest_vectors(nothing, EXACT, True)) == {}
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    for settings in (EXACT, LISTED):
        found = found_in(nearest_vectors(frame_of(spark, rows), settings, False))
        assert found == {("i000", 1): ("i001", pytest.approx(1.0)), ("i001", 1): ("i000", pytest.approx(1.0))}
    # All the same: less their mean there is nothing left.
    for settings in (EXACT, LISTED):
        assert found_in(nearest_vectors(frame_of(spark, np.ones((3, 2))), settings, True)) == {}


def test_what_is_no_vector_is_refused(spark: SparkSession) -> None:
    with pytest.raises(PythonException, match="NaN"):
        nearest_vectors(frame_of(spark, np.array([[1.0, float("nan")]])), EXACT, True)
    ragged = spark.createDataFrame([("a", [1.0]), ("b", [1.0, 2.0])], "item_id string, features array<float>")
    with pytest.raises((PythonException, InputError), match="expected"):
        nearest_vectors(ragged, EXACT, True)
