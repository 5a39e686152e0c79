"""The parts of the page about a person's archive, from literal rows."""

from __future__ import annotations

import math
from datetime import date, datetime

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.mine.text.conversations import order_texts
from shoal.publish.report import archive as a
from shoal.publish.report.blocks import Bars, Figure, Table, Tiles


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


TEXTS = [
    # One session of Bob and Ann, then one that Ann begins after a night; Ann answers within 60 and 120 seconds, Bob within 30.
    ("t1", "message", "bob", None, "c1", "hello hello ann", at("2024-01-01T10:00:00"), 0.5, 0.2),
    ("t2", "message", "ann", None, "c1", "sure sure sure 😀😀🎉", at("2024-01-01T10:01:00"), 0.9, 0.4),
    ("t3", "message", "bob", None, "c1", "nice", at("2024-01-01T10:01:30"), 0.1, 0.1),
    ("t4", "message", "ann", None, "c1", "Sure, lake https://sure.test @sure", at("2024-01-01T10:03:30"), 0.7, 0.1),
    ("t5", "message", "ann", None, "c1", "lake", at("2024-02-02T23:30:00"), 0.0, 0.0),
    # To a group that never wrote back.
    ("t11", "message", "ann", None, "c3", "👋", at("2024-01-08T00:00:00"), 0.0, 0.0),
    # A group, and a message of an account that is gone.
    ("t6", "message", "cat", None, "c2", "hello", at("2024-01-05T10:00:00"), -0.5, 0.2),
    ("t7", "message", "dan", None, "c2", "hello", at("2024-01-05T10:00:01"), -0.5, 0.2),
    ("t8", "message", None, None, "c2", "hello", at("2024-01-05T10:00:02"), -0.5, 0.2),
    ("t9", "comment", "ann", "p1", None, "lake", at("2024-01-06T08:00:00"), 0.3, 0.1),
    ("t10", "caption", "ann", "own", None, "sure lake", None, 0.3, 0.1),
]


@pytest.fixture(scope="module")
def archive(spark: SparkSession) -> a.Archive:
    def frame(rows: list[tuple[object, ...]], schema: str) -> DataFrame:
        return spark.createDataFrame(rows, schema)

    texts = frame(
        TEXTS, "text_id string, kind string, author_id string, item_id string, conversation_id string, text string, "
        "created_at timestamp, polarity double, subjectivity double",
    )  # fmt: skip
    interactions = frame(
        [("ann", "p1", "comment", at("2024-01-06T08:00:00")), ("ann", "p1", "like", at("2024-01-06T08:00:00")),
         ("ann", "p2", "like", None), ("ann", "p3", "save", at("2024-01-07T08:00:00")), ("bob", "t2", "like", None)],
        "user_id string, item_id string, event string, occurred_at timestamp",
    )  # fmt: skip
    items = frame(
        [("p1", "eve", None), ("p2", "eve", None), ("p3", "bob", None), ("own", "ann", at("2024-01-01T00:30:00"))],
        "item_id string, owner_id string, created_at timestamp",
    )
    follows = frame([("ann", "eve"), ("ann", "bob"), ("bob", "ann"), ("cat", "ann")], "src_id string, dst_id string")
    ordered = order_texts(texts, texts.select("text_id", "polarity"), 8.0)
    members = frame(
        [("c1", ["bob", "ann"]), ("c2", ["ann", "cat", "dan"]), ("c3", ["ann", "gil", "fay"])],
        "conversation_id string, people array<string>",
    )
    return a.Archive("ann", "America/New_York", texts, ordered, members, interactions, items, follows)


def test_own_activity_is_in_the_local_time(archive: a.Archive) -> None:
    found = sorted((row["kind"], str(row["at"])) for row in a.own_activity(archive).collect())
    assert found == [
        ("comments", "2024-01-06 03:00:00"), ("likes", "2024-01-06 03:00:00"), ("likes", "None"),
        ("messages", "2024-01-01 05:01:00"), ("messages", "2024-01-01 05:03:30"), ("messages", "2024-01-07 19:00:00"),
        ("messages", "2024-02-02 18:30:00"),
        ("posts", "2023-12-31 19:30:00"), ("saves", "2024-01-07 03:00:00"),
    ]  # fmt: skip


def test_conversations_by_their_messages(archive: a.Archive) -> None:
    first, second, third = a.conversations_of(archive)
    assert first == {
        "conversation_id": first["conversation_id"], "people": ["bob"], "sent": 3, "received": 2, "own_reply_seconds": 60.0,
        "their_reply_seconds": 30.0, "begun": 1, "sessions": 2, "first_at": at("2024-01-01T10:00:00"),
        "last_at": at("2024-02-02T23:30:00"),
    }  # fmt: skip
    assert (second["people"], second["sent"], second["received"], second["own_reply_seconds"]) == (["cat", "dan"], 0, 2, None)
    assert (third["people"], third["sent"], third["received"]) == (["fay", "gil"], 1, 0)


def test_spans_without_anything_are_zero() -> None:
    assert a.with_empty_spans([(date(2023, 11, 1), 2), (date(2024, 2, 1), 1)], "month") == [
        (date(2023, 11, 1), 2), (date(2023, 12, 1), 0), (date(2024, 1, 1), 0), (date(2024, 2, 1), 1),
    ]  # fmt: skip
    assert a.with_empty_spans([(date(2024, 2, 26), 3), (date(2024, 3, 11), 1)], "week")[1] == (date(2024, 3, 4), 0)
    assert a.with_empty_spans([(date(2024, 2, 28), 1)], "day") == [(date(2024, 2, 28), 1)]


def test_accounts_and_follows(archive: a.Archive) -> None:
    assert a.accounts_met(archive) == [
        {"account": "eve", "events": 3, "likes": 2, "saves": 0, "comments": 1, "is_followed": True},
        {"account": "bob", "events": 1, "likes": 0, "saves": 1, "comments": 0, "is_followed": True},
    ]
    # Ann follows eve and bob; bob and cat follow ann.
    assert a.follow_counts(archive) == (2, 2, 1)


def test_words_against_those_of_others(archive: a.Archive) -> None:
    found = a.own_words(archive)
    # Own words: sure 5 times (of which none is a link's or a mention's), lake 4 times; others': hello 4, ann 1, nice 1. What the
    # account that is gone wrote is nobody's.
    assert [(row["word"], row["uses"], row["others"]) for row in found] == [("sure", 5, 0), ("lake", 4, 0)]
    prior = 5 * 1000 / 15
    odds = math.log((5 + prior) / (9 + 1000 - 5 - prior)) - math.log(prior / (6 + 1000 - prior))
    assert found[0]["z"] == pytest.approx(odds / math.sqrt(1 / (5 + prior) + 1 / prior))
    assert a.own_emoji(archive) == [("😀", 2), ("🎉", 1), ("👋", 1)]


def test_mood_needs_texts_enough(archive: a.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a, "FEWEST_TEXTS", 2)
    january, february = a.mood_by_month(archive)
    assert (january["month"], february["month"]) == (date(2024, 1, 1), date(2024, 2, 1))
    assert january["own"] == pytest.approx((0.9 + 0.7 + 0.3) / 3) and january["own_texts"] == 3
    # The account that is gone counts for nobody.
    assert january["received"] == pytest.approx((0.5 + 0.1 - 0.5 - 0.5) / 4) and january["received_texts"] == 4
    # A text without a word of the lexicon says nothing.
    assert (february["own"], february["own_texts"], february["received"]) == (None, 0, None)


def test_parts(archive: a.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a, "FEWEST_TEXTS", 2)
    sizes, parts = a.archive_parts(archive)
    assert [(tile.label, tile.number) for tile in sizes.tiles] == [
        ("Messages", "4"), ("Likes", "2"), ("Comments", "1"), ("Posts", "1"), ("Saves", "1"), ("Following", "2"),
        ("Followers", "2"),
    ]  # fmt: skip
    assert [part.name for part in parts] == ["activity", "people", "words", "mood"]
    assert [[type(block) for block in part.blocks] for part in parts] == [
        [Figure, Bars, Figure], [Tiles, Table, Table], [Bars, Bars], [Figure],
    ]  # fmt: skip
    assert [part.finding for part in parts] == [
        "You are most active on Mon, 5:00 to 6:00 (America/New_York).", "You exchanged most messages with bob: 5.",
        "Your words are sure, lake.", "Your texts were most positive in January 2024 (0.63).",
    ]  # fmt: skip


def test_an_empty_archive_has_parts_that_say_so(spark: SparkSession, archive: a.Archive) -> None:
    nobody = a.Archive(
        "zoe", "UTC", archive.texts.where("false"), archive.ordered.where("false"), archive.members, None, None, None
    )
    sizes, parts = a.archive_parts(nobody)
    assert [tile.number for tile in sizes.tiles] == ["0", "0"]
    assert [(part.name, list(part.blocks), part.finding) for part in parts] == [
        (n, [], "") for n in ("activity", "people", "words", "mood")
    ]
