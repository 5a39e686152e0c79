"""Ridge and logistic regression with an L2 penalty: MLlib's models, solved on the driver where the rows are one task's.

Both losses are convex: the optimum is the same wherever it is looked for. A round of MLlib's optimiser is a Spark job, and fifty
jobs over two thousand rows are all overhead; the same rounds in numpy take milliseconds. Above DRIVER_ROWS MLlib looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.common import _py2java
from pyspark.ml.linalg import DenseMatrix, DenseVector, SparseVector, Vectors
from pyspark.ml.regression import LinearRegression, LinearRegressionModel
from pyspark.ml.util import Identifiable
from pyspark.sql import DataFrame, SparkSession
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit

from shoal.arrays import Doubles

# 20,000 rows of 60 terms are 30 MB as they come to the driver, and one task in MLlib.
DRIVER_ROWS = 20_000
# Rounds of MLlib's optimiser: 20 and 100 are within .002 of each other in MAE. The driver's end by themselves.
MAX_ROUNDS, DRIVER_ROUNDS = 50, 500


def fit_ridge(rows: DataFrame, features: str, label: str, penalty: float, count: int) -> LinearRegressionModel:
    """The model of least squared error / 2 + penalty / deviation of the label x squared weights / 2, intercept free: MLlib's
    LinearRegression without standardization, whose penalty is in units of the label's deviation.

    rows: `count` of them, no nulls; up to DRIVER_ROWS are collected, else MAX_ROUNDS passes.
    """
    if count > DRIVER_ROWS:
        return LinearRegression(
            featuresCol=features, labelCol=label, regParam=penalty, elasticNetParam=0.0, standardization=False, solver="l-bfgs",
            maxIter=MAX_ROUNDS,
        ).fit(rows)  # fmt: skip
    matrix, target = _collected(rows, features, label)
    deviation = float(target.std(ddof=1)) if len(target) > 1 else 0.0
    if deviation == 0.0:
        return as_linear(rows.sparkSession, np.zeros(matrix.shape[1]), float(target.mean()) if len(target) else 0.0, features)
    weight = penalty / deviation

    def loss(found: Doubles) -> tuple[float, Doubles]:
        off = matrix @ found[1:] + found[0] - target
        slope = np.r_[off.mean(), matrix.T @ off / len(off) + weight * found[1:]]
        return float(0.5 * np.mean(off**2) + 0.5 * weight * found[1:] @ found[1:]), slope

    best = _least(loss, np.r_[target.mean(), np.zeros(matrix.shape[1])])
    return as_linear(rows.sparkSession, best[1:], float(best[0]), features)


def fit_logistic(rows: DataFrame, features: str, label: str, penalty: float, count: int) -> LogisticRegressionModel:
    """The model of least mean log loss + penalty x squared weights / 2, intercept free: MLlib's LogisticRegression of two classes
    without standardization.

    rows: `count` of them, labels 0 and 1, both there; up to DRIVER_ROWS are collected, else MAX_ROUNDS passes.
    """
    if count > DRIVER_ROWS:
        return LogisticRegression(
            featuresCol=features, labelCol=label, regParam=penalty, standardization=False, maxIter=MAX_ROUNDS
        ).fit(rows)
    matrix, target = _collected(rows, features, label)

    def loss(found: Doubles) -> tuple[float, Doubles]:
        odds = matrix @ found[1:] + found[0]
        off = expit(odds) - target
        slope = np.r_[off.mean(), matrix.T @ off / len(off) + penalty * found[1:]]
        return float(np.mean(np.logaddexp(0.0, odds) - target * odds) + 0.5 * penalty * found[1:] @ found[1:]), slope

    share = target.mean()
    best = _least(loss, np.r_[np.log(share / (1.0 - share)), np.zeros(matrix.shape[1])])
    return as_logistic(rows.sparkSession, best[1:], float(best[0]), features)


def _least(loss: Any, start: Doubles) -> Doubles:
    """Where a convex loss, given with its slope, is least."""
    options = {"maxiter": DRIVER_ROUNDS, "maxfun": 4 * DRIVER_ROUNDS, "ftol": 1e-12, "gtol": 1e-8}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x, np.float64)


def _collected(rows: DataFrame, features: str, label: str) -> tuple[csr_matrix, Doubles]:
    """The feature vectors as a matrix, and the labels."""
    found = rows.select(features, label).collect()
    columns, values, ends, width = [], [], [0], 0
    for row in found:
        vector: SparseVector | DenseVector = row[0]
        width = len(vector)
        is_sparse = isinstance(vector, SparseVector)
        columns.append(np.asarray(vector.indices if is_sparse else np.arange(width)))
        values.append(np.asarray(vector.values))
        ends.append(ends[-1] + len(values[-1]))
    if not found:
        return csr_matrix((0, 0)), np.empty(0)
    matrix = csr_matrix((np.concatenate(values), np.concatenate(columns), np.asarray(ends)), shape=(len(found), width))
    return matrix, np.array([row[1] for row in found], np.float64)


def as_linear(spark: SparkSession, weights: Doubles, intercept: float, features: str) -> LinearRegressionModel:
    """MLlib's model of these weights, without a Spark job."""
    context = spark.sparkContext
    uid = Identifiable().uid.replace("Identifiable", "LinearRegression")
    made = context._jvm.org.apache.spark.ml.regression.LinearRegressionModel(
        uid, _py2java(context, Vectors.dense(weights)), float(intercept)
    )
    return LinearRegressionModel(made).setFeaturesCol(features)


def as_logistic(spark: SparkSession, weights: Doubles, intercept: float, features: str) -> LogisticRegressionModel:
    """MLlib's model of two classes with these weights, without a Spark job."""
    context = spark.sparkContext
    uid = Identifiable().uid.replace("Identifiable", "LogisticRegression")
    matrix = DenseMatrix(1, len(weights), weights, isTransposed=True)
    made = context._jvm.org.apache.spark.ml.classification.LogisticRegressionModel(
        uid, _py2java(context, matrix), _py2java(context, Vectors.dense([intercept])), 2, False
    )
    return LogisticRegressionModel(made).setFeaturesCol(features)
