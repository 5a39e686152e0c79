"""`shoal alerts` and `shoal metrics`: what is wrong now, for a person, a scheduler and Prometheus."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.cli.rendering import render, table_cell
from shoal.errors import InputError, UsageError
from shoal.lake.json_values import json_line, json_value, utc_time
from shoal.lake.store import is_uri
from shoal.monitor.alerts.delivery import Delivery
from shoal.monitor.alerts.episodes import severity_order
from shoal.monitor.alerts.exposition import exposition, write_whole
from shoal.monitor.alerts.gauges import MAX_ROWS, TABLES, gauges_of
from shoal.monitor.alerts.push import gateway_of, push
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
    output: Annotated[
        Optional[Path], typer.Option("--output", metavar="FILE", help="The file to write; collectors read *.prom.")
    ] = None,
    push_url: Annotated[
        Optional[str], typer.Option("--push", metavar="URL", help="A push gateway: http://HOST:9091, group job=shoal and lake.")
    ] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write the newest runs, figures of quality, drift and alerts in Prometheus' text format, for a collector of text files, or
    push them to a gateway. SHOAL_PUSH_TOKEN, or SHOAL_PUSH_USER and SHOAL_PUSH_PASSWORD, is its login; exit code 4: it is away.

    Example: shoal metrics --lake demo-lake --output /var/lib/node_exporter/shoal.prom
    """
    if output is None and push_url is None:
        raise UsageError("--output FILE or --push URL is needed: where do the metrics go?")
    gateway = None if push_url is None else gateway_of(push_url, os.environ)
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    opened = open_lake(lake, env, sets, "shoal-metrics")
    tables = {name: opened.read(name) for name in TABLES if opened.exists(name)}
    found = gauges_of(tables, utc_now())
    if output is not None:
        write_whole(output, exposition(found))
    if gateway is not None:
        push(gateway, str(lake) if is_uri(lake) else str(Path(lake).resolve()), found, Delivery())
