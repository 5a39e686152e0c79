"""Write shoal.json, the Grafana dashboard over `shoal metrics` and the server's /metrics: `python deploy/grafana/dashboard.py`.

Made by grafana-foundation-sdk (requirements/dev.in); the file is committed: loading it does not need the package.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode, VariableRefresh

FILE = Path(__file__).with_name("shoal.json")
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
JOB = 'job=~"$job"'
GREEN, ORANGE, RED = "green", "orange", "red"
# Where a figure turns orange and red.
FROM_ONE: tuple[tuple[float, str], ...] = ((1, RED),)
LEVELS: tuple[tuple[float, str], ...] = ((1, ORANGE), (2, RED))
AGE: tuple[tuple[float, str], ...] = ((26 * 3600, ORANGE), (36 * 3600, RED))

Query = tuple[str, str]


def stat_panel(title: str, about: str, queries: Sequence[Query], unit: str, steps: Sequence[tuple[float, str]], width: int) -> Any:
    """Figures of this moment, coloured by their limits."""
    panel = stat.Panel().color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel = panel.reduce_options(_Built(common.ReduceDataOptions(calcs=["lastNotNull"]))).no_value("-")
    return _filled(panel.thresholds(_limits(steps)), title, about, queries, unit, width, 4, instant=True)


def series_panel(title: str, about: str, queries: Sequence[Query], unit: str, width: int = 12) -> Any:
    """Lines over time."""
    legend = common.LegendDisplayMode.TABLE
    shown = common.VizLegendOptions(show_legend=True, display_mode=legend, calcs=["lastNotNull", "max"])
    panel = timeseries.Panel().legend(_Built(shown)).min(0)
    return _filled(panel, title, about, queries, unit, width, 8)


def table_panel(title: str, about: str, query: str, width: int = 12) -> Any:
    """The series of this moment, a row each."""
    found = prometheus.Dataquery().expr(query).ref_id("A").instant().format(_TABLE)
    return table.Panel().title(title).description(about).datasource(SOURCE).span(width).height(8).with_target(found)


def build() -> dashboard.Dashboard:
    """The dashboard: runs and alerts, tables, server."""
    made = (
        dashboard.Dashboard("Shoal")
        .uid("shoal")
        .description("Runs, data quality, drift and alerts of a lake (shoal metrics), and its server (/metrics).")
        .tags(["shoal"]).readonly().time("now-7d", "now").refresh("1m").timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job").label("Job").datasource(SOURCE).query("label_values(shoal_run_success, job)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).all_value(".*")
        )
    )  # fmt: skip
    made = made.with_row(dashboard.Row("Runs and alerts"))
    for panel in (
        stat_panel("Alerts that fire", "By severity, as `shoal alerts` shows them.",
                   [("sum by (severity) (shoal_alerts_firing)", "{{severity}}")], "short", FROM_ONE, 8),
        stat_panel("Jobs whose last run failed", "Or was killed.",
                   [("sum(shoal_run_success == bool 0) or vector(0)", "failed")], "short", FROM_ONE, 4),
        stat_panel("Age of these figures", "Since `shoal metrics` wrote them.",
                   [("time() - max(shoal_metrics_written_timestamp_seconds)", "age")], "s", AGE, 4),
        stat_panel("Age of the published version", "What the server answers from.",
                   [("max(shoal_published_age_seconds)", "age")], "s", AGE, 4),
        stat_panel("Tables that fail a check", "`shoal run check_quality`, newest day.",
                   [("sum(max by (table) (shoal_data_quality_status) == bool 2) or vector(0)", "failing")], "short", FROM_ONE, 4),
        series_panel("Wall time of runs", "Of each job's last run.",
                     [(f"max by (job) (shoal_run_duration_seconds{{{JOB}}})", "{{job}}")], "s"),
        series_panel("Since the last success", "Of each job that has succeeded once.",
                     [(f"time() - max by (job) (shoal_run_last_success_timestamp_seconds{{{JOB}}})", "{{job}}")], "s"),
        series_panel("Shuffled by Spark", "Bytes read in shuffles, of each job's last run.",
                     [(f"max by (job) (shoal_job_shuffle_bytes_read{{{JOB}}})", "{{job}}")], "bytes"),
        series_panel("Peak memory of a task's execution", "Of each job's last run.",
                     [(f"max by (job) (shoal_job_peak_execution_memory_bytes{{{JOB}}})", "{{job}}")], "bytes"),
        series_panel("Failed tasks", "Of each job's last run; Spark may have repeated them.",
                     [(f"max by (job) (shoal_job_failed_tasks{{{JOB}}})", "{{job}}")], "short"),
        table_panel("Alerts that are pending or fire", "A row an alert; the value is that of its rule.", "shoal_alert_value"),
    ):  # fmt: skip
        made = made.with_panel(panel)
    made = made.with_row(dashboard.Row("Tables"))
    for panel in (
        stat_panel("Data quality", "Worst rule of each table: 0 ok, 1 warn, 2 fail.",
                   [("max by (table) (shoal_data_quality_status) > 0", "{{table}}")], "short", LEVELS, 12),
        stat_panel("Drift", "Worst comparison of each table: 0 none, 1 warning, 2 critical.",
                   [("max by (table) (shoal_drift_severity) > 0", "{{table}}")], "short", LEVELS, 12),
        series_panel("Rows", "Of the newest day of each table.",
                     [('max by (table) (shoal_data_quality_value{rule="row_count"})', "{{table}}")], "short"),
        series_panel("Freshness", "Hours since the newest day or time of each table.",
                     [('max by (table) (shoal_data_quality_value{rule="freshness_hours"})', "{{table}}")], "h"),
        series_panel("Columns that drift", "Comparisons of columns that are warnings or critical.",
                     [('sum by (table) (shoal_drift_comparisons{severity!="none"})', "{{table}}")], "short"),
        table_panel("Checks that warn or fail", "A row a rule and column.", "shoal_data_quality_status > 0"),
    ):  # fmt: skip
        made = made.with_panel(panel)
    made = made.with_row(dashboard.Row("Server"))
    every = "$__rate_interval"
    for panel in (
        series_panel("Requests", "A second, by end point.",
                     [(f"sum by (route) (rate(shoal_requests_total[{every}]))", "{{route}}")], "reqps"),
        series_panel("Errors", "Answers of 4xx and 5xx a second, by status.",
                     [(f'sum by (status) (rate(shoal_requests_total{{status=~"[45].."}}[{every}]))', "{{status}}")], "reqps"),
        series_panel("Time to answer, 99 of 100", "By end point; the resolution is that of the buckets.",
                     [(f"histogram_quantile(0.99, sum by (le, route) (rate(shoal_request_seconds_bucket[{every}])))",
                       "{{route}}")], "s"),
        series_panel("Time to answer, mean", "By end point.",
                     [(f"sum by (route) (rate(shoal_request_seconds_sum[{every}])) / "
                       f"sum by (route) (rate(shoal_request_seconds_count[{every}]))", "{{route}}")], "s"),
        series_panel("Requests in flight", "Above the limit of 256 a request is answered with 429.",
                     [("sum(shoal_requests_in_flight)", "requests")], "short"),
        series_panel("Store and events", "A second: answers while the store is away, its failures, events taken and refused.",
                     [(f"sum(rate(shoal_{name}_total[{every}]))", name.replace("_", " ")) for name in
                      ("stale_answers", "store_failures", "refresh_failures", "events", "event_failures")], "ops"),
    ):  # fmt: skip
        made = made.with_panel(panel)
    return made


def text() -> str:
    """The dashboard's JSON."""
    return JSONEncoder(sort_keys=True, indent=2).encode(build().build()) + "\n"


class _Built:
    """A model where the package wants a builder."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def build(self) -> Any:
        """The model."""
        return self.model


_TABLE = "table"


def _limits(steps: Sequence[tuple[float, str]]) -> Any:
    found = [Threshold(value=None, color=GREEN), *(Threshold(value=value, color=color) for value, color in steps)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _filled(
    panel: Any, title: str, about: str, queries: Sequence[Query], unit: str, width: int, height: int, instant: bool = False
) -> Any:
    panel = panel.title(title).description(about).datasource(SOURCE).unit(unit).span(width).height(height)
    for place, (expression, legend) in enumerate(queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place))
        panel = panel.with_target(query.instant() if instant else query)
    return panel


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
