"""Ingest: rows a second through bronze, silver and quarantine beside plain Spark, and increments of 1% beside the first load.

The peer is what a person would write first: spark.read.schema(...).csv(header).write.format("delta"), once, without keeping raw
lines, looking for duplicates or checking a value. One row in 1,000 of our file is bad, so that quarantine is written too. An
increment has new rows: ratings later than those before, texts with other ids. It is measured on a first load of that size and on a
larger one, for some seconds of it do not depend on its size.
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
from shoal.conf.loading import load
from shoal.runner.execute import execute
from shoal.runner.job import find_job

RATINGS, TEXTS, LARGER, ROUNDS = 5_000_000, 1_500_000, 4, 3
YEARS = 600_000_000
DAY = date(2024, 1, 1)


def write_ratings(path: Path, rows: int, seed: int, since: int = 1_000_000_000, seconds: int = YEARS) -> None:
    """Skewed users and items, half stars, unix seconds in order from `since` on; one rating in 1,000 is out of range."""
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
    schema = pa.schema([(name, pa.string()) for name in ("text_id", "author_id", "text", "label")])
    with pyarrow.csv.CSVWriter(path, schema) as file:
        for start in range(0, rows, 100_000):
            ids = range(start, min(rows, start + 100_000))
            picked = words[rng.integers(0, len(words), (len(ids), 25))]
            file.write_table(pa.table({
                "text_id": [f"t{seed}-{i}" for i in ids], "author_id": rng.integers(0, 50_000, len(ids)).astype(str),
                "text": [" ".join(row) for row in picked], "label": words[rng.integers(0, 2, len(ids))],
            }))  # fmt: skip


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


def write_more(source: str, path: Path, rows: int, number: int) -> None:
    """Increment `number`, from 1, of a first load with seed 1."""
    if source == "ratings":
        # Hours, one after the other.
        write_ratings(path, rows, number + 1, 1_000_000_000 + YEARS + number * 3600, 3600)
    else:
        write_texts(path, rows, number + 1)


def increments(spark: SparkSession, source: str, folder: Path, root: Path, count: int, first: float) -> dict[str, Any]:
    """A row: the median of increments of 1% of `count` rows into the lake at `root`, beside the seconds of its first load."""
    taken = []
    for number in range(1, ROUNDS + 1):
        path = folder / f"{source}-{number}.csv"
        write_more(source, path, count // 100, number)
        taken.append(seconds(lambda: ingest(spark, source, path, root)))  # noqa: B023
    ours = float(np.median(taken))
    return {
        "what": f"{source}, 1% more than {count:,} rows", "ours": ours, "peer": first, "ratio": ours / first, "unit": "s",
        "target": "<= 0.25, 0.1", "note": f"median of {ROUNDS}, one after the other; peer: the first load",
    }  # fmt: skip


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """For each source a row for the first load, medians of the rounds, ours and the peer in turn; and two for increments."""
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
            write(small, count // 100, 99)
            ingest(spark, source, small, folder / f"{source}-warm")
            plainly(spark, schema, small, folder / f"{source}-warm-plain")
            ours, peer = [], []
            for i in range(ROUNDS):
                peer.append(seconds(lambda: plainly(spark, schema, path, folder / f"{source}-plain-{i}")))  # noqa: B023
                ours.append(seconds(lambda: ingest(spark, source, path, folder / f"{source}-{i}")))  # noqa: B023
            first = float(np.median(ours))
            speed, plain_speed = count / first, count / float(np.median(peer))
            rows.append({
                "what": f"{source}.csv, {count:,} rows, {path.stat().st_size >> 20} MiB", "ours": speed, "peer": plain_speed,
                "ratio": speed / plain_speed, "unit": "rows/s", "target": ">= 0.6",
                "note": "peer: plain Spark, one read and one Delta write",
            })  # fmt: skip
            rows.append(increments(spark, source, folder, folder / f"{source}-0", count, first))
            write(path, count * LARGER, 1)
            large = seconds(lambda: ingest(spark, source, path, folder / f"{source}-large"))  # noqa: B023
            rows.append(increments(spark, source, folder, folder / f"{source}-large", count * LARGER, large))
            path.unlink()
    return rows
