"""Python tasks on a real standalone cluster run in the archive that the driver sends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from shoal.spark.worker_archive import write_archive
from shoal.testing import spark_cluster
from shoal.testing.spark_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Run by a driver of its own: this process has a session already.
SCRIPT = """
import sys
from shoal.spark.session import spark_session

# What only drivers, servers and tests import.
APART = ("shoal.cli", "shoal.testing", "shoal.publish.api", "shoal.spark.jars", "shoal.__main__", "shoal._home")

def places(batches):
    import importlib, pkgutil
    import pandas as pd
    import shoal
    names = [found.name for found in pkgutil.walk_packages(shoal.__path__, "shoal.")]
    modules = [importlib.import_module(name) for name in names if not name.startswith(APART)]
    for batch in batches:
        yield pd.DataFrame({"path": [module.__file__ for module in modules]})

spark = spark_session("workers", "cluster", dict(pair.split("=", 1) for pair in sys.argv[1:]))
found = spark.range(0, 2, 1, 2).mapInPandas(places, "path string").distinct().collect()
print("\\n".join(row["path"] for row in found), flush=True)
"""


def run_script(cluster: Cluster, *given: str) -> subprocess.CompletedProcess[str]:
    sets = [f"spark.master={cluster.master}", "spark.driver.host=127.0.0.1", "spark.executor.memory=1g", "spark.ui.enabled=false"]
    environment = {**os.environ, "PYSPARK_PYTHON": "./environment/bin/python", "PYSPARK_DRIVER_PYTHON": sys.executable}
    command = [sys.executable, "-c", SCRIPT, *sets, *given]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Path]:
    """A folder that other users can reach, as whom the nodes run."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-nodes-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(nodes: Path) -> Iterator[Cluster]:
    started = spark_cluster.start(nodes)
    yield started
    spark_cluster.stop(started)


def test_tasks_run_in_the_archive_and_nowhere_else(cluster: Cluster, nodes: Path, tmp_path: Path) -> None:
    """Every module that a task may need can be imported there; what has functions for tasks is sent by its module's name."""
    write_archive(tmp_path / "workers.tar.gz")
    done = run_script(cluster, f"spark.archives={tmp_path / 'workers.tar.gz'}#environment")
    assert done.returncode == 0, done.stderr[-2000:]
    paths = [Path(line) for line in done.stdout.split()]
    assert len(paths) > 300
    for path in paths:
        assert path.is_relative_to(nodes), path
        assert "environment/site-packages/shoal" in path.as_posix()


def test_a_session_whose_workers_get_no_python_is_refused(cluster: Cluster) -> None:
    done = run_script(cluster)
    assert done.returncode == 1
    # Spark's own lines about the session that ends may come before and after it.
    said = [line for line in done.stderr.splitlines() if "UsageError: " in line]
    assert [line.partition("UsageError: ")[2] for line in said] == [
        "workers would run ./environment/bin/python, which no archive brings: "
        "--set spark.archives=dist/shoal-workers.tar.gz#environment (`make dist` writes it)"
    ]
