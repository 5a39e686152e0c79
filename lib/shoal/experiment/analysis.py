"""Users with their arms and metrics to the rows of an experiment's results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError
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

# The slice of all users, and how many values of a segment are looked at, those of most users first.
ALL, MAX_VALUES = "all", 50
# Below this p-value the arms' sizes are no chance, and no result of the experiment counts.
SAMPLE_RATIO_ALARM = 0.001


@dataclass(frozen=True)
class Metric:
    """`kind`: mean (of a number a user), proportion (of users, the number is 0 or 1), ratio (of two sums over users). `y`, `x`:
    columns of the users; x is a ratio's denominator, or what y was before the experiment (None: not known)."""

    name: str
    kind: Literal["mean", "proportion", "ratio"]
    y: str
    x: str | None = None


@dataclass(frozen=True)
class AnalysisSettings:
    """`arms`: name -> planned weight, the control first; `segments`: columns of the users to look at one value at a time; `level`:
    of intervals; `power`: of the smallest effect that is detectable; `expected_effect`: in standard deviations of the metric, what
    the sequential test has most power for, fixed before the experiment."""

    arms: Mapping[str, float]
    segments: tuple[str, ...] = ()
    level: float = 0.95
    power: float = 0.8
    expected_effect: float = 0.05


def sums_by_arm(users: DataFrame, metrics: Sequence[Metric], segments: Sequence[str]) -> DataFrame:
    """One row per segment, value and arm: `users`, and the sums of each metric. `users`: user_id, arm, the metrics' columns
    (doubles, null counts as 0) and the segments' (null is `unknown`); unique by user. Of a segment the MAX_VALUES values of most
    users count. Cost: one aggregation a segment, and one for all; no shuffle of users beside its partial sums."""
    counted = [F.count(F.lit(1)).alias("users")]
    for n, metric in enumerate(metrics):
        y = F.coalesce(F.col(metric.y).cast("double"), F.lit(0.0))
        x = F.coalesce(F.col(metric.x).cast("double"), F.lit(0.0)) if metric.x else F.lit(0.0)
        sums: dict[str, Column] = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
        counted += [F.sum(value).alias(f"{name}_{n}") for name, value in sums.items()]
    found = [users.groupBy("arm").agg(*counted).select(F.lit(ALL).alias("segment"), F.lit("").alias("value"), "*")]
    for segment in segments:
        value = F.coalesce(F.col(segment).cast("string"), F.lit("unknown")).alias("value")
        sliced = users.select(value, *[name for name in users.columns if name != "value"]).groupBy("value", "arm").agg(*counted)
        largest = sliced.groupBy("value").agg(F.sum("users").alias("_size")).orderBy(F.desc("_size"), "value").limit(MAX_VALUES)
        found.append(sliced.join(largest.select("value"), "value").select(F.lit(segment).alias("segment"), "*"))
    return reduce(DataFrame.unionByName, found)


def analyse(users: DataFrame, metrics: Sequence[Metric], settings: AnalysisSettings) -> list[dict[str, Any]]:
    """One row per segment, value, metric and treatment arm; see `result_rows`. Raises InputError for an arm that is not planned,
    and where no user, or one arm only, was exposed. Collects a row per segment, value and arm."""
    rows = [row.asDict() for row in sums_by_arm(users, metrics, settings.segments).collect()]
    present = sorted({row["arm"] for row in rows})
    strange = [name for name in present if name not in settings.arms]
    if strange:
        raise InputError(f"arm {strange[0]}: is not planned; there are {', '.join(settings.arms)}")
    if len(present) < 2:
        raise InputError(f"{len(present)} arm with users ({', '.join(present) or 'none'}); expected {' and '.join(settings.arms)}")
    return result_rows(rows, metrics, settings)


def result_rows(rows: Sequence[Mapping[str, Any]], metrics: Sequence[Metric], settings: AnalysisSettings) -> list[dict[str, Any]]:
    """Results from `sums_by_arm`: segment, value, metric, arm, control, users and control_users, the columns of Effect,
    `p_adjusted` (Holm over metrics and arms of all users, Benjamini and Hochberg over those of the segments), always_low,
    always_high and always_p_value, detectable_difference, variance_reduction (of the adjustment by what was before),
    sample_ratio_p_value, is_sound (false where this is below SAMPLE_RATIO_ALARM), note (why figures are missing, else null). In the
    order of `rows`' segments and values."""
    control, *treatments = settings.arms
    found: list[dict[str, Any]] = []
    slices: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        slices.setdefault((row["segment"], row["value"]), {})[row["arm"]] = row
    for (segment, value), arms in sorted(slices.items(), key=lambda one: (one[0][0] != ALL, one[0])):
        sizes = [arms[name]["users"] if name in arms else 0 for name in settings.arms]
        ratio = sample_ratio_p_value(sizes, list(settings.arms.values()))
        for n, metric in enumerate(metrics):
            for arm in treatments:
                both = [_sums(arms.get(name), n) for name in (control, arm)]
                made = compare(both[0], both[1], metric, settings)
                found.append({
                    "segment": segment, "value": value, "metric": metric.name, "kind": metric.kind, "arm": arm,
                    "control_arm": control, "users": both[1].n, "control_users": both[0].n, **made, "sample_ratio_p_value": ratio,
                    "is_sound": ratio is None or ratio >= SAMPLE_RATIO_ALARM,
                })  # fmt: skip
    for correct, chosen in ((holm, True), (benjamini_hochberg, False)):
        tested = [row for row in found if (row["segment"] == ALL) == chosen and row["p_value"] is not None]
        for row, p_value in zip(tested, correct([row["p_value"] for row in tested]), strict=True):
            row["p_adjusted"] = p_value
    return found


def with_pace(rows: Sequence[dict[str, Any]], days: int, settings: AnalysisSettings) -> list[dict[str, Any]]:
    """The results with `days_needed`: how many days the experiment takes to find `expected_effect`, if users keep coming in at the
    pace of its first `days` days; null without users. Planned weights decide the share of treated users."""
    control = next(iter(settings.arms.values()))

    def needed(row: dict[str, Any]) -> float | None:
        users = row["users"] + row["control_users"]
        if not users:
            return None
        share = settings.arms[row["arm"]] / (settings.arms[row["arm"]] + control)
        return users_needed(1.0, settings.expected_effect, share, settings.power, settings.level) / (users / days)

    return [{**row, "days_needed": needed(row)} for row in rows]


_EMPTY: dict[str, Any] = {
    **dict.fromkeys(Effect.__dataclass_fields__), "p_adjusted": None, "always_low": None, "always_high": None,
    "always_p_value": None, "detectable_difference": None, "variance_reduction": None, "note": None,
}  # fmt: skip


def compare(control: Sums, treatment: Sums, metric: Metric, settings: AnalysisSettings) -> dict[str, Any]:
    """The figures of one comparison, null with a `note` where there is nothing to compare."""
    share = 0.0
    if metric.kind == "ratio":
        effect = ratios(control, treatment, settings.level)
    else:
        less_control, less_treatment, share = adjusted(control, treatment)
        # An adjusted share is no share any more, but a mean.
        test = proportions if metric.kind == "proportion" and share == 0 else welch
        effect = test(less_control, less_treatment, settings.level)
    if effect is None:
        return {**_EMPTY, "note": _why(control, treatment, metric)}
    users = control.n * treatment.n / (control.n + treatment.n)
    expected = settings.expected_effect * effect.standard_error * math.sqrt(users)
    anytime = always_valid(effect.difference, effect.standard_error, expected, settings.level)
    figures = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(effect).items()}
    return {
        **_EMPTY, **figures, "always_low": anytime.low, "always_high": anytime.high, "always_p_value": anytime.p_value,
        "detectable_difference": detectable(effect.standard_error, settings.power, settings.level), "variance_reduction": share,
    }  # fmt: skip


def _why(control: Sums, treatment: Sums, metric: Metric) -> str:
    if min(control.n, treatment.n) < 2:
        return f"{control.n} and {treatment.n} users; expected at least two an arm"
    if metric.kind == "proportion":
        return "too few users of either outcome for the normal approximation"
    if metric.kind == "ratio" and not (control.x > 0 and treatment.x > 0):
        return "the denominator is 0 in an arm"
    return "no variance: every user has the same value"


def _sums(row: Mapping[str, Any] | None, n: int) -> Sums:
    if row is None:
        return Sums(0, 0.0, 0.0)
    return Sums(row["users"], *(float(row[f"{name}_{n}"] or 0.0) for name in ("y", "yy", "x", "xx", "xy")))
