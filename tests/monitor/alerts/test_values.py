"""Every metric of a rule on literal rows of its table."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import AlertRule
from shoal.errors import UsageError
from shoal.monitor.alerts.values import check_rule, values_of

DAY = date(2024, 3, 10)
NINTH = date(2024, 3, 9)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 3, day, hour)


RUN = "as_of date, job string, run_id string, started_at timestamp, status string, seconds double"
RUNS = [
    (NINTH, "a", "1", at(9), "failed", 9.0),
    (DAY, "a", "2", at(10), "succeeded", 5.0),
    (DAY, "b", "3", at(10, 1), "succeeded", 7.0),
    (DAY, "b", "4", at(10, 2), "killed", None),
    (DAY, "c", "5", at(10), "skipped", 0.1),
    (date(2024, 3, 3), "d", "6", at(3), "failed", 1.0),  # before the window
    (date(2024, 3, 11), "a", "7", at(11), "failed", 1.0),  # a day to come
]
QUALITY = "as_of date, table_name string, rule string, column_name string, value double, status string"
FIGURES = [
    (NINTH, "t", "null_share", "x", 0.1, "fail"),  # not the newest
    (DAY, "t", "null_share", "x", 0.1, "ok"),
    (DAY, "t", "null_share", "y", 0.2, "warn"),
    (DAY, "t", "freshness_hours", "", 12.5, "ok"),
    (DAY, "u", "row_count", "", 1.0, "not_enough"),
    (NINTH, "u", "freshness_hours", "", 99.0, "fail"),
    (DAY, "v", "freshness_hours", "", None, "not_enough"),
]
DRIFT = "as_of date, table_name string, severity string"
DRIFTS = [(DAY, "t", "none"), (DAY, "t", "critical"), (DAY, "u", "none"), (NINTH, "v", "critical"), (DAY, "v", "warning")]
MODEL = "as_of date, task string, model string, slice string, metric string, value double, is_champion boolean"
MODELS = [
    (date(2024, 3, 5), "r", "blend", "all", "ndcg@10", 0.2, True),
    (date(2024, 3, 6), "r", "blend", "all", "ndcg@10", 0.4, True),
    (date(2024, 3, 7), "r", "blend", "all", "ndcg@10", 0.9, True),
    (DAY, "r", "blend", "all", "ndcg@10", 0.3, True),
    (DAY, "r", "blend", "new_items", "ndcg@10", 0.0, True),
    (DAY, "r", "blend", "all", "map@10", 0.0, True),
    (DAY, "r", "popularity", "all", "ndcg@10", 0.0, False),
    (DAY, "s", "linear", "all", "ndcg@10", 0.5, True),  # nothing to compare with
    (NINTH, "z", "linear", "all", "ndcg@10", 0.0, True),
    (DAY, "z", "linear", "all", "ndcg@10", 0.5, True),  # a share of nothing
]
WORK = "as_of date, job string, run_id string, started_at timestamp, failed_tasks bigint"
WORKS = [(DAY, "a", "1", at(10), 4), (DAY, "a", "2", at(10, 1), 0), (DAY, "b", "3", at(10), 2)]


def rule(metric: str, **given: Any) -> AlertRule:
    return AlertRule(**{"name": "x", "metric": metric, "above": 0, "severity": "info", **given})


@pytest.mark.parametrize(
    ("wanted", "rows", "schema", "expected"),
    [
        (rule("run_failed"), RUNS, RUN, {"a": 0, "b": 1, "c": 0}),
        (rule("run_failed", window_days=8), RUNS, RUN, {"a": 0, "b": 1, "c": 0, "d": 1}),
        (rule("run_seconds"), RUNS, RUN, {"a": 5.0, "b": 7.0}),
        (rule("data_quality_status"), FIGURES, QUALITY,
         {"t null_share": 1, "t freshness_hours": 0, "u row_count": 0, "u freshness_hours": 2, "v freshness_hours": 0}),
        (rule("freshness_hours", window_days=1), FIGURES, QUALITY, {"t": 12.5}),
        (rule("drift_severity"), DRIFTS, DRIFT, {"t": 2, "u": 0, "v": 1}),
        # The middle of .2, .4 and .9 is .4, and .3 a quarter below it.
        (rule("model_metric_drop", of="ndcg@10"), MODELS, MODEL, {"r blend": 0.25}),
        (rule("job_metric", of="failed_tasks"), WORKS, WORK, {"a": 0, "b": 2}),
    ],
    ids=lambda each: each.metric if isinstance(each, AlertRule) else "",
)  # fmt: skip
def test_the_values_of_a_metric(
    spark: SparkSession, wanted: AlertRule, rows: list[tuple[Any, ...]], schema: str, expected: dict[str, float]
) -> None:
    found = values_of(wanted, spark.createDataFrame(rows, schema), DAY).collect()
    assert {row["series"]: row["value"] for row in found} == pytest.approx(expected)
    assert len(found) == len(expected)


def test_a_figure_that_no_job_has_is_refused() -> None:
    check_rule(rule("job_metric", of="failed_tasks"))
    with pytest.raises(UsageError, match=r"alerts\.rules\.x: of is 'rain'; expected one of seconds, spark_jobs"):
        check_rule(rule("job_metric", of="rain"))
