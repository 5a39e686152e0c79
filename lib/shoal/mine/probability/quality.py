"""How well probabilities order and match two classes, on arrays; ties count as ties."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from shoal.arrays import Doubles


def roc_auc(label: Doubles, score: Doubles) -> float | None:
    """The chance that a row of class 1 has a larger score than one of class 0, ties a half. None where a class is missing.

    >>> roc_auc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]))
    0.75
    """
    positives, negatives = float(label.sum()), float(len(label) - label.sum())
    if not positives or not negatives:
        return None
    ranks = rankdata(score)
    return round(float((ranks[label > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives)), 6)


def average_precision(label: Doubles, score: Doubles) -> float | None:
    """The mean over thresholds of precision, weighted by the recall that each adds (scikit-learn's); None without a row of class 1.

    >>> average_precision(np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.4, 0.9]))
    0.833333
    """
    if not label.sum():
        return None
    order = np.argsort(-score, kind="stable")
    ranked, truth = score[order], label[order]
    ends = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    hits = np.cumsum(truth)[ends]
    recall = hits / label.sum()
    return round(float(np.sum(np.diff(np.r_[0.0, recall]) * hits / (ends + 1))), 6)


def brier(label: Doubles, probability: Doubles) -> float | None:
    """The mean squared distance of the probability from what happened; None without a row.

    >>> brier(np.array([0.0, 1.0]), np.array([0.0, 0.5]))
    0.125
    """
    return round(float(np.mean((label - probability) ** 2)), 6) if len(label) else None
