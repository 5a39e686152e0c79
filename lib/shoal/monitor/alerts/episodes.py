"""Pending, firing, resolved: what the values of a moment make of the episodes before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import AlertRule

PENDING, FIRING, RESOLVED = "pending", "firing", "resolved"
# Of a rule: series to value.
Values = Mapping[str, float]


@dataclass(frozen=True)
class Episode:
    """A row of ops.alerts, without its run_id, in the contract's order; times are UTC without a zone."""

    alert: str
    series: str
    since: datetime
    state: str
    severity: str
    metric: str
    value: float
    condition: str
    as_of: date
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    notified_at: datetime | None = None
    notified_state: str | None = None
    note: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is pending or firing."""
        return self.state in (PENDING, FIRING)

    @property
    def is_to_be_sent(self) -> bool:
        """Whether a webhook has to hear of it: it fires and was not sent, or is over and was sent as firing."""
        sent = self.notified_state
        return (self.state == FIRING and sent != FIRING) or (self.state == RESOLVED and sent == FIRING)


def severity_order() -> Column:
    """What rows of ops.alerts are sorted by so that critical ones come first, then warnings."""
    return F.when(F.col("severity") == "critical", 0).when(F.col("severity") == "warning", 1).otherwise(2)


def condition_of(rule: AlertRule) -> str:
    """The rule's condition as text: `freshness_hours > 36 for 24 hours`."""
    metric = f"{rule.metric} {rule.of}" if rule.of else rule.metric
    limit = f"> {rule.above:g}" if rule.above is not None else f"< {rule.below:g}"
    return f"{metric} {limit}" + (f" for {rule.for_hours:g} hours" if rule.for_hours else "")


def holds(rule: AlertRule, value: float) -> bool:
    """Whether the condition holds: above or below its limit, never at it."""
    return value > rule.above if rule.above is not None else value < float(rule.below or 0)


def next_episodes(
    rules: Sequence[AlertRule], values: Mapping[str, Values], before: Iterable[Episode], as_of: date, moment: datetime
) -> list[Episode]:
    """Every episode that is new or has changed at `moment`, of `values` by the rules' names and of those `before`.

    A series whose condition holds opens an episode, which fires once it has held for the rule's for_hours, at once for 0. An open
    episode is resolved where its condition does not hold, its series has no value any more, or its rule is gone. The same values at
    the same moment change nothing.
    """
    is_open = {(each.alert, each.series): each for each in before if each.is_open}
    found: list[Episode] = []
    for rule in rules:
        seen = {series: value for series, value in values.get(rule.name, {}).items() if fnmatchcase(series, rule.series)}
        for series, value in sorted(seen.items()):
            episode = is_open.pop((rule.name, series), None)
            if holds(rule, value):
                found.append(_continued(episode, rule, series, value, as_of, moment))
            elif episode is not None:
                found.append(replace(episode, state=RESOLVED, value=value, as_of=as_of, resolved_at=moment))
    names = {rule.name for rule in rules}
    for (name, _), episode in is_open.items():
        note = "no value any more" if name in names else "the rule is gone"
        found.append(replace(episode, state=RESOLVED, as_of=as_of, resolved_at=moment, note=note))
    known = set(before)
    return [episode for episode in found if episode not in known]


def _continued(episode: Episode | None, rule: AlertRule, series: str, value: float, as_of: date, moment: datetime) -> Episode:
    """An episode whose condition holds: a new one, or the open one as it is now."""
    since = episode.since if episode else moment
    fires = (episode is not None and episode.state == FIRING) or moment - since >= timedelta(hours=rule.for_hours)
    fired_at = (episode.fired_at if episode else None) or (moment if fires else None)
    return Episode(
        rule.name, series, since, FIRING if fires else PENDING, rule.severity, rule.metric, value, condition_of(rule), as_of,
        fired_at, None, episode.notified_at if episode else None, episode.notified_state if episode else None,
    )  # fmt: skip
