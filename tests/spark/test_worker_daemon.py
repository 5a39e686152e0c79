"""Python workers run without the archives that Spark puts on their import path, with their libraries imported before the fork."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from shoal.spark.worker_daemon import drop_archives


def test_archives_go_and_folders_stay_in_order() -> None:
    assert drop_archives(["/a/pyspark.zip", "/lib", "", "/b/core.JAR", "/zip"]) == ["/lib", "", "/zip"]


def test_a_worker_has_its_libraries_before_its_first_task_frozen_and_no_archive_on_its_path(spark: SparkSession) -> None:
    def report(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import gc
        import sys

        for _ in batches:
            facts = {
                "frozen": gc.get_freeze_count(),
                "missing": [n for n in ("numpy", "pandas", "pyarrow", "scipy.sparse", "scipy.linalg") if n not in sys.modules],
                "archives": [entry for entry in sys.path if entry.endswith((".zip", ".jar"))],
            }
            yield pa.RecordBatch.from_pylist([facts])

    # 50,000 objects are more than Python's own: those of the libraries.
    frame = spark.range(1).coalesce(1).mapInArrow(report, "frozen bigint, missing array<string>, archives array<string>")
    (row,) = frame.collect()
    assert (row["missing"], row["archives"]) == ([], [])
    assert row["frozen"] > 50_000
