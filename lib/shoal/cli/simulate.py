"""`shoal simulate`: a social world with planted truth, as raw files."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
import yaml
from pydantic import ValidationError

from shoal.cli.options import AsOfOption, EnvOption, SetOption
from shoal.conf.loading import load
from shoal.errors import TransientError, UsageError, one_line
from shoal.runner.command import parse_as_of
from shoal.simulate.formats import FORMATS
from shoal.simulate.world import WorldConf
from shoal.simulate.write import FOLDERS, MORE_FOLDERS, write_world
from shoal.spark.session import spark_session

_DEFAULT = WorldConf()
# Names that have an option of their own, with it.
_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in ("users", "items", "events", "texts", "days", "seed", "dirty_ratio")}


def simulate(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the raw files; ingest reads its subfolders.")],
    users: Annotated[int, typer.Option(help="Users, 10 or more.")] = _DEFAULT.users,
    items: Annotated[int, typer.Option(help="Posts and products, 10 or more.")] = _DEFAULT.items,
    events: Annotated[int, typer.Option(help="Events, likes that spread among them; met to a few percent.")] = _DEFAULT.events,
    texts: Annotated[int, typer.Option(help="Comments and reviews.")] = _DEFAULT.texts,
    days: Annotated[int, typer.Option(help="Length of the window that ends before --as-of.")] = _DEFAULT.days,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = _DEFAULT.seed,
    as_of: AsOfOption = None,
    truth: Annotated[
        Optional[Path], typer.Option(metavar="DIR", help="Folder for the planted truth. Default: <output>-truth.")
    ] = None,
    dirty_ratio: Annotated[float, typer.Option(help="Share of the lines to spoil on purpose, 0 to 0.5.")] = 0.0,
    formats: Annotated[
        Optional[list[str]], typer.Option("--format", metavar="SOURCE", help=f"Also as one of {', '.join(FORMATS)}; repeatable.")
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Make a social world with planted truth. Example: shoal simulate --output world --users 1500 --as-of 2025-06-30

    --set takes the world's other parameters by name (`--set mu=0.4 --set lift=0.1`; docs/simulate.md lists them) and
    `spark.*` settings.
    """
    target = truth or output.with_name(f"{output.name}-truth")
    planted, others = split_settings(sets or [])
    day = parse_as_of(as_of)
    sizes = {"users": users, "items": items, "events": events, "texts": texts, "days": days}
    conf = world_conf({**sizes, "seed": seed, "as_of": day, "dirty_ratio": dirty_ratio, **planted})
    check_folders(output, target)
    for name in formats or []:
        if name not in FORMATS:
            raise UsageError(f"--format {name}: no such form; there are {', '.join(FORMATS)}")
        if name in MORE_FOLDERS and conf.moderated_share:
            raise UsageError(f"--format {name}: with moderated_share the world has a folder {name} of its own; leave one out")
    settings = load(env, others)
    spark = spark_session("shoal-simulate", env, settings.spark)
    try:
        facts = write_world(spark, conf, output, target, report=_say)
        for name in formats or []:
            _say(name, FORMATS[name](spark, conf, output / name))
    except Exception as error:
        if "No space left on device" in str(error):
            raise TransientError(f"--output {output}: no space left on the disk; free some and run it again") from error
        if isinstance(error, OSError):
            raise UsageError(f"--output {output}: cannot be written: {one_line(error)}") from error
        raise
    sys.stdout.write(json.dumps({"output": str(output), "truth": str(target), **facts}) + "\n")


def split_settings(pairs: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The pairs that name a parameter of the world, with their values, and the `spark.*` pairs.

    Raises UsageError for a pair without a value or a name that is neither.
    """
    planted: dict[str, Any] = {}
    others = []
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}: expected key=value")
        if name in _OPTIONS or name == "as_of":
            raise UsageError(f"--set {pair}: this has an option of its own, {_OPTIONS.get(name, '--as-of')}")
        if name.startswith("spark."):
            others.append(pair)
        elif name in WorldConf.model_fields:
            planted[name] = yaml.safe_load(value)
        else:
            near = difflib.get_close_matches(name, list(WorldConf.model_fields), n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else "docs/simulate.md lists them"
            raise UsageError(f"--set {pair}: a world has no such parameter; {hint}")
    return planted, others


def world_conf(values: dict[str, Any]) -> WorldConf:
    """The world of these values. Raises UsageError, one line, for a value out of range."""
    try:
        return WorldConf.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        where = _OPTIONS.get(name, f"--set {name}") if name else "the world's parameters"
        raise UsageError(f"{where}: {message[0].lower() + message[1:]}" + (f", found {fault['input']!r}" if name else "")) from None


def check_folders(output: Path, truth: Path) -> None:
    """Raises UsageError where writing would mix with, or replace, what is no simulated world."""
    if truth.resolve() == output.resolve():
        raise UsageError(f"--truth {truth}: the truth needs a folder of its own")
    for option, folder in (("--output", output), ("--truth", truth)):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{option} {folder}: is a file, expected a folder")
    known = (*FOLDERS, *MORE_FOLDERS, *FORMATS)
    there = sorted(output.iterdir()) if output.is_dir() else []
    strange = [p.name for p in there if p.name.strip(".").split(".")[0] not in known]
    if strange:
        raise UsageError(f"--output {output}: holds {strange[0]}, which no simulated world has; name another folder")


def _say(folder: str, rows: int) -> None:
    """One line on stderr for a folder that is done."""
    sys.stderr.write(f"{folder}: {rows:,} rows\n")
