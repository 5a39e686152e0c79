"""The part about alerts: what fires or is pending, and the checks of tables that warn or fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.monitor.alerts.episodes import severity_order
from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Block, Cell, Part, Prose, Table, Tone
from shoal.publish.report.wording import clock, decimal, plural, shortened

MOST_ALERTS = 20
MOST_CHECKS = 20
_TONES: Mapping[str, Tone] = {
    "critical": "critical", "warning": "warning", "info": "plain", "fail": "critical", "warn": "warning",
}  # fmt: skip


def open_alerts(alerts: DataFrame) -> list[dict[str, Any]]:
    """The MOST_ALERTS (20) alerts that fire or are pending, which are collected: firing first, then by severity, newest first."""
    rows = alerts.where("state in ('firing', 'pending')").orderBy("state", severity_order(), F.desc("since"), "alert", "series")
    fields = ("alert", "series", "state", "severity", "value", "condition", "since")
    return [row.asDict() for row in rows.select(*fields).limit(MOST_ALERTS).collect()]


def open_checks(checks: DataFrame) -> tuple[int, list[dict[str, Any]]]:
    """How many checks there are, and the MOST_CHECKS (20) that fail or warn, which are collected: those that fail first."""
    fields = ("status", "table_name", "rule", "column_name", "value", "expected", "note")
    rows = checks.where("status in ('fail', 'warn')").orderBy("status", "table_name", "rule", "column_name").select(*fields)
    return checks.count(), [row.asDict() for row in rows.limit(MOST_CHECKS).collect()]


def alarms_part(alerts: DataFrame | None, checks: DataFrame | None, absent: Absent) -> Part:
    """`alerts`: ops.alerts as it stands; `checks`: ops.data_quality of the day."""
    found = open_alerts(alerts) if alerts is not None else []
    firing = [row for row in found if row["state"] == "firing"]
    blocks: list[Block] = []
    if alerts is None:
        blocks.append(absent("ops.alerts"))
    else:
        blocks.append(_alerts(found) if found else Prose("No alert fires."))
    if checks is None:
        blocks.append(absent("ops.data_quality"))
    else:
        total, wrong = open_checks(checks)
        fine = Prose(f"{plural(total, 'check')} of tables, none of which fails or warns.")
        blocks.append(_checks(wrong, total) if wrong else fine)
    lead = "Alerts as they stand, by the rules of the settings alerts, and what is unusual in the tables of the day."
    finding = f"{plural(len(firing), 'alert fires', 'alerts fire')}: {firing[0]['alert']}, {firing[0]['series']}." if firing else ""
    return Part("alerts", "Alerts and checks", lead, blocks, finding)


def _alerts(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        [
            Cell(row["alert"], shortened(row["series"], 80)),
            Cell(row["severity"], row["state"], "chip", _TONES[row["severity"]]),
            Cell(decimal(row["value"]), row["condition"], "number"),
            Cell(f"{clock(row['since'])} UTC"),
        ]
        for row in rows
    ]
    return Table("Alerts that fire or are pending", ["Alert", "Severity", "Value", "Since"], cells)


def _checks(rows: Sequence[Mapping[str, Any]], total: int) -> Table:
    cells = [
        [
            Cell(row["table_name"], shortened(row["column_name"], 60), "code"),
            Cell(row["rule"]),
            Cell(row["status"], kind="chip", tone=_TONES[row["status"]]),
            Cell("–" if row["value"] is None else decimal(row["value"]), kind="number"),
            Cell("–" if row["expected"] is None else decimal(row["expected"]), kind="number"),
            Cell(shortened(row["note"]) or "–"),
        ]
        for row in rows
    ]
    note = f"Of {plural(total, 'check')}; docs/monitoring.md says what each is. Expected: by the figure's own past."
    return Table("Checks that fail or warn", ["Table", "Check", "Status", "Value", "Expected", "Note"], cells, note)
