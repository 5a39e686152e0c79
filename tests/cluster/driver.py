"""A driver of its own on the cluster: `python -m tests.cluster.driver LAKE RAW AS_OF STEPS [KEY=VALUE ...]`.

STEPS, separated by commas: `ingest` (the four folders of RAW that the demo loads), names of jobs, `pipeline` (every job in order).
Prints one JSON line when a step begins and when it has ended: job, status, message, seconds. Ends with the first exit code that is
not 0.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job
from shoal.runner.pipeline import Step, jobs_between, run_pipeline
from shoal.spark.java import java_home
from shoal.spark.session import spark_session
from shoal.testing.hdfs import Hdfs
from shoal.testing.spark_cluster import Cluster

SOURCES = ("items", "events", "texts", "edges")


def say(job: str, status: str, message: str | None = None, seconds: float = 0) -> None:
    """Print one line about a step."""
    sys.stdout.write(json.dumps({"job": job, "status": status, "message": message, "seconds": round(seconds, 1)}) + "\n")
    sys.stdout.flush()


def show(step: Step) -> Step:
    """Print how a step ended."""
    if isinstance(step, Result):
        say(step.job, step.status, step.message, step.seconds)
    else:
        say(step.job, "up_to_date")
    return step


def run_steps(spark: SparkSession, settings: Settings, lake: str, raw: str, as_of: date, steps: list[str]) -> int:
    """Run the steps on a lake, until the first that fails; return its exit code, or 0."""
    for step in steps:
        if step == "ingest":
            job = find_job("ingest_files")
            given = ({"source": source, "input": f"{raw}/{source}"} for source in SOURCES)
            done: list[Step] = []
            for each in given:
                say(f"{job.name} {each['source']}", "begun")
                done.append(show(execute(spark, job, settings, lake, as_of, each)))
        elif step == "pipeline":
            jobs = jobs_between(settings)
            done = run_pipeline(spark, settings, lake, as_of, jobs, False, lambda job: say(job.name, "begun"), show)
        else:
            say(step, "begun")
            done = [show(execute(spark, find_job(step), settings, lake, as_of))]
        for each in done:
            if isinstance(each, Result) and each.exit_code:
                return each.exit_code
    return 0


def driver_command(
    cluster: Cluster, node: Hdfs, folder: Path, as_of: date, steps: Sequence[str], sets: Sequence[str], memory: str, partitions: int
) -> tuple[list[str], dict[str, str]]:
    """The command of a driver on the cluster, to be run in the project's folder, and its environment. Its lake is `lake` on the
    HDFS, its input `raw` there, by WebHDFS; `folder` has the workers' archive (workers.tar.gz) and its models."""
    spark = {"master": cluster.master, "archives": f"{folder / 'workers.tar.gz'}#environment", "ui.enabled": "false",
             "driver.host": "127.0.0.1", "driver.bindAddress": "127.0.0.1", "driver.memory": memory, "executor.memory": memory,
             "sql.shuffle.partitions": str(partitions), "databricks.delta.snapshotPartitions": "2"}  # fmt: skip
    own = {"PYSPARK_PYTHON": "./environment/bin/python", "PYSPARK_DRIVER_PYTHON": sys.executable, "JAVA_HOME": java_home(),
           "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'models.db'}"}  # fmt: skip
    command = [sys.executable, "-m", "tests.cluster.driver", f"{node.uri}/lake", f"{node.web_uri}/raw", str(as_of), ",".join(steps)]
    return [*command, *sets, *(f"spark.{name}={value}" for name, value in spark.items())], {**os.environ, **own}


def main(argv: list[str]) -> int:
    """Run the steps that the command line names on the cluster of its `spark.master`."""
    lake, raw, as_of, steps, *sets = argv
    settings = load("cluster", sets)
    spark = spark_session("cluster-test", "cluster", settings.spark)
    return run_steps(spark, settings, lake, raw, date.fromisoformat(as_of), steps.split(","))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
