"""Members as one probability, and the measures of it, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.probability.quality import average_precision, brier, roc_auc
from shoal.mine.probability.stack import fit_stack
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score


def test_measures_are_scikit_learns_with_ties() -> None:
    draw = np.random.default_rng(0)
    label = draw.integers(0, 2, 200).astype(float)
    score = np.round(draw.random(200) * 0.7 + label * 0.2, 1)
    assert roc_auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    assert average_precision(label, score) == pytest.approx(average_precision_score(label, score), abs=1e-6)
    assert brier(label, score) == pytest.approx(brier_score_loss(label, score), abs=1e-6)
    assert roc_auc(np.ones(3), np.ones(3)) is None and average_precision(np.zeros(3), np.ones(3)) is None
    assert brier(np.empty(0), np.empty(0)) is None


def test_probabilities_are_calibrated_and_noise_gets_no_weight(spark: SparkSession) -> None:
    draw = np.random.default_rng(1)
    odds = draw.normal(-2, 2, 20_000)
    label = (draw.random(20_000) < 1 / (1 + np.exp(-odds))).astype(float)
    members = np.column_stack([odds * 3 + 10, -odds])  # the second one is against the truth: no weight below 0
    stack = fit_stack(members, label)
    given = stack.probability(members)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        here = (given >= low) & (given < low + 0.2)
        assert given[here].mean() == pytest.approx(label[here].mean(), abs=0.03)
    assert min(stack.weights) >= 0
    row = spark.range(1).select(stack.column([F.lit(float(members[0, 0])), F.lit(float(members[0, 1]))])).collect()[0]
    assert row[0] == pytest.approx(given[0])


def test_one_class_gives_its_share() -> None:
    members = np.arange(10.0)[:, None]
    assert fit_stack(members, np.zeros(10)).probability(members) == pytest.approx(np.full(10, 0.5 / 11))
