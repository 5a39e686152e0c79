"""Metrics against scikit-learn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.mine.text.metrics import FLOOR, quality, quality_of_arrays

LABELS = ("a", "b", "c")


def test_metrics_are_scikit_learns(spark: SparkSession) -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    draw = random.Random(3)
    rows = []
    for _ in range(60):
        weights = [draw.random() for _ in LABELS]
        given = [weight / sum(weights) for weight in weights]
        rows.append((draw.choice("aab"), LABELS[given.index(max(given))], given))
    found = quality(spark.createDataFrame(rows, "label string, predicted_label string, probabilities array<double>"), LABELS)
    truth, guess, given = (list(side) for side in zip(*rows, strict=True))
    assert found.rows == 60
    assert found.accuracy == pytest.approx(accuracy_score(truth, guess), abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(truth, guess, average="macro"), abs=1e-12)
    each = f1_score(truth, guess, average=None, labels=list(LABELS))
    assert found.f1 == pytest.approx(dict(zip(LABELS, each, strict=True)), abs=1e-12)
    assert found.log_loss == pytest.approx(log_loss(truth, given, labels=list(LABELS)), abs=1e-12)


def test_calibration_error_by_hand(spark: SparkSession) -> None:
    # Bins of a fifteenth: .9 and .92 share [.867, .933): means .91 and 1/2; .6 has [.6, .667) alone: means .6 and 1.
    rows = [("a", "a", [0.9, 0.1]), ("b", "a", [0.92, 0.08]), ("b", "b", [0.4, 0.6])]
    found = quality(spark.createDataFrame(rows, "label string, predicted_label string, probabilities array<double>"), ("a", "b"))
    assert found.calibration_error == pytest.approx((2 * (0.91 - 0.5) + (1 - 0.6)) / 3, abs=1e-12)
    arrays = quality_of_arrays(np.array([given for *_, given in rows]), np.array([0, 1, 1]), ("a", "b"))
    assert arrays.named() == pytest.approx(found.named(), abs=1e-12)
    assert (arrays.f1, arrays.truths) == (found.f1, found.truths)


def test_an_unknown_label_is_an_error_and_no_row_has_no_quality(spark: SparkSession) -> None:
    kind = "label string, predicted_label string, probabilities array<double>"
    found = quality(spark.createDataFrame([("a", "a", [1.0, 0.0]), ("z", "a", [1.0, 0.0])], kind), ("a", "b"))
    assert (found.accuracy, found.f1) == (0.5, {"a": 2 / 3, "z": 0.0})
    import math

    assert found.log_loss == pytest.approx(-math.log(FLOOR) / 2, rel=1e-12)
    with pytest.raises(ValueError, match="no row"):
        quality(spark.createDataFrame([], kind), ("a", "b"))
