"""Each foreign format: records a second through bronze, silver and quarantine beside plain Spark reading the same bytes.

The peer is what a person would write first: for each kind of file one read (CSV with a header, JSON lines, whole JSON documents)
and one Delta write. It looks into no nested document, drops no double, checks nothing; pictures it leaves alone.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from shoal.conf.loading import load
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.simulate.formats import FORMATS
from shoal.simulate.world import WorldConf

from bench.ingest import seconds

WORLD = WorldConf(users=5_000, items=4_000, events=400_000, texts=40_000, days=90, seed=3)
WARM = WorldConf(users=60, items=60, events=1_500, texts=100, days=30, seed=4)


def kinds(folder: Path) -> dict[str, list[str]]:
    """The text files of a folder by kind: name without digits and folders."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".csv", ".tsv", ".json", ".jsonl") and path.stat().st_size:
            found[re.sub(r"part-[0-9a-f-]+|\d+", "", path.name)].append(str(path))
    return found


def read(spark: SparkSession, name: str, paths: list[str]) -> DataFrame:
    """Files of one kind, as Spark finds their columns."""
    if name.endswith((".csv", ".tsv")):
        return spark.read.options(header=True, sep="\t" if name.endswith(".tsv") else ",", escape='"').csv(paths)
    return spark.read.option("multiLine", name.endswith(".json")).json(paths)


def plainly(spark: SparkSession, folder: Path, target: Path) -> None:
    """A Delta table a kind of file."""
    for number, (name, paths) in enumerate(kinds(folder).items()):
        rows = read(spark, name, paths)
        # By number, as Delta refuses some of the names that archives have; those inside of columns need the mapping.
        plain = rows.toDF(*[f"c{i}" for i in range(len(rows.columns))]).write.format("delta")
        plain.option("delta.columnMapping.mode", "name").save(str(target / str(number)))


def ingest(spark: SparkSession, source: str, folder: Path, root: Path) -> int:
    """The job, with its row in ops.runs; returns the records that it read."""
    result = execute(spark, find_job("ingest_files"), load(), root, WORLD.as_of, {"source": source, "input": str(folder)})
    assert result.status == "succeeded", result
    return result.rows_in["files"]


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a source: one round after a small one that warms both, ours and the peer in turn."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for source, write in FORMATS.items():
            at = {size: root / f"{source}-{size}" for size in ("warm", "world")}
            write(spark, WARM, at["warm"])
            write(spark, WORLD, at["world"])
            records: list[int] = []
            for size, folder in at.items():
                peer = seconds(lambda: plainly(spark, folder, root / f"{source}-{size}-plain"))  # noqa: B023
                ours = seconds(lambda: records.append(ingest(spark, source, folder, root / f"{source}-{size}-lake")))  # noqa: B023
            size_of = sum(path.stat().st_size for path in at["world"].rglob("*") if path.is_file())
            rows.append({
                "what": f"{source}, {records[-1]:,} records, {size_of / 2**20:.1f} MiB", "ours": records[-1] / ours,
                "peer": records[-1] / peer, "ratio": peer / ours, "unit": "records/s", "target": "",
                "note": "peer: plain Spark, one read and one Delta write a kind of file",
            })  # fmt: skip
    return rows
