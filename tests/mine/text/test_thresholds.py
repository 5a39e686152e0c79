"""Thresholds for a precision, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.mine.text import thresholds
from shoal.mine.text.thresholds import judged_threshold, threshold_for_precision


def test_the_lowest_probability_that_still_has_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "MIN_ROWS", 2)
    given = np.array([0.9, 0.8, 0.7, 0.7, 0.6, 0.5])
    has = np.array([True, True, False, True, True, False])
    # Precision from each probability on: 1/1, 2/2, 3/4 (two equal), 4/5, 4/6.
    assert threshold_for_precision(given, has, 1.0) == 0.8
    assert threshold_for_precision(given, has, 0.75) == 0.6
    assert threshold_for_precision(given, has, 0.8) == 0.6
    assert threshold_for_precision(given, has, 0.66) == 0.5
    assert threshold_for_precision(given, ~has, 0.9) is None
    assert threshold_for_precision(given[:0], has[:0], 0.9) is None
    assert threshold_for_precision(given[:1], has[:1], 0.5) is None


def test_a_threshold_is_judged_on_other_rows() -> None:
    given, has = np.array([0.9, 0.8, 0.3]), np.array([True, False, True])
    found = judged_threshold(0.95, 0.8, given, has)
    assert (found.held_out_rows, found.held_out_precision) == (2, 0.5)
    none = judged_threshold(0.95, None, given, has)
    assert (none.threshold, none.held_out_rows, none.held_out_precision) == (None, 0, None)
