"""A linear classifier of embedded pictures into any labels: trained on the driver, scored where the pictures are.

Multinomial logistic regression with an L2 penalty (scikit-learn, L-BFGS) on vectors less their mean, scaled to a mean square length
of 1, so that one penalty means the same for every embedding. Above MAX_NUMBERS numbers MLlib fits the same model with the middle
penalty.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from shoal.arrays import Doubles, Floats, Ints

# Numbers that the driver holds: 50 million are 200 MB as they come and 400 MB while they are fitted; 32,000 pictures of 1,568
# numbers.
MAX_NUMBERS = 50_000_000
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
FOLDS = 4
ROUNDS = 300


@dataclass(frozen=True)
class PictureClassifier:
    """`mean` and `scale` of the vectors, and a row of `coefficients` and an intercept for each of `labels` (sorted)."""

    labels: tuple[str, ...]
    mean: Doubles
    scale: float
    coefficients: Doubles
    intercepts: Doubles

    def probabilities(self, vectors: Floats) -> Doubles:
        """A row a picture, a column a label; each row sums to 1."""
        margins = (vectors - self.mean) * self.scale @ self.coefficients.T + self.intercepts
        return np.exp(log_softmax(margins, axis=1))


@dataclass(frozen=True)
class Chosen:
    """The penalty (scikit-learn's C) with the least log loss over folds, and the factor of the margins that gives it."""

    inverse_penalty: float
    temperature: float


def fit_classifier(vectors: Floats, target: Ints, labels: Sequence[str], chosen: Chosen) -> PictureClassifier:
    """The classifier of rows whose places in `labels` are `target`; every label occurs."""
    mean, scale = _centre(vectors)
    coefficients, intercepts = _fit((vectors - mean) * scale, target, chosen.inverse_penalty)
    return PictureClassifier(
        tuple(labels), mean, scale, coefficients * chosen.temperature, intercepts * chosen.temperature
    )  # fmt: skip


def choose_penalty(vectors: Floats, target: Ints, fold: Ints) -> Chosen:
    """The penalty for rows in `fold` 0 to FOLDS - 1: each fold is judged by a fit on the others, ties to the earlier penalty.

    The middle penalty, uncalibrated, where a label is missing from the rest of some fold: too few rows to choose by.
    """
    mean, scale = _centre(vectors)
    rows, classes = (vectors - mean) * scale, int(target.max()) + 1
    parts = [(fold != n, fold == n) for n in range(FOLDS)]
    if any(len(np.unique(target[rest])) < classes or not held.any() for rest, held in parts):
        return Chosen(PENALTIES[len(PENALTIES) // 2], 1.0)
    found: list[tuple[float, int, Chosen]] = []
    for place, penalty in enumerate(PENALTIES):
        margins = np.zeros((len(target), classes))
        for rest, held in parts:
            coefficients, intercepts = _fit(rows[rest], target[rest], penalty)
            margins[held] = rows[held] @ coefficients.T + intercepts
        factor, loss = calibrate(margins, target)
        found.append((loss, place, Chosen(penalty, factor)))
    return min(found)[2]


def fit_in_spark(rows: DataFrame, labels: Sequence[str], size: int) -> PictureClassifier:
    """The classifier of columns features (array of `size` floats) and target (place of the label), at any size. Some 100 passes
    over the rows, which the caller keeps. Collects the mean of each column."""
    means = rows.select(F.posexplode("features")).groupBy("pos").agg(F.avg("col").alias("mean"), F.var_pop("col").alias("spread"))
    found = {row["pos"]: (row["mean"], row["spread"]) for row in means.collect()}
    mean = np.array([found[n][0] for n in range(size)])
    scale = 1.0 / float(np.sqrt(sum(spread for _, spread in found.values())) or 1.0)
    penalty = 1.0 / (PENALTIES[len(PENALTIES) // 2] * rows.count() * scale**2)
    frame = rows.select(array_to_vector(F.col("features").cast("array<double>")).alias("features"), "target")
    model = SparkLogisticRegression(
        labelCol="target", family="multinomial", regParam=penalty, maxIter=100, standardization=False
    ).fit(frame)  # fmt: skip
    coefficients = model.coefficientMatrix.toArray()
    return PictureClassifier(
        tuple(labels), mean, scale, coefficients / scale, model.interceptVector.toArray() + coefficients @ mean
    )  # fmt: skip


def _centre(vectors: Floats) -> tuple[Doubles, float]:
    """The mean of the rows, and one over the root of their mean square distance from it; 1 where all are equal."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    square = float(((vectors - mean) ** 2).sum() / len(vectors))
    return mean, 1.0 / np.sqrt(square) if square > 0 else 1.0


def _fit(rows: Doubles, target: Ints, inverse_penalty: float) -> tuple[Doubles, Doubles]:
    """Coefficients and intercepts, a row a label, of least penalised log loss.

    Fewer rows than columns are first turned into the space that they span, which changes no length and no product: the optimum lies
    in it, and is found in as many numbers as there are rows.
    """
    basis = np.linalg.qr(rows.T)[0] if len(rows) < rows.shape[1] else None
    solver = LogisticRegression(C=inverse_penalty, max_iter=ROUNDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(rows if basis is None else rows @ basis, target)
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(coefficients) == 1:
        # Two labels share one row of coefficients, the second label's.
        coefficients, intercepts = (
            np.vstack([-coefficients / 2, coefficients / 2]),
            np.array([-intercepts[0] / 2, intercepts[0] / 2]),
        )
    return (coefficients if basis is None else coefficients @ basis.T), intercepts


def calibrate(margins: Doubles, target: Ints) -> tuple[float, float]:
    """The factor of the margins (a row a picture, a column a label) with the least log loss (Guo et al., ICML 2017), .05 to 20, and
    that loss in nats a row."""
    places = np.arange(len(target))

    def loss(log_factor: float) -> float:
        return -float(log_softmax(margins * np.exp(log_factor), axis=1)[places, target].mean())

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
