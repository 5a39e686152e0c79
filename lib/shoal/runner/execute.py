"""Execute a job: one lock a job, one row in ops.runs, one exit code.

`shoal.runner.command` is the command line of a job file, `shoal.runner.pipeline` the jobs in order. Exit codes: 0 succeeded or
skipped, 2 bad usage or configuration, 3 bad input, 4 transient, 5 internal.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from shoal.conf.addresses import is_uri
from shoal.conf.pseudonym_key import WITHHELD
from shoal.conf.sections import Settings
from shoal.errors import InputError, ShoalError, SkippedError, one_line
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run, storage_error
from shoal.runner.clock import utc_now
from shoal.runner.fingerprint import code_hash, code_version, conf_hash
from shoal.runner.job import Job
from shoal.runner.job_lock import job_lock
from shoal.spark.job_metrics import JobMetrics, measured_jobs
from shoal.spark.session import own_session

LOG = logging.getLogger(__name__)
JOB_METRICS = "ops.job_metrics"


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


def new_run_id(now: datetime) -> str:
    """An id that sorts by start: UTC to the second, then eight random hex digits."""
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def execute(
    spark: SparkSession, job: Job, settings: Settings, root: str | Path, as_of: date, extras: dict[str, Any] | None = None
) -> Result:
    """Run `job` for `as_of` on the lake at `root`; never raises for a failed run, which is a Result with its exit code.

    The job sees the sections of `settings` that it declares; reading another one fails the run. Every run gets its row in
    ops.runs, and, unless it was skipped, one in ops.job_metrics. Where its row in ops.runs cannot be written (a full disk), the
    Result has that as its message; a lake at a URI whose store does not answer gets none. A run has a session of its own, a copy of
    `spark`, so that its settings are no other run's.
    """
    with own_session(spark) as session:
        return _execute(session, job, settings, root, as_of, extras)


def _execute(
    spark: SparkSession, job: Job, settings: Settings, root: str | Path, as_of: date, extras: dict[str, Any] | None
) -> Result:
    """`execute` on the run's own session."""
    started, clock = utc_now(), time.monotonic()
    run = Run(
        new_run_id(started), job.name, started,
        conf_hash=conf_hash(settings, job.settings(), extras), code_hash=code_hash(job),
    )  # fmt: skip
    lake = Lake(spark, root, settings.only(job.settings()), run, tunes_session=True)
    row: dict[str, Any] = {
        "run_id": run.run_id, "job": job.name, "stage": job.stage, "as_of": as_of, "started_at": started,
        "conf_hash": run.conf_hash, "code_hash": run.code_hash, "code_version": code_version(),
    }  # fmt: skip
    mark = {k: str(v) for k, v in row.items()}
    try:
        lake.store.require_root()
    except InputError as unreachable:
        # There is nowhere to record it either.
        ended = (time.monotonic() - clock, dict[str, int](), dict[str, int](), dict[str, str](), one_line(unreachable))
        return Result(run.run_id, job.name, job.stage, as_of, "failed", *ended, unreachable.exit_code)
    _place_checkpoints(spark, lake)
    error: BaseException | None = None
    killed: dict[str, str] | None = None
    metrics = JobMetrics()
    try:
        with job_lock(lake, job.name, mark) as killed:
            try:
                with measured_jobs(spark, f"shoal-{run.run_id}") as metrics:
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
    except Exception as unwritten:  # noqa: BLE001 - the run's own outcome must still be reported
        late = _as_shoal(unwritten, job.name)
        message = f"{message or 'the job is done'}; its row in ops.runs could not be written: {one_line(late)}"
        status, code = "failed", code or late.exit_code
    if status != "skipped" and (metrics.figures or metrics.failure):
        _record_metrics(lake, row, metrics)
    return Result(run.run_id, job.name, job.stage, as_of, status, seconds, run.rows_in, dict(run.rows_out), run.tags, message, code)


def _place_checkpoints(spark: SparkSession, lake: Lake) -> None:
    """On a cluster, name a folder of the lake for checkpoints, where the session has none: what is kept in an executor is lost with
    it. Spark removes each checkpoint when nothing refers to it (spark.cleaner.referenceTracking.cleanCheckpoints)."""
    context = spark.sparkContext
    if is_uri(lake.address) and not str(context.master).startswith("local") and context.getCheckpointDir() is None:
        context.setCheckpointDir(f"{lake.address}/.spark-checkpoints")


def _as_shoal(error: BaseException, job: str) -> ShoalError:
    """The error as one for the user; an internal error becomes one line, with its trace where SHOAL_DEBUG=1."""
    if os.environ.get("SHOAL_DEBUG"):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    if isinstance(error, ShoalError):
        return error
    known = storage_error(job, str(error))
    if isinstance(known, ShoalError):
        known.__cause__ = error
        return known
    internal = ShoalError(f"internal error in {job}: {type(error).__name__}: {one_line(error)} (SHOAL_DEBUG=1 shows the trace)")
    internal.__cause__ = error
    return internal


def _killed_row(mark: dict[str, str]) -> dict[str, Any]:
    """The row of a run that ended without writing one."""
    return {
        **mark, "as_of": date.fromisoformat(mark["as_of"]), "started_at": datetime.fromisoformat(mark["started_at"]),
        "status": "killed", "ended_at": None, "seconds": None, "rows_in": {}, "rows_out": {}, "input_versions": {},
        "tags": {}, "error_class": None, "message": "process ended without recording an outcome; the next run found its lock",
    }  # fmt: skip


def _record(lake: Lake, rows: list[dict[str, Any]]) -> None:
    """Append rows to ops.runs."""
    made = contract("ops.runs")
    # The lock of a killed run of an older version may not hold every column.
    ordered = [tuple(row.get(name) for name in made.columns) for row in rows]
    lake.append_log("ops.runs", lake.spark.createDataFrame(ordered, made.struct()))


def _record_metrics(lake: Lake, row: dict[str, Any], metrics: JobMetrics) -> None:
    """Append the run's row to ops.job_metrics; what cannot be measured or written is one line of the log, and no fault of the run.
    One small commit."""
    failure = metrics.failure
    if failure is None:
        made = contract(JOB_METRICS)
        known = row | metrics.figures | {"is_complete": metrics.is_complete}
        whole = {name for name, column in made.columns.items() if column.type == "bigint"}
        values = tuple(int(known[name]) if name in whole else known[name] for name in made.columns)
        try:
            lake.append_log(JOB_METRICS, lake.spark.createDataFrame([values], made.struct()))
        except Exception as error:  # noqa: BLE001 - the run itself is done and recorded
            failure = one_line(error)
    if failure is not None:
        LOG.warning("%s: its figures are not in %s: %s", row["job"], JOB_METRICS, failure)
