"""The jobs in order, side by side where none depends on the other, resumable: a job that is up to date is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pyspark import inheritable_thread_target
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.sections import Settings
from shoal.errors import UsageError
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import Result, execute
from shoal.runner.fingerprint import code_hash, conf_hash
from shoal.runner.job import EVERY_TABLE, Job, find_job


@dataclass(frozen=True)
class UpToDate:
    """The earlier run whose results are still those of a new one."""

    run_id: str
    job: str
    stage: str


Step = Result | UpToDate


def jobs_between(settings: Settings, first: str | None = None, last: str | None = None) -> list[Job]:
    """The pipeline's jobs from stage `first` to stage `last`, both included. Raises UsageError for an unknown stage."""
    stages = list(settings.pipeline)
    for option, stage in (("--from", first), ("--to", last)):
        if stage is not None and stage not in stages:
            raise UsageError(f"{option} {stage}: no such stage; the stages are {', '.join(stages)}")
    start = stages.index(first) if first else 0
    end = stages.index(last) if last else len(stages) - 1
    if start > end:
        raise UsageError(f"--from {first} --to {last}: {first} comes after {last}; the order is {', '.join(stages)}")
    return [find_job(name) for stage in stages[start : end + 1] for name in settings.pipeline[stage]]


def latest_successes(runs: DataFrame, as_of: date) -> DataFrame:
    """Each job's last successful run for `as_of`: job, run_id, conf_hash, code_hash, input_versions. One shuffle."""
    fields = F.struct("started_at", "run_id", "conf_hash", "code_hash", "input_versions")
    wanted = runs.where((F.col("as_of") == F.lit(as_of)) & (F.col("status") == "succeeded"))
    return wanted.groupBy("job").agg(F.max_by(fields, "started_at").alias("last")).select("job", "last.*")


def up_to_date(lake: Lake, jobs: list[Job], settings: Settings, as_of: date) -> dict[str, UpToDate]:
    """Those of `jobs` whose last success for `as_of` had the same declared settings, the same code, and the inputs of now.

    Inputs are the tables that a job declares to read, without those it writes itself. Collects one row a job.
    """
    if not lake.exists("ops.runs"):
        return {}
    rows = latest_successes(lake.read_current("ops.runs"), as_of).where(F.col("job").isin([j.name for j in jobs])).collect()
    last = {row["job"]: row for row in rows}
    now: dict[str, int] = {}
    found = {}
    for job in jobs:
        row = last.get(job.name)
        if row is None or (row["conf_hash"], row["code_hash"]) != (conf_hash(settings, job.settings()), code_hash(job)):
            continue
        inputs = {t: v for t, v in (row["input_versions"] or {}).items() if is_input(job, t)}
        for table in inputs:
            now.setdefault(table, lake.version(table))
        if all(now[table] == version for table, version in inputs.items()):
            found[job.name] = UpToDate(row["run_id"], job.name, job.stage)
    return found


def is_input(job: Job, table: str) -> bool:
    """Whether a change of `table` by others makes a run of `job` out of date."""
    return table not in job.writes and (table in job.reads or EVERY_TABLE in job.reads)


def run_pipeline(
    spark: SparkSession,
    settings: Settings,
    root: str | Path,
    as_of: date,
    jobs: list[Job],
    force: bool = False,
    starting: Callable[[Job], Any] = lambda job: None,
    ended: Callable[[Step], Any] = lambda step: None,
) -> list[Step]:
    """Run `jobs` and return how each ended, in their order; after the first that failed no other begins.

    A job waits for those before it that write what it reads (`Job.depends_on`); of those that wait for nothing the first begins,
    `lake.max_parallel_jobs` at a time. A job that is up to date is skipped, unless one that it depends on has run. `starting` and
    `ended` are called by the caller's own thread, `ended` in the order in which jobs end. An interrupt cancels Spark's jobs and is
    raised at once: a job that its process leaves unfinished is recorded as killed by the next run. Raises InputError, one line, for
    a lake at a URI whose store does not answer.
    """
    lake = Lake(spark, root, settings, Run("pipeline", "pipeline"))
    lake.store.require_root()
    schedule = Schedule(jobs, {} if force else up_to_date(lake, jobs, settings, as_of), settings.lake.max_parallel_jobs)
    ends: SimpleQueue[tuple[Job, Result | BaseException]] = SimpleQueue()

    def work(job: Job) -> None:
        try:
            ends.put((job, execute(spark, job, settings, root, as_of)))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's own thread
            ends.put((job, error))

    def record_step(step: Step) -> None:
        schedule.steps[step.job] = step
        ended(step)

    def begin() -> None:
        while (job := schedule.next_job()) is not None:
            starting(job)
            if schedule.is_current(job):
                record_step(schedule.current[job.name])
            else:
                schedule.running.add(job.name)
                Thread(target=inheritable_thread_target(work), args=(job,), name=job.name, daemon=True).start()

    try:
        begin()
        while schedule.running:
            job, end = ends.get()
            schedule.running.remove(job.name)
            if isinstance(end, BaseException):
                raise end
            record_step(end)
            begin()
    except BaseException:
        spark.sparkContext.cancelAllJobs()
        raise
    return [schedule.steps[job.name] for job in jobs if job.name in schedule.steps]


class Schedule:
    """Which job of a pipeline begins next: what waits, what runs, how the others ended."""

    def __init__(self, jobs: list[Job], current: dict[str, UpToDate], places: int) -> None:
        self.waiting = list(jobs)
        self.current = current
        self.places = places
        self.running: set[str] = set()
        self.steps: dict[str, Step] = {}
        self.depends_on = {job.name: [other.name for other in jobs[:n] if job.depends_on(other)] for n, job in enumerate(jobs)}

    def next_job(self) -> Job | None:
        """Take the first job that waits for nothing; None where all places are taken or a job has failed."""
        if len(self.running) >= self.places or any(map(_has_failed, self.steps.values())):
            return None
        free = (job for job in self.waiting if all(name in self.steps for name in self.depends_on[job.name]))
        job = next(free, None)
        if job is not None:
            self.waiting.remove(job)
        return job

    def is_current(self, job: Job) -> bool:
        """Whether the job is up to date, none of those that it depends on having run."""
        return job.name in self.current and not any(_has_run(self.steps[name]) for name in self.depends_on[job.name])


def _has_failed(step: Step) -> bool:
    return isinstance(step, Result) and bool(step.exit_code)


def _has_run(step: Step) -> bool:
    return isinstance(step, Result) and step.status == "succeeded"
