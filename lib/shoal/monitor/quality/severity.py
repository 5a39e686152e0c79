"""From a figure and its past to a status: fixed limits, and robust deviations from what the figure's own past lets expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from shoal.mine.anomalies.seasonal import DAY, AlarmRule, score_series

OK, WARN, FAIL, NOT_ENOUGH = "ok", "warn", "fail", "not_enough"
ROW_COUNT, ROW_GROWTH, KEY_DUPLICATES = "row_count", "row_growth", "key_duplicates"
NULL_SHARE, FRESHNESS, MISSING_PARENTS, QUARANTINE = "null_share", "freshness_hours", "missing_parents", "quarantine_share"
# Figures that have no limit of their own: only their past says what is usual.
BY_PAST = (ROW_COUNT, NULL_SHARE)
# Numbers of rows vary by chance like their square root: so many of these are no loss.
CHANCE = 4.0


@dataclass(frozen=True)
class Limits:
    """The values from which on a rule warns and fails; None: never. `down`: at and below them instead."""

    warn: float | None = None
    fail: float | None = None
    down: bool = False


@dataclass(frozen=True)
class Figure:
    """One rule of one table on a day: `value` None where there is nothing to measure; `rows` that it is of."""

    table: str
    rule: str
    column: str
    value: float | None
    rows: int | None
    limits: Limits = Limits()
    note: str | None = None


@dataclass(frozen=True)
class Past:
    """The figure's earlier days, ascending, and its values."""

    days: Sequence[date] = ()
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Usual:
    """min_runs: earlier values without which nothing is usual; warn, fail: robust deviations."""

    min_runs: int
    warn: float
    fail: float


@dataclass(frozen=True)
class Outcome:
    """What became of a figure. expected, low, high, deviations, trend_per_day: None where the past is too short."""

    status: str
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    deviations: float | None = None
    trend_per_day: float | None = None


def growth(rows: int, before: float | None) -> float | None:
    """The relative change of a number of rows; None without an earlier number above 0."""
    return None if not before else (rows - before) / before


def shrink_limits(before: float | None, warn: float, fail: float) -> Limits:
    """The relative losses that count, for a table of `before` rows: these, or what chance does to so few rows."""
    chance = CHANCE / math.sqrt(before) if before else 0.0
    return Limits(-max(warn, chance), -max(fail, chance), down=True)


def decide(figure: Figure, day: date, past: Past, usual: Usual) -> Outcome:
    """The status of a figure of `day`.

    The worse of what its limits and, for rules of BY_PAST, its past say. not_enough: there is no value, or only the past could say
    and has fewer than `min_runs` values. Deviations are those of shoal.mine.anomalies.seasonal (medians of the same weekday, median
    absolute deviations, of logarithms: never below .05, so a change of a fifth is four deviations at most); the trend is Theil and
    Sen's median of slopes, in the value's unit a day.
    """
    if figure.value is None:
        return Outcome(NOT_ENOUGH)
    by_limits = _by_limits(figure.value, figure.limits)
    if len(past.values) < usual.min_runs:
        return Outcome(NOT_ENOUGH if figure.rule in BY_PAST and by_limits == OK else by_limits)
    values = np.array([*past.values, figure.value], np.float64)
    days = np.array([each.toordinal() for each in (*past.days, day)], np.int64)
    scores = score_series(days * DAY, values, AlarmRule(0.0, 0))
    deviations = float(scores.score[-1])
    by_past = FAIL if deviations >= usual.fail else WARN if deviations >= usual.warn else OK
    status = max(by_limits, by_past if figure.rule in BY_PAST else OK, key=(OK, WARN, FAIL).index)
    return Outcome(
        status, float(scores.expected[-1]), float(scores.low[-1]), float(scores.high[-1]), deviations, _trend(days, values)
    )


def _by_limits(value: float, limits: Limits) -> str:
    sign = -1 if limits.down else 1
    reached = [status for status, limit in ((FAIL, limits.fail), (WARN, limits.warn)) if limit is not None and
               sign * value >= sign * limit]  # fmt: skip
    return reached[0] if reached else OK


def _trend(days: np.ndarray, values: np.ndarray) -> float:
    """The median of the slopes between all pairs of days."""
    first, second = np.triu_indices(len(days), 1)
    return float(np.median((values[second] - values[first]) / (days[second] - days[first])))
