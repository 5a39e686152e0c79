"""Python workers run without the archives that Spark puts on their import path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from shoal.spark.worker_daemon import drop_archives


def test_archives_go_and_folders_stay_in_order() -> None:
    assert drop_archives(["/a/pyspark.zip", "/lib", "", "/b/core.JAR", "/zip"]) == ["/lib", "", "/zip"]


def test_a_worker_has_no_archive_on_its_path(spark: SparkSession) -> None:
    def path(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import sys

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"entry": list(sys.path)})

    entries = [row["entry"] for row in spark.range(1).coalesce(1).mapInArrow(path, "entry string").collect()]
    assert entries
    assert [entry for entry in entries if entry.endswith((".zip", ".jar"))] == []
