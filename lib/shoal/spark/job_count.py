"""Count Spark jobs and find out where they come from. A count does not depend on the machine, unlike a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession


@dataclass
class CountedJobs:
    """The Spark jobs of a block of code. `number` is exact; `descriptions` has one text a job, as far as Spark keeps them."""

    number: int = 0
    descriptions: list[str] = field(default_factory=list)


@contextmanager
def counted_jobs(spark: SparkSession) -> Iterator[CountedJobs]:
    """Count the jobs that start in this block, those of other threads of the application included.

    The number is filled in at the end of the block. A stage that adaptive execution runs by itself is a job of its own. Spark
    keeps the descriptions of the last `spark.ui.retainedJobs` jobs (1,000).
    """
    context = spark.sparkContext._jsc.sc()
    found = CountedJobs()
    first = int(context.dagScheduler().numTotalJobs())
    try:
        yield found
    finally:
        # Job numbers are given in the scheduler itself: no event is waited for to count them.
        after = int(context.dagScheduler().numTotalJobs())
        found.number = after - first
        if found.number:
            # Events of jobs reach the store of statuses on a queue.
            context.listenerBus().waitUntilEmpty()
            found.descriptions = _descriptions(context.statusStore(), first, after)


def _descriptions(store: Any, first: int, after: int) -> list[str]:
    """The description, call site and number of tasks of each job from `first` up to `after`, where the store has it."""
    jobs = store.jobsList(None)
    found = {}
    for i in range(jobs.size()):
        job = jobs.apply(i)
        if first <= int(job.jobId()) < after:
            described = job.description()
            text = str(described.get()) if described.isDefined() else ""
            found[int(job.jobId())] = f"{' '.join(text.split())} [{job.name()}, {job.numTasks()} tasks]".strip()
    return [found[number] for number in sorted(found)]
