"""Logistic regression with an L2 penalty on the driver, for texts few enough that Spark's rounds would be all overhead.

The objective is MLlib's without standardisation: the weighted mean of the log losses plus penalty / 2 x the sum of the squared
coefficients; intercepts are not penalised. Two labels have one row of coefficients (of the second label), more have one each.
It is convex, so both solvers approach the same optimum. The result becomes an MLlib model, which scores at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.common import _py2java
from pyspark.ml.linalg import DenseMatrix, Vectors
from pyspark.ml.util import Identifiable
from pyspark.sql import DataFrame, SparkSession
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from shoal.arrays import Doubles, Ints

# Relative improvement of a round at which the solver stops.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class TermVectors:
    """`features`: a row per text; `target`: the place of its label; `is_valid`: whether it is for choosing settings."""

    features: csr_matrix
    target: Ints
    is_valid: np.ndarray


@dataclass(frozen=True)
class Weights:
    """`coefficients`: a row per label (two labels: one row), `intercepts` alike."""

    coefficients: Doubles
    intercepts: Doubles

    def log_probabilities(self, features: csr_matrix) -> Doubles:
        """A row per text, a column per label."""
        margins = features @ self.coefficients.T + self.intercepts
        if margins.shape[1] == 1:
            margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
        return log_softmax(margins, axis=1)


def collect_vectors(rows: DataFrame, size: int) -> TermVectors:
    """Collect columns target (int), is_valid (boolean) and features (sparse vector of `size`): every row. One Spark job."""
    found = rows.select("target", "is_valid", "features").collect()
    starts = np.cumsum([0, *(len(row["features"].indices) for row in found)])
    indices = np.concatenate([row["features"].indices for row in found] or [np.empty(0, np.int32)])
    values = np.concatenate([row["features"].values for row in found] or [np.empty(0)])
    return TermVectors(
        csr_matrix((values, indices, starts), shape=(len(found), size)),
        np.array([row["target"] for row in found], dtype=np.int64), np.array([row["is_valid"] for row in found], dtype=bool),
    )  # fmt: skip


def fit(features: csr_matrix, target: Ints, weights: Sequence[float], penalty: float, max_iter: int) -> Weights:
    """The coefficients of least penalised loss, by L-BFGS from zero coefficients and the labels' shares, at most `max_iter`
    rounds. `weights`: what a row of each label weighs; every label occurs.
    """
    labels, size = len(weights), features.shape[1]
    each = np.asarray(weights, dtype=np.float64)[target]
    each /= each.sum()
    shares = np.bincount(target, each, labels)
    truth = csr_matrix((np.ones(len(target)), (np.arange(len(target)), target)), shape=(len(target), labels)).toarray()
    rows = 1 if labels == 2 else labels
    start = np.zeros((rows, size + 1))
    start[:, -1] = np.log(shares[-1] / shares[0]) if rows == 1 else np.log(shares) - np.log(shares).mean()
    transposed = features.T.tocsr()

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        found = flat.reshape(rows, size + 1)
        coefficients = found[:, :-1]
        logs = Weights(coefficients, found[:, -1]).log_probabilities(features)
        residual = ((np.exp(logs) - truth) * each[:, None])[:, labels - rows :]
        gradient = np.empty_like(found)
        gradient[:, :-1] = (transposed @ residual).T + penalty * coefficients
        gradient[:, -1] = residual.sum(axis=0)
        value = -float(each @ logs[np.arange(len(target)), target]) + penalty / 2 * float((coefficients**2).sum())
        return value, gradient.ravel()

    options = {"maxiter": max_iter, "ftol": _TOLERANCE, "gtol": _TOLERANCE, "maxcor": 10}
    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(rows, size + 1)
    intercepts = best[:, -1] if rows == 1 else best[:, -1] - best[:, -1].mean()
    return Weights(best[:, :-1].copy(), intercepts.copy())


def as_model(spark: SparkSession, weights: Weights) -> LogisticRegressionModel:
    """The MLlib model of these coefficients; columns features, probability and prediction."""
    rows, size = weights.coefficients.shape
    matrix = DenseMatrix(rows, size, weights.coefficients.ravel(), isTransposed=True)
    context = spark.sparkContext
    classes = max(2, rows)
    uid = Identifiable().uid.replace("Identifiable", "LogisticRegression")
    return LogisticRegressionModel(
        context._jvm.org.apache.spark.ml.classification.LogisticRegressionModel(
            uid, _py2java(context, matrix), _py2java(context, Vectors.dense(weights.intercepts)), classes, rows > 1
        )
    )
