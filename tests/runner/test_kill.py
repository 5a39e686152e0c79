"""kill -9 in the middle of a write and of a pipeline: tables stay whole, the same command again finishes the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.sections import FeaturesConf, Settings
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import Result, execute
from shoal.runner.job import Job
from shoal.runner.pipeline import UpToDate, jobs_between, run_pipeline

from tests.lake.test_lake import TABLE, users

DAY = date(2024, 1, 1)

# One partition writes its file at once, the other waits for the end that never comes.
SLOW_WRITE = """
import sys, time
from datetime import date
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import FeaturesConf
from shoal.lake.lake import Lake
from shoal.runner.execute import execute
from shoal.runner.job import Job
from shoal.spark.session import spark_session
from tests.lake.test_lake import TABLE, users

def wait(batches):
    for batch in batches:
        if "slow" in set(batch["user_id"]):
            time.sleep(300)
        yield batch

def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    rows = users(lake.spark, "quick").union(users(lake.spark, "slow"))
    lake.append(TABLE, rows.mapInPandas(wait, rows.schema).withColumn("as_of", F.lit(as_of)), unique=True)

spark = spark_session("killed", overrides={"spark.master": "local[2]", "spark.driver.memory": "1g"})
execute(spark, Job("build_users", "features", "", run, FeaturesConf), load(), sys.argv[1], date(2024, 1, 1))
"""


def kill_when(process: subprocess.Popen[bytes], seen: Callable[[], bool], seconds: float = 240) -> None:
    """Kill the process and its children, Spark's Java among them, as soon as `seen`; fail where that does not come."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert process.poll() is None, f"the process ended by itself with {process.returncode}"
        assert time.monotonic() < deadline, "what the kill waits for did not come"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start(*command: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, *command], cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def statuses(spark: SparkSession, root: Path, settings: Settings) -> list[tuple[str, str]]:
    rows = Lake(spark, root, settings, Run("reader")).read("ops.runs").orderBy("started_at").collect()
    return [(row["job"], row["status"]) for row in rows]


@pytest.mark.slow
def test_a_write_that_is_killed_leaves_the_table_as_it_was(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
        lake.replace(TABLE, users(lake.spark, *names), on=as_of)

    names = ["before"]
    job = Job("build_users", "features", "", run, FeaturesConf)
    execute(spark, job, settings, tmp_path, DAY)
    table = tmp_path / "features" / "users"
    whole = set(table.rglob("*.parquet"))
    kill_when(start("-c", SLOW_WRITE, str(tmp_path)), lambda: len(set(table.rglob("*.parquet")) - whole) > 0)
    after = Lake(spark, tmp_path, settings, Run("after")).read(TABLE)
    assert [row["user_id"] for row in after.collect()] == ["before"]
    names = ["quick", "slow"]
    assert execute(spark, job, settings, tmp_path, DAY).status == "succeeded"
    again = Lake(spark, tmp_path, settings, Run("again")).read(TABLE)
    assert sorted(row["user_id"] for row in again.collect()) == ["quick", "slow"]
    assert statuses(spark, tmp_path, settings) == [
        ("build_users", "succeeded"), ("build_users", "killed"), ("build_users", "succeeded"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_pipeline_that_is_killed_goes_on_where_it_was(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    made = contract("silver.interactions")
    events = spark.range(2000).select(
        F.concat(F.lit("e"), "id").alias("event_id"), F.concat(F.lit("u"), F.col("id") % 50).alias("user_id"),
        F.concat(F.lit("i"), F.col("id") % 30).alias("item_id"), F.lit("like").alias("event"),
        F.lit(datetime(2023, 12, 1)).alias("occurred_at"), F.lit("test").alias("source"),
    )  # fmt: skip
    for name, column in made.columns.items():
        if name not in (*events.columns, "run_id"):
            events = events.withColumn(name, F.lit(None).cast(column.type))
    Lake(spark, tmp_path, settings, Run("load")).append("silver.interactions", events)
    log = tmp_path / "ops" / "runs" / "_delta_log"
    command = ("-m", "shoal", "pipeline", "--lake", str(tmp_path), "--as-of", DAY.isoformat(), "--to", "features",
               "--set", "lake.max_parallel_jobs=1")  # fmt: skip
    # version 0 makes ops.runs, version 1 is the row of build_users: the kill meets build_items
    kill_when(start(*command), lambda: (log / "00000000000000000001.json").exists())
    steps = run_pipeline(spark, settings, tmp_path, DAY, jobs_between(settings, last="features"))
    assert isinstance(steps[0], UpToDate), "build_users was done before the kill"
    assert not isinstance(steps[1], UpToDate)
    assert steps[1].status == "succeeded"
    reader = Lake(spark, tmp_path, settings, Run("reader"))
    assert (reader.read("features.users", on=DAY).count(), reader.read("features.items", on=DAY).count()) == (50, 30)
    assert ("build_items", "succeeded") in statuses(spark, tmp_path, settings)
    again = run_pipeline(spark, settings, tmp_path, DAY, jobs_between(settings, last="features"))
    assert [type(step) for step in again[:2]] == [UpToDate, UpToDate]
    # This lake has no items, purchases or pictures: the other jobs have nothing to do, and are asked again.
    others = set(settings.pipeline["features"]) - {"build_users", "build_items"}
    assert {(step.job, step.status) for step in again[2:] if isinstance(step, Result)} == {(job, "skipped") for job in others}
