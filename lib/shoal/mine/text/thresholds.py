"""From which probability on a label is right often enough: thresholds for a stated precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles

# A precision of fewer rows says little.
MIN_ROWS = 10


@dataclass(frozen=True)
class Threshold:
    """From `threshold` on a label had `precision` on the rows that chose it; None where no threshold has. `held_out_rows` of the
    rows held out reach it, and `held_out_precision` of them have the label (None without a row)."""

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


def judged_threshold(precision: float, threshold: float | None, probabilities: Doubles, has_label: np.ndarray) -> Threshold:
    """The threshold with what it does on rows that it was not chosen on."""
    reached = has_label[probabilities >= threshold] if threshold is not None else has_label[:0]
    return Threshold(precision, threshold, len(reached), float(reached.mean()) if len(reached) else None)
