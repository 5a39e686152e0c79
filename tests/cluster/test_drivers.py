"""Drivers that share a lake on HDFS: several at once, and one that is killed; nothing is lost and nothing doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.testing import hdfs
from shoal.testing.hdfs import Hdfs

from tests.runner.test_kill import kill_when
from tests.support.long import long

pytestmark = [pytest.mark.slow, long, pytest.mark.timeout(900)]

EVENTS = [{"event_id": f"e{n}", "user_id": f"u{n % 7}", "item_id": f"i{n % 5}", "event": "like", "occurred_at": 1_600_000_000 + n}
          for n in range(500)]  # fmt: skip
EDGES = [{"src_id": f"u{n}", "dst_id": f"u{n + 1}", "occurred_at": 1_600_000_000} for n in range(6)]
# Seconds after which the lease of a killed run is free. Each run renews it four times as often, by a MERGE of some seconds.
LEASE = {"killed": 10, "at-once": 120}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    folder = tmp_path_factory.mktemp("drivers") / "hdfs"
    yield hdfs.start(folder)
    hdfs.stop(folder)


def driver(lake: str, *words: str) -> subprocess.Popen[str]:
    """A command in a process of its own, in a process group of its own."""
    sets = ["spark.driver.memory=1g", "spark.master=local[1]", f"lake.lease_seconds={LEASE[lake.rpartition('/')[2]]}"]
    command = [sys.executable, "-m", "shoal", *words, "--lake", lake, *(part for pair in sets for part in ("--set", pair))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)


def ingest(lake: str, source: str, file: Path) -> subprocess.Popen[str]:
    return driver(lake, "ingest", "--source", source, "--input", str(file))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=600)[1]
    return process.returncode, said


def lines(folder: Path, name: str, records: list[dict[str, object]]) -> Path:
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def ids(spark: SparkSession, lake: str, table: str, column: str) -> list[str]:
    rows = Lake(spark, lake, load(), Run("reader")).read(table).select(column).collect()
    return sorted(row[0] for row in rows)


def test_equal_and_different_jobs_at_once(spark: SparkSession, node: Hdfs, tmp_path: Path) -> None:
    """Of two equal ones that meet one is refused, by a line that names the other; a different one is not disturbed."""
    lake, events = f"{node.uri}/at-once", lines(tmp_path, "events", EVENTS)
    assert ended(ingest(lake, "edges", lines(tmp_path, "edges", EDGES)))[0] == 0
    equal = [ingest(lake, "events", events) for _ in range(2)]
    other = driver(lake, "run", "rank_nodes", "--as-of", "2024-01-01")
    outcomes = sorted(ended(process) for process in equal)
    assert ended(other)[0] == 0
    # The second may come when the first has ended: then it finds the file ingested.
    assert [code for code, _ in outcomes] in ([0, 4], [0, 0])
    if outcomes[1][0]:
        assert "is running in this lake already" in outcomes[1][1]
    assert ids(spark, lake, "silver.interactions", "event_id") == sorted(str(event["event_id"]) for event in EVENTS)
    ranks = Lake(spark, lake, load(), Run("reader")).read("gold.node_ranks").where("kind = 'follows' and rank = 1").collect()
    assert [row["node_id"] for row in ranks] == ["u6"]  # the end of the chain of follows


def test_a_driver_that_is_killed_in_an_ingest_is_finished_by_the_next(spark: SparkSession, node: Hdfs, tmp_path: Path) -> None:
    """Killed when its first records are in bronze; the next run waits for no one but the lease."""
    lake, events = f"{node.uri}/killed", lines(tmp_path, "events", EVENTS)
    log = f"http://{node.web_uri.removeprefix('webhdfs://')}/webhdfs/v1/killed/bronze/events/_delta_log?op=LISTSTATUS"

    def in_bronze() -> bool:
        try:
            with urlopen(log, timeout=10) as answer:
                return sum(f["pathSuffix"].endswith(".json") for f in json.load(answer)["FileStatuses"]["FileStatus"]) > 1
        except HTTPError as error:
            # The folder is not there yet.
            assert error.code == 404
            return False

    process = ingest(lake, "events", events)
    kill_when(process, in_bronze)  # type: ignore[arg-type]
    assert process.returncode == -9
    refused = ended(ingest(lake, "events", events))
    # Where this start took longer than the lease, it is the one that finishes.
    assert refused[0] in (0, 4)
    if refused[0]:
        assert ended(ingest(lake, "events", events))[0] == 0
    wanted = sorted(str(event["event_id"]) for event in EVENTS)
    assert ids(spark, lake, "silver.interactions", "event_id") == wanted
    assert len(ids(spark, lake, "bronze.events", "_line")) == len(EVENTS)
