"""Draws: the same for Columns and arrays, uniform, independent between streams; permutations are permutations."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy import stats
from shoal.simulate import draws

IDS = np.array([0, 1, 2, 7, 255, 2**31, 2**53 + 1, 2**63 - 1, -1, -(2**63)], dtype=np.int64)


def test_arrays_hash_as_spark_does(spark: SparkSession) -> None:
    # The oracle is Spark's own xxhash64 over BIGINT values, at the ends of the range too.
    rows = spark.createDataFrame([(int(i), int(i) ^ 5) for i in IDS], "a long, b long")
    made = rows.select(
        draws.hash_column(42, "x", F.col("a")).alias("one"), draws.hash_column(42, "x", F.col("a"), F.col("b")).alias("two"),
        draws.uniform_column(42, "x", F.col("a")).alias("unit"),
    ).toPandas()  # fmt: skip
    assert made["one"].tolist() == draws.hash_array(42, "x", IDS).view(np.int64).tolist()
    assert made["two"].tolist() == draws.hash_array(42, "x", IDS, IDS ^ 5).view(np.int64).tolist()
    assert made["unit"].tolist() == draws.uniform_array(42, "x", IDS).tolist()


def test_a_narrower_integer_column_draws_the_same(spark: SparkSession) -> None:
    # INT and BIGINT hash differently in Spark; a draw must not hang on the type that a join happened to leave.
    row = spark.range(5, 6).select(draws.hash_column(1, "x", F.col("id")), draws.hash_column(1, "x", F.col("id").cast("int")))
    assert row.first()[0] == row.first()[1]


def test_draws_are_uniform_and_streams_are_independent() -> None:
    ids = np.arange(50_000)
    first, second = draws.uniform_array(1, "a", ids), draws.uniform_array(1, "b", ids)
    other_seed = draws.uniform_array(2, "a", ids)
    for sample in (first, second, other_seed):
        assert sample.min() >= 0
        assert sample.max() < 1
        assert stats.kstest(sample, "uniform").pvalue > 0.001
    # 4.5 standard errors of a correlation of 50,000 independent pairs
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first, other_seed)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.02


def test_normal_draws_are_normal() -> None:
    assert stats.kstest(draws.normal_array(3, "n", np.arange(50_000)), "norm").pvalue > 0.001


def test_noise_has_mean_zero_and_variance_one_in_every_dimension() -> None:
    noise = draws.noise_array(3, "n", 8, np.arange(40_000))
    assert noise.shape == (40_000, 8)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.025)
    np.testing.assert_allclose(noise.var(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(8), atol=0.025)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 97, 100, 101, 1_000, 4_097])
def test_a_permutation_takes_every_number_once_and_back(size: int) -> None:
    numbers = np.arange(size)
    moved = draws.permute(5, "p", numbers, size)
    assert sorted(moved) == numbers.tolist()
    assert draws.permute(5, "p", moved, size, back=True).tolist() == numbers.tolist()


def test_a_permutation_mixes() -> None:
    moved = draws.permute(5, "p", np.arange(10_000), 10_000)
    assert abs(np.corrcoef(moved, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(moved, draws.permute(5, "q", np.arange(10_000), 10_000))[0, 1]) < 0.05
    # A random permutation has one fixed point on the average; 10 is out of the question.
    assert (moved == np.arange(10_000)).sum() < 10
