"""Two processes that make the same tables at the same moment: each finds its tables, neither fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.lake.lake import Lake, Run

ROUNDS = 15
TABLE = "bronze.events"
# Makes the table of lake n as soon as the file n is there.
OTHER = """
import sys, time
from pathlib import Path
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.spark.session import spark_session

root, rounds, table = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
spark = spark_session("other", overrides={"spark.master": "local[1]", "spark.driver.memory": "1g"})
Lake(spark, root / "warm", load(), Run("other")).create(table)
(root / "ready").touch()
for number in range(rounds):
    while not (root / str(number)).exists():
        time.sleep(0.001)
    lake = Lake(spark, root / f"lake-{number}", load(), Run("other"))
    lake.create(table)
    assert lake.read_current(table).isEmpty()
"""


@pytest.mark.slow
def test_two_processes_may_make_a_table_at_once(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    # Before a table that another process makes was a conflict, one round in four was lost: fifteen hardly pass by chance.
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path), str(ROUNDS), TABLE], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "ready").exists():
            assert other.poll() is None, other.communicate()[1].decode()[-2000:]
            assert time.monotonic() < deadline, "the other process did not begin"
            time.sleep(0.05)
        for number in range(ROUNDS):
            (tmp_path / str(number)).touch()
            lake = Lake(spark, tmp_path / f"lake-{number}", settings, Run("one"))
            lake.create(TABLE)
            assert lake.read_current(TABLE).isEmpty()
        reported = other.communicate(timeout=240)[1].decode()
        assert other.returncode == 0, reported[-2000:]
    finally:
        other.kill()
        other.wait()
