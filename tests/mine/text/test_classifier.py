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
from shoal.mine.text import parts
from shoal.mine.text.classifier import Training, evaluate_classifier, score_texts, train_classifier
from shoal.mine.text.saved import load_classifier, save_classifier
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import Preprocessing, with_terms

from tests.mine.text.conftest import PLAN

ASIS = {"word_ngrams": 1, "char_ngrams": [0, 0], "stemmer": "none", "stop_words": "none"}
WORDS_ONLY = Preprocessing(2, (0, 0), "none", "none")


def terms_of(spark: SparkSession, texts: list[str | None], preprocessing: Preprocessing) -> list[list[str]]:
    rows = spark.createDataFrame([(text,) for text in texts], "text string")
    return [row["terms"] for row in with_terms(rows, preprocessing).select("terms").collect()]


def test_terms_keep_negation_and_scripts(spark: SparkSession) -> None:
    found = terms_of(spark, ["Don’t go: it's NOT good!", "שלום 🎉 café, 2024", "", "...", None], WORDS_ONLY)
    words = ["don't", "go", "it's", "not", "good", "!"]
    assert found[0] == words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    # A number is also a word of its length.
    assert found[1] == ["שלום", "🎉", "café", "2024", "0000", "שלום 🎉", "🎉 café", "café 2024"]
    assert found[2:] == [[], [], []]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RT @Some_One: see https://t.co/x?y=1, www.a.bc!", ["rt", "__mention__", "see", "__link__", "!"]),
        ("soooo coool :-) <3 :(", ["soo", "cool", "__smile__", "__heart__", "__frown__"]),
        ("#TBT & #1 &amp; <br />it is 5 < 6", ["#tbt", "#1", "it", "is", "5", "6", "0"]),
        ("a\u200bb \u202eright\u202c\x07 'quoted' rock'n'roll", ["ab", "right", "quoted", "rock'n'roll"]),
        ("&#128514;yes&#128514; &#8220;so&#8221; &#", ["😂", "yes", "so"]),
        ("mail me@home.org", ["mail", "me", "home", "org"]),
    ],
)
def test_words_by_the_rules_of_social_media(spark: SparkSession, text: str, expected: list[str]) -> None:
    assert terms_of(spark, [text], Preprocessing(1, (0, 0), "none", "none")) == [expected]


def test_sequences_of_characters_lie_inside_words(spark: SparkSession) -> None:
    found = terms_of(spark, ["ab @x a"], Preprocessing(1, (2, 3), "none", "none"))[0]
    assert found == ["ab", "__mention__", "a", "c: a", "c:ab", "c:b ", "c: ab", "c:ab ", "c:a ", "c: a "]


def test_stems_and_stop_words_are_options(spark: SparkSession) -> None:
    assert terms_of(spark, ["the running dogs"], Preprocessing(1, (0, 0), "porter", "english")) == [["run", "dog"]]


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
    counted = training.classifier.pipeline.stages[-4].vocabulary.index("not good")
    shown = texts.where("label in ('good', 'bad', 'mixed') and trim(text) != ''")
    train = shown.where(~is_held_out(F.lower(F.trim("text")), PLAN.test_ratio, PLAN.seed, "test"))
    having = train.where("text like '%not good%'").count()
    idf = training.classifier.pipeline.stages[-3].getScalingVec()[counted]
    assert idf == pytest.approx(np.log((training.train_rows + 1) / (having + 1)), abs=1e-12)


def oracle_terms(text: str) -> list[str]:
    """The terms of conftest's plain texts, counted by hand: words, pairs, sequences of 2 to 3 characters."""
    words = text.split()
    found = [*words, *["0" * len(w) for w in words if w.isdigit()], *[f"{a} {b}" for a, b in itertools.pairwise(words)]]
    return [*found, *[f"c:{p[i : i + n]}" for w in words for p in [f" {w} "] for n in (2, 3) for i in range(len(p) - n + 1)]]


def test_the_classifier_is_scikit_learns(spark: SparkSession, texts: DataFrame, training: Training) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    used = texts.where("label in ('good', 'bad', 'mixed') and trim(text) != ''")
    used = used.where(~is_held_out(F.lower(F.trim("text")), PLAN.test_ratio, PLAN.seed, "test"))
    rows = [(row["text"], row["label"]) for row in used.collect() if row["text"].strip()]
    assert len(rows) == training.train_rows
    vectors = TfidfVectorizer(binary=True, analyzer=oracle_terms)
    vectors.fit([text for text, _ in rows])
    # Ours is ln((n + 1) / (df + 1)), scikit-learn's 1 more.
    vectors._tfidf.idf_ = vectors.idf_ - 1
    assert sorted(vectors.vocabulary_) == sorted(training.classifier.pipeline.stages[-4].vocabulary)
    labels = np.array([label for _, label in rows])
    power = training.settings["class_weight_power"]
    weights = {name: (len(rows) / (3 * np.sum(labels == name))) ** power for name in set(labels)}
    peer = LinearSVC(C=training.settings["inverse_penalty"], class_weight=weights, max_iter=10_000, tol=1e-6)
    peer.fit(vectors.transform([text for text, _ in rows]), labels)
    sample = ["lovely film", "awful plot", "not good", "never seen words"]
    margins = peer.decision_function(vectors.transform(sample)) * training.settings["temperature"]
    expected = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    scored = score_texts(spark.createDataFrame([(t,) for t in sample], "t string"), F.col("t"), training.classifier).collect()
    assert np.array([row["probabilities"] for row in scored]) == pytest.approx(expected, abs=0.01)


def test_quality_is_that_of_the_saved_stages(texts: DataFrame, training: Training) -> None:
    judged = evaluate_classifier(texts, training.classifier, PLAN)
    assert judged.named() == pytest.approx(training.quality.named(), abs=1e-9)
    assert judged.f1 == training.quality.f1


def test_a_refitted_classifier_has_learned_from_all_rows(texts: DataFrame, training: Training) -> None:
    again = train_classifier(texts, PLAN, refit=True)
    assert (again.fitted_rows, training.fitted_rows) == (150, training.train_rows)
    assert again.quality == training.quality
    assert {f"#{i}" for i in range(9, 150, 10)} <= set(again.classifier.pipeline.stages[-4].vocabulary)


def test_large_data_is_fitted_by_spark(texts: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_LOCAL_TERMS", 10)
    plan = dataclasses.replace(PLAN, inverse_penalties=[0.3], class_weight_powers=[0.0])
    found = train_classifier(texts, plan, refit=True)
    assert found.quality.macro_f1 > 0.95
    assert found.fitted_rows == found.train_rows
    assert "temperature" not in found.settings


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
    facts = {"format": "other", "labels": [], "priors": [], "max_text_length": 1, "preprocessing": ASIS}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="format is 'other'"):
        load_classifier(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**facts, "format": "shoal text classifier 3"}))
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
    plan = dataclasses.replace(PLAN, inverse_penalties=[1.0], class_weight_powers=[0.0])
    training = train_classifier(frame, plan)
    vocabulary = set(training.classifier.pipeline.stages[-4].vocabulary)
    sides = [{f"text{10 * group + i}" in vocabulary for i in range(10)} for group in range(20)]
    assert all(len(side) == 1 for side in sides)
    assert {True, False} == set.union(*sides)
