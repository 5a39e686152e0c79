"""A linear support vector classifier on the driver, its probabilities, and the MLlib model of both.

One label against the others, squared hinge loss with an L2 penalty (scikit-learn's LinearSVC, liblinear; deterministic by its
seed). Its margins become probabilities by one factor, the temperature (Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017): softmax of temperature x margins, for two labels the logistic function of one margin. The factor goes into the
coefficients, so that the result is an MLlib LogisticRegressionModel, which scores at any size; the most probable label is the one
of the largest margin.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.common import _py2java
from pyspark.ml.linalg import DenseMatrix, Vectors
from pyspark.ml.util import Identifiable
from pyspark.sql import SparkSession
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from shoal.arrays import Doubles, Ints

# Factors of margins that are tried: from e^-4 to e^4. Beyond, all probabilities would be equal, or 0 and 1.
_LOG_TEMPERATURES = (-4.0, 4.0)
# Fewer rows say nothing of how sure a model may be.
MIN_CALIBRATION_ROWS = 20


@dataclass(frozen=True)
class Weights:
    """`coefficients`: a row per label (two labels: one row, of the second), `intercepts` alike."""

    coefficients: Doubles
    intercepts: Doubles

    def log_probabilities(self, features: csr_matrix) -> Doubles:
        """A row per text, a column per label."""
        margins = features @ self.coefficients.T + self.intercepts
        if margins.shape[1] == 1:
            margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
        return log_softmax(margins, axis=1)

    def probabilities(self, features: csr_matrix) -> Doubles:
        """A row per text, a column per label; each row sums to 1."""
        return np.exp(self.log_probabilities(features))

    def scaled(self, temperature: float) -> Weights:
        """The weights with all margins times `temperature`."""
        return Weights(self.coefficients * temperature, self.intercepts * temperature)


def fit(features: csr_matrix, target: Ints, weights: Sequence[float], inverse_penalty: float, max_iter: int, seed: int) -> Weights:
    """The coefficients of least penalised squared hinge loss. `weights`: what a row of each label weighs; every label occurs."""
    solver = LinearSVC(C=inverse_penalty, class_weight=dict(enumerate(weights)), max_iter=max_iter, random_state=seed)
    with warnings.catch_warnings():
        # With weak penalties the last digits of the optimum take longer than they are worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(features, target)
    return Weights(solver.coef_.copy(), solver.intercept_.copy())


def temperature(weights: Weights, features: csr_matrix, target: Ints) -> float:
    """The factor of the margins with the least log loss on rows that `weights` was not fitted on; 1 for fewer than
    MIN_CALIBRATION_ROWS rows."""
    return temperature_of(weights.log_probabilities(features), target)


def temperature_of(logs: Doubles, target: Ints) -> float:
    """The same of the log probabilities, a row per text, that a model gives rows that it was not fitted on."""
    if len(target) < MIN_CALIBRATION_ROWS:
        return 1.0
    rows = np.arange(len(target))

    def loss(log_factor: float) -> float:
        # The softmax of a multiple of log probabilities is that of the multiple of the margins.
        return -float(log_softmax(logs * np.exp(log_factor), axis=1)[rows, target].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))


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
