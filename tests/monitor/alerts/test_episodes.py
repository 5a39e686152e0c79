"""The states of alerts from one evaluation to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from shoal.conf.loading import load
from shoal.conf.sections import AlertRule
from shoal.errors import UsageError
from shoal.monitor.alerts.episodes import Episode, condition_of, holds, next_episodes

DAY, MOMENT = date(2024, 3, 10), datetime(2024, 3, 11)


def rule(name: str = "old", **given: Any) -> AlertRule:
    return AlertRule(**{"name": name, "metric": "freshness_hours", "above": 36, "severity": "warning", **given})


def step(rules: list[AlertRule], values: dict[str, float], before: list[Episode], hours: float) -> list[Episode]:
    moment = MOMENT + timedelta(hours=hours)
    return next_episodes(rules, {each.name: values for each in rules}, before, DAY, moment)


def test_a_condition_without_a_wait_fires_at_once_and_is_over_when_it_does_not_hold() -> None:
    (fired,) = step([rule()], {"t": 40.0, "u": 36.0}, [], 0)
    assert fired == Episode(
        "old", "t", MOMENT, "firing", "warning", "freshness_hours", 40.0, "freshness_hours > 36", DAY, fired_at=MOMENT
    )  # fmt: skip
    assert fired.is_to_be_sent
    # The same again changes nothing; another value does.
    assert step([rule()], {"t": 40.0}, [fired], 1) == []
    assert step([rule()], {"t": 50.0}, [fired], 1) == [replace(fired, value=50.0)]
    (over,) = step([rule()], {"t": 1.0}, [fired], 2)
    assert over == replace(fired, state="resolved", value=1.0, resolved_at=MOMENT + timedelta(hours=2))
    assert not over.is_to_be_sent  # nobody has heard of it
    assert replace(over, notified_state="firing").is_to_be_sent
    # What is over stays over; a new episode begins.
    assert step([rule()], {"t": 1.0}, [over], 3) == []
    (again,) = step([rule()], {"t": 99.0}, [over], 3)
    assert (again.since, again.state, again.notified_state) == (MOMENT + timedelta(hours=3), "firing", None)


def test_a_condition_with_a_wait_is_pending_first() -> None:
    waits = rule(for_hours=24)
    (pending,) = step([waits], {"t": 40.0}, [], 0)
    assert (pending.state, pending.fired_at, pending.is_to_be_sent) == ("pending", None, False)
    assert step([waits], {"t": 40.0}, [pending], 23.9) == []
    (fired,) = step([waits], {"t": 40.0}, [pending], 24)
    later = MOMENT + timedelta(hours=24)
    assert (fired.state, fired.since, fired.fired_at) == ("firing", MOMENT, later)
    # A longer wait, set later, does not take it back.
    assert step([rule(for_hours=99)], {"t": 40.0}, [fired], 25) == [replace(fired, condition="freshness_hours > 36 for 99 hours")]
    (never,) = step([waits], {"t": 2.0}, [pending], 12)
    assert (never.state, never.fired_at, never.is_to_be_sent) == ("resolved", None, False)


def test_a_series_or_a_rule_that_is_gone_ends_its_episode() -> None:
    (fired,) = step([rule()], {"t": 40.0}, [], 0)
    (silent,) = step([rule()], {}, [fired], 1)
    assert (silent.state, silent.value, silent.note) == ("resolved", 40.0, "no value any more")
    (gone,) = step([rule("another")], {}, [fired], 1)
    assert (gone.state, gone.note) == ("resolved", "the rule is gone")


def test_a_rule_is_of_the_series_of_its_pattern() -> None:
    values = {"gold.a": 40.0, "gold.b": 1.0, "silver.a": 40.0}
    assert [each.series for each in step([rule(series="gold.*")], values, [], 0)] == ["gold.a"]
    assert [each.series for each in step([rule()], values, [], 0)] == ["gold.a", "silver.a"]


def test_a_limit_itself_does_not_count() -> None:
    assert [holds(rule(), value) for value in (35.9, 36.0, 36.1)] == [False, False, True]
    below = rule(above=None, below=0.0)
    assert [holds(below, value) for value in (-0.1, 0.0, 0.1)] == [True, False, False]
    assert condition_of(below) == "freshness_hours < 0"
    assert condition_of(rule(metric="job_metric", of="tasks", for_hours=1.5)) == "job_metric tasks > 36 for 1.5 hours"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{name: a, metric: run_failed, severity: info}", "one of above and below is needed"),
        ("{name: a, metric: run_failed, above: 0, below: 1, severity: info}", "one of above and below is needed"),
        ("{name: a, metric: job_metric, above: 0, severity: info}", "`of` belongs to job_metric and model_metric_drop"),
        ("{name: a, metric: run_failed, of: tasks, above: 0, severity: info}", "`of` belongs to"),
        ("{name: a, metric: rain, above: 0, severity: info}", "'rain'"),
        ("{name: a, metric: run_failed, above: 0, severity: info}, {name: a, metric: run_failed, above: 1, severity: info}",
         "rule a is there twice"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_one_line(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        load(sets=[f"alerts.rules=[{given}]"])
    assert "\n" not in str(refused.value)
