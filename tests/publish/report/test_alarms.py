"""Alerts that are open, and checks that are not in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pyspark.sql import SparkSession
from shoal.publish.report.alarms import alarms_part, open_alerts
from shoal.publish.report.blocks import Missing, Prose, Table

ALERTS = "alert string, series string, state string, severity string, value double, condition string, since timestamp"
CHECKS = "status string, table_name string, rule string, column_name string, value double, expected double, note string"
AT = datetime(2024, 3, 30, 12)


def test_open_alerts_come_firing_first_and_by_severity(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    rows = [
        ("slow", "build_users", "firing", "info", 900.0, "above 600", AT),
        ("drift", "features.users", "pending", "critical", 2.0, "above 1", AT),
        ("failed", "rank_nodes", "firing", "critical", 1.0, "above 0", AT),
        ("old", "x", "resolved", "critical", 1.0, "above 0", AT),
    ]  # fmt: skip
    alerts = spark.createDataFrame(rows, ALERTS)
    assert [row["alert"] for row in open_alerts(alerts)] == ["failed", "slow", "drift"]
    checks = [
        ("ok", "silver.items", "row_count", "", 9.0, 9.0, None), ("warn", "silver.texts", "null_share", "label", 0.5, 0.1, None),
        ("fail", "gold.trends", "freshness_hours", "", 99.0, None, "by its last commit"),
        ("not_enough", "a.b", "row_count", "", 1.0, None, None),
    ]  # fmt: skip
    part = alarms_part(alerts, spark.createDataFrame(checks, CHECKS), absent)
    shown, wrong = (b for b in part.blocks if isinstance(b, Table))
    assert [c.text for c in shown.rows[0]] == ["failed", "critical", "1", "2024-03-30 12:00:00 UTC"]
    assert (shown.rows[0][0].under, shown.rows[2][1].under) == ("rank_nodes", "pending")
    assert [[c.text for c in row] for row in wrong.rows] == [
        ["gold.trends", "freshness_hours", "fail", "99", "–", "by its last commit"],
        ["silver.texts", "null_share", "warn", "0.5", "0.1", "–"],
    ]
    assert wrong.note.startswith("Of 4 checks;")
    assert part.finding == "2 alerts fire: failed, rank_nodes."


def test_nothing_open_and_nothing_made(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    alerts = spark.createDataFrame([], ALERTS)
    checks = spark.createDataFrame([("ok", "a.b", "row_count", "", 1.0, None, None)], CHECKS)
    part = alarms_part(alerts, checks, absent)
    assert part.blocks == [Prose("No alert fires."), Prose("1 check of tables, none of which fails or warns.")]
    assert part.finding == ""
    assert [b.what for b in alarms_part(None, None, absent).blocks if isinstance(b, Missing)] == ["ops.alerts", "ops.data_quality"]
