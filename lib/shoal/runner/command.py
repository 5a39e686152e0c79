"""The command line of a job file: arguments, settings, Spark, one JSON summary on stdout, an exit code.

`run_job` is what `main` of every file under jobs/ calls. Exit codes: those of `shoal.runner.execute`, and 130 after an interrupt.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from shoal.conf.loading import load, section_name
from shoal.conf.sections import Section
from shoal.errors import ShoalError, UsageError, one_line
from shoal.lake.lake import Lake, Run
from shoal.runner.clock import utc_now
from shoal.runner.execute import execute
from shoal.runner.interrupt import INTERRUPTED, interruptible
from shoal.runner.job import Job, job_of
from shoal.spark.session import spark_session
from shoal.spark.text_encoding import check_text_encoding

DEFAULT_LAKE = "lake"


def parse_as_of(text: str | None) -> date:
    """The day a run is for: YYYY-MM-DD, by default today (UTC). Raises UsageError for anything else."""
    if text is None:
        return utc_now().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--as-of {text}: expected a day as YYYY-MM-DD") from None


def plan(lake: Lake, job: Job, as_of: date) -> dict[str, Any]:
    """What a run would read and write, each table with its version, null where it was not made: `--dry-run`."""
    return {
        "job": job.name, "stage": job.stage, "as_of": as_of.isoformat(), "dry_run": True,
        "reads": {name: lake.version(name) if lake.exists(name) else None for name in job.tables_read()},
        "writes": {name: lake.version(name) if lake.exists(name) else None for name in job.tables_written()},
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
    parser.add_argument("--dry-run", action="store_true", help="print what would be read and written, and stop")
    for name in job.extras():
        if name in job.flags():
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", required=True)
    return parser


def run_job(doc: str | None, run: Callable[..., None], model: type[Section], argv: Sequence[str] | None = None) -> int:
    """The body of a job file's `main`: parse `argv`, run, print the JSON summary on stdout, and return the exit code."""
    job = job_of(run, doc, model)
    given = job_parser(job).parse_args(argv)
    try:
        check_text_encoding()
        settings = load(given.env, given.sets, section_name(model))
        as_of = parse_as_of(given.as_of)
        spark = spark_session(f"shoal-{job.name}", given.env, settings.spark)
        if given.dry_run:
            lake = Lake(spark, given.lake, settings, Run("dry-run", job.name))
            sys.stdout.write(json.dumps(plan(lake, job, as_of)) + "\n")
            return 0
        extras = {name: getattr(given, name) for name in job.extras()}
        result = interruptible(spark, lambda: execute(spark, job, settings, given.lake, as_of, extras))
    except KeyboardInterrupt:
        sys.stderr.write("shoal: stopped\n")
        return INTERRUPTED
    except ShoalError as error:
        sys.stderr.write(f"shoal: {one_line(error)}\n")
        return error.exit_code
    if result.message:
        sys.stderr.write(f"shoal: {job.name} {result.status}: {result.message}\n")
    sys.stdout.write(json.dumps(result.summary()) + "\n")
    return result.exit_code
