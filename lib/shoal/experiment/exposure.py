"""Events to exposed users and their metrics."""

from __future__ import annotations

from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.experiment.analysis import Metric
from shoal.experiment.assignment import with_arm
from shoal.experiment.definitions import Definition, MetricDefinition


def exposed_users(events: DataFrame, name: str, definition: Definition, as_of: date) -> DataFrame:
    """One row per user who was in the experiment when an event exposed them: experiment, user_id, arm, exposed_at (the first
    such event's time). `events`: user_id, event, occurred_at; an event without a time exposes no user. A ramp counts on the day of
    the event. Cost: a scan of the experiment's days, one shuffle by user."""
    experiment = definition.experiment(name)
    day = F.to_date("occurred_at")
    wanted = events.where(day.between(F.lit(experiment.start), F.lit(min(experiment.end, as_of))))
    if definition.exposure_event is not None:
        wanted = wanted.where(F.col("event") == definition.exposure_event)
    # Who is let in on a later day of the ramp is exposed by the first event from that day on.
    days = [since for since, _ in experiment.ramp if experiment.start <= since] or [experiment.start]
    days = sorted({experiment.start, *days})
    parts = []
    for n, since in enumerate(days):
        until = days[n + 1] - timedelta(days=1) if n + 1 < len(days) else experiment.end
        parts.append(with_arm(wanted.where(day.between(F.lit(since), F.lit(until))), experiment, since))
    first = reduce(DataFrame.unionByName, parts).groupBy("user_id", "arm").agg(F.min("occurred_at").alias("exposed_at"))
    return first.select(F.lit(name).alias("experiment"), "user_id", "arm", "exposed_at")


def with_metrics(exposed: DataFrame, events: DataFrame, definition: Definition, as_of: date) -> tuple[DataFrame, list[Metric]]:
    """The exposed users with two columns a metric, and the metrics that these are. Events from the exposure on count, up to the end
    of the experiment; for a mean or proportion also, apart, those of `covariate_days` days before its start, the same days for
    everybody, so that nothing that the arms did is in them. Cost: one shuffle of the events by user."""
    start, end = definition.start, min(definition.end, as_of)
    before = start - timedelta(days=definition.covariate_days)
    mine = events.where(F.to_date("occurred_at").between(F.lit(before), F.lit(end))).join(
        exposed.select("user_id", "exposed_at"), "user_id"
    )
    after, early = F.col("occurred_at") >= F.col("exposed_at"), F.to_date("occurred_at") < F.lit(start)
    columns: list[Column] = []
    metrics = []
    for n, (name, each) in enumerate(definition.metrics.items()):
        y, x = f"y_{n}", f"x_{n}"
        columns.append(_measured(each, each.event, after).alias(y))
        if each.kind == "ratio":
            columns.append(F.sum(F.when(after & (F.col("event") == each.per), 1.0).otherwise(0.0)).alias(x))
        elif definition.covariate_days:
            columns.append(_measured(each, each.event, early).alias(x))
        metrics.append(Metric(name, each.kind, y, x if each.kind == "ratio" or definition.covariate_days else None))
    return exposed.join(mine.groupBy("user_id").agg(*columns), "user_id", "left"), metrics


def _measured(metric: MetricDefinition, event: str, when: Column) -> Column:
    """The metric's number for a user, over the events for which `when` is true."""
    is_meant = when & (F.col("event") == event)
    if metric.kind == "proportion":
        return F.max(is_meant.cast("double"))
    return F.sum(F.when(is_meant, F.coalesce("value", F.lit(0.0)) if metric.of == "value" else F.lit(1.0)).otherwise(0.0))


