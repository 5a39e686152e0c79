"""The part about models: each metric of each model beside the baselines that it must beat, and the last evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Bar, Bars, Block, Figure, Part, Prose
from shoal.publish.report.glossary import LOWER_IS_BETTER, base_name, shown_name
from shoal.publish.report.pictures import curves
from shoal.publish.report.wording import NONE, count, day, metric, plural

MOST_METRICS = 1000
BASELINES = ("popularity", "random", "majority", "mean_of_last_5", "mean_of_last_20", "constant", "best_column")
# The order of importance; what is not named follows by name.
_FIRST = (
    "ndcg", "macro_f1", "map", "recall", "precision", "mrr", "hit_rate", "coverage", "accuracy", "f1", "weighted_f1", "rmse",
    "roc_auc", "average_precision", "mae_log", "interval_coverage", "brier",
)  # fmt: skip
_TASKS = {
    "recommender": "Recommender", "sentiment": "Sentiment", "viral": "Viral posts", "engagement": "Engagement",
    "influencers": "Influencers",
}  # fmt: skip
# What a task is measured on.
_UNITS = {"recommender": "user", "sentiment": "text", "viral": "post", "engagement": "post", "influencers": "account"}
# What the last evaluation shows as curves over the length of lists, and as bars.
CURVES, ABLATIONS = ("ndcg", "recall"), ("ndcg", "intra_list_diversity")


def metrics_of_all(metrics: DataFrame) -> list[dict[str, Any]]:
    """The rows of the slice `all`, by task, metric and model; collects at most MOST_METRICS (1,000) of them."""
    order = ("task", "metric", "model", "model_version")
    wanted = metrics.where(F.col("slice") == "all").select(*order, "value", "units", "is_champion")
    return [row.asDict() for row in wanted.orderBy(*order).limit(MOST_METRICS).collect()]


def evaluation_blocks(rows: Sequence[Mapping[str, Any]], made_on: date) -> list[Block]:
    """Bars over models at the length they were chosen by, and curves over lengths; nothing without rows."""
    # What is not a mean of users' metrics is measured at the chosen length only.
    lengths = [int(r["metric"].partition("@")[2]) for r in rows if base_name(r["metric"]) == "coverage"]
    if not lengths:
        return []
    k, values = lengths[0], {(r["model"], r["metric"]): r["value"] for r in rows}
    named = {r["model"] for r in rows if r["metric"] == f"ndcg@{k}"}
    models = sorted(named, key=lambda m: (-(values[m, f"ndcg@{k}"] or 0.0), m))
    ks = sorted({int(r["metric"].partition("@")[2]) for r in rows if base_name(r["metric"]) == "ndcg"})
    users = max(r["units"] for r in rows)
    judges = f"{plural(len(models), 'model')} by {plural(users, 'user')} with held-out events."
    blocks: list[Block] = [Prose(f"The last evaluation, of {day(made_on)}: {judges}")]
    for name in ABLATIONS:
        found = [(m, values.get((m, f"{name}@{k}"))) for m in models]
        most = max((v for _, v in found if v is not None), default=0.0) or 1.0
        bars = [
            Bar(m, (v or 0.0) / most, metric(v), m == models[0], "baseline" if m in BASELINES else "") for m, v in found
        ]  # fmt: skip
        title = f"{shown_name(f'{name}@{k}')} by model"
        blocks.append(Bars(title, bars, f"In the order of {shown_name(f'ndcg@{k}')}." if name != "ndcg" else ""))
        if len(ks) > 1:
            curve = CURVES[ABLATIONS.index(name)]
            series = [(m, [values.get((m, f"{curve}@{n}")) for n in ks]) for m in models]
            shown = shown_name(curve)
            best = f"{models[0]} reaches {metric(values.get((models[0], f'{curve}@{k}')))} at {k}"
            svg = curves(f"evaluation-{curve}", ks, series, "length of the list", shown)
            alt = f"{shown} of {plural(len(models), 'model')} over the length of lists; {best}."
            caption = f"{shown} over the length of lists, models in the order of {shown_name(f'ndcg@{k}')}."
            blocks.append(Figure(svg, alt, caption))
    return blocks


def models_part(
    metrics: DataFrame | None, made_on: date | None, as_of: date, absent: Absent,
    evaluation: DataFrame | None = None, evaluated_on: date | None = None,
) -> Part:  # fmt: skip
    """`metrics`: ops.model_metrics of the day `made_on`, which may be before `as_of`; `evaluation`: its rows of the task
    recommender_evaluation of the day `evaluated_on`."""
    rows = metrics_of_all(metrics) if metrics is not None else []
    judged = metrics_of_all(evaluation) if evaluation is not None else []
    last = evaluation_blocks(judged, evaluated_on) if judged and evaluated_on else []
    if not rows and last:
        lead, used = "Models that were judged on files; none was trained here.", frozenset({*CURVES, *ABLATIONS})
        return Part("models", "Models against baselines", lead, last, "", used)
    if not rows:
        return Part("models", "Models against baselines", "No model has been measured.", [absent("ops.model_metrics")])
    blocks: list[Block] = []
    findings, terms = [], set()
    for task, of_task in groupby(rows, key=lambda r: r["task"]):
        mine = list(of_task)
        units = max(r["units"] for r in mine)
        what = _UNITS.get(task, "case")
        blocks.append(Prose(f"{_TASKS.get(task, task)}, measured on {count(units)} held-out {what}{'s' * (units != 1)}."))
        names = sorted({r["metric"] for r in mine}, key=_importance)
        terms |= {base_name(name) for name in names}
        blocks += [metric_bars(name, [r for r in mine if r["metric"] == name]) for name in names]
        findings += _finding(_TASKS.get(task, task), names[0], [r for r in mine if r["metric"] == names[0]])
    old = f" They are of {day(made_on)}: nothing was trained on {day(as_of)}." if made_on and made_on != as_of else ""
    lead = f"Each model beside the baselines it has to beat. The dark bar is the model in use (champion).{old}"
    terms |= {*CURVES, *ABLATIONS} if last else set()
    return Part("models", "Models against baselines", lead, blocks + last, " ".join(findings), frozenset(terms))


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
