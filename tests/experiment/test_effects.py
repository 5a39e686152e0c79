"""Differences between arms: scipy and statsmodels on the users themselves, and how often intervals and alarms are right."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats
from shoal.arrays import Doubles
from shoal.experiment.effects import (
    Effect,
    Sums,
    adjusted,
    always_valid,
    benjamini_hochberg,
    detectable,
    holm,
    proportions,
    ratios,
    sample_ratio_p_value,
    users_needed,
    welch,
)
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportions_ztest

RNG = np.random.default_rng(3)


def sums(y: Doubles, x: Doubles | None = None) -> Sums:
    other = np.zeros_like(y) if x is None else x
    return Sums(len(y), float(y.sum()), float(y @ y), float(other.sum()), float(other @ other), float(other @ y))


def test_welch_is_scipys() -> None:
    a, b = RNG.normal(10, 2, 40), RNG.normal(11, 5, 70)
    found = welch(sums(a), sums(b))
    wanted = stats.ttest_ind(b, a, equal_var=False)
    assert found is not None
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-9)
    interval = wanted.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.difference == pytest.approx(b.mean() - a.mean(), rel=1e-9)
    assert found.relative == pytest.approx(b.mean() / a.mean() - 1, rel=1e-9)


def test_shares_are_those_of_statsmodels() -> None:
    a, b = np.repeat([1.0, 0.0], [30, 170]), np.repeat([1.0, 0.0], [55, 195])
    found = proportions(sums(a), sums(b))
    assert found is not None
    assert found.p_value == pytest.approx(proportions_ztest([55, 30], [250, 200])[1], rel=1e-9)
    half = stats.norm.ppf(0.975) * math.sqrt(0.15 * 0.85 / 200 + 0.22 * 0.78 / 250)
    assert (found.low, found.high) == pytest.approx((0.07 - half, 0.07 + half), rel=1e-9)


def test_a_ratio_is_the_mean_of_its_linear_form() -> None:
    """By hand: y - R x over the mean of x, whose variance over users is that of the ratio to first order."""
    views = [RNG.poisson(9, n).astype(float) + 1 for n in (300, 400)]
    clicks = [RNG.binomial(view.astype(int), share).astype(float) for view, share in zip(views, (0.2, 0.25), strict=True)]
    found = ratios(sums(clicks[0], views[0]), sums(clicks[1], views[1]))
    variances = [
        np.var((c - c.sum() / v.sum() * v) / v.mean(), ddof=1) / len(c) for c, v in zip(clicks, views, strict=True)
    ]  # fmt: skip
    assert found is not None
    assert found.standard_error == pytest.approx(math.sqrt(sum(variances)), rel=1e-9)
    assert found.difference == pytest.approx(clicks[1].sum() / views[1].sum() - clicks[0].sum() / views[0].sum(), rel=1e-12)


def test_what_was_known_before_takes_its_share_of_the_variance_away() -> None:
    before = [RNG.normal(5, 1, n) for n in (500, 800)]
    after = [2 * x + RNG.normal(0, 1, len(x)) + lift for x, lift in zip(before, (0, 0.2), strict=True)]
    control, treatment, share = adjusted(*(sums(y, x) for y, x in zip(after, before, strict=True)))
    within = [(x - x.mean(), y - y.mean()) for x, y in zip(before, after, strict=True)]
    xs, ys = (np.concatenate([pair[n] for pair in within]) for n in (0, 1))
    theta = (xs @ ys) / (xs @ xs)
    centre = np.concatenate(before).mean()
    by_hand = [y - theta * (x - centre) for x, y in zip(before, after, strict=True)]
    assert (control.mean, treatment.mean) == pytest.approx([y.mean() for y in by_hand], rel=1e-9)
    assert (control.variance, treatment.variance) == pytest.approx([y.var(ddof=1) for y in by_hand], rel=1e-9)
    assert share == pytest.approx(np.corrcoef(xs, ys)[0, 1] ** 2, rel=1e-9)
    constant = [sums(y, np.ones_like(y)) for y in after]
    assert adjusted(*constant) == (*constant, 0.0)


@pytest.mark.parametrize(
    ("method", "control", "treatment"),
    [
        (welch, Sums(1, 3.0, 9.0), Sums(9, 3.0, 9.0)),  # one user
        (welch, Sums(4, 8.0, 16.0), Sums(5, 10.0, 20.0)),  # all have 2
        (proportions, Sums(100, 1.0, 1.0), Sums(100, 2.0, 2.0)),  # 1.5 expected an arm
        (ratios, Sums(9, 3.0, 9.0), Sums(9, 3.0, 9.0, 5.0, 5.0, 1.0)),  # the control has no view
        (ratios, Sums(0, 0.0, 0.0), Sums(0, 0.0, 0.0)),
    ],
)
def test_nothing_is_said_where_nothing_can_be(method: object, control: Sums, treatment: Sums) -> None:
    assert method(control, treatment) is None  # type: ignore[operator]


def test_corrections_powers_and_sizes_are_those_of_statsmodels() -> None:
    given = [0.03, 0.001, 0.2, 0.04, 0.9, 0.03]
    assert holm(given) == pytest.approx(multipletests(given, method="holm")[1])
    assert benjamini_hochberg(given) == pytest.approx(multipletests(given, method="fdr_bh")[1])
    assert holm([]) == benjamini_hochberg([]) == []
    # statsmodels gives the users of the first group for an effect in standard deviations.
    first = NormalIndPower().solve_power(0.1, alpha=0.05, power=0.8, ratio=3)
    assert users_needed(4.0, 0.2, share=0.75) == pytest.approx(4 * first, rel=1e-4)
    assert users_needed(1.0, 0.0) == math.inf
    assert detectable(0.5) == pytest.approx(0.5 * (1.959964 + 0.841621), rel=1e-6)
    assert sample_ratio_p_value([520, 480], [1, 1]) == pytest.approx(stats.chisquare([520, 480]).pvalue)
    assert sample_ratio_p_value([500, 1500], [1, 3]) == 1.0
    assert sample_ratio_p_value([0, 0], [1, 1]) is sample_ratio_p_value([5], [1]) is None


def drawn(rng: np.random.Generator, lift: float, kind: str) -> Effect:
    """An experiment of 400 users an arm, its truth planted."""
    if kind == "proportion":
        found = proportions(*(sums(rng.binomial(1, 0.3 + each, 400).astype(float)) for each in (0.0, lift)))
    elif kind == "ratio":
        views = [rng.poisson(8, 400) + 1 for _ in range(2)]
        clicks = [rng.binomial(v, 0.3 + each) for v, each in zip(views, (0.0, lift), strict=True)]
        found = ratios(*(sums(c.astype(float), v.astype(float)) for c, v in zip(clicks, views, strict=True)))
    else:
        # Revenue: a long tail.
        found = welch(*(sums(rng.lognormal(0, 1, 400) + each) for each in (0.0, lift)))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["mean", "proportion", "ratio"])
def test_intervals_hold_the_planted_lift_and_equal_arms_alarm_as_often_as_stated(kind: str) -> None:
    rng, lift = np.random.default_rng(11), 0.08
    held = sum(one.low <= lift <= one.high for one in (drawn(rng, lift, kind) for _ in range(1000)))
    assert 930 <= held <= 970
    alarms = sum(drawn(rng, 0.0, kind).p_value < 0.05 for _ in range(6000))
    assert 240 <= alarms <= 360


def test_daily_peeking_at_the_sequential_test_alarms_in_at_most_five_percent() -> None:
    """Twenty days of 50 users an arm; the fixed test, looked at daily, is what it protects from."""
    rng = np.random.default_rng(12)
    sequential = fixed = found = 0

    def looks(users: Doubles) -> Iterator[Effect]:
        """What is known at the end of each day; a day's sums are added to those of the days before."""
        y, yy = users.sum(axis=2).cumsum(axis=1), np.square(users).sum(axis=2).cumsum(axis=1)
        for day in range(20):
            one = welch(*(Sums(50 * (day + 1), float(y[arm, day]), float(yy[arm, day])) for arm in (0, 1)))
            if one is not None:
                yield one

    def alarms(one: Effect) -> bool:
        return always_valid(one.difference, one.standard_error, 0.2).p_value < 0.05

    for _ in range(1000):
        users = rng.normal(0, 1, (2, 20, 50))
        equal = list(looks(users))
        sequential += any(alarms(one) for one in equal)
        fixed += any(one.p_value < 0.05 for one in equal)
        # The first alarm decides: later days need not be looked at.
        found += any(alarms(one) for one in looks(users + np.array([0.0, 0.35])[:, None, None]))
    assert sequential <= 50
    assert fixed > 150
    assert found > 950
