"""Ctrl-C while Spark works: the caller's thread stays free to take the interrupt, another one waits for Java."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

# The exit code of a shell for what an interrupt ended: 128 and the number of the signal.
INTERRUPTED = 130

T = TypeVar("T")


def interruptible(spark: SparkSession, work: Callable[[], T]) -> T:
    """Call `work` in a thread and return what it returns, or raise what it raises.

    An interrupt of the calling thread cancels Spark's jobs and is raised at once; it does not wait for `work`, which ends with the
    process. A run that ends so leaves its mark in its lock, and the next run records it as killed.
    """
    ends: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def target() -> None:
        try:
            ends.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again by the calling thread
            ends.put((None, error))

    Thread(target=inheritable_thread_target(target), name="work", daemon=True).start()
    try:
        result, error = ends.get()
    except BaseException:
        spark.sparkContext.cancelAllJobs()
        raise
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
