"""Jobs on two workers of one core that share nothing but an HDFS, beside one local process of two cores; how their cost grows.

A simulated world of each of SIZES events goes through ingest and JOBS in this process; worlds grow in users and items as in events.
That of WORKED events goes through the same on a standalone cluster whose workers have the archive of `make dist`, folders of their
own and nothing of the driver's, with a lake at hdfs:// and input by WebHDFS. Figures are those of ops.job_metrics.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession, Window
from pyspark.sql import functions as F
from shoal.cli.jobs import DEMO_SETS
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.lake.store import Store
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_world
from shoal.spark.worker_archive import write_archive
from shoal.testing import hdfs, spark_cluster

from tests.cluster.driver import SOURCES, driver_command

# These end within a quarter of an hour on two cores.
SIZES = tuple(int(each) for each in os.environ.get("BENCH_EVENTS", "25000,100000,400000").split(","))
WORKED = SIZES[-2]
JOBS = ("build_users", "build_items", "build_edges", "find_communities", "rank_nodes", "train_recommender", "build_recommendations")
MEBIBYTE = 2**20


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a job and size, then a row a job on the cluster."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name:
        folder = Path(name)
        seconds: dict[tuple[str, int], float] = {}
        for size in SIZES:
            raw = folder / f"raw-{size}"
            write_world(spark, world(size), raw, folder / "truth" / str(size), partitions=2)
            for job, figures in local_figures(spark, folder / f"lake-{size}", raw, world(size)).items():
                seconds[job, size] = figures["seconds"]
                smaller = seconds.get((job, size // 4))
                ratio = smaller and figures["seconds"] / smaller
                rows.append({"what": f"{job}, {size:,} events", "ours": figures["seconds"], "ratio": ratio,
                             "unit": "s; ratio: to a quarter of the size", "target": "n log n: about 4.5",
                             "note": noted(figures)})  # fmt: skip
            sys.stderr.write(f"cluster: {size:,} events, {sum(s for (_, n), s in seconds.items() if n == size):.0f} s\n")
            if size != WORKED:
                shutil.rmtree(raw)
        for job, figures in cluster_figures(spark, folder, folder / f"raw-{WORKED}").items():
            peer = seconds[job, WORKED]
            rows.append({
                "what": f"{job}, {WORKED:,} events, two workers and HDFS", "ours": figures["seconds"], "peer": peer,
                "ratio": figures["seconds"] / peer, "unit": "s", "note": f"peer: one local process; {noted(figures)}",
            })  # fmt: skip
    return rows


def world(events: int) -> WorldConf:
    """A world of so many events, 25 a user and 50 an item, and a text for 20 of them."""
    return WorldConf(users=events // 25, items=events // 50, events=events, texts=events // 20)


def noted(figures: Row) -> str:
    """What a job moved: shuffled, sent to the driver, and its longest task."""
    shuffled, sent = figures["shuffle_bytes_written"] / MEBIBYTE, figures["result_bytes"] / MEBIBYTE
    return f"shuffled {shuffled:.1f} MiB, to the driver {sent:.1f} MiB, longest task {figures['longest_task_seconds']:.1f} s"


def local_figures(spark: SparkSession, lake: Path, raw: Path, made: WorldConf) -> dict[str, Row]:
    """The figures of each job in this process."""
    settings = load(sets=list(DEMO_SETS))
    given = [("ingest_files", {"source": source, "input": str(raw / source)}) for source in SOURCES]
    for name, values in [*given, *((name, None) for name in JOBS)]:
        result = execute(spark, find_job(name), settings, lake, made.as_of, values)
        assert result.exit_code == 0, result.message
    return figures_of(spark, str(lake))


def figures_of(spark: SparkSession, lake: str) -> dict[str, Row]:
    """The row of ops.job_metrics of each job; that of the events' ingest, which has most rows, for all of them."""
    rows = Lake(spark, lake, load(), Run("bench")).read_current("ops.job_metrics")
    largest = F.row_number().over(Window.partitionBy("job").orderBy(F.desc("rows_written")))
    found = {row["job"]: row for row in rows.withColumn("n", largest).where("n = 1").collect()}
    return {job: found[job] for job in ("ingest_files", *JOBS)}


def cluster_figures(spark: SparkSession, folder: Path, raw: Path) -> dict[str, Row]:
    """The figures of each job on the cluster, from a driver of its own."""
    write_archive(folder / "workers.tar.gz")
    with storage(folder) as node, workers() as cluster:
        for source in SOURCES:
            Store(spark, node.uri).copy_in(raw / source, f"{node.uri}/raw/{source}")
        made = world(WORKED).as_of
        command, environment = driver_command(cluster, node, folder, made, ("ingest", *JOBS), DEMO_SETS, "2g", 8)
        subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
        return figures_of(spark, f"{node.uri}/lake")


@contextmanager
def storage(folder: Path) -> Iterator[hdfs.Hdfs]:
    """An HDFS of one name node and one data node, while the block lasts."""
    node = hdfs.start(folder / "hdfs")
    try:
        yield node
    finally:
        hdfs.stop(folder / "hdfs")


@contextmanager
def workers() -> Iterator[spark_cluster.Cluster]:
    """A master and two workers of one core in a folder that their user sees, while the block lasts."""
    nodes = Path(tempfile.mkdtemp(prefix="shoal-nodes-"))
    nodes.chmod(0o755)
    cluster = spark_cluster.start(nodes, memory="3g")
    try:
        yield cluster
    finally:
        spark_cluster.stop(cluster)
        shutil.rmtree(nodes, ignore_errors=True)
