"""gold.conversations and their participants from literal messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

DAY, OLD = date(2024, 3, 1), datetime(2024, 1, 1, 12)
TEXTS = (
    "text_id string, kind string, author_id string, item_id string, conversation_id string, text string, label string, "
    "emotion_label string, moderation_label string, created_at timestamp, source string"
)


def put(lake: Lake, rows: list[tuple[str, str | None, str | None, int | None]]) -> None:
    """Rows of text_id, author, conversation, and seconds after OLD."""
    made = [
        (i, "message", who, None, thread, "words", None, None, None, None if at is None else OLD + timedelta(seconds=at), "test")
        for i, who, thread, at in rows
    ]
    lake.append("silver.texts", lake.spark.createDataFrame(made, TEXTS))


def put_polarities(lake: Lake, polarities: dict[str, float]) -> None:
    columns = (
        "text_id string, content_hash bigint, polarity double, subjectivity double, label string, is_current boolean, "
        "model_version string, as_of date"
    )
    rows = [(i, 1, p, 0.5, "neutral", current, version, DAY) for i, value in polarities.items()
            for p, current, version in ((value, True, "new"), (-1.0, False, "old"))]  # fmt: skip
    frame = lake.spark.createDataFrame(rows, columns)
    null = {"probability": "double", "probabilities": "map<string,double>", "emotion": "string", "emotion_probability": "double",
            "emotion_probabilities": "map<string,double>", "emotion_model_version": "string"}  # fmt: skip
    nothing = {name: F.lit(None).cast(kind) for name, kind in null.items()}
    lake.upsert("gold.sentiments", frame.withColumns(nothing))


def test_conversations_by_hand(make_lake: Callable[..., Lake]) -> None:
    lake, job = make_lake(), find_job("summarise_conversations")
    put(lake, [("x", "a", None, 0)])
    with pytest.raises(SkippedError, match="no text of a conversation"):
        job.run(lake, lake.settings.conversations, DAY)
    # A run reads one version of each table.
    lake = make_lake("run-2")
    # a begins, b answers after 60 s and writes on; a answers after 30 s. A day later a begins again and has no answer.
    put(lake, [("m1", "a", "c", 0), ("m2", "b", "c", 60), ("m3", "b", "c", 70), ("m4", "a", "c", 100),
               ("m5", "a", "c", 90_000),
               ("n1", "a", "alone", 0), ("k", None, "c", 5), ("l", "b", "c", None), ("late", "b", "c", 10_000_000)])  # fmt: skip
    put_polarities(lake, {"m1": 0.0, "m2": 0.25, "m4": 0.75, "m5": 1.0})
    job.run(lake, lake.settings.conversations, DAY)
    (talk,) = lake.read("gold.conversations", on=DAY).collect()
    assert {name: talk[name] for name in (
        "conversation_id", "kind", "duration_seconds", "text_count", "participant_count", "turn_count", "session_count",
        "reply_count", "median_reply_seconds", "polarity_start", "polarity_middle", "polarity_end",
    )} == {
        "conversation_id": "c", "kind": "message", "duration_seconds": 90_000.0, "text_count": 5, "participant_count": 2,
        "turn_count": 3, "session_count": 2, "reply_count": 2, "median_reply_seconds": 30.0, "polarity_start": 0.125,
        "polarity_middle": None, "polarity_end": 0.875,
    }  # fmt: skip
    # Places 0, .25, .75, 1 and the same polarities.
    assert talk["polarity_slope"] == pytest.approx(1.0)
    rows = {r["participant_id"]: r for r in lake.read("gold.conversation_participants", on=DAY).collect()}
    assert set(rows) == {"a", "b"}
    shown = ("text_count", "turn_count", "begun_session_count", "initiative", "reply_count", "median_reply_seconds",
             "answered_count", "answered_share", "main_partner_id")  # fmt: skip
    assert [rows["a"][name] for name in shown] == [3, 2, 2, 1.0, 1, 30.0, 1, 0.5, "b"]
    assert [rows["b"][name] for name in shown] == [2, 1, 0, 0.0, 1, 60.0, 1, 1.0, "a"]
    assert rows["a"]["mean_polarity"] == pytest.approx(1.75 / 3)


def test_who_is_answered_in_a_group(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    put(lake, [(f"{n:02}", who, "g", n) for n, who in enumerate("abacabd")])
    find_job("summarise_conversations").run(lake, lake.settings.conversations, DAY)
    rows = {r["participant_id"]: r for r in lake.read("gold.conversation_participants", on=DAY).collect()}
    # b and c reply to a once and a to each of them once: the smaller id counts.
    assert {who: (row["answered_count"], row["main_partner_id"]) for who, row in rows.items()} == {
        "a": (3, "b"), "b": (2, "a"), "c": (1, "a"), "d": (0, "b"),
    }  # fmt: skip
    assert rows["a"]["mean_polarity"] is None and rows["d"]["answered_share"] == 0.0
