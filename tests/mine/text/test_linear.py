"""The driver's classifier: calibration, and the MLlib model of its numbers."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from scipy.optimize import approx_fprime
from scipy.sparse import csr_matrix
from shoal.mine.text.linear import Weights, as_model, fit, temperature


@pytest.mark.parametrize("labels", [2, 3])
def test_the_temperature_has_the_least_log_loss(labels: int) -> None:
    rng = np.random.default_rng(labels)
    margins = rng.normal(size=(4_000, 1 if labels == 2 else labels))
    features = csr_matrix(margins)
    weights = Weights(np.eye(margins.shape[1]), np.zeros(margins.shape[1]))
    # Labels drawn from the softmax of 2.5 x the margins.
    given = weights.scaled(2.5).probabilities(features)
    target = (given.cumsum(axis=1) < rng.random((len(given), 1))).sum(axis=1)
    found = temperature(weights, features, target)
    assert found == pytest.approx(2.5, abs=0.2)

    def loss(factor: np.ndarray) -> float:
        return -float(weights.scaled(factor[0]).log_probabilities(features)[np.arange(len(target)), target].mean())

    assert approx_fprime(np.array([found]), loss, 1e-6)[0] == pytest.approx(0.0, abs=1e-4)
    assert temperature(weights, features[:19], target[:19]) == 1.0


@pytest.mark.parametrize("labels", [2, 3])
def test_the_mllib_model_gives_the_same_probabilities(spark: SparkSession, labels: int) -> None:
    rng = np.random.default_rng(labels)
    dense = rng.random((60, 5))
    target = dense[:, :labels].argmax(axis=1)
    found = fit(csr_matrix(dense), target, [1.0] * labels, 1.0, 1000, 7)
    assert found.coefficients.shape == (1 if labels == 2 else labels, 5)
    rows = spark.createDataFrame([(i, Vectors.dense(row)) for i, row in enumerate(dense)], ["i", "features"])
    scored = as_model(spark, found).transform(rows).orderBy("i").collect()
    expected = found.probabilities(csr_matrix(dense))
    assert np.array([row["probability"].toArray() for row in scored]) == pytest.approx(expected, abs=1e-9)
