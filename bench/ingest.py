"""Ingest: rows a second through bronze, silver and quarantine beside plain Spark, and a 1% increment beside the first load.

The peer is what a person would write first: spark.read.schema(...).csv(header).write.format("delta"), once, without keeping raw
lines, looking for duplicates or checking a value. One row in 1,000 of our file is bad, so that quarantine is written too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from pyspark.sql import SparkSession
from shoal.conf import load
from shoal.runs import execute, find_job

RATINGS, TEXTS, ROUNDS = 5_000_000, 1_500_000, 3
DAY = date(2024, 1, 1)


def write_ratings(path: Path, rows: int, seed: int, since: int = 1_000_000_000, seconds: int = 600_000_000) -> None:
    """Skewed users and items, half stars, unix seconds in order, from `since` on for so many; one rating in 1,000 is out of range."""
    rng = np.random.default_rng(seed)
    user = (rng.random(rows) ** 3 * 200_000).astype(int)
    item = (rng.random(rows) ** 3 * 60_000).astype(int)
    rating = np.where(rng.random(rows) < 0.001, 99.0, rng.integers(1, 11, rows) / 2)
    at = since + np.sort(rng.integers(0, seconds, rows))
    table = pa.table({"userId": user, "movieId": item, "rating": rating, "timestamp": at})
    pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_style="none"))


def write_texts(path: Path, rows: int, seed: int) -> None:
    """Quoted reviews of some 25 words, with commas and doubled quotes."""
    rng = np.random.default_rng(seed)
    words = np.array(["good", "bad", "shoe, red", '"quoted"', "size", "arrived", "late", "again", "colour", "love"])
    picked = words[rng.integers(0, len(words), (rows, 25))]
    table = pa.table({
        "text_id": [f"t{seed}-{i}" for i in range(rows)], "author_id": rng.integers(0, 50_000, rows).astype(str),
        "text": [" ".join(row) for row in picked], "label": words[rng.integers(0, 2, rows)],
    })  # fmt: skip
    pyarrow.csv.write_csv(table, path)


def seconds(action: Callable[[], Any]) -> float:
    """How long a call takes."""
    clock = time.monotonic()
    action()
    return time.monotonic() - clock


def ingest(spark: SparkSession, source: str, path: Path, root: Path) -> None:
    """The job, with its row in ops.runs."""
    result = execute(spark, find_job("ingest_files"), load(), root, DAY, {"source": source, "input": str(path)})
    assert result.status == "succeeded", result


def plainly(spark: SparkSession, schema: str, path: Path, target: Path) -> None:
    """Plain Spark: one read with a schema, one Delta write."""
    spark.read.schema(schema).option("header", True).option("escape", '"').csv(str(path)).write.format("delta").save(str(target))


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a source: median of the rounds, ours and the peer in turn; and one for the increment."""
    rows: list[dict[str, Any]] = []
    cases = [
        ("ratings", RATINGS, write_ratings, "user_id string, item_id string, rating double, timestamp bigint"),
        ("texts", TEXTS, write_texts, "text_id string, author_id string, text string, label string"),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source, count, write, schema in cases:
            path, small = folder / f"{source}.csv", folder / f"{source}-small.csv"
            write(path, count, 1)
            write(small, count // 100, 2)
            ingest(spark, source, small, folder / f"{source}-warm")
            plainly(spark, schema, small, folder / f"{source}-warm-plain")
            ours, peer = [], []
            for i in range(ROUNDS):
                peer.append(seconds(lambda: plainly(spark, schema, path, folder / f"{source}-plain-{i}")))  # noqa: B023
                ours.append(seconds(lambda: ingest(spark, source, path, folder / f"{source}-{i}")))  # noqa: B023
            speed, plain_speed = count / float(np.median(ours)), count / float(np.median(peer))
            rows.append({
                "what": f"{source}.csv, {count:,} rows, {path.stat().st_size >> 20} MiB", "ours": speed, "peer": plain_speed,
                "ratio": speed / plain_speed, "unit": "rows/s", "target": ">= 0.6",
                "note": "peer: plain Spark, one read and one Delta write",
            })  # fmt: skip
            increment = seconds(lambda: ingest(spark, source, small, folder / f"{source}-0"))  # noqa: B023
            rows.append({
                "what": f"{source}.csv, 1% more", "ours": increment, "peer": float(np.median(ours)),
                "ratio": increment / float(np.median(ours)), "unit": "s", "target": "<= 0.25", "note": "peer: the first load",
            })  # fmt: skip
    return rows
