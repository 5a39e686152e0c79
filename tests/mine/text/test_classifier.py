"""Training, scoring, saving: on made texts whose labels follow from their words."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.errors import InputError, UsageError
from shoal.mine.text.classifier import Training, score_texts, train_classifier
from shoal.mine.text.saved import load_classifier, save_classifier
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import term_stages

from tests.mine.text.conftest import PLAN


def test_terms_keep_negation_and_scripts(spark: SparkSession) -> None:
    texts = spark.createDataFrame([("Don't go: it's NOT good!",), ("שלום 🎉 café, 2024",), ("",), ("...",)], "text string")
    found = [row["terms"] for row in term_stages(texts).transform(texts).select("terms").collect()]
    words = ["don't", "go", "it's", "not", "good", "!"]
    assert found[0] == words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    assert found[1] == ["שלום", "🎉", "café", "2024", "שלום 🎉", "🎉 café", "café 2024"]
    assert found[2:] == [[], []]


def test_training_learns_counts_and_beats_the_majority(training: Training) -> None:
    assert (training.rows, training.dropped) == (150, 4)
    assert training.classifier.labels == ("bad", "good", "mixed")
    assert training.train_rows + training.quality.rows == 150
    assert sum(training.classifier.priors) == pytest.approx(1.0, abs=1e-12)
    assert training.quality.macro_f1 > 0.95
    assert set(training.quality.f1) == {"bad", "good", "mixed"}
    assert training.baseline.macro_f1 < 0.3
    assert training.quality.log_loss < training.baseline.log_loss


def test_vocabulary_and_document_frequencies_come_from_training_rows_only(texts: DataFrame, training: Training) -> None:
    held_out = texts.where(is_held_out(F.lower(F.trim("text")), PLAN.test_ratio, PLAN.seed, "test")).where("label != ' '")
    numbers = [row[0] for row in held_out.select(F.regexp_extract("text", r"(\d+)$", 1)).collect() if row[0]]
    vocabulary = set(training.classifier.pipeline.stages[-4].vocabulary)
    assert len(numbers) == training.quality.rows > 15
    assert vocabulary & set(numbers) == set()
    assert "not good" in vocabulary
    assert training.classifier.pipeline.stages[-3].numDocs == training.train_rows


def test_logistic_regression_is_scikit_learns(spark: SparkSession, texts: DataFrame, training: Training) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    used = texts.where("label in ('good', 'bad', 'mixed') and trim(text) != ''")
    used = used.where(~is_held_out(F.lower(F.trim("text")), PLAN.test_ratio, PLAN.seed, "test"))
    rows = [(row["text"], row["label"]) for row in used.collect() if row["text"].strip()]
    assert len(rows) == training.train_rows
    vectors = TfidfVectorizer(binary=True, ngram_range=(1, 2), token_pattern=r"[\w']+")
    features = vectors.fit_transform([text for text, _ in rows])
    # Spark's idf is ln((n + 1) / (df + 1)), scikit-learn's 1 more.
    vectors._tfidf.idf_ = vectors.idf_ - 1
    features = vectors.transform([text for text, _ in rows])
    labels = np.array([label for _, label in rows])
    power = training.settings["class_weight_power"]
    weights = {name: (len(rows) / (3 * np.sum(labels == name))) ** power for name in set(labels)}
    peer = LogisticRegression(C=training.settings["inverse_penalty"], class_weight=weights, max_iter=1000, tol=1e-8)
    # MLlib divides by the sum of weights, scikit-learn does not.
    peer.C *= len(rows) / sum(weights[name] for name in labels)
    peer.fit(features, labels)
    sample = ["lovely film", "awful plot", "not good", "never seen words"]
    expected = peer.predict_proba(vectors.transform(sample))
    scored = score_texts(spark.createDataFrame([(t,) for t in sample], "t string"), F.col("t"), training.classifier).collect()
    assert np.array([row["probabilities"] for row in scored]) == pytest.approx(expected, abs=0.01)


def test_scores_keep_the_columns_and_give_blank_texts_the_prior(spark: SparkSession, training: Training) -> None:
    rows = [("1", "a lovely film", 0.5, "old"), ("2", None, None, "x"), ("3", " \t", 1.0, "y"), ("4", "dull", 2.0, "z")]
    frame = spark.createDataFrame(rows, "`my.id` string, text string, features double, predicted_label string")
    scored = score_texts(frame, F.col("text"), training.classifier)
    assert scored.columns == ["my.id", "text", "features", "predicted_label", "probabilities"]
    found = scored.collect()
    assert [(r["my.id"], r["text"], r["features"], r["predicted_label"]) for r in found] == [
        ("1", "a lovely film", 0.5, "good"), ("2", None, None, "good"), ("3", " \t", 1.0, "good"), ("4", "dull", 2.0, "bad"),
    ]  # fmt: skip
    assert tuple(found[1]["probabilities"]) == tuple(found[2]["probabilities"]) == training.classifier.priors
    assert all(sum(r["probabilities"]) == pytest.approx(1.0, abs=1e-9) for r in found)


def test_a_saved_classifier_scores_as_before(texts: DataFrame, training: Training, tmp_path: Path) -> None:
    folder = tmp_path / "a model"
    save_classifier(training.classifier, folder, "v1", {"macro_f1": 0.5})
    save_classifier(training.classifier, folder, "v2", {"macro_f1": 0.5})
    loaded, about = load_classifier(folder)
    assert (about["version"], about["labels"], about["macro_f1"]) == ("v2", ["bad", "good", "mixed"], 0.5)
    before = score_texts(texts, F.col("text"), training.classifier).collect()
    assert score_texts(texts, F.col("text"), loaded).collect() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a model"]


def test_folders_that_are_no_model_are_one_line(training: Training, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model there"):
        load_classifier(tmp_path / "none")
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(InputError, match="not the description of a model"):
        load_classifier(tmp_path)
    facts = {"format": "other", "labels": [], "priors": [], "max_text_length": 1}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="format is 'other'"):
        load_classifier(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**facts, "format": "shoal text classifier 1"}))
    with pytest.raises(InputError, match="files are damaged") as caught:
        load_classifier(tmp_path)
    assert "\n" not in str(caught.value)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "photo.jpg").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        save_classifier(training.classifier, foreign, "v", {})
    assert (foreign / "photo.jpg").read_text() == "mine"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(f"text {i}", "same") for i in range(30)], "have the label 'same'; expected at least two"),
        ([("a", "x"), ("b", "y"), (None, "x")], "found 2 texts with a label; expected at least 10"),
        ([(None, "x")] * 20, "found 0 texts"),
        ([(f"t {i}", f"label {i}") for i in range(300)], "more than 200 different values"),
        ([(f"t {i}", "Spam" if i % 2 else "spam") for i in range(30)], "'Spam' and 'spam' differ in case only"),
        ([("... " * (i + 1), "x" if i % 2 else "y") for i in range(60)], "no text has a word"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(spark: SparkSession, rows: list[tuple[str | None, str]], expected: str) -> None:
    frame = spark.createDataFrame([(*row, None) for row in rows], "text string, label string, group string").coalesce(1)
    with pytest.raises(InputError, match=expected):
        train_classifier(frame, PLAN)


def test_a_group_is_never_on_both_sides(spark: SparkSession) -> None:
    rows = [(f"word{i % 3} text{i}", "x" if i % 3 else "y", f"group{i // 10}") for i in range(200)]
    frame = spark.createDataFrame(rows, "text string, label string, group string").coalesce(1)
    plan = dataclasses.replace(PLAN, inverse_penalties=[10.0], class_weight_powers=[0.0])
    training = train_classifier(frame, plan)
    vocabulary = set(training.classifier.pipeline.stages[-4].vocabulary)
    sides = [{f"text{10 * group + i}" in vocabulary for i in range(10)} for group in range(20)]
    assert all(len(side) == 1 for side in sides)
    assert {True, False} == set.union(*sides)
