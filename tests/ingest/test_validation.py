"""A part with further outputs: each record judged by all of them, and rows of each made from bronze."""

from __future__ import annotations

from datetime import date, datetime

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field
from shoal.ingest.record_type import DerivedTable, RecordType, unlabelled
from shoal.ingest.validation import rows_of, silver_of, with_fields, with_verdict

DAY = date(2024, 1, 1)


def _texts(conf: IngestConf) -> dict[str, Column]:
    empty = dict.fromkeys(("item_id", "conversation_id"), F.lit(None)) | unlabelled()
    return {"text_id": F.col("id"), "kind": F.lit("message"), "author_id": F.col("who"), "text": F.col("said"),
            "created_at": F.col("at"), **empty}  # fmt: skip


def _users(conf: IngestConf) -> dict[str, Column]:
    return {"user_id": F.col("who"), "username": F.col("name"), "followers": F.col("followers"), "following": F.lit(None),
            "created_at": F.lit(None)}  # fmt: skip


def _likes(conf: IngestConf) -> Column:
    who = F.from_json("likes", "array<string>")
    return F.transform(who, lambda user: F.struct(
        F.lit("like").alias("event"), F.concat("id", F.lit("-"), user).alias("event_id"), user.alias("user_id"),
        F.col("id").alias("item_id"), F.lit(None).cast("double").alias("value"), F.col("at").alias("occurred_at"),
    ))  # fmt: skip


PART = RecordType(
    "said", "bronze.texts", "silver.texts",
    (Field("id", "id", True), Field("who", "id", True), Field("name", "text"), Field("followers", "whole"),
     Field("said", "text", True), Field("at", "time"), Field("likes", "text")),
    _texts,
    also=(
        DerivedTable("silver.users", _users, lambda: F.col("name").isNotNull()),
        DerivedTable("silver.interactions", _likes, keeps_newest=False),
    ),
)  # fmt: skip


def test_records_are_judged_by_every_output_and_derived_rows_have_one_row_a_key(spark: SparkSession) -> None:
    conf = load().ingest
    rows = [
        ("a", 1, "m1", "u1", "ann", "5", "hi", "10", '["u2", "u3"]'),
        ("b", 2, "m1", "u1", "anna", "7", "hi", "10", '["u2"]'),
        ("b", 3, "m2", "u2", "bob", "-1", "ho", "10", None),  # silver.users: followers below 0
        ("b", 4, "m3", "u3", None, "-1", "ho", "10", None),  # gives no row of silver.users
        ("b", 5, "m4", "u4", None, None, "ho", "10", '["u5", ""]'),  # silver.interactions: an empty user
        ("b", 6, "m5", "u5", None, None, "ho", None, '["u5"]'),  # an event without a time is valid
        ("b", 7, "m6", "u6", "eve", None, None, "10", None),  # no text
        ("b", 8, "m7", "u7", None, None, "ho", "10", "[]"),  # gives no event
    ]
    names = [field.name for field in PART.fields]
    types = "_file string, _line long, " + ", ".join(f"{name} string" for name in names)
    records = (
        spark.createDataFrame(rows, types)
        .withColumn("raw", F.lit(""))
        .withColumns({"_rule": F.lit(None).cast("string"), "_reason": F.lit(None).cast("string")})
    )
    bronze = with_verdict(with_fields(records, PART, conf, DAY), PART, conf)
    assert bronze.columns == ["_file", "_line", "raw", "_rule", "_reason", *names]
    reported = {r["_line"]: (r["_rule"], r["_reason"]) for r in bronze.collect() if r["_rule"]}
    assert reported == {
        3: ("check", "followers: found '-1', expected followers is null or followers >= 0"),
        5: ("check", "silver.interactions.user_id: expected user_id <> ''"),
        7: ("required", "said: empty, expected a value"),
    }
    sound = bronze.where("_rule is null")
    assert sorted((r["_line"], r["text_id"], r["author_id"]) for r in silver_of(sound, PART, conf).collect()) == [
        (1, "m1", "u1"), (2, "m1", "u1"), (4, "m3", "u3"), (6, "m5", "u5"), (8, "m7", "u7"),
    ]  # fmt: skip
    users = rows_of([(sound, PART.also[0])], conf)
    assert [tuple(r) for r in users.collect()] == [("u1", "anna", 7, None, None)]
    first = rows_of([(sound, DerivedTable("silver.users", _users, PART.also[0].where, keeps_newest=False))], conf)
    assert [tuple(r) for r in first.collect()] == [("u1", "ann", 5, None, None)]
    when = datetime(1970, 1, 1, 0, 0, 10)
    events = rows_of([(sound.where("_line > 1"), PART.also[1]), (sound.where("_line = 1"), PART.also[1])], conf)
    assert sorted(tuple(r) for r in events.collect()) == [
        ("m1-u2", "u2", "m1", "like", None, when), ("m1-u3", "u3", "m1", "like", None, when),
        ("m5-u5", "u5", "m5", "like", None, None),
    ]  # fmt: skip


def test_files_are_claimed_by_patterns_from_the_right() -> None:
    part = RecordType("p", "b", "s", (), _texts, ("messages/inbox/*/message_*.json", "likes.json"))
    assert part.claims("/in/me/messages/inbox/ann_1/message_12.json")
    assert part.claims("/in/Messages/inbox/ann_1/message_1.JSON.gz")
    assert part.claims("/in/likes.json")
    assert not part.claims("/in/messages/inbox/message_1.json")
    assert not part.claims("/in/messages/archived/ann_1/message_1.json")
    assert not part.claims("/in/my_likes.json")
    assert RecordType("p", "b", "s", (), _texts).claims("/any/thing.csv")
