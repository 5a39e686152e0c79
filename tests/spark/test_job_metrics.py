"""What a block made Spark do, beside other threads that use the same session."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyspark import inheritable_thread_target
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from shoal.spark import job_metrics
from shoal.spark.job_metrics import LARGEST, SUMS, measured_jobs
from shoal.spark.session import own_session


def test_jobs_rows_and_bytes_of_a_block_are_counted_and_no_others(spark: SparkSession, tmp_path: Path) -> None:
    with own_session(spark) as session:
        session.conf.set("spark.sql.adaptive.enabled", "false")
        session.range(1000).collect()
        with measured_jobs(session, "block") as found:
            session.range(0, 5000, 1, 2).write.parquet(str(tmp_path / "rows"))
            written = sum(file.stat().st_size for file in (tmp_path / "rows").glob("*.parquet"))
            read = session.read.schema("id bigint").parquet(str(tmp_path / "rows"))
            assert read.groupBy((F.col("id") % 10).alias("k")).count().count() == 10
        session.range(1000).collect()
    assert found.failure is None
    assert found.is_complete
    figures = found.figures
    # The write is a job of one stage and two tasks; the count one of three stages: rows, groups, their number.
    assert (figures["spark_jobs"], figures["stages"], figures["failed_tasks"]) == (2, 4, 0)
    # Spark counts the numbers of a range as rows that were read, besides those of the file.
    assert (figures["rows_written"], figures["bytes_written"], figures["rows_read"]) == (5000, written, 10_000)
    assert figures["bytes_read"] > 0
    assert figures["shuffle_bytes_written"] == figures["shuffle_bytes_read"] > 0
    assert figures["peak_execution_memory_bytes"] > 0
    assert figures["task_seconds"] > 0
    assert set(figures) == {"spark_jobs", "stages", *LARGEST, *(name for name, _, _ in SUMS)}


def test_the_longest_task_and_the_bytes_that_reach_the_driver_are_seen(spark: SparkSession) -> None:
    def slow(rows: Iterator[Row]) -> Iterator[str]:
        for row in rows:
            time.sleep(row["id"])
            yield "x" * 1_000_000 * row["id"]

    with measured_jobs(spark, "skewed") as found:
        assert [len(each) for each in spark.range(0, 2, 1, 2).rdd.mapPartitions(slow).collect()] == [0, 1_000_000]
    figures = found.figures
    # One task waits a second and has a million bytes to send, the other neither.
    assert 1.0 <= figures["longest_task_seconds"] <= figures["task_seconds"]
    assert 1_000_000 < figures["result_bytes"] < 1_020_000


def test_blocks_side_by_side_are_told_apart_and_broadcasts_are_theirs(spark: SparkSession) -> None:
    both = threading.Barrier(2, timeout=60)
    found: dict[str, dict[str, float]] = {}

    def work(name: str, jobs: int) -> None:
        with measured_jobs(spark, name) as measured:
            both.wait()
            for _ in range(jobs):
                spark.range(10, numPartitions=1).rdd.count()
            if name == "joins":
                small = F.broadcast(spark.range(5).withColumn("x", F.rand(1)))
                spark.range(10).join(small, "id").collect()
            both.wait()
        found[name] = measured.figures

    threads = [threading.Thread(target=inheritable_thread_target(work), args=each) for each in (("counts", 3), ("joins", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    # The broadcast's own job has another group, and the tag.
    assert {name: figures["spark_jobs"] for name, figures in found.items()} == {"counts": 3, "joins": 3}


def test_failed_tasks_count_and_the_blocks_error_is_its_own(spark: SparkSession) -> None:
    with pytest.raises(Py4JJavaError, match="on purpose"), measured_jobs(spark, "fails") as found:
        spark.range(1, numPartitions=1).select(F.raise_error(F.lit("on purpose"))).collect()
    assert (found.failure, found.figures["spark_jobs"], found.figures["failed_tasks"]) == (None, 1, 1)


def test_more_stages_than_are_read_and_statuses_that_cannot_be_read_are_said(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(job_metrics, "MAX_STAGES", 1)
        with measured_jobs(spark, "bound") as found:
            spark.range(4).rdd.count()
            spark.range(4).rdd.count()
    assert (found.is_complete, found.figures["spark_jobs"], found.figures["stages"]) == (False, 2, 1)
    monkeypatch.setattr(job_metrics, "SUMS", (("tasks", "noSuchGetter", 1),))
    with measured_jobs(spark, "broken") as broken:
        spark.range(4).rdd.count()
    assert broken.figures == {}
    assert "noSuchGetter" in (broken.failure or "")
