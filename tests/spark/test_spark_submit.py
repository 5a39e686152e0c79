"""A job file runs under the real spark-submit, in a process of its own, with the project's Spark properties."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.lake.lake import Lake, Run
from shoal.spark.java import java_home

from tests.runner.test_kill import DAY

ROOT = Path(__file__).resolve().parents[2]


def submit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """spark-submit of this interpreter's environment, on this interpreter."""
    command = [str(Path(sys.executable).parent / "spark-submit"), "--properties-file", "conf/spark/local.conf"]
    env = os.environ | {"JAVA_HOME": java_home(), "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    env.pop("SPARK_HOME", None)
    command += ["--driver-memory", "1g", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_spark_submit_runs_a_job_file(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    source = tmp_path / "ratings.csv"
    source.write_text("userId,movieId,rating,timestamp\nu1,i1,4.0,1700000000\nu1,i2,3.5,1700000100\nu2,i1,1.0,1700000200\n")
    lake = str(tmp_path / "lake")
    own = ("--source", "ratings", "--input", str(source))
    done = submit("jobs/ingest/ingest_files.py", "--lake", lake, "--as-of", "2024-01-01", *own)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert (summary["job"], summary["status"], summary["as_of"]) == ("ingest_files", "succeeded", DAY.isoformat())
    rows = Lake(spark, lake, settings, Run("reader")).read("silver.interactions", before=date(2024, 1, 1))
    assert sorted((r["user_id"], r["item_id"], r["value"]) for r in rows.collect()) == [
        ("u1", "i1", 4.0), ("u1", "i2", 3.5), ("u2", "i1", 1.0),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = submit("jobs/features/build_users.py", "--lake", str(tmp_path), "--set", "half_life=3")
    assert done.returncode == 2
    # spark-submit sends both of a Python driver's streams to its own standard output
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("shoal: ")]
    assert said == ["shoal: --set half_life: no such setting; did you mean half_life_days?"]
    assert "Traceback" not in done.stdout + done.stderr
