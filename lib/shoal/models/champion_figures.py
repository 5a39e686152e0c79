"""What small tables know of the champions: the rows at their training, drift and loss since then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.models.challengers import Task
from shoal.models.registry import Model
from shoal.models.retraining import SEVERITIES, Figures

# The slice of ops.model_metrics that has the loss of predictions whose truth has become known since.
MATURED = "matured"
# Of a champion whose run does not say what it has learned from: older than any limit.
UNKNOWN = date(1970, 1, 1)


def trained_on(model: Model) -> date:
    """The last day that the model has learned from; UNKNOWN where its run does not say."""
    try:
        return date.fromisoformat(model.params.get("as_of", ""))
    except ValueError:
        return UNKNOWN


def figures_of(lake: Lake, champions: Mapping[Task, Model], as_of: date) -> dict[Task, Figures]:
    """What is known of each champion by as_of. Reads ops.runs, ops.drift and ops.model_metrics where they exist, one query each,
    and of the tables of the trainings their number of rows, from the log where it is short."""
    then = rows_at_training(lake, [model.label for model in champions.values()])
    drift, losses = severities(lake, as_of), matured_losses(lake, as_of)
    found = {}
    for task, model in champions.items():
        rows = then.get(model.label, {}).get(task.source)
        now = lake.row_count(task.source) if rows is not None and lake.exists(task.source) else None
        days: dict[date, str] = {}
        for table in task.watched:
            for day, severity in drift.get(table, {}).items():
                days[day] = max(days.get(day, "none"), severity, key=SEVERITIES.index)
        learned = trained_on(model)
        measured = [each for each in losses.get((task.name, model.version), ()) if each[0] > learned]
        newest = measured[-1][2] if measured else ""
        values = [(day, value) for day, value, metric in measured if metric == newest]
        found[task] = Figures(learned, rows, now, days, values, higher_is_better=newest.startswith("ndcg"))
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
    found: dict[str, dict[date, str]] = {}
    for row in rows.groupBy("table_name", "as_of").agg(level).collect():
        found.setdefault(row["table_name"], {})[row["as_of"]] = SEVERITIES[row["level"]]
    return found


def matured_losses(lake: Lake, as_of: date) -> dict[tuple[str, str], list[tuple[date, float, str]]]:
    """By task and version the loss on matured labels, oldest first: day, value, metric. Collects a row a task, version and day."""
    if not lake.exists("ops.model_metrics"):
        return {}
    rows = lake.read("ops.model_metrics").where((F.col("slice") == MATURED) & F.col("value").isNotNull())
    # Of lists NDCG decides, as in the comparison of challengers.
    rows = rows.where(~F.col("metric").startswith("recall"))
    rows = rows.where(F.col("as_of") <= F.lit(as_of)).orderBy("as_of", "metric")
    found: dict[tuple[str, str], list[tuple[date, float, str]]] = {}
    for row in rows.select("task", "model_version", "as_of", "value", "metric").collect():
        found.setdefault((row["task"], row["model_version"]), []).append((row["as_of"], row["value"], row["metric"]))
    return found
