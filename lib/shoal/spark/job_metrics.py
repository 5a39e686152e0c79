"""What a run made Spark do: jobs, stages, tasks, rows, bytes, spill, memory, from the statuses that Spark keeps of itself.

The jobs of a run are known by a tag, which threads that it starts and Spark's own (broadcasts, streams) take over from it; runs
side by side in one session are separated by theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.sql import SparkSession

# Stages of a run whose statuses are read: each costs some thirty calls into the JVM, two milliseconds.
MAX_STAGES = 1000
# Milliseconds that the queue of events may take to reach the statuses.
QUEUE_MILLIS = 5_000
# Figures of a stage, summed over the run: our name, Spark's getter, how many of Spark's units are one of ours.
SUMS = (
    ("tasks", "numCompleteTasks", 1), ("failed_tasks", "numFailedTasks", 1),
    ("rows_read", "inputRecords", 1), ("bytes_read", "inputBytes", 1),
    ("rows_written", "outputRecords", 1), ("bytes_written", "outputBytes", 1),
    ("shuffle_bytes_read", "shuffleReadBytes", 1), ("shuffle_bytes_written", "shuffleWriteBytes", 1),
    ("memory_bytes_spilled", "memoryBytesSpilled", 1), ("disk_bytes_spilled", "diskBytesSpilled", 1),
    ("result_bytes", "resultSize", 1),
    ("task_seconds", "executorRunTime", 1e3), ("cpu_seconds", "executorCpuTime", 1e9), ("gc_seconds", "jvmGcTime", 1e3),
)  # fmt: skip
# Figures of a stage, of which a run has the largest.
LARGEST = ("longest_task_seconds", "peak_execution_memory_bytes")


@dataclass
class JobMetrics:
    """The work of a block. `figures`: spark_jobs, stages, those of SUMS, and the largest of any stage: longest_task_seconds, and
    peak_execution_memory_bytes, the sum of a stage's tasks' peaks; `is_complete`: whether Spark still had every job and stage;
    `failure`: why there are no figures."""

    figures: dict[str, float] = field(default_factory=dict)
    is_complete: bool = True
    failure: str | None = None


@contextmanager
def measured_jobs(spark: SparkSession, tag: str) -> Iterator[JobMetrics]:
    """Measure the Spark jobs that this block starts; the result is filled in at its end.

    Of a stage its last attempt counts; a stage that was skipped, because an earlier job had made its output, does not. Raises
    nothing of its own: what cannot be read is `failure`. Spark keeps the last 1,000 jobs and stages of an application
    (spark.ui.retainedJobs, retainedStages). Cost: no Spark job; three calls into the JVM for each job that the application started
    meanwhile, and thirty for each stage of the run, at most MAX_STAGES.
    """
    found = JobMetrics()
    first = 0
    try:
        first = int(spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())
        spark.sparkContext.addJobTag(tag)
    except Exception as error:  # noqa: BLE001 - figures about a run are no reason for it to fail
        found.failure = _reason(error)
    try:
        yield found
    finally:
        if found.failure is None:
            try:
                spark.sparkContext.removeJobTag(tag)
                _read(spark.sparkContext._jsc.sc(), tag, first, found)
            except Exception as error:  # noqa: BLE001 - as above
                found.failure = _reason(error)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _read(context: Any, tag: str, first: int, found: JobMetrics) -> None:
    """Fill in the figures of the jobs from number `first` on that have the tag."""
    figures = {"spark_jobs": 0.0, "stages": 0.0, **{name: 0.0 for name, _, _ in SUMS}, **dict.fromkeys(LARGEST, 0.0)}
    last = int(context.dagScheduler().numTotalJobs())
    if last > first:
        # Events of jobs reach the store of statuses on a queue.
        context.listenerBus().waitUntilEmpty(QUEUE_MILLIS)
    store = context.statusStore()
    stages: set[int] = set()
    for number in range(first, last):
        job = _kept(store.job, number)
        if job is None:
            found.is_complete = False
        elif job.jobTags().contains(tag):
            figures["spark_jobs"] += 1
            stages |= {int(each) for each in job.stageIds().mkString(",").split(",") if each}
    for number in sorted(stages)[:MAX_STAGES]:
        stage = _kept(store.lastStageAttempt, number)
        if stage is None:
            found.is_complete = False
        elif stage.status().toString() != "SKIPPED":
            figures["stages"] += 1
            for name, getter, unit in SUMS:
                figures[name] += getattr(stage, getter)() / unit
            for name, value in zip(LARGEST, (_longest_task(store, stage), stage.peakExecutionMemory()), strict=True):
                figures[name] = max(figures[name], value)
    found.is_complete &= len(stages) <= MAX_STAGES
    found.figures = figures


def _longest_task(store: Any, stage: Any) -> float:
    """Seconds of a stage's longest task; 0 where Spark keeps no task of it any more, or none has ended."""
    jvm = SparkContext._active_spark_context._jvm  # type: ignore[union-attr]
    only = SparkContext._gateway.new_array(jvm.double, 1)  # type: ignore[union-attr]
    only[0] = 1.0
    found = store.taskSummary(stage.stageId(), stage.attemptId(), only)
    return float(found.get().executorRunTime().head()) / 1e3 if found.isDefined() else 0.0


def _kept(get: Any, number: int) -> Any:
    """A status by its number; None where Spark does not keep it any more."""
    try:
        return get(number)
    except Py4JJavaError as error:
        if "NoSuchElementException" in error.java_exception.getClass().getName():
            return None
        raise
