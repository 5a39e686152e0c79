"""A lake on a real HDFS: a name node and a data node, started and stopped here. Every table equals that of a local run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import TransientError
from shoal.lake.lake import Lake, Run
from shoal.lake.leases import Lease, holders, take
from shoal.lake.query import answer
from shoal.models.registry import champion
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_world
from shoal.testing import hdfs

WORLD = WorldConf(users=40, items=30, events=900, texts=60, days=30, seed=5)
JOBS = ("build_users", "train_recommender", "rank_nodes", "build_recommendations")
SMALL = ["train_recommender.feedback=implicit", "train_recommender.ranks=[4]", "train_recommender.reg_params=[0.1]",
         "train_recommender.alphas=[1.0]", "train_recommender.max_iter=3", "train_recommender.experts=[]",
         "recommend.k=3"]  # fmt: skip
# Of one run or place: compared by the other columns.
OWN = {"run_id", "ingested_at", "_ingested_at", "model_version", "started_at", "ended_at", "seconds", "batch_id", "_batch_id"}
# Two lakes are built in the fixture of the first test.
pytestmark = pytest.mark.timeout(900)
COMPARED = ("silver.interactions", "silver.items", "silver.follows", "features.users", "gold.node_ranks")


@pytest.fixture(scope="module")
def lakes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(URI, local path) of a lake on HDFS and one on the disk, made by the same jobs of the same files."""
    folder = tmp_path_factory.mktemp("hdfs")
    try:
        node = hdfs.start(folder / "node")
    except TransientError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no HDFS: {error}")
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        write_world(spark, WORLD, folder / "raw", folder / "truth", partitions=2)
        local = str(folder / "local")
        build(spark, local, folder / "raw")
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'models.db'}"
        build(spark, f"{node.uri}/lake", folder / "raw")
        done(execute(spark, find_job("write_report"), load("local", SMALL), f"{node.uri}/lake", WORLD.as_of))
        yield f"{node.uri}/lake", local
    finally:
        if tracking is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = tracking
        hdfs.stop(folder / "node")


def build(spark: SparkSession, root: str, raw: Path) -> None:
    settings = load("local", SMALL)
    for source in ("items", "events", "edges"):
        done(execute(spark, find_job("ingest_files"), settings, root, WORLD.as_of, {"source": source, "input": str(raw / source)}))
    for job in JOBS:
        done(execute(spark, find_job(job), settings, root, WORLD.as_of))


def done(result: Result) -> None:
    assert (result.job, result.status, result.message) == (result.job, "succeeded", None)


def opened(spark: SparkSession, root: str) -> Lake:
    return Lake(spark, root, load(), Run("reader"))


def rows(lake: Lake, table: str) -> list[tuple[Any, ...]]:
    found = lake.read_current(table)
    return sorted((tuple(row) for row in found.select(*[c for c in found.columns if c not in OWN]).collect()), key=repr)


@pytest.mark.slow
def test_every_table_equals_that_of_a_local_run(spark: SparkSession, lakes: tuple[str, str]) -> None:
    there, here = (opened(spark, root) for root in lakes)
    for table in COMPARED:
        assert rows(there, table) == rows(here, table) != [], table
    lists = [[tuple(r) for r in lake.read_current("gold.recommendations").select("user_id", "rank", "item_id").collect()]
             for lake in (there, here)]  # fmt: skip
    assert sorted(lists[0]) == sorted(lists[1]) != []
    asked = answer(there, "select count(*) as n from gold.recommendations where rank = 1").collect()
    assert asked[0]["n"] == sum(rank == 1 for _, rank, _ in lists[1])
    # The model and the page lie beside the tables; nothing of the lake is on this machine's disk.
    files = there.store._file_system(lakes[0])
    assert files.exists(there.store._hadoop_path(f"{lakes[0]}/reports/{WORLD.as_of}/report.html"))
    model = champion(there, "shoal_recommender")
    assert model is not None and any(model.folder.rglob("recommender.json"))
    assert files.exists(there.store._hadoop_path(f"{lakes[0]}/mlruns"))
    assert not Path("hdfs:").exists()


@pytest.mark.slow
def test_a_lease_on_hdfs_keeps_a_second_run_out(spark: SparkSession, lakes: tuple[str, str], settings: Settings) -> None:
    lake = opened(spark, lakes[0])
    take(lake.commits, Lease(["build_users"], "another-run", "{}", 3600), datetime.now() + timedelta(days=1))  # noqa: DTZ005
    refused = execute(spark, find_job("build_users"), settings, lakes[0], WORLD.as_of)
    assert (refused.status, refused.exit_code) == ("failed", 4)
    assert (refused.message or "").startswith("build_users is running in this lake already (run another-run); wait for it")
    assert holders(lake.commits, ["build_users"])["build_users"].owner == "another-run"
