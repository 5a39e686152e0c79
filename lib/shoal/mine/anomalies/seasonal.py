"""A series against its own past: seasonal medians, robust deviations, an alarm budget and a quiet period.

Textbook thresholds raise far too much on real series: an isolation forest at contamination .05 scores below doing nothing on the
Numenta benchmark. Here the strongest moments alone are raised, one a day at most. docs/adr/0101.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from shoal.arrays import Doubles, Ints

DAY = 86_400_000_000
# Seasons whose median is what is expected, and half of them the window of the deviations.
SEASONS = 14
# Deviations that are ordinary, and that a moment must have at least to be raised.
ORDINARY, LEAST = 3.0, 4.0
# Earlier slots without which nothing can be expected.
LEAST_PAST = 7
# A deviation is never taken for less: of logarithms, and as a share of the series' own spread.
LOG_FLOOR, SPREAD_FLOOR = 0.05, 0.05
# Grids of more than so many slots a value have gaps too wide for a season.
MAX_SLOTS = 4


@dataclass(frozen=True)
class AlarmRule:
    """share: of a series' moments that are raised at most; least_alarms: but in a short series so many, up to one in a hundred."""

    share: float
    least_alarms: int

    def budget(self, moments: int) -> int:
        """How many of so many moments may be raised."""
        return max(round(self.share * moments), min(self.least_alarms, -(-moments // 100)))


@dataclass(frozen=True)
class SeriesScores:
    """Per moment: what was expected and the ordinary range about it, in the values' unit; the score, in deviations, from 0;
    whether it is raised."""

    expected: Doubles
    low: Doubles
    high: Doubles
    score: Doubles
    is_anomaly: np.ndarray


def score_series(times: Ints, values: Doubles, rule: AlarmRule) -> SeriesScores:
    """The scores of one series.

    times: microseconds, ascending; equal ones share a slot. values: NaN where nothing was measured; such a moment has score 0. Only
    the past counts: a moment is expected to be the median of the same slots (and near ones) of the SEASONS seasons before it, the
    median of all before it where there is no such season; the first
    LEAST_PAST slots have score 0. A season is a day of shorter steps, a week of days, else one step. The deviation
    is the median absolute one of the half of those seasons before the moment. Values that are nowhere negative are compared by
    log1p. A series of one value, of equal values or of none has scores of 0. Moments of at least LEAST deviations are raised, the
    strongest first, up to the rule's budget, and none within a day of a stronger one. Cost: n x SEASONS x the season / 24.
    """
    if not len(times):
        empty = np.empty(0)
        return SeriesScores(empty, empty, empty, empty, np.empty(0, np.bool_))
    is_log = bool(np.nanmin(values, initial=np.inf) >= 0)
    scaled = np.log1p(values) if is_log else values
    slots, step = _slots(times)
    grid = _on_grid(slots, scaled)
    season, nearby = _season(step, len(grid))
    expected, deviation = _expected(grid, season, nearby)
    floor = LOG_FLOOR if is_log else SPREAD_FLOOR * _spread(grid)
    deviation = np.maximum(deviation, max(floor, 1e-9))
    expected, deviation = expected[slots], deviation[slots]
    is_expected = np.asarray(np.cumsum(~np.isnan(grid)) - ~np.isnan(grid) >= LEAST_PAST)[slots]
    score = np.where(is_expected, np.nan_to_num(np.abs(scaled - expected) / deviation), 0.0)
    quiet = max(1, min(DAY // max(step, 1), season if season > 1 else 1)) if step < DAY else 1
    raised = _raise(score, slots, rule.budget(len(times)), quiet)
    ends = [expected, expected - ORDINARY * deviation, expected + ORDINARY * deviation]
    mean, low, high = (np.maximum(np.expm1(np.clip(e, 0, 700)), 0.0) for e in ends) if is_log else ends
    return SeriesScores(mean, low, high, score, raised)


def _slots(times: Ints) -> tuple[Ints, int]:
    """The place of each moment on a grid of the usual step, and that step; moments in their order where gaps are too wide."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    step = int(np.median(steps)) if len(steps) else DAY
    slots = np.rint((times - times[0]) / step).astype(np.int64)
    if slots[-1] >= MAX_SLOTS * len(times):
        slots = np.concatenate([[0], np.cumsum(np.diff(times) > 0)]).astype(np.int64)
    return slots, step


def _on_grid(slots: Ints, values: Doubles) -> Doubles:
    """The mean of each slot's values; NaN for none."""
    known = ~np.isnan(values)
    sums = np.bincount(slots[known], values[known], slots[-1] + 1)
    counts = np.bincount(slots[known], minlength=slots[-1] + 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _season(step: int, size: int) -> tuple[int, int]:
    """Slots of a season, and slots to each side that count as the same."""
    season = round(DAY / step) if step <= DAY // 4 else 7 if abs(step - DAY) <= DAY // 4 else 1
    return (season, season // 48) if season * 2 <= size else (1, 0)


def _expected(grid: Doubles, season: int, nearby: int) -> tuple[Doubles, Doubles]:
    """What each slot is expected to hold, and its deviation, from the slots before it."""
    size = len(grid)
    lags = (np.arange(1, SEASONS + 1)[:, None] * season + np.arange(-nearby, nearby + 1)[None, :]).ravel()
    padded = np.concatenate([np.full(lags.max(), np.nan), grid])
    series = pd.Series(grid)
    expected = np.empty(size)
    # In pieces: all lags of all slots would be hundreds of times the series.
    piece = max(1, 4_000_000 // len(lags))
    for start in range(0, size, piece):
        end = min(start + piece, size)
        seen = padded[lags.max() + np.arange(start, end)[:, None] - lags[None, :]]
        expected[start:end] = _row_medians(seen)
    before = series.expanding(min_periods=1).median().shift(1).bfill().to_numpy()
    expected = np.where(np.isnan(expected), before, expected)
    window = max(season * SEASONS // 2, 7)
    least = max(min(window // 4, season // 4 + 1), 3)
    residual = series - expected
    # A series that grows is off by its growth over half the window, always.
    expected = expected + residual.rolling(window, min_periods=window).median().shift(1).fillna(0.0).to_numpy()
    deviation = (series - expected).abs().rolling(window, min_periods=least).median().shift(1).bfill() * 1.4826
    return np.nan_to_num(expected), np.nan_to_num(deviation.to_numpy())


def _row_medians(seen: Doubles) -> Doubles:
    """The median of each row's numbers; NaN for a row without one. numpy's own warns and is slow with NaN."""
    ordered = np.sort(seen, axis=1)
    counts = np.count_nonzero(~np.isnan(seen), axis=1)
    rows = np.arange(len(seen))
    low, high = np.maximum((counts - 1) // 2, 0), np.minimum(counts // 2, seen.shape[1] - 1)
    return np.where(counts > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)


def _spread(grid: Doubles) -> float:
    """The series' own spread: its median absolute deviation, or its standard deviation where that is 0."""
    known = grid[~np.isnan(grid)]
    if not len(known):
        return 0.0
    robust = float(np.median(np.abs(known - np.median(known)))) * 1.4826
    return robust or float(known.std())


def _raise(score: Doubles, slots: Ints, budget: int, quiet: int) -> np.ndarray:
    """Which moments are raised: the strongest, the earlier of equal ones, none closer than `quiet` slots to one raised before."""
    raised = np.zeros(len(score), np.bool_)
    taken: list[int] = []
    candidates = np.flatnonzero(score >= LEAST)
    for place in candidates[np.argsort(-score[candidates], kind="stable")]:
        if len(taken) >= budget:
            break
        if all(abs(int(slots[place]) - other) >= quiet for other in taken):
            raised[place] = True
            taken.append(int(slots[place]))
    return raised
