"""Models that score in a request, in numpy: sentiment, emotion, moderation, engagement, anomalies of a series. No Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from shoal.conf.sections import Settings
from shoal.mine.anomalies.seasonal import AlarmRule, score_series
from shoal.mine.posts.plain_engagement import PlainEngagement, Post, load_plain_engagement
from shoal.mine.text.lexicon_rules import NEGATIVE, NEUTRAL, POSITIVE, label_of, lexicon_scores, lexicon_version
from shoal.mine.text.plain_classifier import PlainClassifier, load_plain_classifier, read_description
from shoal.mine.text.plain_terms import can_make_terms, is_blank
from shoal.mine.text.spans import SpanFinder

Row = dict[str, Any]
EMOTION, ENGAGEMENT = "emotion", "engagement"


@dataclass(frozen=True)
class TextModel:
    """A published classifier, its name and version, and the words that it weighs most."""

    classifier: PlainClassifier
    version: str
    finder: SpanFinder


@dataclass(frozen=True)
class PostModel:
    """A published model of engagement, and its version."""

    model: PlainEngagement
    version: str


@dataclass(frozen=True)
class Unscorable:
    """A published model that only Spark can score: one sentence that says why and what to do."""

    reason: str


Model = TextModel | PostModel | Unscorable


def load_models(folder: Path, named: Mapping[str, str]) -> dict[str, Model]:
    """The models of a version by task, from <folder>/<name>; those that need Spark are Unscorable, and the others serve. Raises
    InputError for a folder that is damaged."""
    # The lexicon and the character classes of terms take a second: not in the first request.
    lexicon_scores("good")
    return {task: _load(folder / name, task, "/".join(name.rsplit("-", 1))) for task, name in named.items()}


def _load(place: Path, task: str, version: str) -> Model:
    if task == ENGAGEMENT:
        model = load_plain_engagement(place)
        model.predictions([Post("", datetime(2024, 1, 1, tzinfo=timezone.utc), "good")], 0.5)
        return PostModel(model, version)
    if not can_make_terms(read_description(place).preprocessing):
        made = "makes stems or leaves out stop words, which only Spark does"
        return Unscorable(f"{version} {made}; train {task} with stemmer=none and stop_words=none, and publish again")
    classifier = load_plain_classifier(place)
    terms = classifier.description.preprocessing
    finder = SpanFinder(classifier.place, classifier.term_weights(), terms.char_ngrams, terms.hash_bits)
    classifier.probabilities("good")
    return TextModel(classifier, version, finder)


def engagement(posts: Sequence[Post], model: PostModel, settings: Settings) -> Row:
    """Of each post likes and comments with intervals and confidence, as gold.engagement_predictions has them, and how many earlier
    posts of its author, with their likes, were given with it."""
    rows = model.model.predictions(posts, settings.posts.interval_coverage)
    return {"model_version": model.version, "results": rows}


def sentiment(
    texts: Sequence[str], model: TextModel | None, settings: Settings, emotions: TextModel | Unscorable | None = None
) -> Row:  # fmt: skip
    """Of each text polarity (-1..1), subjectivity (0..1), label, probability and probabilities by label, emotion, its probability
    and those of all: as gold.sentiments has them.

    Without a model by the lexicon, whose probabilities are null. Without `emotions` the emotion is null; where only Spark can score
    it, `emotion_unavailable` says so.
    """
    conf = settings.train_sentiment
    rows = []
    for text in texts:
        scores = lexicon_scores(text[: conf.max_text_length])
        polarity, subjectivity = float(scores["compound"]), float(scores["pos"] + scores["neg"])
        if model is None:
            rows.append({"polarity": polarity, "subjectivity": subjectivity, "label": label_of(polarity), "probability": None,
                         "probabilities": None})  # fmt: skip
            continue
        given = model.classifier.probabilities(text)
        by_label = dict(zip(model.classifier.labels, given.tolist(), strict=True))
        folded = {label.lower(): value for label, value in by_label.items()}
        if {NEGATIVE, POSITIVE} <= folded.keys() <= {NEGATIVE, NEUTRAL, POSITIVE}:
            learned = folded[POSITIVE] - folded[NEGATIVE]
            blended = conf.lexicon_weight * polarity + (1 - conf.lexicon_weight) * learned
            polarity = 0.0 if is_blank(text) else blended
        best = int(np.argmax(given))
        rows.append({"polarity": polarity, "subjectivity": subjectivity, "label": model.classifier.labels[best],
                     "probability": float(given[best]), "probabilities": by_label})  # fmt: skip
    found = {"model_version": lexicon_version() if model is None else model.version, "emotion_model_version": None}
    if isinstance(emotions, Unscorable):
        found["emotion_unavailable"] = emotions.reason
    elif emotions is not None:
        found["emotion_model_version"] = emotions.version
    felt = [_emotion(text, emotions if isinstance(emotions, TextModel) else None) for text in texts]
    return {**found, "results": [row | feeling for row, feeling in zip(rows, felt, strict=True)]}


def _emotion(text: str, model: TextModel | None) -> Row:
    """The emotion of a text, the first of equally probable ones."""
    if model is None:
        return {"emotion": None, "emotion_probability": None, "emotion_probabilities": None}
    given, labels = model.classifier.probabilities(text), model.classifier.labels
    best = int(np.argmax(given))
    return {"emotion": labels[best], "emotion_probability": float(given[best]),
            "emotion_probabilities": dict(zip(labels, given.tolist(), strict=True))}  # fmt: skip


def moderation(texts: Sequence[str], model: TextModel, settings: Settings) -> Row:
    """Of each text and category probability, thresholds, action and the words why: as gold.moderation has them."""
    allowed = {name.lower() for name in settings.moderation.allowed_labels}
    thresholds = model.classifier.description.about.get("thresholds", {})
    labels = model.classifier.labels
    rows = []
    for text in texts:
        given = model.classifier.probabilities(text)
        categories = []
        for label, probability in zip(labels, given.tolist(), strict=True):
            if label.lower() in allowed:
                continue
            remove, review = (*(one["threshold"] for one in thresholds.get(label, ())), None, None)[:2]
            action = "allow" if is_blank(text) else _action(probability, remove, review)
            spans = [] if action == "allow" else model.finder.spans(text, label)
            categories.append({"category": label, "probability": probability, "remove_threshold": remove,
                               "review_threshold": review, "action": action, "spans": spans})  # fmt: skip
        rows.append({"action": _strongest([each["action"] for each in categories]), "categories": categories})
    return {"model_version": model.version, "results": rows}


def anomalies(moments: Sequence[int], values: Sequence[float | None], settings: Settings) -> Row:
    """Of each moment of a series (microseconds, any order) score, whether it is raised, and what was expected: as `shoal score
    anomalies`. Cost: some milliseconds for 10,000 moments."""
    conf = settings.anomalies
    times = np.asarray(moments, np.int64)
    order = np.argsort(times, kind="stable")
    given = np.asarray([np.nan if value is None else value for value in values], np.float64)
    found = score_series(times[order], given[order], AlarmRule(conf.alarm_share, conf.least_alarms))
    rows: list[Row] = [{} for _ in moments]
    for place, row in enumerate(order.tolist()):
        rows[row] = {
            "anomaly_score": _number(found.score[place]) or 0.0, "is_anomaly": bool(found.is_anomaly[place]),
            "expected": _number(found.expected[place]), "expected_low": _number(found.low[place]),
            "expected_high": _number(found.high[place]),
        }  # fmt: skip
    return {"results": rows}


def _action(probability: float, remove: float | None, review: float | None) -> str:
    if remove is not None and probability >= remove:
        return "remove"
    return "review" if review is not None and probability >= review else "allow"


def _strongest(actions: Sequence[str]) -> str:
    return next((action for action in ("remove", "review") if action in actions), "allow")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
