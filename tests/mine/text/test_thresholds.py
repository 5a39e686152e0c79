"""Thresholds for a precision, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.mine.text import thresholds
from shoal.mine.text.thresholds import judged_thresholds, threshold_for_precision, thresholds_for_precisions


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


def test_rows_above_one_threshold_do_not_choose_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "MIN_ROWS", 2)
    given = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    has = np.array([True, True, True, False, True, False, False, False])
    # From .7 on all have it; of .6 and .5 half; counted from the top, half of all eight would.
    assert thresholds_for_precisions(given, has, (1.0, 0.5)) == [(1.0, 0.7), (0.5, 0.5)]
    assert threshold_for_precision(given, has, 0.5) == 0.2
    # Nothing below the first has the label: the queue begins at the calibrated probability, or at the first threshold.
    assert thresholds_for_precisions(given, given >= 0.7, (1.0, 0.5)) == [(1.0, 0.7), (0.5, 0.5)]
    assert thresholds_for_precisions(given, given >= 0.3, (1.0, 0.5)) == [(1.0, 0.3), (0.5, 0.3)]
    # No first one: the second is chosen on all rows.
    assert thresholds_for_precisions(given, ~has, (0.9, 0.5)) == [(0.9, None), (0.5, 0.2)]


def test_thresholds_are_judged_on_other_rows() -> None:
    given, has = np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, False, True, True])
    removed, reviewed = judged_thresholds([(0.95, 0.8), (0.5, 0.3)], given, has)
    assert (removed.held_out_rows, removed.held_out_precision) == (2, 0.5)
    assert (reviewed.held_out_rows, reviewed.held_out_precision) == (1, 1.0)
    (none,) = judged_thresholds([(0.95, None)], given, has)
    assert (none.threshold, none.held_out_rows, none.held_out_precision) == (None, 0, None)
