"""What needs no training: the lexicon, languages, keywords, entities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.text.entities import ENTITY_COLUMNS, with_entities
from shoal.mine.text.keywords import with_keywords
from shoal.mine.text.language import with_language
from shoal.mine.text.lexicon import sentiment_label, with_lexicon_sentiment
from shoal.mine.text.lexicon_rules import WindowedAnalyzer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

HARD = [
    "I kind of like it, but not the LEAST bit of it!!! :)", "never so good", "without doubt great", "no good", "no, good or bad",
    "😀😀 ok😡", "the shit", "it is the bomb and bad ass", "sort of good, VERY very GOOD", "yeah right, at least good", "", "  ",
    "😀", "least good", "to die for", "not never no good", "kind", "kind of", "ALL CAPS GREAT", "good " * 50 + "but bad " * 20,
    "we all are so happy", "nobody here was this happy", "x" * 3000,
]  # fmt: skip


def snippets(data: Path, name: str) -> list[tuple[str, float]]:
    lines = (data / "vader" / f"{name}_GroundTruth.txt").read_text(encoding="utf-8", errors="replace").split("\n")
    return [(line.split("\t")[2], float(line.split("\t")[1])) for line in lines if line.strip()]


def test_the_windowed_analyzer_is_the_package(data: Path) -> None:
    ours, theirs = WindowedAnalyzer(), SentimentIntensityAnalyzer()
    texts = HARD + [text for text, _ in snippets(data, "tweets")[::3] + snippets(data, "movieReviewSnippets")[::9]]
    assert [ours.polarity_scores(text) for text in texts] == [theirs.polarity_scores(text) for text in texts]


def test_the_lexicon_agrees_with_people(spark: SparkSession, data: Path) -> None:
    bars = {"tweets": 0.87, "movieReviewSnippets": 0.42, "amazonReviewSnippets": 0.58, "nytEditorialSnippets": 0.50}
    rows = [(name, *pair) for name in bars for pair in snippets(data, name)]
    frame = spark.createDataFrame(rows, "name string, text string, mean double")
    scored = with_lexicon_sentiment(frame, F.col("text"), 20_000)
    found = {row["name"]: row["r"] for row in scored.groupBy("name").agg(F.corr("polarity", "mean").alias("r")).collect()}
    assert all(found[name] >= bar for name, bar in bars.items()), found


def test_lexicon_columns_and_labels(spark: SparkSession) -> None:
    rows = [("1", "A great, great day!"), ("2", "What an awful film"), ("3", "The table is brown"), ("4", None), ("5", " ")]
    frame = spark.createDataFrame(rows, "`an.id` string, text string").withColumn("polarity", F.lit("old"))
    scored = with_lexicon_sentiment(frame, F.col("text"), 100).withColumn("label", sentiment_label(F.col("polarity")))
    assert scored.columns == ["an.id", "text", "polarity", "subjectivity", "label"]
    found = scored.collect()
    assert [row["label"] for row in found] == ["positive", "negative", "neutral", "neutral", "neutral"]
    assert [row["text"] for row in found] == [text for _, text in rows]
    assert found[0]["polarity"] == SentimentIntensityAnalyzer().polarity_scores(rows[0][1])["compound"]
    assert [(row["polarity"], row["subjectivity"]) for row in found[2:]] == [(0.0, 0.0)] * 3
    assert 0 < found[1]["subjectivity"] < 1
    cuts = spark.createDataFrame([(0.05,), (0.0499,), (-0.05,), (-0.0499,)], "polarity double")
    named = [row[0] for row in cuts.select(sentiment_label(F.col("polarity"))).collect()]
    assert named == ["positive", "neutral", "negative", "neutral"]


def test_languages(spark: SparkSession) -> None:
    expected = {
        "Bonjour tout le monde, comment allez-vous ?": "fr", "Ich habe heute keine Zeit": "de", "привет, как дела": "ru",
        "今日はとても暑いですね": "ja", "你好,世界": "zh", "مرحبا كيف حالك اليوم": "ar",
        "@anna http://x.y #tbt where are you going tonight": "en",
        "ok": "unknown", "haha": "unknown", "😀😀": "unknown", "12345 !!": "unknown", "http://t.co/abc": "unknown", "": "unknown",
        "\u200b\x07": "unknown",
    }  # fmt: skip
    frame = spark.createDataFrame([(text,) for text in [*expected, None]], "text string").withColumn("confidence", F.lit("old"))
    scored = with_language(frame, F.col("text"))
    assert scored.columns == ["text", "language", "confidence"]
    found = scored.collect()
    assert {row["text"]: row["language"] for row in found} == {**expected, None: "unknown"}
    assert all(0 <= row["confidence"] <= 1 for row in found)
    assert [row["confidence"] for row in found if not row["text"]] == [0.0, 0.0]


def test_nearly_all_english_tweets_are_english(spark: SparkSession, data: Path) -> None:
    frame = spark.createDataFrame([(text,) for text, _ in snippets(data, "tweets")], "text string")
    counts = {row["language"]: row["count"] for row in with_language(frame, F.col("text")).groupBy("language").count().collect()}
    known = sum(counts.values()) - counts["unknown"]
    assert counts["en"] / known > 0.98
    assert counts["unknown"] / sum(counts.values()) < 0.07


def test_keywords_of_a_text(spark: SparkSession) -> None:
    about = (
        "Machine learning is a field of study in artificial intelligence. Machine learning algorithms learn from data. "
        "Deep learning is a part of machine learning. See https://example.org/table 😀"
    )
    scored = with_keywords(spark.createDataFrame([(about,), (None,), ("",), ("the of and",)], "t string"), F.col("t"))
    assert scored.columns == ["t", "keywords", "keyword_scores"]
    first, *rest = scored.collect()
    assert {"learning", "machine"} <= set(first["keywords"][:4])
    assert not {word for word in first["keywords"] if "example" in word or "http" in word}
    assert first["keyword_scores"] == sorted(first["keyword_scores"])
    assert len(set(first["keywords"])) == len(first["keywords"]) == len(first["keyword_scores"]) <= 10
    assert [(row["keywords"], row["keyword_scores"]) for row in rest] == [([], [])] * 3


def test_entities_by_pattern(spark: SparkSession) -> None:
    rows = {
        "RT @Anna_B: see #TBT #tbt #1 (https://x.org/a?b=c#d), mail me@home.org": (["tbt"], ["anna_b"], ["https://x.org/a?b=c#d"]),
        "#日本 @о_лег www.пример.рф!": (["日本"], ["о_лег"], ["www.пример.рф"]),
        "no & none; AT&T#1 a@b": ([], [], []),
    }
    frame = spark.createDataFrame([(text,) for text in rows], "t string").withColumn("urls", F.lit("old"))
    scored = with_entities(frame, F.col("t"))
    assert scored.columns == ["t", *ENTITY_COLUMNS]
    assert {row["t"]: (row["hashtags"], row["mentions"], row["urls"]) for row in scored.collect()} == rows
    said = "Dr. Ada Lovelace met President Lincoln in New York, near Lake Como; the Bank of Ada Corp paid Fifth Avenue."
    row = with_entities(spark.createDataFrame([(said,)], "t string"), F.col("t")).collect()[0]
    assert row["people"] == ["Ada Lovelace", "Lincoln"]
    assert row["organisations"] == ["Bank of Ada Corp"]
    assert row["places"] == ["New York", "Lake Como", "Fifth Avenue"]
    empty = with_entities(spark.createDataFrame([(None,)], "t string"), F.col("t")).collect()[0]
    assert all(empty[name] == [] for name in ENTITY_COLUMNS)


def test_the_lexicon_is_fast_enough_to_be_linear() -> None:
    """Rules see a window: a word's score does not depend on words that are far from it."""
    ours = WindowedAnalyzer()
    calls: list[int] = []
    original = ours.sentiment_valence

    def counted(valence: float, around: object, word: str, i: int, sentiments: list[float]) -> list[float]:
        calls.append(len(around.words_and_emoticons))  # type: ignore[attr-defined]
        return original(valence, around, word, i, sentiments)

    ours.sentiment_valence = counted
    ours.polarity_scores("table good " * 500)
    assert len(calls) == 500
    assert max(calls) <= 7
    assert np.isfinite(ours.polarity_scores("table good " * 500)["compound"])


@pytest.mark.parametrize("text", ["<b>great</b>", "great\x00", "\u202egreat\u202c", "great " * 20_000])
def test_odd_texts_have_scores(spark: SparkSession, text: str) -> None:
    row = with_lexicon_sentiment(spark.createDataFrame([(text,)], "t string"), F.col("t"), 20_000).collect()[0]
    assert -1 <= row["polarity"] <= 1
    assert 0 <= row["subjectivity"] <= 1


def test_words_of_another_language_are_no_words_of_the_lexicon(spark: SparkSession) -> None:
    rows = [
        ("Die Katze ist im Garten und die Sonne scheint hell", 0.0),
        # An emoji and an emoticon mean the same in any language.
        ("Das war ein schöner Tag 😀", WindowedAnalyzer().polarity_scores("😀")["compound"]),
        ("Der Film war toll, die Schauspieler auch :)", WindowedAnalyzer().polarity_scores(", :)")["compound"]),
        # English, mixed with English, and too short to say.
        *((t, WindowedAnalyzer().polarity_scores(t)["compound"]) for t in ("The war was hell", "I love die Brücke", "die")),
    ]
    frame = spark.createDataFrame([(text,) for text, _ in rows], "t string")
    found = with_lexicon_sentiment(frame, F.col("t"), 1000).collect()
    assert [row["polarity"] for row in found] == [polarity for _, polarity in rows]
    assert found[0]["subjectivity"] == 0.0 and found[3]["polarity"] < -0.5
