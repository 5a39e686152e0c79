"""When a champion is due, and when a challenger serves: literal figures, and scipy and numpy as oracles."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from shoal.conf.loading import load
from shoal.conf.sections import RetrainConf
from shoal.models.comparison import Comparison, compare_losses, compare_replicates, is_promoted
from shoal.models.retraining import Figures, LossTest, due, measured, obstacle, reasons
from shoal.recommend.protocol.significance import Replicates

DAY = date(2024, 3, 31)
CONF: RetrainConf = load().retrain


def days(*severities: str, last: date = DAY) -> dict[date, str]:
    """The last days with these severities, the newest last."""
    return {last - timedelta(days=len(severities) - 1 - n): each for n, each in enumerate(severities)}


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (Figures(date(2024, 3, 2)), []),  # 29 days
        (Figures(date(2024, 3, 1)), ["age"]),  # 30 days
        (Figures(date(2024, 3, 20), rows_then=200, rows_now=299), []),
        (Figures(date(2024, 3, 20), rows_then=200, rows_now=300), ["volume"]),
        (Figures(date(2024, 3, 20), rows_then=200, rows_now=None), []),
        (Figures(date(2024, 3, 20), rows_then=0, rows_now=0), []),
        (Figures(date(2024, 3, 20), drift=days("critical", "none", "critical", "none", "critical")), ["drift"]),
        # Three of five, but not the latest; two of five; warnings only.
        (Figures(date(2024, 3, 20), drift=days("critical", "critical", "critical", "none", "warning")), []),
        (Figures(date(2024, 3, 20), drift=days("none", "none", "none", "critical", "critical")), []),
        (Figures(date(2024, 3, 20), drift=days("warning", "warning", "warning", "warning", "warning")), []),
        # An older one has left the last five; those up to the day of its training are what it has learned from.
        (Figures(date(2024, 3, 20), drift=days("critical", "none", "none", "critical", "none", "critical")), []),
        (Figures(date(2024, 3, 29), drift=days("critical", "critical", "critical", "critical")), []),
        (Figures(date(2024, 3, 28), drift=days("critical", "critical", "critical")), ["drift"]),
        (Figures(date(2024, 3, 20), loss=LossTest(DAY, 0.09, True, "n")), []),
        (Figures(date(2024, 3, 20), loss=LossTest(DAY, 0.1, True, "n")), ["loss"]),
        # More than a tenth, but not more than chance does; too few rows to say.
        (Figures(date(2024, 3, 20), loss=LossTest(DAY, 0.5, False, "n")), []),
        (Figures(date(2024, 3, 20), loss=LossTest(DAY, None, False, "too_few_rows: 3 of 30 users")), []),
        (Figures(date(2024, 2, 1), 100, 500, days("critical", "critical", "critical")), ["age", "volume", "drift"]),
    ],
)  # fmt: skip
def test_a_reason_is_a_figure_and_a_limit(figures: Figures, expected: list[str]) -> None:
    found = reasons(figures, CONF, DAY)
    assert [each.reason for each in found] == ["age", "volume", "drift", "loss"]
    assert due(found) == expected
    assert all(each.note for each in found)


def test_what_is_not_measured_has_no_figure() -> None:
    age, volume, drift, loss = reasons(Figures(date(2024, 3, 20)), CONF, DAY)
    assert (age.value, volume.value, drift.value, loss.value) == (11.0, None, None, None)


def test_hits_that_cannot_be_reached_are_refused() -> None:
    with pytest.raises(ValidationError, match="expected at most drift_windows"):
        RetrainConf(**{**CONF.model_dump(), "drift_hits": 6})


@pytest.mark.parametrize(
    ("trained", "tried", "expected"),
    [
        (date(2024, 3, 16), None, None),
        (date(2024, 3, 17), None, "too_young"),
        (date(2024, 2, 1), date(2024, 3, 24), None),
        (date(2024, 2, 1), date(2024, 3, 25), "waiting"),
        (date(2024, 2, 1), DAY, "waiting"),
    ],
)  # fmt: skip
def test_what_stands_against_a_training(trained: date, tried: date | None, expected: str | None) -> None:
    found = obstacle(trained, tried, CONF, DAY)
    assert (found and found[0]) == expected


def test_losses_are_compared_as_scipy_does() -> None:
    rng = np.random.default_rng(3)
    old = rng.gamma(2.0, size=200)
    new = old - 0.1 + rng.normal(0, 0.5, 200)
    found = compare_losses("log_loss", old, new)
    test = stats.ttest_rel(new, old)
    assert (found.cases, found.champion, found.challenger) == (200, pytest.approx(old.mean()), pytest.approx(new.mean()))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.gain == pytest.approx((old - new).mean())
    one_sided = stats.ttest_rel(new, old, alternative="less").confidence_interval(0.95)
    assert found.gain_low == pytest.approx(-one_sided.high)


def test_equal_models_are_no_better_and_no_worse() -> None:
    same = np.linspace(0.1, 2, 40)
    found = compare_losses("log_loss", same, same)
    assert (found.gain, found.gain_low, found.p_value) == (0.0, 0.0, 1.0)
    assert not is_promoted(found, ["drift"], 0.05, 0.02)
    assert is_promoted(found, ["age"], 0.05, 0.02)
    nothing = compare_losses("log_loss", np.empty(0), np.empty(0))
    assert (nothing.cases, measured(nothing)["gain_low"]) == (0, None)
    assert not is_promoted(nothing, ["age"], 0.05, 0.02)


@pytest.mark.parametrize(
    ("gain", "low", "p_value", "due_for", "cases", "expected"),
    [
        (0.1, 0.05, 0.01, ["drift"], 30, True),  # better
        (0.1, 0.05, 0.01, ["drift"], 29, False),  # too few cases
        (0.1, -0.001, 0.06, ["drift"], 30, False),  # perhaps chance
        (0.1, -0.001, 0.06, ["age"], 30, True),  # not worse
        (-0.001, -0.019, 0.5, ["age"], 30, True),  # at most 2% of 1.0 worse
        (-0.001, -0.021, 0.5, ["age"], 30, False),  # perhaps more
        (-0.001, -0.019, 0.5, ["age", "drift"], 30, False),  # not for age alone
        (-0.1, -0.2, 0.01, ["drift"], 30, False),  # worse for sure
    ],
)  # fmt: skip
def test_the_rule_of_promotion(
    gain: float, low: float, p_value: float, due_for: list[str], cases: int, expected: bool
) -> None:
    found = Comparison("log_loss", cases, 1.0, 1.0 - gain, gain, low, p_value)
    assert is_promoted(found, due_for, 0.05, 0.02) is expected


def test_replicates_are_compared_by_their_shares() -> None:
    """Differences of 100 replicates: 97 of 0.1, 3 of -0.1; a replicate without users does not count."""
    off = np.array([0.1] * 97 + [-0.1] * 3 + [5.0])
    totals = np.column_stack([np.full(101, 2.0), 2.0 + 10 * off])
    users = np.array([10.0] * 100 + [0.0])
    found = compare_replicates("ndcg@10", 12, Replicates(("old", "new"), totals, users), "old", "new")
    assert (found.cases, found.champion, found.p_value) == (12, pytest.approx(0.2), pytest.approx(0.06))
    assert (found.gain, found.gain_low) == (pytest.approx(0.094), pytest.approx(0.1))
    none = compare_replicates("ndcg@10", 0, Replicates(("old", "new"), totals[-1:], users[-1:]), "old", "new")
    assert (none.p_value, measured(none)["gain_low"]) == (1.0, None)


def test_false_promotions_are_as_rare_as_is_said() -> None:
    """Of equal models 2.5% are called better; of models that are 2% worse 5% are called not worse: 2,000 draws of 200 cases."""
    rng = np.random.default_rng(7)
    better = not_worse = 0
    for _ in range(2000):
        old = rng.gamma(4.0, 0.25, 200)
        noise = rng.normal(0, 0.1, 200)
        better += compare_losses("log_loss", old, old + noise).is_better(0.05)
        # The limit is a share of the mean of these very cases.
        not_worse += compare_losses("log_loss", old, old + 0.02 * old.mean() + noise).is_not_worse(0.02)
    assert 0.018 < better / 2000 < 0.032
    assert 0.035 < not_worse / 2000 < 0.065
