"""`shoal sql`, `shoal tables`, `shoal describe`, `shoal docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.rendering import as_text, render
from shoal.conf.loading import load
from shoal.errors import UsageError
from shoal.lake import query as questions
from shoal.lake.catalog_page import Users, tables_page
from shoal.lake.contract import contract, contract_names
from shoal.lake.json_values import json_line, json_value, utc_time
from shoal.lake.lake import Lake, Run
from shoal.lake.store import refuse_missing_folder
from shoal.runner.job import find_job, job_files
from shoal.spark.session import spark_session

FORMATS = ("table", "csv", "json")


def open_lake(path: str, env: str, sets: list[str] | None, app: str) -> Lake:
    """The lake at `path` for reading. Raises UsageError where there is no such folder."""
    settings = load(env, sets or [])
    refuse_missing_folder(path, settings.lake.catalog, "`shoal ingest` or `shoal demo` makes a lake")
    lake = Lake(spark_session(app, env, settings.spark), path, settings, Run("ask", app))
    lake.store.require_root()
    return lake


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
    sys.stdout.writelines(as_text(rows, output, limit))


def tables(
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """List every table, its rows and its grain. Example: shoal tables --lake lake"""
    found = questions.table_overview(open_lake(lake, env, None, "shoal-tables"))
    if output == "json":
        sys.stdout.write("".join(map(json_line, found)))
        return
    cells = [[r["table"], "not made" if r["rows"] is None else f"{r['rows']:,}", r["grain"]] for r in found]
    sys.stdout.write(render(["table", "rows", "grain"], cells))


def describe(
    table: Annotated[str, typer.Argument(help="The table's name: gold.recommendations.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Show a table's grain, columns, rows and last run. Example: shoal describe gold.recommendations --lake lake"""
    contract(table)  # an unknown name is refused before Spark starts
    found = questions.describe(open_lake(lake, env, None, "shoal-describe"), table)
    if output == "json":
        sys.stdout.write(json_line(json_value(found)))
        return
    run = found["last_run"]
    rows = "not made in this lake yet" if found["rows"] is None else f"{found['rows']:,} rows, version {found['version']}"
    last = f"{run['run_id']} by {run['job']} for {run['as_of']}, {utc_time(run['ended_at'])}" if run else "none"
    sys.stdout.write(f"{table}: {found['grain']}\nkey: {', '.join(found['key'])}\n{rows}\nlast run: {last}\n\n")
    cells = []
    for c in found["columns"]:
        meaning = c["comment"] + (f" [{c['check']}]" if c["check"] else "")
        cells.append([c["column"], c["type"], "null" if c["null"] else "", "pii" if c["pii"] else "", meaning])
    sys.stdout.write(render(["column", "type", "null", "pii", "meaning"], cells))


def docs(output: Annotated[Path, typer.Option(help="The file to write.")] = Path("docs/tables.md")) -> None:
    """Write the page of all tables. Example: shoal docs --output docs/tables.md"""
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    output.write_text(tables_page(table_users()), encoding="utf-8")


def table_users() -> Users:
    """The jobs that name a table in WRITES and READS; a job of every table (`*`) is in neither."""
    jobs = [find_job(name) for name in job_files()]
    return Users(
        {table: [job.name for job in jobs if table in job.writes] for table in contract_names()},
        {table: [job.name for job in jobs if table in job.reads] for table in contract_names()},
    )
