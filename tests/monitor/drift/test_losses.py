"""Concept drift: the test of mean losses alarms as rarely as is stated, finds what was planted, and agrees with scipy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import stats
from shoal.arrays import Doubles
from shoal.monitor.drift.losses import LossRules, LossWindow, Pair, compare_losses, discovery_level, loss_rise

RULES = LossRules(false_discovery_rate=0.05, warning=0.05, critical=0.1)
FIRST, LAST = (date(2024, 1, 1), date(2024, 1, 14)), (date(2024, 3, 1), date(2024, 3, 14))
Draw = Callable[[np.random.Generator, tuple[int, int]], Doubles]
# Losses of one case. Log losses resemble an exponential; the lognormal has a skewness of 33, the Pareto an infinite one.
LOSSES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(1.0, 0.5, shape),
    "exponential": lambda rng, shape: rng.exponential(1.0, shape),
    "lognormal": lambda rng, shape: rng.lognormal(0.0, 1.5, shape),
    "pareto": lambda rng, shape: 1 + rng.pareto(2.5, shape),
}
SIZES = [(30, 30), (30, 300), (300, 30), (300, 300), (300, 30_000), (30_000, 30_000)]


def windows(losses: Doubles, span: tuple[date, date], size: int = 1) -> list[LossWindow]:
    """A window a row of losses, `size` cases a user: from the definitions, not from the code."""
    parts = losses.reshape(len(losses), -1, size).sum(axis=2)
    mean, users = losses.mean(axis=1), parts.shape[1]
    off = parts - size * mean[:, None]
    error = np.sqrt(users / (users - 1) * (off**2).sum(axis=1)) / losses.shape[1]
    spread = (off**2).mean(axis=1)
    skewness = np.where(spread > 0, (off**3).mean(axis=1) / np.where(spread > 0, spread, 1) ** 1.5, 0.0)
    return [
        LossWindow(*span, losses.shape[1], users, float(m), float(e), float(s))
        for m, e, s in zip(mean, error, skewness, strict=True)
    ]


def p_values(draw: Draw, old: int, new: int, seed: int, rise: float = 1.0) -> list[float | None]:
    rng = np.random.default_rng(seed)
    runs = 150 if max(old, new) > 10_000 else 1000
    references, currents = windows(draw(rng, (runs, old)), FIRST), windows(rise * draw(rng, (runs, new)), LAST)
    return [loss_rise(a, b).p_value for a, b in zip(references, currents, strict=True)]


@pytest.mark.parametrize("name", LOSSES)
def test_without_drift_at_most_one_window_in_twenty_alarms(name: str) -> None:
    """At any number of rows, of alarms and of all windows: 99.9% of binomial draws of 5% are within the limit."""
    for old, new in SIZES:
        found = p_values(LOSSES[name], old, new, seed=old + new)
        alarms = sum(p is not None and p <= 0.05 for p in found)
        assert alarms <= stats.binom.ppf(0.999, len(found), 0.05), (old, new, alarms / len(found))


def counted(misses: int, cases: int, span: tuple[date, date]) -> LossWindow:
    """A window of 0/1 losses."""
    share = misses / cases
    spread = share * (1 - share)
    skewness = (1 - 2 * share) / spread**0.5 if spread else 0.0
    return LossWindow(*span, cases, cases, share, (spread / (cases - 1)) ** 0.5, skewness)


@pytest.mark.parametrize(("share", "old", "new"), [(0.01, 30, 30), (0.01, 300, 300), (0.4, 30, 30), (0.1, 30, 30), (0.1, 300, 30)])
def test_of_losses_0_and_1_the_rate_is_exact(share: float, old: int, new: int) -> None:
    """Every pair of counts, weighed by its probability. Steps of counts take the 5% to 5.7% at most."""
    weights = [stats.binom.pmf(np.arange(n + 1), n, share) for n in (old, new)]
    often = [np.flatnonzero(w > 1e-6) for w in weights]
    rate = 0.0
    for a in often[0]:
        for b in often[1]:
            p = loss_rise(counted(a, old, FIRST), counted(b, new, LAST)).p_value
            rate += float(weights[0][a] * weights[1][b]) * (p is not None and p <= 0.05)
    assert rate <= 0.057


def test_of_many_losses_0_and_1_too() -> None:
    """A loss of one case in a hundred; 300 cases against 30,000 are too few to compare, 30,000 are not."""
    rng = np.random.default_rng(2)
    found = [
        loss_rise(counted(a, 30_000, FIRST), counted(b, 30_000, LAST)).p_value for a, b in rng.binomial(30_000, 0.01, (2000, 2))
    ]
    assert None not in found
    assert sum((p or 0) <= 0.05 for p in found) <= stats.binom.ppf(0.999, 2000, 0.05)
    assert loss_rise(counted(3, 300, FIRST), counted(300, 30_000, LAST)).p_value is None


def test_a_planted_rise_is_found() -> None:
    """Exponential losses: three quarters of windows of 30 where the loss doubles, of 300 where it rises by a quarter, nearly all
    windows of 30,000 where it rises by a twentieth."""
    for rows, rise, power in ((30, 2.0, 0.75), (300, 1.25, 0.75), (30_000, 1.05, 0.99)):
        found = p_values(LOSSES["exponential"], rows, rows, seed=7, rise=rise)
        assert sum(p is not None and p <= 0.05 for p in found) / len(found) >= power, rows


def test_the_losses_of_a_user_resemble_each_other() -> None:
    """100 users with 10 cases each and a level of their own: as rows one window in five would alarm."""
    rng = np.random.default_rng(11)
    both = [np.repeat(rng.exponential(1.0, (500, 100)), 10, axis=1) * rng.exponential(1.0, (500, 1000)) for _ in range(2)]
    alarms = {
        size: np.mean([(loss_rise(*pair).p_value or 0) <= 0.05 for pair in pairs])
        for size, pairs in ((size, zip(*(windows(w, FIRST, size) for w in both), strict=True)) for size in (1, 10))
    }
    assert alarms[1] > 0.15 and alarms[10] <= stats.binom.ppf(0.999, 500, 0.05) / 500


def test_the_statistic_is_scipys() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.exponential(1.0, 400), rng.exponential(1.3, 400)
    (a,), (b,) = windows(old[None], FIRST), windows(new[None], LAST)
    found = loss_rise(a, b)
    welch = stats.ttest_ind(new, old, equal_var=False)
    assert found.difference / found.standard_error == pytest.approx(welch.statistic)
    assert found.p_value == pytest.approx(stats.t.sf(welch.statistic, 399))
    # A small reference that varies less than the current window by chance: the variance of both together is the larger one.
    small, large = LossWindow(*FIRST, 100, 100, 1.0, 0.05, 0.0), LossWindow(*LAST, 10_000, 10_000, 1.2, 0.01, 0.0)
    pooled = ((0.05 * 100) ** 2 * 0.99 + (0.01 * 10_000) ** 2 * 0.9999) / 10_100 * (1 / 100 + 1 / 10_000)
    assert loss_rise(small, large).p_value == pytest.approx(stats.t.sf(0.2 / pooled**0.5, 99))
    # The reverse, and a metric of which more is better.
    assert loss_rise(b, a).p_value == pytest.approx(stats.t.cdf(welch.statistic, 399)) == loss_rise(a, b, is_gain=True).p_value


def test_too_few_rows_are_no_number() -> None:
    (a,), (b,) = windows(np.ones((1, 30)), FIRST), windows(np.full((1, 30), 2.0), LAST)
    assert loss_rise(a, b).p_value == 0.0 and loss_rise(b, a).p_value == 1.0  # no spread at all
    assert loss_rise(a, replace(b, clusters=29)).too_few == "29 of 30 users in the current window"
    assert loss_rise(replace(a, standard_error=None), b).p_value is None
    # 30 rows without a loss say nothing where one case in a hundred has one.
    rare = LossWindow(*LAST, 30_000, 30_000, 0.01, 0.0005745, 9.85)
    none = LossWindow(*FIRST, 30, 30, 0.0, 0.0, 0.0)
    assert loss_rise(none, rare).too_few == "30 rows in the reference window, too few for so uneven a loss"


def test_rows_of_a_run_share_one_rate_of_false_discoveries() -> None:
    def pair(model: str, mean: float, error: float, *names: str, clusters: int = 1000, is_gain: bool = False) -> Pair:
        before = LossWindow(*FIRST, 1000, 1000, 1.0, 0.03, 0.0)
        return Pair(model, "log_loss", names or ("previous",), before, LossWindow(*LAST, 1000, clusters, mean, error, 0.0), is_gain)

    made = [
        pair("much", 1.2, 0.03, "previous", "baseline"), pair("some", 1.09, 0.03), pair("chance", 1.075, 0.03),
        pair("little", 1.04, 0.001), pair("less", 0.5, 0.03), pair("gain", 0.85, 0.03, is_gain=True),
        pair("few", 3.0, 0.03, clusters=29),
    ]  # fmt: skip
    rows = {(r["table_name"], r["comparison"]): r for r in compare_losses(made, RULES)}
    assert len(rows) == 8
    # Of six tests the p-values are 1e-6, .017, .039, .091, 1 and 2e-4: the level is .05 x 3 / 6.
    assert {name: (r["severity"], r["is_drifted"]) for (name, _), r in rows.items()} == {
        "much": ("critical", True), "some": ("warning", True), "chance": ("none", False), "little": ("none", False),
        "less": ("none", False), "gain": ("critical", True), "few": ("none", False),
    }  # fmt: skip
    assert rows["much", "baseline"] == {**rows["much", "previous"], "comparison": "baseline"}
    some = rows["some", "previous"]
    assert (some["statistic"], some["p_value"]) == (pytest.approx(0.09), pytest.approx(stats.t.sf(0.09 / 0.03 / 2**0.5, 999)))
    assert some["threshold"] == pytest.approx(stats.t.isf(0.025, 999) * 0.03 * 2**0.5)
    assert rows["less", "previous"]["statistic"] == 0.0
    assert (rows["few", "previous"]["statistic"], rows["few", "previous"]["note"]) == (
        None, "too_few_rows: 29 of 30 users in the current window",
    )  # fmt: skip


def test_without_drift_at_most_one_run_in_twenty_has_an_alarm() -> None:
    """Seven models a run, two windows each that share the current one: 400 runs."""
    rng = np.random.default_rng(5)
    runs, models = 400, 7
    past, newer, now = (windows(rng.exponential(1.0, (runs * models, 200)), span) for span in (FIRST, FIRST, LAST))
    with_alarm = 0
    for run in range(runs):
        of_run = range(run * models, (run + 1) * models)
        p = [loss_rise(reference[n], now[n]).p_value or 0.0 for n in of_run for reference in (past, newer)]
        with_alarm += min(p) <= discovery_level(p, 0.05)
    assert with_alarm <= stats.binom.ppf(0.999, runs, 0.05)
