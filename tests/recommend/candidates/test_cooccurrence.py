"""Co-occurrence against the dense product."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError
from shoal.recommend.candidates import cooccurrence
from shoal.recommend.candidates.cooccurrence import as_matrix, co_occurrence


def rows_of(spark: SparkSession, dense: np.ndarray, partitions: int):
    entries = [(int(r), int(i), float(dense[r, i])) for r, i in zip(*np.nonzero(dense), strict=True)]
    return spark.createDataFrame(entries, "row bigint, item int, weight double").repartition(partitions)


@pytest.mark.parametrize("partitions", [1, 5])
def test_equals_the_dense_product(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, partitions: int) -> None:
    monkeypatch.setattr(cooccurrence, "PIECE", 3)
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((40, 17)) < 0.3, rng.integers(1, 4, (40, 17)), 0).astype(np.float64)
    dense[:, 5] = 0
    found = as_matrix(co_occurrence(rows_of(spark, dense, partitions), 17), 17).toarray()
    np.testing.assert_allclose(found, dense.T @ dense, rtol=1e-6)


def test_no_row_gives_an_empty_matrix(spark: SparkSession) -> None:
    found = as_matrix(co_occurrence(spark.createDataFrame([], "row bigint, item int, weight double"), 3), 3)
    assert found.shape == (3, 3)
    assert found.nnz == 0


def test_an_item_twice_in_a_row_counts_with_both_weights(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 0, 1.0), (1, 0, 2.0), (1, 1, 5.0)], "row bigint, item int, weight double")
    assert as_matrix(co_occurrence(rows, 2), 2).toarray().tolist() == [[9.0, 15.0], [15.0, 25.0]]


def test_too_many_items_are_refused(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="co-occurrence of 1,000,001 items; at most 1,000,000"):
        co_occurrence(spark.createDataFrame([], "row bigint, item int, weight double"), 1_000_001)
