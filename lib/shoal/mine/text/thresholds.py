"""From which probability on a label is right often enough: thresholds for a stated precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles

# A precision of fewer rows says little.
MIN_ROWS = 10


@dataclass(frozen=True)
class Threshold:
    """From `threshold` on, up to the one before it, a label had `precision` on the rows that chose it; None where no threshold has.
    `held_out_rows` of the rows held out lie there, and `held_out_precision` of them have the label (None without a row)."""

    precision: float
    threshold: float | None
    held_out_rows: int
    held_out_precision: float | None


def threshold_for_precision(probabilities: Doubles, has_label: np.ndarray, precision: float) -> float | None:
    """The lowest probability from which on at least `precision` of the rows have the label; None where no probability has at least
    MIN_ROWS such rows. Equal probabilities are in or out together."""
    order = np.argsort(-probabilities, kind="stable")
    values, hits = probabilities[order], np.cumsum(has_label[order])
    count = np.arange(1, len(values) + 1)
    is_last_of_equals = np.append(values[1:] != values[:-1], True) if len(values) else np.zeros(0, dtype=bool)
    fits = np.flatnonzero(is_last_of_equals & (count >= MIN_ROWS) & (hits >= precision * count))
    return float(values[fits[-1]]) if len(fits) else None


def thresholds_for_precisions(
    probabilities: Doubles, has_label: np.ndarray, precisions: Sequence[float]
) -> list[tuple[float, float | None]]:
    """Each precision with its threshold, each chosen on the rows below the threshold before it: what a machine removes must not
    stand for what a person is asked to look at.

    Where too few rows are left to choose by, the probability that is the precision, as the probabilities are calibrated, or the
    threshold before it where that is lower; None where no threshold was before it.
    """
    found: list[tuple[float, float | None]] = []
    before: float | None = None
    for precision in precisions:
        left = np.ones(len(probabilities), dtype=bool) if before is None else probabilities < before
        at = threshold_for_precision(probabilities[left], has_label[left], precision)
        if at is None and before is not None:
            at = min(precision, before)
        found.append((precision, at))
        before = before if at is None else at
    return found


def judged_thresholds(
    chosen: Sequence[tuple[float, float | None]], probabilities: Doubles, has_label: np.ndarray
) -> list[Threshold]:
    """`thresholds_for_precisions` with what each does on rows that it was not chosen on."""
    found: list[Threshold] = []
    before = np.inf
    for precision, at in chosen:
        low = np.inf if at is None else at
        reached = has_label[(probabilities >= low) & (probabilities < before)]
        found.append(Threshold(precision, at, len(reached), float(reached.mean()) if len(reached) else None))
        before = before if at is None else at
    return found
