"""Triage on literal rows: what becomes of sound records, and the same verdicts on the driver and in Spark."""

from __future__ import annotations

import random
from datetime import datetime, timezone

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.ingest.duplicates import duplicates_in_silver, duplicates_within, repeated, with_hashes
from shoal.ingest.small_triage import (
    KeyRow,
    Lookup,
    SilverRow,
    Verdict,
    collect_keys,
    look_up,
    times_of,
    verdicts_of,
)
from shoal.lake.contract import contract

MADE = contract("silver.interactions")
WITHIN, THERE = "event_id: the same key with other values is at ", "event_id: silver.interactions has this key with other values"


def row(line: int, key: int, content: int, rule: str | None = None, file: str = "a.csv") -> KeyRow:
    return KeyRow(file, line, rule, (key, key), content, None)


def test_the_first_record_of_a_key_stays_and_silver_is_compared_with_that_one_alone() -> None:
    rows = [row(2, 1, 10), row(3, 1, 10), row(4, 1, 11), row(5, 2, 20), row(6, 2, 21), row(7, 3, 30), row(8, 4, 40, "type"),
            row(2, 4, 41, file="b.csv"), row(3, 5, 50, file="b.csv")]  # fmt: skip
    silver = {(2, 2): SilverRow(21, "events", "r0"), (3, 3): SilverRow(30, "events", "r0"), (9, 9): SilverRow(1, "events", "r0")}
    found = verdicts_of(rows, MADE, silver, False, set())
    assert found == [
        Verdict("a.csv", 3, "duplicate", WITHIN + "a.csv:2"), Verdict("a.csv", 4, "conflict", WITHIN + "a.csv:2"),
        Verdict("a.csv", 5, "conflict", THERE), Verdict("a.csv", 6, "conflict", WITHIN + "a.csv:5"),
        Verdict("a.csv", 7, "duplicate", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keeps_newest", "adopted", "verdicts"),
    [
        (False, set(), ["duplicate", "conflict"]),
        (True, set(), ["duplicate"]),
        (False, {("events", "dead")}, ["conflict"]),
        (True, {("events", "dead")}, []),
        # Another source's row, or another run's, is not adopted.
        (True, {("texts", "dead"), ("events", "other")}, ["duplicate"]),
    ],
)
def test_rows_of_a_run_that_did_not_finish_are_written_again(
    keeps_newest: bool, adopted: set[tuple[str, str]], verdicts: list[str]
) -> None:
    silver = {(1, 1): SilverRow(10, "events", "dead"), (2, 2): SilverRow(20, "events", "dead")}
    found = verdicts_of([row(2, 1, 10), row(3, 2, 99)], MADE, silver, keeps_newest, adopted)
    assert [each.verdict for each in found] == verdicts


def test_times_are_those_of_sound_records_where_keys_are_derived_from_a_time() -> None:
    rows = [KeyRow("f", n, rule, (n, n), n, at) for n, rule, at in ((1, None, 5), (2, None, 3), (3, "type", 1), (4, None, None))]
    assert times_of(rows, "occurred_at", "ratings") == ("occurred_at", "ratings", 3, 5)
    assert (times_of(rows, None, "ratings"), times_of(rows[2:], "occurred_at", "ratings")) == (None, None)


def events(spark: SparkSession, rows: list[tuple[str, int, str, str]]) -> DataFrame:
    """Sound records of (file, line, event id, item), in the columns of silver.interactions but source and run_id."""
    made = [(file, line, key, "u", item, "like", None, datetime(2024, 1, 1)) for file, line, key, item in rows]
    types = "_file string, _line bigint, event_id string, user_id string, item_id string, event string, value double"
    return spark.createDataFrame(made, f"{types}, occurred_at timestamp")


def test_the_verdicts_on_the_driver_are_those_in_spark(spark: SparkSession) -> None:
    """200 records of 60 keys in 3 files against silver with 40 of the keys, of finished and unfinished runs."""
    draw = random.Random(7)
    places = [(f"f{n % 3}.csv", n + 2) for n in range(200)]
    records = events(spark, [(*place, f"e{draw.randrange(60)}", f"i{draw.randrange(2)}") for place in places])
    there = events(spark, [("", n, f"e{n}", "i0") for n in range(40)]).drop("_file")
    is_dead = F.col("_line") % 4 == 0
    silver = there.select(
        *[name for name in there.columns if name != "_line"],
        F.when(F.col("_line") % 3 == 0, "texts").otherwise("events").alias("source"),
        F.when(is_dead, "dead").otherwise("done").alias("run_id"),
    ).persist()
    hashed = with_hashes(records, MADE)
    within = duplicates_within(hashed, MADE, repeated(hashed.select("_h"), 200))

    def with_open(known: DataFrame) -> DataFrame:
        return known.withColumn("_is_open", F.expr("_source = 'events' and _run = 'dead'"))

    for keeps_newest in (False, True):
        against = duplicates_in_silver(hashed, MADE, silver, with_open, keeps_newest, 200).join(
            within, ["_file", "_line"], "left_anti"
        )
        in_spark = within.unionByName(against).where("verdict <> 'adopted'").collect()
        (keys,), pairs = collect_keys([(records.withColumn("_rule", F.lit(None).cast("string")), MADE, None)])
        known = look_up([Lookup(silver, MADE, {key.key for key in keys})])[0]
        on_driver = verdicts_of(keys, MADE, known, keeps_newest, {("events", "dead")})
        assert {v.verdict for v in on_driver} == {"duplicate", "conflict"}
        # The reason of an equal row of silver is shown nowhere.
        assert {tuple(v[:3]) for v in on_driver} == {(r["_file"], r["_line"], r["verdict"]) for r in in_spark}
        conflicts = {(r["_file"], r["_line"], r["reason"]) for r in in_spark if r["verdict"] == "conflict"}
        assert {(v.file, v.line, v.reason) for v in on_driver if v.verdict == "conflict"} == conflicts
        assert pairs == []


def test_keys_of_several_frames_and_pairs_are_one_collection(spark: SparkSession) -> None:
    one = events(spark, [("b", 1, "x", "i"), ("a", 2, "y", "i")]).withColumn("_rule", F.lit(None).cast("string"))
    two = events(spark, [("c", 3, "x", "i")]).withColumn("_rule", F.lit("type"))
    pairs = spark.createDataFrame([("ratings", "hash")], "record_type string, id string")
    (first, second), known = collect_keys([(one, MADE, "occurred_at"), (two, MADE, None)], pairs)
    assert [(k.file, k.line, k.rule) for k in first + second] == [("a", 2, None), ("b", 1, None), ("c", 3, "type")]
    assert (first[1].key, first[1].content) == (second[0].key, second[0].content)
    assert {k.at for k in first} == {int(datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp() * 1e6)}
    assert (second[0].at, known) == (None, [("ratings", "hash")])
