"""The jobs in order, side by side where none rests on the other, resumable: what is done for this as-of, with these settings
and inputs, is not done again."""

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
from shoal.runner.execute import Job, Result, code_version, conf_hash, execute, find_job


@dataclass(frozen=True)
class Done:
    """An earlier run that made this one needless."""

    run_id: str
    job: str
    stage: str


Step = Result | Done


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
    """Each job's last successful run for `as_of`: job, run_id, conf_hash, code_version, input_versions. One shuffle."""
    fields = F.struct("started_at", "run_id", "conf_hash", "code_version", "input_versions")
    wanted = runs.where((F.col("as_of") == F.lit(as_of)) & (F.col("status") == "succeeded"))
    return wanted.groupBy("job").agg(F.max_by(fields, "started_at").alias("last")).select("job", "last.*")


def done_before(lake: Lake, jobs: list[Job], settings: Settings, as_of: date) -> dict[str, Done]:
    """Those of `jobs` whose last success for `as_of` had these settings, this code and the inputs of now.

    Collects one row a job. A job's own tables do not count as its inputs.
    """
    if not lake.exists("ops.runs"):
        return {}
    rows = latest_successes(lake.read("ops.runs"), as_of).where(F.col("job").isin([j.name for j in jobs])).collect()
    last = {row["job"]: row for row in rows}
    now: dict[str, int] = {}
    done = {}
    for job in jobs:
        row = last.get(job.name)
        if row is None or (row["conf_hash"], row["code_version"]) != (conf_hash(settings), code_version()):
            continue
        inputs = {t: v for t, v in (row["input_versions"] or {}).items() if t not in job.tables("Writes")}
        for table in inputs:
            now.setdefault(table, lake.version(table))
        if all(now[table] == version for table, version in inputs.items()):
            done[job.name] = Done(row["run_id"], job.name, job.stage)
    return done


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
    """Run `jobs` and return how each ended, in their order; after the first that failed none is begun.

    A job waits for those before it that write what it reads (`Job.depends_on`); of those that wait for nothing the first begins,
    `lake.max_parallel_jobs` at a time. A job that is done is passed over, unless one that it waits for has run. `starting` and
    `ended` are called by the caller's own thread, `ended` in the order in which jobs end. An interrupt cancels what Spark is doing
    and waits for nobody: a job that its process leaves in the middle is found by the next run, as after a kill.
    """
    lake = Lake(spark, root, settings, Run("pipeline", "pipeline"))
    done = {} if force else done_before(lake, jobs, settings, as_of)
    depends_on = {job.name: [other.name for other in jobs[:n] if job.depends_on(other)] for n, job in enumerate(jobs)}
    waiting = list(jobs)
    running: set[str] = set()
    ends: SimpleQueue[tuple[Job, Result | BaseException]] = SimpleQueue()
    steps: dict[str, Step] = {}

    def keep(job: Job, step: Step) -> None:
        steps[job.name] = step
        ended(step)

    def work(job: Job) -> None:
        try:
            ends.put((job, execute(spark, job, settings, root, as_of)))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's own thread
            ends.put((job, error))

    def begin() -> None:
        """Fill the free places, passing over what is done."""
        while len(running) < settings.lake.max_parallel_jobs and not any(map(_has_failed, steps.values())):
            job = next((job for job in waiting if all(name in steps for name in depends_on[job.name])), None)
            if job is None:
                return
            waiting.remove(job)
            starting(job)
            if job.name in done and not any(map(_has_run, (steps[name] for name in depends_on[job.name]))):
                keep(job, done[job.name])
            else:
                running.add(job.name)
                Thread(target=inheritable_thread_target(work), args=(job,), name=job.name, daemon=True).start()

    try:
        begin()
        while running:
            job, end = ends.get()
            running.remove(job.name)
            if isinstance(end, BaseException):
                raise end
            keep(job, end)
            begin()
    except BaseException:
        spark.sparkContext.cancelAllJobs()
        raise
    return [steps[job.name] for job in jobs if job.name in steps]


def _has_failed(step: Step) -> bool:
    return isinstance(step, Result) and bool(step.exit_code)


def _has_run(step: Step) -> bool:
    return isinstance(step, Result) and step.status == "succeeded"
