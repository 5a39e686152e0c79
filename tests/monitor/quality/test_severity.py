"""From figures to statuses: limits, losses that are no chance, and what is unlike its own past."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import theilslopes
from shoal.monitor.quality.severity import Figure, Limits, Past, Usual, decide, growth, shrink_limits

DAY = date(2024, 3, 31)
USUAL = Usual(min_runs=7, warn=4.0, fail=8.0)


def past(*values: float) -> Past:
    return Past([DAY - timedelta(days=len(values) - n) for n in range(len(values))], values)


def figure(value: float | None, rule: str = "freshness_hours", limits: Limits = Limits()) -> Figure:
    return Figure("silver.items", rule, "", value, 100, limits)


@pytest.mark.parametrize(
    ("value", "status"),
    [(35.9, "ok"), (36.0, "warn"), (71.9, "warn"), (72.0, "fail"), (None, "not_enough")],
)
def test_limits_count_from_their_value_on(value: float | None, status: str) -> None:
    assert decide(figure(value, limits=Limits(36, 72)), DAY, past(), USUAL).status == status


def test_a_limit_without_a_warning_and_one_that_is_not_there() -> None:
    assert decide(figure(0, "key_duplicates", Limits(None, 1)), DAY, past(), USUAL).status == "ok"
    assert decide(figure(1, "key_duplicates", Limits(None, 1)), DAY, past(), USUAL).status == "fail"
    assert decide(figure(1e9), DAY, past(), USUAL).status == "ok"


def test_a_loss_of_rows_counts_where_chance_makes_none_so_large() -> None:
    # Of 10,000 rows chance loses 4 * 100, less than a tenth; of 100 rows 40.
    assert shrink_limits(10_000, 0.1, 0.5) == Limits(-0.1, -0.5, down=True)
    assert shrink_limits(100, 0.1, 0.5) == Limits(-0.4, -0.5, down=True)
    # All of nine rows may be gone by chance.
    assert shrink_limits(9, 0.1, 0.5) == Limits(-4 / 3, -4 / 3, down=True)
    losses = {rows: decide(figure(growth(rows, 10_000), "row_growth", shrink_limits(10_000, 0.1, 0.5)), DAY, past(), USUAL).status
              for rows in (20_000, 9_001, 9_000, 5_001, 5_000, 0)}  # fmt: skip
    assert losses == {20_000: "ok", 9_001: "ok", 9_000: "warn", 5_001: "warn", 5_000: "fail", 0: "fail"}
    assert (growth(5, None), growth(5, 0)) == (None, None)


def test_six_earlier_runs_are_too_few_and_seven_are_enough() -> None:
    few = decide(figure(100.0, "row_count"), DAY, past(*[100.0] * 6), USUAL)
    assert (few.status, few.expected, few.deviations, few.trend_per_day) == ("not_enough", None, None, None)
    enough = decide(figure(100.0, "row_count"), DAY, past(*[100.0] * 7), USUAL)
    assert (enough.status, enough.deviations, enough.trend_per_day) == ("ok", 0.0, 0.0)
    assert enough.expected == pytest.approx(100.0)


def test_a_number_of_rows_unlike_its_past_warns_and_one_far_from_it_fails() -> None:
    steady = past(1000, 1003, 998, 1001, 1000, 999, 1002, 1000, 1001, 1000)
    found = {rows: decide(figure(rows, "row_count"), DAY, steady, USUAL) for rows in (1000.0, 1150.0, 1250.0, 1600.0, 500.0)}
    # One deviation is at least .05 of the logarithm: 1250 is log(1.25) / .05 = 4.5 of them away, 1600 is 9.4.
    assert {rows: outcome.status for rows, outcome in found.items()} == {
        1000.0: "ok", 1150.0: "ok", 1250.0: "warn", 1600.0: "fail", 500.0: "fail",
    }  # fmt: skip
    assert found[1250.0].deviations == pytest.approx(np.log(1251 / 1001) / 0.05, rel=0.01)
    low, high = found[1000.0].low, found[1000.0].high
    assert low is not None and high is not None and low < 1000 < high


def test_the_past_of_other_rules_is_shown_and_does_not_judge() -> None:
    outcome = decide(figure(500.0), DAY, past(*[1.0] * 10), USUAL)
    assert outcome.status == "ok"
    assert outcome.deviations is not None and outcome.deviations > 8


def test_a_share_of_nulls_that_jumps_fails_and_one_that_is_always_high_is_usual() -> None:
    assert decide(figure(0.9, "null_share"), DAY, past(*[0.0, 0.01] * 5), USUAL).status == "fail"
    assert decide(figure(1.0, "null_share"), DAY, past(*[1.0] * 10), USUAL).status == "ok"


def test_the_trend_is_theil_and_sens() -> None:
    days = [DAY - timedelta(days=n) for n in (20, 17, 16, 12, 9, 5, 3, 1)]
    values = [10.0, 14.0, 13.0, 90.0, 20.0, 26.0, 25.0, 30.0]
    outcome = decide(figure(31.0, "row_count"), DAY, Past(days, values), USUAL)
    oracle = theilslopes([*values, 31.0], [each.toordinal() for each in (*days, DAY)])
    assert outcome.trend_per_day == pytest.approx(oracle.slope)


def test_chance_alone_warns_once_in_fifty_and_hardly_ever_fails() -> None:
    rng = np.random.default_rng(7)
    series = rng.poisson(20, (400, 21)).astype(float)
    found = [decide(figure(rows[-1], "row_count"), DAY, past(*rows[:-1]), USUAL).status for rows in series]
    assert found.count("warn") <= 8
    assert found.count("fail") <= 1
