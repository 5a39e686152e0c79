"""Whether one model's losses are smaller than another's on the same cases, by more than chance."""

from __future__ import annotations

import numpy as np
from scipy.stats import ttest_rel

from shoal.arrays import Doubles

# Fewer cases in common decide nothing: the model that serves goes on.
MIN_CASES = 30


def is_smaller(ours: Doubles, theirs: Doubles, max_p_value: float) -> bool:
    """Whether the mean of `ours` is below that of `theirs` with a p-value of the paired t-test (two-sided) below `max_p_value`.
    False for fewer than MIN_CASES cases and for equal losses.

    >>> is_smaller(np.zeros(40), np.linspace(0.5, 1.5, 40), 0.05), is_smaller(np.zeros(40), np.zeros(40), 0.05)
    (True, False)
    """
    if len(ours) < MIN_CASES or np.array_equal(ours, theirs):
        return False
    found = ttest_rel(ours, theirs)
    return bool(np.mean(ours - theirs) < 0 and found.pvalue < max_p_value)


def log_losses(label: Doubles, probability: Doubles) -> Doubles:
    """-log of the probability of what happened, of a probability cut at 1e-6 to each side."""
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(-np.log(np.where(label > 0, safe, 1 - safe)), np.float64)
