"""Spoiled lines: each way on literal rows, the share, and times as text."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.simulate.spoil import WAYS, mark_spoiled, spoiled_key, spoiled_number, spoiled_time, utc_text
from shoal.simulate.world import WorldConf


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (None, ("e1", "4.5", "2025-06-29T23:59:59Z")),
        ("missing_key", (None, "4.5", "2025-06-29T23:59:59Z")),
        ("text_in_number", ("e1", "n/a", "2025-06-29T23:59:59Z")),
        ("time_in_milliseconds", ("e1", "4.5", "1751241599000")),
        ("duplicate_key", ("e1", "4.5", "2025-06-29T23:59:59Z")),
    ],
)
def test_each_way_spoils_one_thing(spark: SparkSession, way: str | None, expected: tuple[str | None, ...]) -> None:
    row = spark.createDataFrame([("e1", 4.5, 1_751_241_599, way)], "id string, value double, at long, spoiled string")
    row = row.withColumn("at", F.timestamp_seconds("at"))
    assert tuple(row.select(spoiled_key("id"), spoiled_number("value"), spoiled_time("at")).first()) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_751_241_661, "2025-06-30T00:01:01Z"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_times_are_utc_text_in_any_session(spark: SparkSession, seconds: int, text: str, zone: str) -> None:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        row = spark.range(1).select(utc_text(F.unix_seconds(F.timestamp_seconds(F.lit(seconds)))))
        assert row.first()[0] == text
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)


def test_the_share_of_spoiled_lines_and_every_way(spark: SparkSession) -> None:
    conf = WorldConf(dirty_ratio=0.1)
    rows = spark.range(20_000).select(F.concat(F.lit("e"), F.col("id").cast("string")).alias("id"))
    marked = mark_spoiled(rows, conf, "events", ["id"], has_number=True).collect()
    counts = Counter(row.spoiled for row in marked)
    assert set(counts) == {None, *WAYS}
    # 2,000 of 20,000, a standard error of 42; each way a quarter of them
    assert sum(counts[way] for way in WAYS) == pytest.approx(2_000, abs=170)
    assert all(counts[way] == pytest.approx(500, abs=100) for way in WAYS)
    # A duplicated line is there beside its good twin; nothing else is lost or added.
    twins = {row.id for row in marked if row.spoiled == "duplicate_key"}
    assert twins <= {row.id for row in marked if row.spoiled is None}
    assert len(marked) == 20_000 + len(twins)


def test_without_a_number_column_no_number_is_spoiled(spark: SparkSession) -> None:
    rows = spark.range(2_000).select(F.col("id").cast("string").alias("id"))
    marked = mark_spoiled(rows, WorldConf(dirty_ratio=0.5), "items", ["id"], has_number=False)
    assert {row.spoiled for row in marked.select("spoiled").distinct().collect()} == {None, *WAYS} - {"text_in_number"}


def test_a_clean_world_has_no_spoiled_line(spark: SparkSession) -> None:
    rows = spark.range(100).select(F.col("id").cast("string").alias("id"))
    marked = mark_spoiled(rows, WorldConf(), "items", ["id"], has_number=True)
    assert marked.where("spoiled is not null").isEmpty()
    assert marked.count() == 100
