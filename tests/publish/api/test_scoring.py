"""Texts scored by published models without Spark: what score_texts writes, to 1e-9."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.mine.text.classifier import Classifier, vector_stages
from shoal.mine.text.linear import Weights, as_model
from shoal.mine.text.rules import Preprocessing
from shoal.mine.text.saved import save_classifier
from shoal.mine.text.sentiment import score_sentiment
from shoal.publish.api.scoring import TextModel, load_models, sentiment

TEXTS = ["What a delight!", "so scary, so dark... I love it", " ", "nothing known", "DELIGHT :) 🎉 a@b"]
WORDS = ["a", "dark", "delight", "love", "scary", "so", "🎉"]


def classifier(spark: SparkSession, labels: tuple[str, ...], seed: int) -> Classifier:
    drawn = np.random.default_rng(seed)
    weights = Weights(drawn.normal(size=(len(labels), len(WORDS))), drawn.normal(size=len(labels)))
    stages = vector_stages(WORDS, drawn.uniform(0.5, 6, len(WORDS)), as_model(spark, weights))
    return Classifier(PipelineModel(stages), labels, (0.5, 0.3, 0.2), 250, Preprocessing(1, (0, 0), "none", "none"))


def test_sentiment_and_emotion_are_those_of_spark(spark: SparkSession, tmp_path: Path) -> None:
    settings = load()
    conf = settings.train_sentiment
    moods = classifier(spark, ("negative", "neutral", "positive"), 3)
    feelings = classifier(spark, ("anger", "fear", "joy"), 4)
    save_classifier(moods, tmp_path / "shoal_sentiment-1", "v1", {})
    save_classifier(feelings, tmp_path / "shoal_emotion-2", "v2", {})
    models = load_models(tmp_path, {"sentiment": "shoal_sentiment-1", "emotion": "shoal_emotion-2"})
    mood, feeling = models["sentiment"], models["emotion"]
    assert isinstance(mood, TextModel) and isinstance(feeling, TextModel)
    got = sentiment(TEXTS, mood, settings, feeling)
    assert (got["model_version"], got["emotion_model_version"]) == ("shoal_sentiment/1", "shoal_emotion/2")
    given = [(str(n), text, n) for n, text in enumerate(TEXTS)]
    frame = spark.createDataFrame(given, "text_id string, text string, content_hash long")
    rows = score_sentiment(frame, moods, conf.lexicon_weight, conf.max_text_length, feelings).collect()
    for row in rows:
        ours = got["results"][int(row["text_id"])]
        assert (ours["label"], ours["emotion"]) == (row["label"], row["emotion"])
        for name in ("polarity", "subjectivity", "probability", "emotion_probability"):
            assert ours[name] == pytest.approx(row[name], abs=1e-9)
        for name in ("probabilities", "emotion_probabilities"):
            assert ours[name] == pytest.approx(row[name], abs=1e-9)
    # A blank text has the shares of the training rows.
    assert got["results"][2]["emotion_probabilities"] == {"anger": 0.5, "fear": 0.3, "joy": 0.2}
    assert len({row["emotion"] for row in rows}) > 1
