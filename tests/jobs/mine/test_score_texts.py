"""Train and score on a lake of a few made texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.classifier import Training, train_classifier
from shoal.mine.text.sentiment import score_sentiment
from shoal.models.registry import champion
from shoal.runner.job import find_job

from tests.mine.text.conftest import PLAN, make_texts

DAY, LATER = date(2024, 3, 1), datetime(2024, 3, 2, 0, 0)
TEXTS = "text_id string, kind string, text string, label string, created_at timestamp, source string"


def put_texts(
    lake: Lake, rows: list[tuple[str, str, str, str | None, datetime, str]], emotions: dict[str, str] | None = None
) -> None:
    felt = F.lit(None).cast("string")
    for text_id, emotion in (emotions or {}).items():
        felt = F.when(F.col("text_id") == text_id, emotion).otherwise(felt)
    frame = lake.spark.createDataFrame(rows, TEXTS).withColumn("emotion_label", felt)
    nothing = dict.fromkeys(("author_id", "item_id", "conversation_id", "moderation_label"), F.lit(None).cast("string"))
    lake.upsert("silver.texts", frame.withColumns(nothing))


@pytest.fixture
def few() -> Settings:
    """The shipped settings with fewer trials."""
    return load(sets=["train_sentiment.inverse_penalties=[1]", "train_sentiment.class_weight_powers=[0]"])


@pytest.fixture(scope="module")
def training(spark: SparkSession) -> Training:
    return train_classifier(spark.createDataFrame(make_texts(), "text string, label string, group string").coalesce(1), PLAN)


def test_nothing_to_score_is_skipped(lake: Lake, few: Settings) -> None:
    score = find_job("score_texts")
    with pytest.raises(SkippedError, match=r"silver\.texts does not exist"):
        score.run(lake, few.train_sentiment, DAY)
    put_texts(lake, [("t1", "tweet", "fine words", None, datetime(2024, 1, 1), "test")])
    with pytest.raises(SkippedError, match="no text in"):
        score.run(lake, few.train_sentiment, date(2023, 1, 1))


def test_without_labels_the_lexicon_scores_what_is_new_or_changed(make_lake: Callable[..., Lake], few: Settings) -> None:
    score, lake = find_job("score_texts"), make_lake()
    old = datetime(2024, 1, 1)
    put_texts(lake, [("t1", "tweet", "a great film", None, old, "test"), ("t2", "tweet", "an awful film", None, old, "test"),
                     ("t3", "tweet", " ", None, old, "test")])  # fmt: skip
    score.run(lake, few.train_sentiment, DAY)
    rows = {r["text_id"]: r for r in lake.read_current("gold.sentiments").collect()}
    assert {k: r["label"] for k, r in rows.items()} == {"t1": "positive", "t2": "negative", "t3": "neutral"}
    assert rows["t1"]["polarity"] > 0 > rows["t2"]["polarity"]
    assert rows["t3"]["polarity"] == rows["t3"]["subjectivity"] == 0
    assert {(r["model_version"], r["is_current"], r["probability"]) for r in rows.values()} == {("vader/3.3.2/en", True, None)}
    assert (lake.run.tags["scored_sentiments"], lake.run.tags["unchanged_sentiments"]) == ("3", "0")

    again = make_lake("run-2")
    score.run(again, few.train_sentiment, DAY)
    assert (again.run.tags["scored_sentiments"], again.run.tags["unchanged_sentiments"]) == ("0", "3")
    assert again.run.rows_out == {}

    put_texts(make_lake("in"), [("t2", "tweet", "a lovely film", None, old, "test"), ("t4", "tweet", "bad", None, old, "test")])
    third = make_lake("run-3")
    score.run(third, few.train_sentiment, DAY)
    assert (third.run.tags["scored_sentiments"], third.run.tags["unchanged_sentiments"]) == ("2", "2")
    after = {r["text_id"]: r for r in third.read_current("gold.sentiments").collect()}
    assert {k: (r["label"], r["run_id"]) for k, r in after.items()} == {
        "t1": ("positive", "run-1"), "t2": ("positive", "run-3"), "t3": ("neutral", "run-1"), "t4": ("negative", "run-3"),
    }  # fmt: skip


def test_the_blend_of_lexicon_and_model(spark: SparkSession, training: Training) -> None:
    rows = [("1", "a great film", 1), ("2", " ", 2)]
    texts = spark.createDataFrame(rows, "text_id string, text string, content_hash long")
    polar = dataclasses.replace(training.classifier, labels=("negative", "positive", "neutral"))
    found = {r["text_id"]: r for r in score_sentiment(texts, polar, 0.4, 100).collect()}
    alone = {r["text_id"]: r for r in score_sentiment(texts, None, 0.4, 100).collect()}
    p = found["1"]["probabilities"]
    assert found["1"]["polarity"] == pytest.approx(0.4 * alone["1"]["polarity"] + 0.6 * (p["positive"] - p["negative"]), abs=1e-12)
    assert (found["1"]["label"], found["1"]["probability"]) == ("positive", max(p.values()))
    assert found["2"]["polarity"] == 0.0
    other = {r["text_id"]: r["polarity"] for r in score_sentiment(texts, training.classifier, 0.4, 100).collect()}
    assert other == {k: r["polarity"] for k, r in alone.items()}


def test_texts_are_scored_by_the_champion_and_reruns_write_the_same(
    spark: SparkSession, make_lake: Callable[..., Lake], few: Settings
) -> None:
    train, score = find_job("train_sentiment"), find_job("score_texts")
    lake = make_lake()
    rows = [(f"t{i:03}", "review", text, label, datetime(2024, 2, 1), "test")
            for i, (text, label, _) in enumerate(make_texts()) if text is not None]  # fmt: skip
    put_texts(lake, [*rows, ("late", "review", "dull", "bad", LATER, "test")])
    score.run(make_lake("run-0"), few.train_sentiment, DAY)
    train.run(lake, few.train_sentiment, DAY)
    held = champion(lake, "shoal_sentiment")
    assert held is not None
    metrics = lake.read("ops.model_metrics", on=DAY)
    found = {(r["model"], r["model_version"], r["slice"], r["metric"]): r for r in metrics.collect()}
    mine, base = found["linear", "1", "all", "macro_f1"], found["majority", "baseline", "all", "macro_f1"]
    assert mine["value"] == pytest.approx(held.metrics["macro_f1"], abs=1e-12)
    assert mine["value"] > 0.95
    assert base["value"] < 0.3
    assert (mine["is_champion"], base["is_champion"], mine["task"]) == (True, False, "sentiment")
    assert ("linear", "1", "label=mixed", "f1") in found
    assert held.params["rows"] == "150"

    score.run(lake, few.train_sentiment, DAY)
    scored = {r["text_id"]: r for r in lake.read_current("gold.sentiments").where("is_current").collect()}
    assert set(scored) == {row[0] for row in rows}  # the blank one too, the later one not
    assert {r["model_version"] for r in scored.values()} == {"shoal_sentiment/1"}
    right = [scored[text_id]["label"] == label for text_id, _, _, label, _, _ in rows[:150]]
    assert sum(right) > 145
    assert all(r["probability"] == max(r["probabilities"].values()) for r in scored.values())
    assert set(scored["t000"]["probabilities"]) == {"bad", "good", "mixed"}
    earlier = lake.read_current("gold.sentiments").where("not is_current").collect()
    assert ({r["text_id"] for r in earlier}, {r["model_version"] for r in earlier}) == (set(scored), {"vader/3.3.2/en"})

    again = make_lake("run-2")
    train.run(again, few.train_sentiment, DAY)
    score.run(again, few.train_sentiment, DAY)
    columns = ("text_id", "label", "probability", "model_version")
    after = {r["text_id"]: r for r in make_lake("run-3").read("gold.sentiments").where("is_current").collect()}
    assert {k: tuple(r[c] for c in columns) for k, r in after.items()} == {
        k: tuple(r[c] for c in columns) for k, r in scored.items()
    }
    counted = make_lake("run-3").read("ops.model_metrics", on=DAY)
    assert counted.select("model_version").distinct().count() == 2


def test_the_champion_of_emotions_scores_texts_again_in_their_rows(make_lake: Callable[..., Lake], few: Settings) -> None:
    train, score, lake = find_job("train_emotion"), find_job("score_texts"), make_lake()
    feels = {f"t{i:02}": ("joy", f"what a delight {i}") if i % 2 else ("fear", f"so scary a night {i}") for i in range(60)}
    old = datetime(2024, 1, 1)
    put_texts(lake, [("new", "tweet", "a delight", None, old, "test"), ("blank", "tweet", " ", None, old, "test")])
    score.run(lake, few.train_sentiment, DAY)
    made = lake.read_current("gold.sentiments").select("emotion", "emotion_probability", "emotion_model_version")
    assert [tuple(r) for r in made.collect()] == [(None, None, None)] * 2

    rows = [(k, "tweet", text, None, old, "test") for k, (_, text) in feels.items()]
    put_texts(lake, rows, {k: emotion for k, (emotion, _) in feels.items()})
    again = make_lake("run-2")
    train.run(again, few.train_sentiment, DAY)
    score.run(again, few.train_sentiment, DAY)
    assert (again.run.tags["scored_sentiments"], again.run.tags["unchanged_sentiments"]) == ("62", "0")
    found = {r["text_id"]: r for r in again.read_current("gold.sentiments").collect()}
    assert len(found) == 62  # one row a text: the lexicon is the model of both runs
    assert {k: r["emotion"] for k, r in found.items() if k in feels} == {k: emotion for k, (emotion, _) in feels.items()}
    assert (found["new"]["emotion"], found["new"]["label"]) == ("joy", "positive")
    assert found["new"]["emotion_probability"] == found["new"]["emotion_probabilities"]["joy"] > 0.5
    assert sum(found["new"]["emotion_probabilities"].values()) == pytest.approx(1)
    assert found["blank"]["emotion_probability"] == pytest.approx(0.5, abs=0.06)  # the shares of the training rows
    versions = {(r["model_version"], r["emotion_model_version"], r["is_current"]) for r in found.values()}
    assert versions == {("vader/3.3.2/en", "shoal_emotion/1", True)}
    assert champion(again, "shoal_sentiment") is None

    third = make_lake("run-3")
    score.run(third, few.train_sentiment, DAY)
    assert (third.run.tags["scored_sentiments"], third.run.rows_out) == ("0", {})
