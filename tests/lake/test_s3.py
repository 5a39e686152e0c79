"""A lake in a bucket, by Hadoop's s3a: ingest, features, a model and its files, SQL, and a person who is erased. `make test-s3`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from pyspark.sql import SparkSession
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_world
from shoal.testing import s3
from shoal.testing.s3 import S3

from tests.lake.test_hdfs import SMALL

WORLD = WorldConf(users=40, items=30, events=900, texts=60, days=30, seed=5)
LAKE = "s3a://lakes/one"
SERVER = os.environ.get("SHOAL_S3_SERVER")
pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(1800),
    pytest.mark.skipif(SERVER is None, reason="make test-s3 installs the server and the client's 280 MB"),
]  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3]:
    s3.bring()
    started = s3.start(Path(SERVER or ""), tmp_path / "s3.log")
    s3.make_bucket(started, "lakes")
    yield started
    s3.stop(started)


def test_a_lake_in_a_bucket(spark: SparkSession, server: S3, tmp_path: Path) -> None:
    write_world(spark, WORLD, tmp_path / "raw", tmp_path / "truth", partitions=1)
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
                   "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'models.db'}"}  # fmt: skip

    def shoal(*arguments: str, lake: str = LAKE, sets: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        given = [part for pair in [*s3.spark_settings(server), *(sets or [])] for part in ("--set", pair)]
        command = [sys.executable, "-m", "shoal", *arguments, "--lake", lake, *given]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)

    def done(*arguments: str, sets: list[str] | None = None) -> str:
        found = shoal(*arguments, sets=sets)
        assert found.returncode == 0, found.stderr[-2000:]
        return found.stdout

    day = ["--as-of", str(WORLD.as_of)]
    for source in ("items", "events"):
        done("ingest", "--source", source, "--input", str(tmp_path / "raw" / source), *day)
    done("run", "build_users", *day)
    done("run", "train_recommender", *day, sets=SMALL)
    count = "select count(*) as n, min(user_id) as first from silver.interactions"
    before = json.loads(done("sql", count, "--format", "json"))
    assert before["n"] > 800
    with urlopen(f"http://127.0.0.1:{server.port}/lakes?list-type=2&prefix=one/mlruns/", timeout=30) as listed:
        assert b"recommender.json" in listed.read()
    done("erase", "--user", before["first"], "--models-cleared")
    after = json.loads(done("sql", count, "--format", "json"))
    assert after["first"] > before["first"]
    refused = shoal("run", "build_users", *day, lake="s3a://no-such-bucket/one")
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (3, 1), refused.stderr[-2000:]
    assert "there is no such bucket; make it first" in refused.stderr
