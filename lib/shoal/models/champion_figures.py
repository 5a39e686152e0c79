"""What small tables know of the champions: the rows at their training, drift and loss since then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.models.challengers import Task
from shoal.models.registry import Model, Version
from shoal.models.retraining import SEVERITIES, Figures, LossTest
from shoal.monitor.drift.losses import LOSS

# The slice of ops.model_metrics that has the loss of predictions whose truth has become known since.
MATURED = "matured"
# Of a champion whose run does not say what it has learned from: older than any limit.
UNKNOWN = date(1970, 1, 1)


def trained_on(model: Model | Version) -> date:
    """The last day that the model has learned from; UNKNOWN where its run does not say."""
    try:
        return date.fromisoformat(model.params.get("as_of", ""))
    except ValueError:
        return UNKNOWN


def figures_of(lake: Lake, champions: Mapping[Task, Model], as_of: date) -> dict[Task, Figures]:
    """What is known of each champion by as_of. Reads ops.runs and ops.drift where they exist, one query and two,
    and of the tables of the trainings their number of rows, from the log where it is short."""
    then = rows_at_training(lake, [model.label for model in champions.values()])
    drift, tests = severities(lake, as_of), loss_tests(lake, as_of)
    found = {}
    for task, model in champions.items():
        rows = then.get(model.label, {}).get(task.source)
        now = lake.row_count(task.source) if rows is not None and lake.exists(task.source) else None
        days: dict[date, str] = {}
        for table in task.watched:
            for day, severity in drift.get(table, {}).items():
                days[day] = max(days.get(day, "none"), severity, key=SEVERITIES.index)
        found[task] = Figures(trained_on(model), rows, now, days, tests.get(model.label))
    return found


def rows_at_training(lake: Lake, labels: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """Of each model version the rows of the tables that its training read: table -> rows. Collects a row a version."""
    if not lake.exists("ops.runs"):
        return {}
    runs = lake.read("ops.runs").where((F.col("stage") == "train") & (F.col("status") == "succeeded"))
    made = runs.select(F.explode(F.map_values("tags")).alias("label"), "started_at", "rows_in")
    first = made.where(F.col("label").isin(*labels)).groupBy("label").agg(F.min_by("rows_in", "started_at").alias("rows"))
    return {row["label"]: row["rows"] for row in first.collect()}


def severities(lake: Lake, as_of: date) -> dict[str, dict[date, str]]:
    """Of each table the worst severity of its comparisons with the window before, by day up to as_of. Collects a row a table and
    day."""
    if not lake.exists("ops.drift"):
        return {}
    level = F.max(F.coalesce(*[F.when(F.col("severity") == name, F.lit(n)) for n, name in enumerate(SEVERITIES)])).alias("level")
    rows = lake.read("ops.drift").where((F.col("comparison") == "previous") & (F.col("as_of") <= F.lit(as_of)))
    rows = rows.where(F.col("kind") != LOSS)
    found: dict[str, dict[date, str]] = {}
    for row in rows.groupBy("table_name", "as_of").agg(level).collect():
        found.setdefault(row["table_name"], {})[row["as_of"]] = SEVERITIES[row["level"]]
    return found


def loss_tests(lake: Lake, as_of: date) -> dict[str, LossTest]:
    """Of each model version (`shoal_sentiment/3`) the newest test of its loss on matured labels against the first window after its
    training, up to as_of. Collects a row a version."""
    if not lake.exists("ops.drift"):
        return {}
    rows = lake.read("ops.drift").where((F.col("as_of") <= F.lit(as_of)) & (F.col("comparison") == "baseline"))
    newest = F.max_by(F.struct("as_of", "statistic", "is_drifted", "note"), "as_of").alias("last")
    found = rows.where(F.col("kind") == LOSS).groupBy("table_name").agg(newest).collect()
    return {
        row["table_name"].removeprefix("models:/"): LossTest(
            row["last"]["as_of"], row["last"]["statistic"], row["last"]["is_drifted"], row["last"]["note"] or ""
        )
        for row in found
    }
