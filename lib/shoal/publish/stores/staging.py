"""Sorted Parquet files between Spark and a store: the workers write them, one process merges them into any store.

The driver never holds an export: it reads BATCH_ROWS of each file at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.spark.driver_files import written_by_tasks

# Rows of a file in memory; values of lists are some kilobytes, so that 16 files are some 50 MB.
BATCH_ROWS = 1_000
# Files of an export: more would be more batches in memory.
MAX_FILES = 16

Pair = tuple[bytes, bytes]


def stage(frames: Mapping[str, DataFrame], folder: Path) -> None:
    """Write key and value of each export, sorted by key within each of at most MAX_FILES files an export. One query for all
    exports: a small one costs no job of its own. No shuffle beyond the frames' own."""
    rows = reduce(DataFrame.unionAll, [
        frame.select(F.lit(name).alias("export"), F.col("key").cast("binary"), F.col("value").cast("binary"))
        for name, frame in frames.items()
    ])  # fmt: skip
    sorted_rows = rows.coalesce(MAX_FILES).sortWithinPartitions("export", "key")
    with written_by_tasks(rows.sparkSession, folder) as place:
        sorted_rows.write.mode("overwrite").partitionBy("export").option("compression", "lz4raw").parquet(place)


def staged_pairs(folder: Path, name: str) -> Iterator[Pair]:
    """The keys and values of a staged export in the order of the keys' bytes; none for one without rows. Memory: BATCH_ROWS rows
    of each file."""
    files = sorted(folder.glob(f"export={name}/*.parquet"))
    return heapq.merge(*[_pairs_of(file) for file in files], key=_first)


def _first(pair: Pair) -> bytes:
    return pair[0]


def _pairs_of(file: Path) -> Iterator[Pair]:
    opened: Any = pq.ParquetFile(file)
    try:
        for batch in opened.iter_batches(BATCH_ROWS):
            yield from zip(batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True)
    finally:
        opened.close()
