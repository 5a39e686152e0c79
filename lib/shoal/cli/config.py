"""`shoal config`: the effective settings of a job, where each comes from, and why it is as it is."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Optional

import typer

from shoal.cli.options import EnvOption, SetOption
from shoal.cli.rendering import render
from shoal.conf.loading import section_name
from shoal.conf.reasons import Setting, effective_settings
from shoal.conf.sections import FOR_EVERY_JOB
from shoal.errors import UsageError
from shoal.lake.json_values import json_line
from shoal.runner.job import find_job

FORMATS = ("table", "json")


def config(
    job: Annotated[Optional[str], typer.Argument(help="The job: the name of a file under jobs/. Default: all settings.")] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
    output: Annotated[str, typer.Option("--format", help="table or json (one object a line).")] = "table",
) -> None:
    """Print the settings that a job reads: value, where it comes from, reason. Settings marked + are needed rarely.

    Example: shoal config build_recommendations --set k=10
    """
    if output not in FORMATS:
        raise UsageError(f"--format {output}: expected one of {', '.join(FORMATS)}")
    if job is None:
        found = effective_settings(env, sets or [])
    else:
        declared = find_job(job)
        sections = {*declared.settings(), *FOR_EVERY_JOB}
        found = effective_settings(env, sets or [], section_name(declared.model), sections)
    if output == "json":
        sys.stdout.writelines(json_line(_as_json(setting)) for setting in found)
        return
    cells = [[s.key + (" +" if s.is_advanced else ""), _value(s.value), s.origin, s.reason] for s in found]
    sys.stdout.write(render(["setting", "value", "from", "reason"], cells))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_json(setting: Setting) -> dict[str, Any]:
    return {
        "setting": setting.key, "value": setting.value, "from": setting.origin, "reason": setting.reason,
        "is_advanced": setting.is_advanced,
    }  # fmt: skip
