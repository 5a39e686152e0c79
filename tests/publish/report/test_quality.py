"""What ingest refused, and which files came in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.blocks import Missing, Prose, Table
from shoal.publish.report.quality import quality_part, rejects_by_rule

QUARANTINE = "source string, record_type string, file string, line bigint, rule string, reason string, raw string"
FILES = (
    "source string, record_type string, path string, bytes bigint, records bigint, ingested bigint, duplicates bigint, "
    "rejected bigint, "
    "ingested_at timestamp"
)


@pytest.fixture(scope="module")
def quarantine(spark: SparkSession) -> DataFrame:
    rows = [
        ("movielens", "ratings", "/in/b.csv", 2, "check", "rating is 11", "1,2,11"),
        ("movielens", "ratings", "/in/a.csv", 900, "check", "rating is 12", "1,2,12"),
        ("movielens", "ratings", "/in/a.csv", 31, "check", "rating is 13", "x" * 5000),
        ("events", "events", "/in/e.csv", 4, "required", "user_id is null", "<script>alert(1)</script>"),
    ]
    return spark.createDataFrame(rows, QUARANTINE)


def test_rejects_are_counted_by_rule_with_their_first(quarantine: DataFrame) -> None:
    rows = rejects_by_rule(quarantine)
    assert [(r["source"], r["rule"], r["rejects"], r["file"], r["line"]) for r in rows] == [
        ("movielens", "check", 3, "/in/a.csv", 31), ("events", "required", 1, "/in/e.csv", 4),
    ]  # fmt: skip
    assert len(rows[0]["raw"]) == 121  # a long record never reaches the driver whole


def test_the_part_shows_rules_and_files(spark: SparkSession, quarantine: DataFrame, absent: Callable[[str], Missing]) -> None:
    at = datetime(2024, 3, 31, 8, 0, 5)
    files = spark.createDataFrame([("movielens", "ratings", "/in/a.csv", 5000, 2000, 1990, 8, 2, at)], FILES)
    part = quality_part(quarantine, files, absent)
    assert part.finding == "4 records refused by ingest."
    rules, came = (b for b in part.blocks if isinstance(b, Table))
    assert [c.text for c in rules.rows[0]][:3] == ["check", "3", "rating is 13"]
    assert (rules.rows[0][0].under, rules.rows[1][0].under) == ("movielens · ratings", "events")
    assert rules.rows[0][2].under == "a.csv, line 31"
    assert len(rules.rows[0][3].text) == 120
    assert rules.rows[0][3].text.endswith("…")
    assert [c.text for c in came.rows[0]] == ["a.csv", "2,000", "1,990", "8", "2", "2024-03-31 08:00:05 UTC"]
    assert came.rows[0][4].under == "0.1%"


def test_nothing_refused_and_nothing_ingested(spark: SparkSession, quarantine: DataFrame, absent: Callable[[str], Missing]) -> None:
    files = spark.createDataFrame([("events", "events", "e.csv", 1, 0, 0, 0, 0, datetime(2024, 3, 31))], FILES)
    part = quality_part(quarantine.limit(0), files, absent)
    assert Prose("Every record was accepted.") in part.blocks
    assert part.finding == ""
    assert [b.what for b in quality_part(None, None, absent).blocks if isinstance(b, Missing)] == ["ops.ingest_files"]
