"""Counts as people write them."""

from __future__ import annotations

from pyspark.sql import SparkSession
from shoal.conf import load
from shoal.sources.fields import Field, typed

COUNTS = {
    "0": 0, " 1234 ": 1234, "1,234": 1234, "12,345,678": 12_345_678, "1234.0": 1234, "12.3k": 12_300, "1.2M": 1_200_000,
    "2b": 2_000_000_000, "1,234.5k": 1_234_500, "1.0005k": 1001, "3 k": 3000,
    "1.2345678E7": 12_345_678, "999999999999999": 999_999_999_999_999,
    "-1": None, "12.3": None, "1,23": None, "1.234.567": None, "k": None, "many": None, "": None, "1e3": None, "1.25E1": None,
    "9.9e20": None, "NaN": None, "Infinity": None, "12kk": None, "1234567890123456": None, "١٢": None,
}  # fmt: skip


def test_counts(spark: SparkSession) -> None:
    texts = spark.createDataFrame([(text,) for text in COUNTS], "n string")
    found = texts.select("n", typed(Field("n", "count"), load().ingest).alias("count")).collect()
    assert {row["n"]: row["count"] for row in found} == COUNTS
