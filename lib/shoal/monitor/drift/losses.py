"""Concept drift: whether a model's loss on matured labels is larger in one window than in an earlier one of the same version.

The windows come as their means, standard errors and skewness; no case is kept. Numbers in, rows of ops.drift out: no Spark.
docs/adr/0154-concept-drift.md has the reasons and what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from scipy.special import stdtr, stdtrit

from shoal.monitor.drift.severity import not_computed, with_severity

LOSS, LOSS_RISE = "loss", "loss_rise"
TOO_FEW = "too_few_rows"
# With fewer people in a window the t-test's level is not known.
MIN_CLUSTERS = 30
# The largest skewness of the difference of two means that a t-test bears: above, too few rows for so uneven a loss.
MAX_SKEWNESS = 0.2


@dataclass(frozen=True)
class LossRules:
    """false_discovery_rate: of a run, at most this share of the alarms is false, and with no drift at all at most this share of
    runs has an alarm; warning, critical: rises of the mean loss, as shares of the reference's, that matter."""

    false_discovery_rate: float
    warning: float
    critical: float


@dataclass(frozen=True)
class LossWindow:
    """The losses of one window: first and last day, cases, the people whose cases they are, mean, its standard error with people as
    independent (None of one), skewness of their parts of it."""

    start: date
    end: date
    rows: int
    clusters: int
    mean: float
    standard_error: float | None
    skewness: float | None


@dataclass(frozen=True)
class Pair:
    """A window of a model version and the earlier one that it is compared with, under one or two names (previous, baseline).
    is_gain: more of the metric is better (NDCG)."""

    model: str
    metric: str
    names: tuple[str, ...]
    reference: LossWindow
    current: LossWindow
    is_gain: bool = False


@dataclass(frozen=True)
class Rise:
    """How much larger the loss is: difference in its own unit (negative: smaller), standard_error of it, degrees of freedom and the
    one-sided p-value; or, where the windows are too small, `too_few`: what is missing."""

    difference: float
    standard_error: float = 0.0
    degrees: int = 0
    p_value: float | None = None
    too_few: str | None = None


def loss_rise(reference: LossWindow, current: LossWindow, is_gain: bool = False) -> Rise:
    """Test whether the mean loss of `current` is larger than that of `reference`, one-sided, people as independent.

    A t-test whose standard error is the larger of Welch's and of the one with the variance of both windows together, and whose
    degrees of freedom are those of the smaller window: without drift it alarms at most as often as its level. The pooled
    variance guards a small reference that by chance has no large loss, Welch's a current window with few. People who are in both
    windows make it alarm less. Losses must be finite. Too few: fewer than MIN_CLUSTERS people in a window, or a difference of more
    skewness than MAX_SKEWNESS.
    """
    difference = (reference.mean - current.mean) if is_gain else (current.mean - reference.mean)
    for name, window in (("reference", reference), ("current", current)):
        if window.clusters < MIN_CLUSTERS or window.standard_error is None:
            return Rise(difference, too_few=f"{window.clusters} of {MIN_CLUSTERS} users in the {name} window")
    old, new = reference.rows, current.rows
    # Of a mean of n cases: variance second / n, third cumulant third / n^2.
    second, third = ((a + b) / (old + new) for a, b in zip(_sums(reference), _sums(current), strict=True))
    pooled = second * (1 / old + 1 / new)
    if pooled > 0:
        skewness = third * (1 / new**2 - 1 / old**2) / pooled**1.5
        if abs(skewness) > MAX_SKEWNESS:
            small = "reference" if old < new else "current"
            return Rise(difference, too_few=f"{min(old, new)} rows in the {small} window, too few for so uneven a loss")
    error = math.sqrt(max(pooled, (reference.standard_error or 0.0) ** 2 + (current.standard_error or 0.0) ** 2))
    degrees = min(reference.clusters, current.clusters) - 1
    if error == 0:
        return Rise(difference, 0.0, degrees, 0.0 if difference > 0 else 1.0)
    return Rise(difference, error, degrees, float(stdtr(degrees, -difference / error)))


def compare_losses(pairs: Sequence[Pair], rules: LossRules) -> list[dict[str, Any]]:
    """The rows of ops.drift of all pairs of a run, but for as_of: kind loss, metric loss_rise. One row per pair and name.

    statistic: the rise as a share of the reference's mean (of the current one's, where that is 0); 0 where the loss fell.
    Drifted: the test is among the discoveries of Benjamini and Hochberg (JRSS B 57, 1995) over all pairs, and the rise is at least
    `warning`; critical from `critical` on. Too few rows: no statistic, and a note. A pair counts as one test under its names.
    """
    found = [loss_rise(pair.reference, pair.current, pair.is_gain) for pair in pairs]
    level = discovery_level([rise.p_value for rise in found if rise.p_value is not None], rules.false_discovery_rate)
    rows = []
    for pair, rise in zip(pairs, found, strict=True):
        measured = _measured(pair, rise, level, rules)
        for name in pair.names:
            rows.append({
                "table_name": pair.model, "column_name": pair.metric, "kind": LOSS, "comparison": name,
                "reference_start": pair.reference.start, "reference_end": pair.reference.end,
                "reference_rows": pair.reference.rows, "current_rows": pair.current.rows, **measured,
            })  # fmt: skip
    return rows


def discovery_level(p_values: Sequence[float], rate: float) -> float:
    """The level up to which p-values are discoveries: rate x k / tests for the largest k whose k-th p-value is not above it, else
    rate / tests.

    >>> discovery_level([0.02, 0.9, 0.03, 0.8], 0.05), discovery_level([0.02, 0.9, 0.02, 0.8], 0.05), discovery_level([], 0.05)
    (0.0125, 0.025, 0.05)
    """
    tests = max(len(p_values), 1)
    hits = [k for k, p in enumerate(sorted(p_values), 1) if p <= rate * k / tests]
    return rate * max(hits, default=1) / tests


def _measured(pair: Pair, rise: Rise, level: float, rules: LossRules) -> dict[str, Any]:
    means = f"{pair.reference.mean:.4g} until {pair.reference.end}, {pair.current.mean:.4g} until {pair.current.end}"
    if rise.p_value is None:
        return not_computed(LOSS_RISE, f"{TOO_FEW}: {rise.too_few}")
    scale = abs(pair.reference.mean) or abs(pair.current.mean) or 1.0
    share = max(0.0, rise.difference) / scale
    # What chance exceeds at the level, so that "statistic >= threshold" is what was decided.
    noise = -float(stdtrit(rise.degrees, level)) * rise.standard_error / scale
    return with_severity(LOSS_RISE, share, max(rules.warning, noise), max(rules.critical, noise), rise.p_value, means)


def _sums(window: LossWindow) -> tuple[float, float]:
    """The sums over people of the squares and the cubes of their parts of the mean."""
    groups, error = window.clusters, window.standard_error or 0.0
    squares = (error * window.rows) ** 2 * (groups - 1) / groups
    return squares, (window.skewness or 0.0) * groups * (squares / groups) ** 1.5
