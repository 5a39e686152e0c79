"""The figures that alert rules speak of: frames of `series` and `value`, from the tables of ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import AlertRule
from shoal.errors import UsageError
from shoal.lake.contract import contract

RUNS, QUALITY, DRIFT = "ops.runs", "ops.data_quality", "ops.drift"
JOB_METRICS, MODEL_METRICS = "ops.job_metrics", "ops.model_metrics"
# The table of each metric of a rule.
TABLES = {
    "drift_severity": DRIFT, "data_quality_status": QUALITY, "freshness_hours": QUALITY, "run_failed": RUNS, "run_seconds": RUNS,
    "job_metric": JOB_METRICS, "model_metric_drop": MODEL_METRICS,
}  # fmt: skip
SEVERITIES = {"none": 0, "warning": 1, "critical": 2}
STATUSES = {"ok": 0, "not_enough": 0, "warn": 1, "fail": 2}


def job_figures() -> list[str]:
    """The figures of ops.job_metrics that a rule of job_metric may name."""
    columns = contract(JOB_METRICS).columns
    return [name for name, column in columns.items() if column.type in ("bigint", "double")]


def check_rule(rule: AlertRule) -> None:
    """Raise UsageError where a rule of job_metric names no figure of ops.job_metrics."""
    if rule.metric == "job_metric" and rule.of not in job_figures():
        raise UsageError(f"alerts.rules.{rule.name}: of is {rule.of!r}; expected one of {', '.join(job_figures())}")


def values_of(rule: AlertRule, rows: DataFrame, as_of: date) -> DataFrame:
    """`series` and `value` of the rule's metric on as_of, from rows of its table (TABLES).

    Only rows of the rule's window_days up to as_of count, and of these each series' newest. A series that has no value is no row.
    One shuffle of rows by series; the result has one row a table, a table and rule, a job, or a task and model.
    """
    day = F.col("as_of")
    recent = rows.where((day <= F.lit(as_of)) & (day > F.lit(as_of - timedelta(days=rule.window_days))))
    found = _VALUES[rule.metric](recent, rule)
    return found.select("series", F.col("value").cast("double").alias("value")).where(F.col("value").isNotNull())


def _drift_severity(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """The worst severity of a table's comparisons of its newest day: 0 none, 1 warning, 2 critical."""
    return _newest_day(rows, F.col("table_name"), _code("severity", SEVERITIES))


def _data_quality_status(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """The worst status of a table's rule on its newest day: 0 ok or not_enough, 1 warn, 2 fail."""
    return _newest_day(rows, F.concat_ws(" ", "table_name", "rule"), _code("status", STATUSES))


def _freshness_hours(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """The age of a table in hours, as it was found last."""
    return _newest_day(rows.where("rule = 'freshness_hours'"), F.col("table_name"), F.col("value"))


def _run_failed(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """1 where a job's last run failed or was killed, else 0."""
    return _last_run(rows, F.col("status").isin("failed", "killed").cast("int"))


def _run_seconds(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """Seconds of a job's last run that succeeded."""
    return _last_run(rows.where("status = 'succeeded'"), F.col("seconds"))


def _job_metric(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """A figure of a job's last run."""
    return _last_run(rows, F.col(str(rule.of)))


def _model_metric_drop(rows: DataFrame, rule: AlertRule) -> DataFrame:
    """By how much of itself a champion's metric is below the median of the window's earlier days: 0.1 is a tenth; negative: above.
    Over all units (slice all). No value without an earlier day, and for a median of 0."""
    known = rows.where(F.col("is_champion") & (F.col("slice") == "all") & (F.col("metric") == F.lit(rule.of)))
    by_day = known.where(F.col("value").isNotNull()).groupBy(F.concat_ws(" ", "task", "model").alias("series"), "as_of")
    listed = F.sort_array(F.collect_list(F.struct("as_of", "value"))).alias("days")
    days = by_day.agg(F.max("value").alias("value")).groupBy("series").agg(listed)
    last = F.element_at("days", -1)["value"]
    # Sorted, so that the middle is the median; of an even number the lower one.
    earlier = F.sort_array(F.slice(F.col("days.value"), 1, F.size("days") - 1))
    median = F.element_at(earlier, ((F.size(earlier) + 1) / 2).cast("int"))
    several = days.where(F.size("days") > 1).select("series", last.alias("last"), median.alias("median"))
    return several.where("median != 0").select("series", (1 - F.col("last") / F.col("median")).alias("value"))


_VALUES: Mapping[str, Callable[[DataFrame, AlertRule], DataFrame]] = {
    "drift_severity": _drift_severity, "data_quality_status": _data_quality_status, "freshness_hours": _freshness_hours,
    "run_failed": _run_failed, "run_seconds": _run_seconds, "job_metric": _job_metric, "model_metric_drop": _model_metric_drop,
}  # fmt: skip


def _code(column: str, codes: Mapping[str, int]) -> Column:
    """The number of a text; null for another text."""
    pairs = [F.lit(part) for pair in codes.items() for part in pair]
    return F.try_element_at(F.create_map(*pairs), F.col(column))


def _newest_day(rows: DataFrame, series: Column, value: Column) -> DataFrame:
    """The largest value of each series' newest day."""
    largest = F.max(F.struct("as_of", value.cast("double").alias("value")))
    return rows.where(value.isNotNull()).groupBy(series.alias("series")).agg(largest.alias("last")).select("series", "last.value")


def _last_run(rows: DataFrame, value: Column) -> DataFrame:
    """The value of each job's run that began last."""
    last = F.max_by(value.cast("double"), F.struct("started_at", "run_id"))
    return rows.groupBy(F.col("job").alias("series")).agg(last.alias("value"))
