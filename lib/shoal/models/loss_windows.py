"""Which earlier windows of losses on matured labels the newest ones are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.models.champion_figures import MATURED, UNKNOWN, trained_on
from shoal.models.lake_posts import model_name
from shoal.models.registry import versions
from shoal.monitor.drift.losses import LossWindow, Pair
from shoal.monitor.drift.windows import BASELINE, PREVIOUS

TABLE = "ops.model_metrics"
FIELDS = ("as_of", "units", "clusters", "value", "standard_error", "skewness")


def compared_pairs(
    lake: Lake, days: int, as_of: date, delays: Mapping[str, int], learned: Callable[[str], Mapping[str, date]]
) -> list[Pair]:
    """Each window of `days` days that was measured on as_of, with the earlier ones of the same task, model version and metric:
    `previous`, the newest that ends before it begins, and `baseline`, the first after the training; the same window is one pair.

    `delays`: of a task the days until a label is known. A window counts whose cases were all predicted and became known after the
    training: it begins so many days after the last day that the version has learned from (`learned`: of a task, version to day; of
    others every window counts). No pair without an earlier window. Recall of lists is omitted, as NDCG is about the same lists.

    Collects a row per version and metric, twice. `learned` is asked only where there is an earlier window.
    """
    rows = lake.read_current(TABLE).where((F.col("slice") == MATURED) & F.col("standard_error").isNotNull())
    rows = rows.where(~F.col("metric").startswith("recall"))
    named = ("task", "model_version", "metric")
    newest = rows.where(F.col("as_of") == F.lit(as_of)).select(*named, *FIELDS).collect()
    current = {tuple(row[name] for name in named): row for row in newest}
    earlier = rows.where(F.col("as_of") <= F.lit(as_of - timedelta(days=days)))
    starts = {task: learned(task) for task in sorted({task for task, _, _ in current})} if not earlier.isEmpty() else {}
    wanted = [
        (F.col("task") == task) & (F.col("model_version") == version)
        & (F.col("as_of") >= F.lit(starts[task].get(version, UNKNOWN) + timedelta(days=days + delays.get(task, 0))))
        for task, version in sorted({(task, version) for task, version, _ in current if task in starts})
    ]  # fmt: skip
    if not wanted:
        return []
    window = F.struct(*FIELDS)
    ends = earlier.where(reduce(or_, wanted)).groupBy(*named).agg(F.min(window).alias("first"), F.max(window).alias("last"))
    pairs = []
    for row in ends.orderBy(*named).collect():
        task, version, metric = (row[name] for name in named)
        now = current.get((task, version, metric))
        same = row["first"]["as_of"] == row["last"]["as_of"]
        references: Sequence[Any] = [((PREVIOUS, BASELINE), "last")] if same else [((PREVIOUS,), "last"), ((BASELINE,), "first")]
        for names, field in references if now is not None else ():
            label = f"models:/{model_name(task)}/{version}"
            pairs.append(Pair(label, metric, names, _window(row[field], days), _window(now, days), metric.startswith("ndcg")))
    return pairs


def learned_days(lake: Lake, task: str) -> dict[str, date]:
    """Of each version of a task's model the last day that it has learned from. Reads the registry: a query a version."""
    return {each.number: trained_on(each) for each in versions(lake, model_name(task))}


def _window(row: Any, days: int) -> LossWindow:
    end: date = row["as_of"]
    start = end - timedelta(days=days - 1)
    return LossWindow(start, end, row["units"], row["clusters"], row["value"], row["standard_error"], row["skewness"])
