"""Events by day, and what they are worth at a moment."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.recommend.candidates import trends
from shoal.recommend.candidates.trends import daily_here, trends_at

DAYS = np.array([1.2, 1.9, 3.0, np.nan, 8.5, 8.5])
ITEMS = np.array([0, 0, 1, 2, 1, 2])


def test_events_by_day_and_item() -> None:
    found = daily_here(DAYS, ITEMS, 4)
    np.testing.assert_array_equal(found.days, [1, 3, 8])
    np.testing.assert_array_equal(found.counts.toarray(), [[2, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]])
    nothing = daily_here(np.array([np.nan]), np.array([0]), 4)
    assert len(nothing.days) == 0
    np.testing.assert_array_equal(trends_at(nothing, 5.0), np.zeros((2, 4)))


def test_a_day_counts_once_it_is_over_half_after_a_life() -> None:
    events = daily_here(DAYS, ITEMS, 4)
    np.testing.assert_array_equal(trends_at(events, 1.99), np.zeros((2, 4)))
    np.testing.assert_allclose(trends_at(events, 2.0), np.log1p([[2, 0, 0, 0]] * 2))
    # Day 1 was over seven days before day 9, day 3 five days, and day 8 just now.
    week = [2 * 2**-1.0, 2 ** (-5 / 7) + 1, 1, 0]
    season = [2 * 2 ** (-7 / 60), 2 ** (-5 / 60) + 1, 1, 0]
    np.testing.assert_allclose(trends_at(events, 9.7), np.log1p([week, season]), rtol=1e-6)
    # What is over five lives old is forgotten.
    np.testing.assert_array_equal(trends_at(events, 100.0)[0], np.zeros(4))
    assert (trends_at(events, 100.0)[1] > 0).tolist() == [True, True, True, False]
    np.testing.assert_array_equal(trends_at(events, float("nan")), np.zeros((2, 4)))


def test_the_newest_days_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "MAX_PAIRS", 3)
    events = daily_here(DAYS, ITEMS, 4)
    np.testing.assert_array_equal(events.days, [3, 8])
    np.testing.assert_array_equal(trends_at(events, 3.0), np.zeros((2, 4)))
    monkeypatch.setattr(trends, "MAX_PAIRS", 1)
    assert len(daily_here(DAYS, ITEMS, 4).days) == 0
