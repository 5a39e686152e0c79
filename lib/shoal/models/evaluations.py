"""The results of `shoal evaluate recommender` in a lake: rows of ops.model_metrics, and an MLflow run a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import SparkSession

from shoal.conf.sections import EvaluateRecommenderConf, Settings
from shoal.errors import ShoalError
from shoal.lake.lake import Lake
from shoal.models.metrics_table import EVALUATION, metric_frame, metric_rows
from shoal.models.registry import record_run
from shoal.recommend.evaluation.evaluate import Metrics
from shoal.runner.execute import execute
from shoal.runner.job import Job

JOB, STAGE = "evaluate_recommender", "evaluate"
BASELINES = ("random", "popularity", "genre_popularity", "mean", "bias")


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found: model -> slice -> metric -> mean with `users`, their number; per model the settings it chose."""

    metrics: Mapping[str, Mapping[str, Metrics]]
    settings: Mapping[str, Mapping[str, Any]]


def result_from(report: Mapping[str, Any]) -> EvaluationResult:
    """From what the command prints: models, slices, curves, new_items, ratings, settings."""
    found: dict[str, dict[str, Metrics]] = {}
    for model, metrics in report["models"].items():
        found[model] = {"all": metrics | report["curves"][model], **report["slices"][model]}
    for model, metrics in report["new_items"].items():
        found.setdefault(model, {})["new_items"] = metrics
    for model, errors in report["ratings"].items():
        units = {"users": errors["ratings"]}
        found.setdefault(model, {})["ratings"] = {name: errors[name] for name in ("rmse", "mae")} | units
    for slices in found.values():
        # Their units are ratings, not users.
        if "all" in slices:
            slices["all"] = {name: value for name, value in slices["all"].items() if name not in ("rmse", "mae")}
    return EvaluationResult(found, report["settings"])


def evaluation_rows(found: EvaluationResult) -> list[tuple[Any, ...]]:
    """Rows as `metric_rows` gives them; none is the champion's."""
    return metric_rows(EVALUATION, found.metrics, lambda model: "baseline" if model in BASELINES else "evaluation")


def keep(
    spark: SparkSession, settings: Settings, root: str, as_of: date, found: EvaluationResult, params: Mapping[str, object]
) -> str:
    """Replace the day's rows of the task, record a run a model, and return the run's id in ops.runs.

    `params`: recorded with every model's own settings. Raises ShoalError with the exit code of its kind where the lake or the store
    refuses. Cost: a few hundred rows in one commit.
    """

    def store(lake: Lake, conf: EvaluateRecommenderConf, day: date) -> None:
        lake.replace("ops.model_metrics", metric_frame(lake.spark, evaluation_rows(found)), on=day, task=EVALUATION)
        given = {**params, "as_of": day.isoformat()}
        for model, slices in found.metrics.items():
            flat = {_key(part, name): value for part, values in slices.items() for name, value in values.items()}
            record_run(lake, f"evaluate {model}", flat, given | found.settings.get(model, {}), {"shoal.model": model})

    job = Job(JOB, STAGE, __doc__ or "", store, EvaluateRecommenderConf)
    result = execute(spark, job, settings, root, as_of)
    if result.exit_code:
        error = ShoalError(result.message)
        error.exit_code = result.exit_code
        raise error
    return result.run_id


def _key(part: str, metric: str) -> str:
    """`ndcg@10`; of a slice `no_history.ndcg@10`."""
    return metric if part == "all" else f"{part}.{metric}"
