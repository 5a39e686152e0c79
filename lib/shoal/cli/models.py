"""`shoal models`: the versions of a lake's models, and the way back to an earlier one."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from shoal.cli.jobs import progress
from shoal.cli.options import DEFAULT_LAKE, AsOfOption, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.cli.rendering import render
from shoal.errors import UsageError
from shoal.models.challengers import TASKS
from shoal.models.registry import versions
from shoal.runner.command import parse_as_of
from shoal.runner.execute import execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job

models_app = typer.Typer(help="The registered models of a lake: versions, and the way back.")
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help=", ".join(task.name for task in TASKS))]


@models_app.command("list")
def list_models(lake: LakeOption = DEFAULT_LAKE, env: EnvOption = "local", sets: SetOption = None) -> None:
    """Show every version of every model, the champion marked. Example: shoal models list --lake demo-lake"""
    opened = open_lake(lake, env, sets, "shoal-models")
    cells = [
        [task.name, f"{task.model}/{each.number}", "champion" if each.is_champion else "", each.params.get("as_of", ""),
         each.replaced or ""]
        for task in TASKS for each in versions(opened, task.model)
    ]  # fmt: skip
    sys.stdout.write(render(["task", "version", "", "trained on", "replaced"], cells) if cells else "no model is registered\n")


@models_app.command()
def rollback(
    task: TaskArgument,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="Another version than the one before.")] = "before",
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    as_of: AsOfOption = None,
    sets: SetOption = None,
) -> int:
    """Make the version before the champion again. Nothing is trained. Example: shoal models rollback sentiment --lake demo-lake"""
    day = parse_as_of(as_of)
    if task not in (names := [each.name for each in TASKS]):
        raise UsageError(f"{task}: no such task; expected one of {', '.join(names)}")
    opened = open_lake(lake, env, sets, "shoal-models")
    job, given = find_job("roll_back_model"), {"task": task, "to": to}
    with progress(1) as show:
        show.starting(job)
        result = interruptible(opened.spark, lambda: execute(opened.spark, job, opened.settings, opened.address, day, given))
        show.ended(result)
    said = {"status": result.status, **result.tags}
    sys.stdout.write(json.dumps(said if result.status == "succeeded" else {**said, "message": result.message}) + "\n")
    return result.exit_code
