"""`shoal alerts` and `shoal metrics`: what is wrong now, for a person, a scheduler and Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.cli.rendering import render, table_cell
from shoal.errors import InputError, UsageError
from shoal.lake.json_values import json_line, json_value, utc_time
from shoal.monitor.alerts.episodes import severity_order
from shoal.monitor.alerts.exposition import exposition, write_whole
from shoal.monitor.alerts.gauges import MAX_ROWS, TABLES, gauges_of
from shoal.runner.clock import utc_now

# The exit code of `shoal alerts` where an alert of severity critical fires.
CRITICAL = 6
SHOWN = ("alert", "severity", "state", "series", "value", "condition", "since", "fired_at", "resolved_at", "notified_at")


def alerts(
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
    output: Annotated[str, typer.Option("--format", help="table or json (one object a line).")] = "table",
    every: Annotated[bool, typer.Option("--all", help="Those that are pending or resolved too.")] = False,
) -> int:
    """Show the alerts that fire, as `shoal run raise_alerts` left them. Exit code 6 where one of severity critical fires.

    Example: shoal alerts --lake demo-lake
    """
    if output not in ("table", "json"):
        raise UsageError(f"--format {output}: expected table or json")
    opened = open_lake(lake, env, sets, "shoal-alerts")
    if not opened.exists("ops.alerts"):
        raise InputError(f"--lake {lake}: no alert rule was evaluated yet; `shoal run raise_alerts` does")
    rows = opened.read("ops.alerts")
    chosen = rows if every else rows.where("state = 'firing'")
    found = chosen.orderBy(severity_order(), F.desc("since"), "alert", "series").select(*SHOWN).limit(MAX_ROWS).collect()
    if output == "json":
        sys.stdout.write("".join(json_line(json_value(row.asDict())) for row in found))
    elif found:
        cells = [[utc_time(value) if name.endswith(("_at", "since")) and value else table_cell(value)
                  for name, value in row.asDict().items()] for row in found]  # fmt: skip
        sys.stdout.write(render(SHOWN, cells))
    else:
        sys.stdout.write("no alert\n" if every else "no alert fires\n")
    return CRITICAL if any((row["state"], row["severity"]) == ("firing", "critical") for row in found) else 0


def metrics(
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The file to write; collectors read *.prom.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write the newest runs, figures of quality, drift and alerts in Prometheus' text format, for a collector of text files.

    Example: shoal metrics --lake demo-lake --output /var/lib/node_exporter/shoal.prom
    """
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    opened = open_lake(lake, env, sets, "shoal-metrics")
    tables = {name: opened.read(name) for name in TABLES if opened.exists(name)}
    write_whole(output, exposition(gauges_of(tables, utc_now())))
