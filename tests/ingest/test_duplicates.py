"""Which of silver's rows are looked at for keys that are made of a time."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from shoal.ingest.duplicates import where_keys_may_be


def test_of_the_source_rows_within_the_times_and_of_others_all(spark: SparkSession) -> None:
    def events(*rows: tuple[str, int, str]) -> DataFrame:
        made = [(name, datetime(2024, 1, day), source) for name, day, source in rows]
        return spark.createDataFrame(made, "event_id string, occurred_at timestamp, source string")

    silver = events(("a", 1, "ratings"), ("b", 2, "ratings"), ("c", 3, "ratings"), ("d", 4, "ratings"), ("e", 9, "events"))
    sound = events(("x", 3, "ratings"), ("y", 2, "ratings"))
    found = where_keys_may_be(silver, sound, "ratings", "occurred_at")
    assert sorted(row["event_id"] for row in found.collect()) == ["b", "c", "e"]
