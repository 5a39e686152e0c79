"""Python tasks on a real standalone cluster run in the archive that the driver sends."""

from __future__ import annotations

import os
import subprocess
import sys
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

def places(batches):
    import pandas as pd
    import shoal.ingest.formats.listing as listing
    for batch in batches:
        yield pd.DataFrame({"path": [listing.__file__] * len(batch)})

spark = spark_session("workers", "cluster", dict(pair.split("=", 1) for pair in sys.argv[1:]))
found = spark.range(0, 4, 1, 4).mapInPandas(places, "path string").distinct().collect()
print("\\n".join(row["path"] for row in found), flush=True)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = spark_cluster.start(tmp_path / "nodes")
    yield started
    spark_cluster.stop(started)


def test_tasks_run_in_the_archive_and_nowhere_else(cluster: Cluster, tmp_path: Path) -> None:
    write_archive(tmp_path / "workers.tar.gz")
    given = [f"spark.master={cluster.master}", f"spark.archives={tmp_path / 'workers.tar.gz'}#environment",
             "spark.driver.host=127.0.0.1", "spark.executor.memory=1g", "spark.ui.enabled=false"]  # fmt: skip
    environment = {**os.environ, "PYSPARK_PYTHON": "./environment/bin/python", "PYSPARK_DRIVER_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    paths = [Path(line) for line in done.stdout.split()]
    assert paths
    for path in paths:
        assert path.is_relative_to(tmp_path / "nodes"), path
        assert "environment/site-packages/shoal" in path.as_posix()
