"""The part about models: each metric of each model beside the baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.report.activity import Absent
from shoal.report.blocks import Bar, Bars, Block, Part, Prose
from shoal.report.glossary import LOWER_IS_BETTER, base_name, shown_name
from shoal.report.wording import NONE, count, day, metric

MOST_METRICS = 400
BASELINES = ("popularity", "random", "majority")
# The order of importance; what is not named follows by name.
_FIRST = (
    "ndcg", "macro_f1", "map", "recall", "precision", "mrr", "hit_rate", "coverage", "accuracy", "f1", "weighted_f1", "rmse",
)  # fmt: skip
_TASKS = {"recommender": "Recommender", "sentiment": "Sentiment"}


def metrics_of_all(metrics: DataFrame) -> list[dict[str, Any]]:
    """The rows of the slice `all`, by task, metric and model; collects at most MOST_METRICS (400) of them."""
    order = ("task", "metric", "model", "model_version")
    wanted = metrics.where(F.col("slice") == "all").select(*order, "value", "units", "is_champion")
    return [row.asDict() for row in wanted.orderBy(*order).limit(MOST_METRICS).collect()]


def models_part(metrics: DataFrame | None, made_on: date | None, as_of: date, absent: Absent) -> Part:
    """`metrics`: ops.model_metrics of the day `made_on`, which may be before `as_of`."""
    rows = metrics_of_all(metrics) if metrics is not None else []
    if not rows:
        return Part("models", "Models against baselines", "No model has been measured.", [absent("ops.model_metrics")])
    blocks: list[Block] = []
    findings, terms = [], set()
    for task, of_task in groupby(rows, key=lambda r: r["task"]):
        mine = list(of_task)
        units = max(r["units"] for r in mine)
        what = {"recommender": "user", "sentiment": "text"}.get(task, "case")
        blocks.append(Prose(f"{_TASKS.get(task, task)}, measured on {count(units)} held-out {what}{'s' * (units != 1)}."))
        names = sorted({r["metric"] for r in mine}, key=_importance)
        terms |= {base_name(name) for name in names}
        blocks += [metric_bars(name, [r for r in mine if r["metric"] == name]) for name in names]
        findings += _finding(_TASKS.get(task, task), names[0], [r for r in mine if r["metric"] == names[0]])
    old = f" They are of {day(made_on)}: nothing was trained on {day(as_of)}." if made_on and made_on != as_of else ""
    lead = f"Each model beside the baselines it has to beat. The dark bar is the model in use (champion).{old}"
    return Part("models", "Models against baselines", lead, blocks, " ".join(findings), frozenset(terms))


def metric_bars(name: str, rows: Sequence[Mapping[str, Any]]) -> Bars:
    """One metric's bars: models first, by value, then baselines; bars are as long as the largest value allows."""
    lower = base_name(name) in LOWER_IS_BETTER

    def place(row: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
        value = row["value"]
        return row["model"] in BASELINES, value is None, (value or 0.0) * (1 if lower else -1), row["model"]

    most = max((abs(r["value"]) for r in rows if r["value"] is not None), default=0.0) or 1.0
    bars = [
        Bar(
            r["model"], abs(r["value"] or 0.0) / most, metric(r["value"]), r["is_champion"],
            "baseline" if r["model"] in BASELINES else f"version {r['model_version']}" + " · champion" * r["is_champion"],
        )
        for r in sorted(rows, key=place)
    ]  # fmt: skip
    return Bars(shown_name(name), bars, "lower is better" if lower else "", size="third")


def _importance(name: str) -> tuple[int, str]:
    base = base_name(name)
    return (_FIRST.index(base) if base in _FIRST else len(_FIRST), name)


def _finding(task: str, name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The best model beside the best baseline, as a sentence; nothing where either is missing."""
    sign = -1 if base_name(name) in LOWER_IS_BETTER else 1
    known = [r for r in rows if r["value"] is not None]
    models = [r for r in known if r["model"] not in BASELINES]
    baselines = [r for r in known if r["model"] in BASELINES]
    if not models or not baselines:
        return []
    best = max(models, key=lambda r: (r["is_champion"], sign * r["value"]))
    base = max(baselines, key=lambda r: sign * r["value"])
    ahead = sign * (best["value"] - base["value"])
    verb = "beats" if ahead > 0 else "equals" if ahead == 0 else "falls short of"
    return [
        f"{task}: {best['model']} {verb} {base['model']}, the best baseline, on {shown_name(name)} "
        f"({metric(best['value'])} against {metric(base['value']) or NONE})."
    ]
