"""Whether one model's losses are smaller than another's on the same cases, by more than chance."""

from __future__ import annotations

import numpy as np
from scipy.stats import t, ttest_rel

from shoal.arrays import Doubles

# Fewer cases in common decide nothing: the model that serves goes on.
MIN_CASES = 30


def is_smaller(ours: Doubles, theirs: Doubles, max_p_value: float) -> bool:
    """Whether the mean of `ours` is below that of `theirs` with a p-value of the paired t-test (two-sided) below `max_p_value`.
    False for fewer than MIN_CASES cases and for equal losses.

    >>> is_smaller(np.zeros(40), np.linspace(0.5, 1.5, 40), 0.05), is_smaller(np.zeros(40), np.zeros(40), 0.05)
    (True, False)
    """
    rise, _, p_value = paired_test(ours, theirs)
    return len(ours) >= MIN_CASES and rise < 0 and p_value < max_p_value


def paired_test(ours: Doubles, theirs: Doubles) -> tuple[float, float, float]:
    """The mean of `ours` - `theirs`, the upper end of its one-sided 95% interval, and the two-sided p-value of the paired t-test.

    Equal losses have a p-value of 1. With fewer than two cases nothing is known: infinity and 1.

    >>> [round(value, 3) for value in paired_test(np.zeros(40), np.linspace(0.5, 1.5, 40))]
    [-1.0, -0.921, 0.0]
    """
    off = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if len(off) < 2:
        return float(off.mean()) if len(off) else 0.0, float("inf"), 1.0
    mean, error = float(off.mean()), float(off.std(ddof=1) / np.sqrt(len(off)))
    if error == 0:
        return mean, mean, 1.0 if mean == 0 else 0.0
    return mean, mean + float(t.ppf(0.95, len(off) - 1)) * error, float(ttest_rel(ours, theirs).pvalue)


def log_losses(label: Doubles, probability: Doubles) -> Doubles:
    """-log of the probability of what happened, of a probability cut at 1e-6 to each side."""
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(-np.log(np.where(label > 0, safe, 1 - safe)), np.float64)
