"""The newest of ops.* as gauges: runs and what they made Spark do, figures of quality, drift, alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from shoal.monitor.alerts.exposition import Gauge
from shoal.monitor.alerts.values import SEVERITIES, STATUSES, job_figures

# The table of each group of gauges.
TABLES = ("ops.runs", "ops.job_metrics", "ops.data_quality", "ops.drift", "ops.alerts")
# Rows that a group collects at most: contracts and jobs make a few hundred.
MAX_ROWS = 20_000

Labels = tuple[tuple[str, str], ...]


def gauges_of(tables: Mapping[str, DataFrame], written_at: datetime) -> list[Gauge]:
    """The gauges of the tables that there are, each of its newest day or run. A query a table; collects a row a job, figure, table
    and comparison, and open alert, at most MAX_ROWS of each."""
    found = [Gauge("shoal_metrics_written_timestamp_seconds", "When this file was written.", {(): written_at.timestamp()})]
    for name in TABLES:
        if name in tables:
            found += _GROUPS[name](tables[name])
    return found


def _runs(rows: DataFrame) -> list[Gauge]:
    ended = rows.where("status != 'skipped'")
    last = F.max_by(F.struct("status", "started_at", "seconds"), F.struct("started_at", "run_id")).alias("last")
    succeeded = F.max(F.when(F.col("status") == "succeeded", F.coalesce("ended_at", "started_at"))).alias("succeeded_at")
    found = ended.groupBy("job", "stage").agg(last, succeeded).limit(MAX_ROWS).collect()
    labels: Callable[[Row], Labels] = lambda row: (("job", row["job"]), ("stage", row["stage"]))  # noqa: E731
    return [
        Gauge("shoal_run_success", "1 where the last run of the job succeeded, 0 where it failed or was killed.",
              {labels(row): float(row["last"]["status"] == "succeeded") for row in found}),
        Gauge("shoal_run_start_timestamp_seconds", "Start of the job's last run.",
              {labels(row): _seconds(row["last"]["started_at"]) for row in found}),
        Gauge("shoal_run_last_success_timestamp_seconds", "End of the job's last run that succeeded.",
              {labels(row): _seconds(row["succeeded_at"]) for row in found if row["succeeded_at"]}),
        Gauge("shoal_run_duration_seconds", "Wall seconds of the job's last run.",
              {labels(row): row["last"]["seconds"] for row in found if row["last"]["seconds"] is not None}),
    ]  # fmt: skip


def _job_metrics(rows: DataFrame) -> list[Gauge]:
    names = [name for name in job_figures() if name != "seconds"]
    last = F.max_by(F.struct(*names), F.struct("started_at", "run_id")).alias("last")
    found = rows.groupBy("job").agg(last).limit(MAX_ROWS).collect()
    return [
        Gauge(f"shoal_job_{name}", f"{name.replace('_', ' ')} of the job's last run.",
              {(("job", row["job"]),): float(row["last"][name]) for row in found if row["last"][name] is not None})
        for name in names
    ]  # fmt: skip


def _data_quality(rows: DataFrame) -> list[Gauge]:
    kept = ("table_name", "rule", "column_name")
    found = _of_newest_day(rows).select(*kept, "value", "status").limit(MAX_ROWS).collect()
    labels: Callable[[Row], Labels] = lambda row: (  # noqa: E731
        ("table", row["table_name"]), ("rule", row["rule"]), ("column", row["column_name"]),
    )  # fmt: skip
    return [
        Gauge("shoal_data_quality_status", "0 ok or not enough runs, 1 warn, 2 fail.",
              {labels(row): float(STATUSES[row["status"]]) for row in found}),
        Gauge("shoal_data_quality_value", "What the rule measured: rows, shares, hours.",
              {labels(row): row["value"] for row in found if row["value"] is not None}),
    ]  # fmt: skip


def _drift(rows: DataFrame) -> list[Gauge]:
    # Losses are compared by another job, perhaps on other days than columns.
    is_loss = F.col("kind") == "loss"
    newest = _of_newest_day(rows.where(is_loss)).unionByName(_of_newest_day(rows.where(~is_loss)))
    counted = newest.groupBy("table_name", "comparison", "severity").count().limit(MAX_ROWS).collect()
    worst: dict[Labels, float] = {}
    for row in counted:
        labels = (("table", row["table_name"]), ("comparison", row["comparison"]))
        worst[labels] = max(worst.get(labels, 0.0), float(SEVERITIES[row["severity"]]))
    return [
        Gauge("shoal_drift_severity", "Worst comparison of the table: 0 none, 1 warning, 2 critical.", worst),
        Gauge("shoal_drift_comparisons", "Comparisons of columns by severity.",
              {(("table", row["table_name"]), ("comparison", row["comparison"]), ("severity", row["severity"])): float(row["count"])
               for row in counted}),
    ]  # fmt: skip


def _alerts(rows: DataFrame) -> list[Gauge]:
    found = rows.where("state in ('pending', 'firing')").select("alert", "series", "severity", "state", "value", "since")
    open_alerts = found.limit(MAX_ROWS).collect()
    labels: Callable[[Row], Labels] = lambda row: (  # noqa: E731
        ("rule", row["alert"]), ("series", row["series"]), ("severity", row["severity"]), ("state", row["state"]),
    )  # fmt: skip
    firing: dict[Labels, float] = {(("severity", each),): 0.0 for each in ("critical", "info", "warning")}
    for row in open_alerts:
        firing[(("severity", row["severity"]),)] += row["state"] == "firing"
    return [
        Gauge("shoal_alerts_firing", "Alerts that fire.", firing),
        Gauge("shoal_alert", "1 for each alert that is pending or fires.", {labels(row): 1.0 for row in open_alerts}),
        Gauge("shoal_alert_value", "Value of each alert that is pending or fires.",
              {labels(row): row["value"] for row in open_alerts}),
    ]  # fmt: skip


_GROUPS: Mapping[str, Callable[[DataFrame], list[Gauge]]] = {
    "ops.runs": _runs, "ops.job_metrics": _job_metrics, "ops.data_quality": _data_quality, "ops.drift": _drift,
    "ops.alerts": _alerts,
}  # fmt: skip


def _of_newest_day(rows: DataFrame) -> DataFrame:
    """The rows of the newest as_of."""
    return rows.join(F.broadcast(rows.agg(F.max("as_of").alias("as_of"))), "as_of", "left_semi")


def _seconds(at: Any) -> float:
    """A time of a table (UTC without a zone) in seconds since 1970."""
    return at.replace(tzinfo=timezone.utc).timestamp()
