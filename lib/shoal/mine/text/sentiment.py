"""The sentiment of texts: the lexicon's, a trained classifier's, and their blend; and the emotion, by a classifier."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.classifier import Classifier, score_texts
from shoal.mine.text.lexicon import NEGATIVE, NEUTRAL, POSITIVE, sentiment_label, with_lexicon_sentiment
from shoal.mine.text.terms import is_blank

_EMOTION = {"emotion": "string", "emotion_probability": "double", "emotion_probabilities": "map<string,double>"}


def score_sentiment(
    texts: DataFrame, classifier: Classifier | None, lexicon_weight: float, max_text_length: int, emotions: Classifier | None = None
) -> DataFrame:
    """Columns text_id, content_hash, polarity (-1..1), subjectivity (0..1), label, probability, probabilities (by label), emotion,
    emotion_probability and emotion_probabilities (null without `emotions`) of `texts` (text_id, text, content_hash).

    Without a classifier the lexicon decides: label is negative, neutral or positive, probability and probabilities are null. With
    one they are the classifier's; where its labels are negative, positive and perhaps neutral, polarity is lexicon_weight x the
    lexicon's + (1 - lexicon_weight) x (probability of positive - probability of negative), else the lexicon's. A blank text has
    polarity and subjectivity 0. Lazy; no shuffle.
    """
    rows = _with_emotion(with_lexicon_sentiment(texts, F.col("text"), max_text_length), emotions)
    if classifier is None:
        return rows.select(
            "text_id", "content_hash", "polarity", "subjectivity", sentiment_label(F.col("polarity")).alias("label"),
            F.lit(None).cast("double").alias("probability"), F.lit(None).cast("map<string,double>").alias("probabilities"),
            *_EMOTION,
        )  # fmt: skip
    labels = F.array(*map(F.lit, classifier.labels))
    scored = score_texts(rows, F.col("text"), classifier)
    return scored.select(
        "text_id", "content_hash", _blended(classifier.labels, lexicon_weight).alias("polarity"), "subjectivity",
        F.col("predicted_label").alias("label"), F.array_max("probabilities").alias("probability"),
        F.map_from_arrays(labels, "probabilities").alias("probabilities"), *_EMOTION,
    )  # fmt: skip


def _with_emotion(rows: DataFrame, emotions: Classifier | None) -> DataFrame:
    """The rows with emotion, emotion_probability and emotion_probabilities."""
    if emotions is None:
        return rows.select("*", *[F.lit(None).cast(kind).alias(name) for name, kind in _EMOTION.items()])
    scored = score_texts(rows, F.col("text"), emotions)
    labels = F.array(*map(F.lit, emotions.labels))
    found = (F.col("predicted_label"), F.array_max("probabilities"), F.map_from_arrays(labels, "probabilities"))
    return scored.withColumns(dict(zip(_EMOTION, found, strict=True)))


def _blended(labels: tuple[str, ...], lexicon_weight: float) -> Column:
    """The polarity of both, from columns text, polarity and probabilities."""
    place = {label.lower(): i + 1 for i, label in enumerate(labels)}
    if not {NEGATIVE, POSITIVE} <= place.keys() <= {NEGATIVE, NEUTRAL, POSITIVE}:
        return F.col("polarity")
    learned = F.element_at("probabilities", place[POSITIVE]) - F.element_at("probabilities", place[NEGATIVE])
    return F.when(is_blank(F.col("text")), 0.0).otherwise(lexicon_weight * F.col("polarity") + (1 - lexicon_weight) * learned)
