"""Users with a constant rate of events: counts of everything up to a day drift by construction, windows of days do not."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.arrays import Ints
from shoal.monitor.drift.digest import NumberDigest, Sample
from shoal.monitor.drift.severity import compare_numbers
from shoal.monitor.drift.thresholds import Rules

RULES = Rules()
DAYS, USERS = 90, 500


def counts_by_day(seed: int, faster: float = 1.0) -> Ints:
    """Events of each user on each day: Poisson, rates from a Pareto of exponent 1.25 over two decades; the last 28 days are
    `faster`."""
    rng = np.random.default_rng(seed)
    rates = 0.05 * (1 - rng.random(USERS) * (1 - 100**-1.25)) ** (-1 / 1.25)
    pace = np.where(np.arange(DAYS) >= DAYS - 28, faster, 1.0)
    return rng.poisson(rates[:, None] * pace)


def number(values: Ints) -> tuple[NumberDigest, Sample]:
    digest = NumberDigest(RULES.exact_values)
    digest.count(len(values), 0, 0, 0)
    digest.add(values.astype(float))
    return digest, digest.sample()


def cumulative(counts: Ints, day: int) -> Ints:
    """event_count of every user who has a row."""
    total = counts[:, :day].sum(axis=1)
    return total[total > 0]


def windowed(counts: Ints, day: int) -> list[Ints]:
    """event_count_28d and event_count_7d of the rows that are compared: features.users' drift_rows."""
    month, week = (counts[:, day - days : day].sum(axis=1) for days in (28, 7))
    return [month[month > 0], week[month > 0]]


def severities(reference: Ints, current: Ints) -> dict[str, str]:
    return {row["metric"]: row["severity"] for row in compare_numbers(number(reference), number(current), RULES)}


@pytest.mark.parametrize(("before", "after"), [(30, 60), (60, 90)])
def test_cumulative_counts_of_a_stationary_world_are_critical(before: int, after: int) -> None:
    counts = counts_by_day(1)
    assert severities(cumulative(counts, before), cumulative(counts, after))["psi"] == "critical"


def test_windows_raise_no_more_alarms_than_chance() -> None:
    """40 worlds, two windows, three pairs of days, six metrics: 1,440 comparisons, p_value of which may alarm; none does."""
    alarms, compared = 0, 0
    for seed in range(40):
        counts = counts_by_day(seed)
        for before, after in ((30, 60), (60, 90), (30, 90)):
            for old, new in zip(windowed(counts, before), windowed(counts, after), strict=True):
                found = severities(old, new)
                alarms += sum(severity != "none" for severity in found.values())
                compared += len(found)
    assert compared == 1_440
    assert alarms <= RULES.p_value * compared


@pytest.mark.parametrize(("faster", "severity"), [(1.7, "warning"), (3.0, "critical")])
def test_a_planted_shift_of_the_rate_is_found(faster: float, severity: str) -> None:
    counts = counts_by_day(2, faster)
    month = severities(windowed(counts, 60)[0], windowed(counts, 90)[0])
    assert month["kolmogorov_smirnov"] == severity
