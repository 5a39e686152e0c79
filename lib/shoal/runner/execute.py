"""Run a job: arguments, settings, Spark, one lock a job, one row in ops.runs, one JSON summary, one exit code.

`run_job` is what `main` of every file under jobs/ calls; `execute` is the same for jobs that share a session (`shoal
pipeline`). Exit codes: 0 done or skipped, 2 bad usage or configuration, 3 bad input, 4 transient, 5 internal.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import time
import traceback
import typing
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pyspark.sql import SparkSession

from shoal import __version__
from shoal.conf.home import home
from shoal.conf.loading import load, section_name
from shoal.conf.pseudonym_key import WITHHELD
from shoal.conf.sections import Section, Settings
from shoal.errors import ShoalError, SkippedError, UsageError, one_line
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run, storage_error
from shoal.lake.locks import file_lock, lock_path
from shoal.spark.session import own_session, spark_session

DEFAULT_LAKE = "lake"
_TABLE = re.compile(r"\b(?:bronze|silver|features|gold|ops)\.[a-z][a-z0-9_]*\b")
_MODEL_READ = re.compile(r"\bchampion of the registered model `(\w+)`")
_MODEL_MADE = re.compile(r"\bversion of the registered model `(\w+)`")
_EVERY_TABLE = re.compile(r"\bevery (?:other )?table\b")


@dataclass(frozen=True)
class Job:
    """A file under jobs/: its `run` function and what its signature and docstring say."""

    name: str
    stage: str
    doc: str
    run: Callable[..., None]
    model: type[Section]

    def extras(self) -> list[str]:
        """The job's own arguments: the keyword-only parameters of `run`."""
        kinds = inspect.signature(self.run).parameters.values()
        return [p.name for p in kinds if p.kind is inspect.Parameter.KEYWORD_ONLY]

    def flags(self) -> list[str]:
        """Those of `extras` that are said or not said, without a value: their default is False."""
        given = inspect.signature(self.run).parameters
        return [name for name in self.extras() if given[name].default is False]

    def tables(self, heading: str) -> list[str]:
        """The tables that the docstring lists under `Reads:` or `Writes:`."""
        return list(dict.fromkeys(_TABLE.findall(self._part(heading))))

    def depends_on(self, other: Job) -> bool:
        """Whether this job reads a table or a model that `other` writes, by the docstrings of both."""
        if _EVERY_TABLE.search(self._part("Reads")):
            return True
        read = {*self.tables("Reads"), *_MODEL_READ.findall(self.doc)}
        return not read.isdisjoint([*other.tables("Writes"), *_MODEL_MADE.findall(other.doc)])

    def _part(self, heading: str) -> str:
        """The docstring's text under a heading; empty without it."""
        part = re.split(rf"^\s*{heading}:", self.doc, maxsplit=1, flags=re.MULTILINE)
        return re.split(r"^\s*(?:Reads|Writes|Skipped|Cost):", part[1], maxsplit=1, flags=re.MULTILINE)[0] if len(part) > 1 else ""


@dataclass(frozen=True)
class Result:
    """How a run ended: the row of ops.runs in short."""

    run_id: str
    job: str
    stage: str
    as_of: date
    status: str
    seconds: float
    rows_in: dict[str, int]
    rows_out: dict[str, int]
    tags: dict[str, str]
    message: str | None = None
    exit_code: int = 0

    def summary(self) -> dict[str, Any]:
        """The JSON that a command prints on stdout."""
        shown = {k: v for k, v in self.__dict__.items() if k not in ("exit_code", "message") or v}
        return {**shown, "as_of": self.as_of.isoformat(), "seconds": round(self.seconds, 2)}


def job_of(run: Callable[..., None], doc: str | None, model: type[Section]) -> Job:
    """The job whose `run` this is; its file's name and folder name it."""
    path = Path(run.__code__.co_filename)
    return Job(path.stem, path.parent.name, doc or "", run, model)


def find_job(name: str) -> Job:
    """The job of that name under jobs/. Raises UsageError, with the names there are, where there is none."""
    found = {p.stem: p for p in sorted((home() / "jobs").glob("*/*.py")) if not p.stem.startswith("_")}
    if name not in found:
        raise UsageError(f"no job {name!r}; there are {', '.join(found)}")
    module = _module(found[name])
    model = typing.get_type_hints(module.run)["conf"]
    return job_of(module.run, module.__doc__, model)


@cache
def _module(path: Path) -> ModuleType:
    """A job file as a module; registered by name, so that functions of it can be sent to Spark's workers by value."""
    spec = importlib.util.spec_from_file_location(f"shoal_job_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ShoalError(f"{path.name} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    # The workers do not have this module under that name: pickle its functions whole.
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module


def new_run_id(now: datetime) -> str:
    """An id that sorts by start: UTC to the second, then eight random hex digits."""
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def utc_now() -> datetime:
    """The wall clock, for the log of runs only: no result depends on it."""
    return datetime.now(timezone.utc)


def conf_hash(settings: Settings, extras: dict[str, Any] | None = None) -> str:
    """SHA-256 of the settings that can change a result: all but Spark's own and how conflicts are waited out.

    Of a pseudonymised lake without the path of the input: a person's name in it could be tried out.
    """
    if settings.privacy.pseudonymise:
        extras = {name: value for name, value in (extras or {}).items() if name != "input"}
    shown = settings.model_dump(mode="json", exclude={"spark", "lake", "pipeline", "optimize"}) | {"extras": extras or {}}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


@cache
def code_version() -> str:
    """The checkout's git commit, with a + where files were changed; the package's version where there is no checkout."""
    if not (home() / ".git").exists():
        return __version__
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"])
    try:
        said = [subprocess.run(c, cwd=home(), capture_output=True, text=True, check=False) for c in commands]
    except FileNotFoundError:
        return __version__
    if said[0].returncode:
        return __version__
    return said[0].stdout.strip() + ("+" if said[1].stdout.strip() else "")


@contextmanager
def job_lock(lake: Lake, job: str, started: dict[str, str]) -> Iterator[dict[str, str] | None]:
    """Hold the only run of `job` in this lake; yields what a killed earlier run left in the lock, else None.

    The operating system frees the lock when its process ends, however it ends. Raises TransientError after the
    configured number of jittered, doubling waits. With a catalog the scheduler keeps runs apart (databricks.yml:
    max_concurrent_runs) and Delta refuses what slips through.
    """
    if lake.settings.lake.catalog:
        yield None
        return
    path, conf = lock_path(lake.root, job), lake.settings.lake
    refusal = f"{job} is running in this lake already ({path} is held); wait for it, then run this again"
    # As long as a commit that meets conflicts is tried.
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(path, conf.backoff_seconds * (2**conf.retries - 1), refusal))
            left = path.read_text(encoding="utf-8").strip()
            path.write_text(json.dumps(started), encoding="utf-8")
        except OSError as error:
            raise _os_error(lake.root, error) from error
        killed = None
        if left:
            try:
                killed = json.loads(left)
            except ValueError:
                killed = None  # cut while it was written: the run had not begun
        yield killed
        try:
            path.write_text("", encoding="utf-8")
        except OSError as error:
            raise _os_error(lake.root, error) from error


@contextmanager
def alone(lake: Lake) -> Iterator[None]:
    """Keep every other job out of this lake. Raises TransientError, naming it, where one is running now. With a catalog the
    scheduler has to."""
    if lake.settings.lake.catalog:
        yield
        return
    with ExitStack() as held:
        for path in sorted((home() / "jobs").glob("*/*.py")):
            if path.stem == lake.run.job or path.stem.startswith("_"):
                continue
            refusal = f"{path.stem} is running in this lake; wait for it or stop it, then run this again"
            held.enter_context(file_lock(lock_path(lake.root, path.stem), 0, refusal))
        yield


def _os_error(root: Path, error: OSError) -> ShoalError:
    known = storage_error(str(root), str(error))
    return known if isinstance(known, ShoalError) else UsageError(f"--lake {root}: {error.strerror or error}")


def execute(
    spark: SparkSession, job: Job, settings: Settings, root: str | Path, as_of: date, extras: dict[str, Any] | None = None
) -> Result:
    """Run `job` for `as_of` on the lake at `root`; never raises for a failed run, which is a Result with its exit code.

    Every run gets its row in ops.runs. Where that row cannot be written (a full disk), the Result says so. A run has a session of
    its own, a copy of `spark`, so that its settings are no other run's.
    """
    with own_session(spark) as session:
        return _execute(session, job, settings, root, as_of, extras)


def _execute(
    spark: SparkSession, job: Job, settings: Settings, root: str | Path, as_of: date, extras: dict[str, Any] | None
) -> Result:
    """`execute` on the run's own session."""
    started, clock = utc_now(), time.monotonic()
    run = Run(new_run_id(started), job.name, started)
    lake = Lake(spark, root, settings, run, tunes_session=True)
    row: dict[str, Any] = {
        "run_id": run.run_id, "job": job.name, "stage": job.stage, "as_of": as_of, "started_at": started,
        "conf_hash": conf_hash(settings, extras), "code_version": code_version(),
    }  # fmt: skip
    mark = {k: str(v) for k, v in row.items()}
    error: BaseException | None = None
    killed: dict[str, str] | None = None
    try:
        with job_lock(lake, job.name, mark) as killed:
            try:
                job.run(lake, settings.section(job.model), as_of, **(extras or {}))
            except Exception as raised:  # noqa: BLE001 - every failure becomes a row and an exit code
                error = raised
    except ShoalError as raised:
        error = raised
    seconds = time.monotonic() - clock
    error = _as_shoal(error, job.name) if error else None
    status = "succeeded" if error is None else "skipped" if isinstance(error, SkippedError) else "failed"
    message = None if error is None else one_line(error)
    row |= {
        "status": status, "ended_at": utc_now(), "seconds": seconds, "rows_in": run.rows_in, "rows_out": run.rows_out,
        "input_versions": run.input_versions, "tags": run.tags,
        "message": WITHHELD if message and run.withholds_message else message,
        "error_class": type(error.__cause__ or error).__name__ if status == "failed" and error else None,
    }  # fmt: skip
    code = error.exit_code if isinstance(error, ShoalError) else 0
    try:
        _record(lake, [row] + ([_killed_row(killed)] if killed else []))
    except Exception as unwritten:  # noqa: BLE001 - the run's own outcome must still be told
        late = _as_shoal(unwritten, job.name)
        message = f"{message or 'the job is done'}; its row in ops.runs could not be written: {one_line(late)}"
        status, code = "failed", code or late.exit_code
    return Result(run.run_id, job.name, job.stage, as_of, status, seconds, run.rows_in, dict(run.rows_out), run.tags, message, code)


def _as_shoal(error: BaseException, job: str) -> ShoalError:
    """The error in words for the user; a defect of ours is told as one line, its trace with SHOAL_DEBUG=1."""
    if os.environ.get("SHOAL_DEBUG"):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    if isinstance(error, ShoalError):
        return error
    known = storage_error(job, str(error))
    if isinstance(known, ShoalError):
        known.__cause__ = error
        return known
    told = ShoalError(f"internal error in {job}: {type(error).__name__}: {one_line(error)} (SHOAL_DEBUG=1 shows the trace)")
    told.__cause__ = error
    return told


def _killed_row(mark: dict[str, str]) -> dict[str, Any]:
    """The row of a run that ended without writing one."""
    return {
        **mark, "as_of": date.fromisoformat(mark["as_of"]), "started_at": datetime.fromisoformat(mark["started_at"]),
        "status": "killed", "ended_at": None, "seconds": None, "rows_in": {}, "rows_out": {}, "input_versions": {},
        "tags": {}, "error_class": None, "message": "the process ended without a word; the next run found its lock",
    }  # fmt: skip


def _record(lake: Lake, rows: list[dict[str, Any]]) -> None:
    """Append rows to ops.runs."""
    made = contract("ops.runs")
    ordered = [tuple(row[name] for name in made.columns) for row in rows]
    lake.append_log("ops.runs", lake.spark.createDataFrame(ordered, made.struct()))


def parse_as_of(text: str | None) -> date:
    """The day a run is for: YYYY-MM-DD, by default today (UTC). Raises UsageError for anything else."""
    if text is None:
        return utc_now().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--as-of {text}: expected a day as YYYY-MM-DD") from None


def plan(lake: Lake, job: Job, as_of: date) -> dict[str, Any]:
    """What a run would read and write, without doing it: `--dry-run`."""
    return {
        "job": job.name, "stage": job.stage, "as_of": as_of.isoformat(), "dry_run": True,
        "reads": {name: lake.version(name) if lake.exists(name) else None for name in job.tables("Reads")},
        "writes": {name: lake.version(name) if lake.exists(name) else None for name in job.tables("Writes")},
    }  # fmt: skip


def job_parser(job: Job) -> argparse.ArgumentParser:
    """The arguments of a job file: the common ones, and those of its own."""
    parser = argparse.ArgumentParser(
        prog=job.name, description=job.doc, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"example: spark-submit jobs/{job.stage}/{job.name}.py --lake lake --as-of 2018-09-25",
    )  # fmt: skip
    lake_help, env_help = "folder of the lake (default: %(default)s)", "conf/<env>.yaml (default: %(default)s)"
    parser.add_argument("--lake", default=os.environ.get("SHOAL_LAKE", DEFAULT_LAKE), help=lake_help)
    parser.add_argument("--env", default=os.environ.get("SHOAL_ENV", "local"), help=env_help)
    parser.add_argument("--as-of", help="the day to run for, YYYY-MM-DD (default: today, UTC)")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    parser.add_argument("--dry-run", action="store_true", help="say what would be read and written, and stop")
    for name in job.extras():
        if name in job.flags():
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", required=True)
    return parser


def run_job(doc: str | None, run: Callable[..., None], model: type[Section], argv: Sequence[str] | None = None) -> int:
    """The body of a job file's `main`: parse `argv`, run, print the JSON summary on stdout, and return the exit code."""
    job = job_of(run, doc, model)
    said = job_parser(job).parse_args(argv)
    try:
        settings = load(said.env, said.sets, section_name(model))
        as_of = parse_as_of(said.as_of)
        spark = spark_session(f"shoal-{job.name}", said.env, settings.spark)
        if said.dry_run:
            lake = Lake(spark, said.lake, settings, Run("dry-run", job.name))
            sys.stdout.write(json.dumps(plan(lake, job, as_of)) + "\n")
            return 0
        result = execute(spark, job, settings, said.lake, as_of, {name: getattr(said, name) for name in job.extras()})
    except ShoalError as error:
        sys.stderr.write(f"shoal: {one_line(error)}\n")
        return error.exit_code
    if result.message:
        sys.stderr.write(f"shoal: {job.name} {result.status}: {result.message}\n")
    sys.stdout.write(json.dumps(result.summary()) + "\n")
    return result.exit_code
