"""The pipeline on HDFS and a standalone cluster of two workers, whose executors are killed, equals that of one local process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.errors import TransientError
from shoal.lake.contract import contract_names
from shoal.lake.lake import Lake, Run
from shoal.runner.job import find_job
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_world
from shoal.spark.worker_archive import write_archive
from shoal.testing import hdfs, spark_cluster
from shoal.testing.spark_cluster import Cluster

from tests.support.hdfs_files import put

ROOT = Path(__file__).resolve().parents[2]
WORLD = WorldConf(users=40, items=30, events=900, texts=60, days=30, seed=5)
SMALL = ["train_recommender.feedback=implicit", "train_recommender.ranks=[4]", "train_recommender.reg_params=[0.1]",
         "train_recommender.alphas=[1.0]", "train_recommender.max_iter=3", "train_recommender.experts=[]",
         "recommend.k=3", "graph.engine=spark", "spark.sql.shuffle.partitions=2"]  # fmt: skip
# The jobs in the middle of which an executor is killed.
KILLED_IN = ("ingest_files", "train_recommender", "build_recommendations")
# Of one run or place: compared by the other columns.
OWN = {"run_id", "ingested_at", "_ingested_at", "model_version", "started_at", "ended_at", "seconds", "batch_id", "_batch_id",
       "_file", "source_file"}  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class Driver:
    """A run of tests.cluster.driver, its output read line by line; at the first begin of each job in `kills` an executor dies."""

    def __init__(self, env: str, lake: str, raw: str, sets: list[str], folder: Path, cluster: Cluster | None = None) -> None:
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYSPARK_DRIVER_PYTHON": sys.executable}
        if cluster is not None:
            models = f"sqlite:///{folder / 'models.db'}"
            environment |= {"MLFLOW_TRACKING_URI": models, "PYSPARK_PYTHON": "./environment/bin/python"}
        command = [sys.executable, "-m", "tests.cluster.driver", env, lake, raw, str(WORLD.as_of), *SMALL, *sets]
        self.log = (folder / "driver.log").open("w")
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.cluster, self.ahead = cluster, list(KILLED_IN)
        self.lines: list[str] = []
        self.killed: list[str] = []

    def finish(self) -> int:
        """Read to the end; returns the exit code."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())
            name = line.split()[1]
            if line.startswith("begins") and self.cluster is not None and name in self.ahead:
                self.ahead.remove(name)
                threading.Timer(2, self._kill, (name,)).start()
        self.log.close()
        return self.process.wait()

    def _kill(self, name: str) -> None:
        assert self.cluster is not None
        spark_cluster.kill_executor(self.cluster)
        self.killed.append(name)


@pytest.fixture(scope="module")
def lakes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Lake, Driver]]:
    """The lake that the cluster made on HDFS, the one of a local process, and the cluster's driver, which has ended."""
    folder = tmp_path_factory.mktemp("cluster")
    try:
        node = hdfs.start(folder / "node")
    except TransientError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no HDFS: {error}")
    cluster: Cluster | None = None
    try:
        write_world(spark, WORLD, folder / "raw", folder / "truth", partitions=2)
        put(folder / "raw", f"{node.web_uri}/raw")
        write_archive(folder / "workers.tar.gz")
        cluster = spark_cluster.start(folder / "cluster")
        own = [f"spark.master={cluster.master}", f"spark.archives={folder / 'workers.tar.gz'}#environment",
               "spark.driver.host=127.0.0.1", "spark.driver.memory=1g", "spark.executor.memory=1g",
               "spark.ui.enabled=false"]  # fmt: skip
        there = Driver("cluster", f"{node.uri}/lake", f"{node.web_uri}/raw", own, folder / "driver", cluster)
        code = there.finish()
        assert code == 0, (there.lines, (folder / "driver" / "driver.log").read_text()[-3000:])
        spark_cluster.stop(cluster)
        cluster = None
        here = Driver("local", str(folder / "local"), str(folder / "raw"), [], folder / "local-driver")
        assert here.finish() == 0, here.lines
        reader = Run("reader")
        yield Lake(spark, f"{node.uri}/lake", load(), reader), Lake(spark, str(folder / "local"), load(), reader), there
    finally:
        if cluster is not None:
            spark_cluster.stop(cluster)
        hdfs.stop(folder / "node")


def test_every_table_of_the_cluster_equals_that_of_one_process(lakes: tuple[Lake, Lake, Driver]) -> None:
    there, here, _ = lakes
    compared = []
    for name in contract_names():
        if name.startswith("ops.") or not here.exists(name):
            continue
        assert rows(there, name) == rows(here, name), name
        compared.append(name)
    assert {"silver.interactions", "features.users", "gold.recommendations", "gold.node_ranks", "gold.communities"} <= set(compared)


def test_jobs_end_well_although_their_executors_are_killed(lakes: tuple[Lake, Lake, Driver]) -> None:
    *_, driver = lakes
    assert driver.killed == list(KILLED_IN)
    ended = {line.split()[1]: line.split()[0] for line in driver.lines if not line.startswith("begins")}
    assert {ended[name] for name in KILLED_IN} == {"succeeded"}
    assert {find_job(name).name for name in ended} == set(ended)


def rows(lake: Lake, table: str) -> list[tuple[Any, ...]]:
    """The rows without what is of one run, numbers to nine digits: sums of doubles depend on partitions."""
    found = lake.read_current(table)
    kept = found.select(*[column for column in found.columns if column not in OWN])
    return sorted((tuple(map(rounded, row)) for row in kept.collect()), key=repr)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return value if not math.isfinite(value) or value == 0 else float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value
