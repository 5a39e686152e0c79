"""Rows of ops.model_metrics: what trainings and evaluations measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from shoal.lake.contract import contract

# The task of `shoal evaluate recommender --lake`.
EVALUATION = "recommender_evaluation"
NAMES = ("task", "model", "model_version", "slice", "metric", "value", "units", "is_champion")
# Of losses on matured labels: what a later window needs to be compared with this one.
SPREAD = ("clusters", "standard_error", "skewness")


def metric_rows(
    task: str,
    metrics: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    version_of: Callable[[str], str],
    champion: str | None = None,
) -> list[tuple[Any, ...]]:
    """NAMES, a row per model, slice and metric; `users` is each row's units, not a metric of its own. `champion`: the model that is
    in use, if any is."""
    return [
        (task, model, version_of(model), part, metric, value, int(values["users"] or 0), model == champion)
        for model, slices in metrics.items()
        for part, values in slices.items()
        for metric, value in values.items()
        if metric != "users"
    ]


def metric_frame(spark: SparkSession, rows: Iterable[tuple[Any, ...]]) -> DataFrame:
    """The rows (NAMES, or NAMES and SPREAD) as ops.model_metrics has them, but for as_of and run_id."""
    columns, names = contract("ops.model_metrics").columns, (*NAMES, *SPREAD)
    full = [(*row, *(None,) * (len(names) - len(row))) for row in rows]
    return spark.createDataFrame(full, ", ".join(f"{name} {columns[name].type}" for name in names))
