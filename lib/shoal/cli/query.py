"""`shoal sql`, `shoal tables`, `shoal describe`, `shoal docs`."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Table

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.conf.loading import load
from shoal.errors import UsageError
from shoal.lake import query as questions
from shoal.lake.catalog_page import tables_page
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.spark.session import spark_session

FORMATS = ("table", "csv", "json")


def open_lake(path: str, env: str, sets: list[str] | None, app: str) -> Lake:
    """The lake at `path` for reading. Raises UsageError where there is no such folder."""
    settings = load(env, sets or [])
    if not settings.lake.catalog and not Path(path).is_dir():
        raise UsageError(f"--lake {path}: no such folder; `shoal ingest` or `shoal demo` makes a lake")
    return Lake(spark_session(app, env, settings.spark), path, settings, Run("ask", app))


def sql(
    query: Annotated[str, typer.Argument(help="A SELECT over the lake's tables, each under its name.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
    output: Annotated[str, typer.Option("--format", help="table, csv or json (one object a line).")] = "table",
    limit: Annotated[Optional[int], typer.Option(min=1, help="Rows to show. Default: 100 as a table, else all.")] = None,
) -> None:
    """Answer a query. Example: shoal sql "select * from gold.recommendations where user_id = '1' order by rank" --lake lake"""
    if output not in FORMATS:
        raise UsageError(f"--format {output}: expected one of {', '.join(FORMATS)}")
    rows = questions.answer(open_lake(lake, env, sets, "shoal-sql"), query)
    sys.stdout.write("".join(as_text(rows, output, limit)))


def as_text(rows: DataFrame, output: str, limit: int | None) -> Iterator[str]:
    """The rows as text, piece by piece. A table holds `limit` rows (100) in memory; csv and json a partition at a time."""
    if output == "table":
        shown = limit or 100
        found = rows.limit(shown + 1).collect()
        cells = [[_cell(value) for value in row] for row in found[:shown]]
        yield render(rows.columns, cells)
        if len(found) > shown:
            yield f"(the first {shown} rows; --limit shows more)\n"
        return
    limited = rows.limit(limit) if limit else rows
    if output == "csv":
        yield _csv_line(rows.columns)
    for row in limited.toLocalIterator():
        named = row.asDict(recursive=True)
        yield json.dumps(named, default=_plain, ensure_ascii=False) + "\n" if output == "json" else _csv_line(map(_cell, row))


def render(columns: list[str], cells: list[list[str]]) -> str:
    """Columns and cells as a table: as wide as the terminal, or as wide as it needs where there is none."""
    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if terminal else "")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=not terminal)
    for row in cells:
        table.add_row(*[cell.replace("[", "\\[") for cell in row])
    width = os.get_terminal_size().columns if terminal else 10_000
    text = io.StringIO()
    Console(file=text, width=width, force_terminal=terminal, color_system="auto" if terminal else None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _csv_line(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def tables(
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """List every table, its rows and its grain. Example: shoal tables --lake lake"""
    found = questions.table_overview(open_lake(lake, env, None, "shoal-tables"))
    if output == "json":
        sys.stdout.write("".join(json.dumps(row) + "\n" for row in found))
        return
    cells = [[r["table"], "not made" if r["rows"] is None else f"{r['rows']:,}", r["grain"]] for r in found]
    sys.stdout.write(render(["table", "rows", "grain"], cells))


def describe(
    table: Annotated[str, typer.Argument(help="The table's name: gold.recommendations.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Tell a table's grain, columns, rows and last run. Example: shoal describe gold.recommendations --lake lake"""
    contract(table)  # an unknown name is told before Spark starts
    found = questions.describe(open_lake(lake, env, None, "shoal-describe"), table)
    if output == "json":
        sys.stdout.write(json.dumps(found, default=_plain, ensure_ascii=False) + "\n")
        return
    run = found["last_run"]
    rows = "not made in this lake yet" if found["rows"] is None else f"{found['rows']:,} rows, version {found['version']}"
    last = f"{run['run_id']} by {run['job']} for {run['as_of']}, {run['ended_at']} UTC" if run else "none"
    sys.stdout.write(f"{table}: {found['grain']}\nkey: {', '.join(found['key'])}\n{rows}\nlast run: {last}\n\n")
    cells = []
    for c in found["columns"]:
        meaning = c["comment"] + (f" [{c['check']}]" if c["check"] else "")
        cells.append([c["column"], c["type"], "null" if c["null"] else "", "pii" if c["pii"] else "", meaning])
    sys.stdout.write(render(["column", "type", "null", "pii", "meaning"], cells))


def docs(output: Annotated[Path, typer.Option(help="The file to write.")] = Path("docs/tables.md")) -> None:
    """Write the page of all tables from their contracts. Example: shoal docs --output docs/tables.md"""
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    output.write_text(tables_page(), encoding="utf-8")
