"""`shoal erase`, `shoal export`, `shoal grants`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from shoal.cli.jobs import progress
from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.conf.addresses import is_uri
from shoal.errors import UsageError
from shoal.lake.lake import Lake, Run
from shoal.privacy.erasure import ask_for, open_request
from shoal.privacy.export import export_person
from shoal.privacy.grants import grants_sql
from shoal.privacy.guard import to_lake_ids
from shoal.runner.clock import utc_now
from shoal.runner.execute import execute, new_run_id
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job

UserOption = Annotated[Optional[list[str]], typer.Option("--user", metavar="ID", help="A person's id; repeat for more.")]


def erase(
    user: UserOption = None,
    users: Annotated[Optional[Path], typer.Option(metavar="FILE", help="A file of ids, one a line.")] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
    models_cleared: Annotated[
        bool, typer.Option("--models-cleared", help="The models in a store outside the lake were deleted: finish the request.")
    ] = False,
) -> int:
    """Erase people from every table, its history, files and models; without ids: resume an erasure that was killed.
    Example: shoal erase --user u17 --lake lake"""
    ids = [*(user or []), *(ids_in(users) if users else [])]
    if any(not i.strip() for i in ids):
        raise UsageError("--user: an id is empty")
    opened = open_lake(lake, env, sets, "shoal-erase")
    now = utc_now()
    asking = Lake(opened.spark, opened.address, opened.settings, Run(new_run_id(now), "erase", now))
    request = ask_for(asking, to_lake_ids(asking, ids)) if ids else open_request(asking)
    if request is None:
        raise UsageError("no id given, and no unfinished erasure to resume: name people with --user ID or --users FILE")
    with progress(1) as show:
        show.describe("erase", f"{len(request.people)} people")
        job = find_job("erase_people")
        extras = {"models_cleared": True} if models_cleared else {}
        given = (opened.spark, job, opened.settings, opened.address, now.date(), extras)
        result = interruptible(opened.spark, lambda: execute(*given))
        show.ended(result)
    summary = {**result.summary(), "request_id": request.request_id, "receipt": request.receipt}
    sys.stdout.write(json.dumps(summary) + "\n")
    return result.exit_code


def ids_in(path: Path) -> list[str]:
    """The ids of a file, one a line; blank lines are none. Raises UsageError for a file that cannot be read or has none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--users {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UsageError(f"--users {path}: no id in it; expected one a line")
    return ids


def export(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The person's id.")],
    output: Annotated[Optional[str], typer.Option(metavar="FILE", help="The file to write. Default: stdout.")] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> int:
    """Give all that the lake holds of a person, as one JSON object. Example: shoal export --user u17 --output u17.json"""
    if output is not None and not is_uri(output) and not Path(output).absolute().parent.is_dir():
        raise UsageError(f"--output {output}: the folder {Path(output).parent} does not exist")
    opened = open_lake(lake, env, sets, "shoal-export")
    pieces = export_person(opened, user, to_lake_ids(opened, [user])[0])
    if output is None:
        sys.stdout.writelines(pieces)
        return 0
    opened.store.write_pieces(output, pieces)
    return 0


def grants(output: Annotated[Path, typer.Option(help="The file to write.")] = Path("conf/databricks/grants.sql")) -> None:
    """Write who may read what, from the contracts, for Unity Catalog. Example: shoal grants --output conf/databricks/grants.sql"""
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.parent} does not exist")
    output.write_text(grants_sql(), encoding="utf-8")
