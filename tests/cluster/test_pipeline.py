"""Jobs on workers that see nothing of the driver but an HDFS: every row as in a local run, also where workers are killed.

The driver is a process of its own (tests.cluster.driver) with the archive that `make dist` makes; input is read by WebHDFS, and the
lake lies at hdfs://. The whole pipeline takes longer than a test may: docs/cluster.md says how it was run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.errors import TransientError
from shoal.lake.lake import Lake, Run
from shoal.lake.store import Store
from shoal.simulate.write import write_world
from shoal.spark.worker_archive import write_archive
from shoal.testing import hdfs, spark_cluster
from shoal.testing.hdfs import Hdfs
from shoal.testing.spark_cluster import Cluster

from tests.cluster.driver import SOURCES, driver_command, run_steps
from tests.lake.test_hdfs import OWN, SMALL, WORLD
from tests.support.long import long

# An archive of all packages, a cluster and three kills take as long as a quarter of the other slow tests together.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), long]
ROOT = Path(__file__).resolve().parents[2]
STEPS = ["ingest", "build_users", "train_recommender", "build_recommendations"]
COMPARED = ("silver.items", "silver.interactions", "silver.texts", "silver.follows", "features.users", "gold.recommendations")


@dataclass
class Place:
    """A cluster, an HDFS, the archive for workers, and a lake that a local session made of the same files."""

    folder: Path
    cluster: Cluster
    node: Hdfs
    local: str

    @property
    def lake(self) -> str:
        return f"{self.node.uri}/lake"

    def driver(self, *steps: str) -> subprocess.Popen[str]:
        """Start a driver of these steps on the cluster; its log is driver.log."""
        command, environment = driver_command(self.cluster, self.node, self.folder, WORLD.as_of, steps, SMALL, "1g", 2)
        log = (self.folder / "driver.log").open("a")
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The local lake is made in this process's session. The workers' user sees the nodes' folder and not the driver's."""
    folder, nodes = tmp_path_factory.mktemp("cluster"), Path(tempfile.mkdtemp(prefix="shoal-nodes-"))
    nodes.chmod(0o755)
    try:
        node = hdfs.start(folder / "hdfs")
    except TransientError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no HDFS: {error}")
    cluster = None
    try:
        write_archive(folder / "workers.tar.gz")
        write_world(spark, WORLD, folder / "raw", folder / "truth", partitions=2)
        for source in SOURCES:
            Store(spark, node.uri).copy_in(folder / "raw" / source, f"{node.uri}/raw/{source}")
        local = str(folder / "local")
        assert run_steps(spark, load("local", SMALL), local, str(folder / "raw"), WORLD.as_of, STEPS) == 0
        cluster = spark_cluster.start(nodes)
        yield Place(folder, cluster, node, local)
    finally:
        if cluster is not None:
            spark_cluster.stop(cluster)
        hdfs.stop(folder / "hdfs")
        shutil.rmtree(nodes, ignore_errors=True)


def rows(spark: SparkSession, root: str, table: str) -> list[tuple[Any, ...]]:
    """Every row but for what is of one run or place; doubles to nine digits, as sums depend on the order of partitions."""
    found = Lake(spark, root, load(), Run("reader")).read_current(table)
    kept = found.select(*[name for name in found.columns if name not in OWN and not name.startswith("_file")])
    return sorted((tuple(rounded(value) for value in row) for row in kept.collect()), key=repr)


def rounded(value: Any) -> Any:
    """A value with its doubles, nested ones too, to nine digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, (list, tuple)):
        return tuple(rounded(each) for each in value)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return value


def test_every_row_is_that_of_a_local_run_whatever_worker_is_killed(spark: SparkSession, place: Place) -> None:
    """An executor in the ingest of events and one in training, of which Spark starts others; a worker in the making of lists."""
    driver = place.driver(*STEPS)
    kills = {
        "ingest_files events": spark_cluster.kill_executor, "train_recommender": spark_cluster.kill_executor,
        "build_recommendations": spark_cluster.kill_worker,
    }  # fmt: skip
    seen: list[tuple[str, str]] = []
    assert driver.stdout is not None
    for line in iter(driver.stdout.readline, ""):
        step = json.loads(line)
        assert step["message"] is None
        if step["status"] != "begun":
            seen.append((step["job"], step["status"]))
        elif step["job"] in kills:
            # Some of its tasks are done by then, and none of these jobs is.
            time.sleep(5)
            seen.append(("killed", str(kills[step["job"]](place.cluster) > 0)))
    driver.wait()
    ended = [*["ingest_files"] * len(SOURCES), *STEPS[1:]]
    assert (driver.returncode, [one for one in seen if one[0] != "killed"]) == (0, [(job, "succeeded") for job in ended])
    assert [one for one in seen if one[0] == "killed"] == [("killed", "True")] * len(kills)
    for table in COMPARED:
        assert rows(spark, place.lake, table) == rows(spark, place.local, table) != [], table
