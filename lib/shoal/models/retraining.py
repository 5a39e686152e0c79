"""Why a champion is to be trained again: its age, the rows that came since, drift of what it reads, the loss of what it said.

Each reason is one figure and one limit. What is not measured is no reason, and says so. Numbers in, numbers out: no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from shoal.conf.sections import RetrainConf
from shoal.models.comparison import AGE, Comparison

VOLUME, DRIFT, LOSS = "volume", "drift", "loss"
SEVERITIES = ("none", "warning", "critical")


@dataclass(frozen=True)
class Reason:
    """One reason: its figure (null where it is not measured), the limit from which on it is due, and what the figure is."""

    reason: str
    value: float | None
    threshold: float
    is_due: bool
    note: str


@dataclass(frozen=True)
class LossTest:
    """The newest test of a loss on matured labels: its day, the rise (None: too few rows), whether it is more than chance does, and
    what was compared."""

    day: date
    rise: float | None
    is_drifted: bool
    note: str


@dataclass(frozen=True)
class Figures:
    """What is known of a champion: `trained_on`, the last day it has learned from; `rows_then`, `rows_now` of the table that it
    learns from; `drift`: day -> worst severity of what it reads; `loss`: the newest test of its loss on matured labels."""

    trained_on: date
    rows_then: int | None = None
    rows_now: int | None = None
    drift: Mapping[date, str] | None = None
    loss: LossTest | None = None


def reasons(found: Figures, conf: RetrainConf, as_of: date) -> list[Reason]:
    """All four, due or not."""
    return [_age(found, conf, as_of), _volume(found, conf), _drift(found, conf, as_of), _loss(found, conf)]


def due(found: Sequence[Reason]) -> list[str]:
    """The names of those that are due."""
    return [each.reason for each in found if each.is_due]


def _age(found: Figures, conf: RetrainConf, as_of: date) -> Reason:
    days = (as_of - found.trained_on).days
    return Reason(AGE, float(days), float(conf.max_age_days), days >= conf.max_age_days, f"days since {found.trained_on}")


def _volume(found: Figures, conf: RetrainConf) -> Reason:
    if found.rows_then is None or found.rows_now is None:
        return Reason(VOLUME, None, conf.new_rows_share, False, "rows at its training are not known")
    share = (found.rows_now - found.rows_then) / max(found.rows_then, 1)
    note = f"new rows to rows at its training: {found.rows_now - found.rows_then} to {found.rows_then}"
    return Reason(VOLUME, share, conf.new_rows_share, share >= conf.new_rows_share, note)


def _drift(found: Figures, conf: RetrainConf, as_of: date) -> Reason:
    """k of the last n comparisons since its training, and the latest of them."""
    known = {} if found.drift is None else {d: s for d, s in found.drift.items() if found.trained_on < d <= as_of}
    if not known:
        return Reason(DRIFT, None, float(conf.drift_hits), False, "no comparison since its training")
    last = sorted(known)[-conf.drift_windows :]
    level = SEVERITIES.index(conf.drift_severity)
    hits = [SEVERITIES.index(known[day]) >= level for day in last]
    note = f"{conf.drift_severity} in {sum(hits)} of the last {len(last)} comparisons, {'and' if hits[-1] else 'not'} in the latest"
    return Reason(DRIFT, float(sum(hits)), float(conf.drift_hits), hits[-1] and sum(hits) >= conf.drift_hits, note)


def _loss(found: Figures, conf: RetrainConf) -> Reason:
    """The rise since the first window after its training, where it is more than chance does."""
    if found.loss is None:
        return Reason(LOSS, None, conf.loss_rise, False, "no test of its loss on matured labels since its training")
    rise, note = found.loss.rise, f"{found.loss.note}, measured on {found.loss.day}"
    is_due = rise is not None and rise >= conf.loss_rise and found.loss.is_drifted
    if rise is not None and rise >= conf.loss_rise and not is_due:
        note += "; chance may do it"
    return Reason(LOSS, rise, conf.loss_rise, is_due, note)


@dataclass(frozen=True)
class Outcome:
    """A row of ops.retraining, but for its run_id; the names are the columns."""

    as_of: date
    task: str
    decision: str
    due: str | None
    reasons: Sequence[Reason]
    from_version: str
    to_version: str | None = None
    trained_on: date | None = None
    window_start: date | None = None
    window_end: date | None = None
    metric: str | None = None
    cases: int | None = None
    champion_value: float | None = None
    challenger_value: float | None = None
    gain_low: float | None = None
    p_value: float | None = None
    note: str | None = None


def measured(found: Comparison) -> dict[str, object]:
    """The fields of an Outcome that a comparison fills. An end of an interval that is not known is null."""
    low = found.gain_low if abs(found.gain_low) < float("inf") else None
    return {
        "metric": found.metric, "cases": found.cases, "champion_value": found.champion, "challenger_value": found.challenger,
        "gain_low": low, "p_value": found.p_value,
    }  # fmt: skip


def obstacle(trained_on: date, last_attempt: date | None, conf: RetrainConf, as_of: date) -> tuple[str, str] | None:
    """Why a champion that is due is not trained again yet: the decision and a note; None where nothing stands against it."""
    if last_attempt is not None and (as_of - last_attempt).days < conf.retry_days:
        return "waiting", f"tried on {last_attempt}; the next attempt is on {last_attempt + timedelta(days=conf.retry_days)}"
    if (as_of - trained_on).days <= conf.evaluation_days:
        # One day more than those that decide: a challenger without a day of its own would be the champion again.
        return "too_young", f"it has learned up to {trained_on}; before the last {conf.evaluation_days} days there is none to add"
    return None
