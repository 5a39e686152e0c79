"""A classifier as the prior of another: the optimum beside scikit-learn's, and a small set that keeps what the first one knew."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from shoal.cli.train import train_sentiment
from shoal.errors import InputError
from shoal.mine.text import transfer
from shoal.mine.text.classifier import Training, score_texts
from shoal.mine.text.linear import Weights
from shoal.mine.text.saved import load_classifier, save_classifier
from shoal.mine.text.term_matrix import TermMatrix
from shoal.mine.text.transfer import fit_map, prior_of, same_labels, search_and_fit, space_of, weights_of
from sklearn.linear_model import LogisticRegression


def test_without_a_prior_the_optimum_is_that_of_logistic_regression() -> None:
    rng = np.random.default_rng(3)
    features, target = csr_matrix(rng.random((50, 4))), rng.integers(0, 3, 50)
    found = fit_map(np.zeros((50, 1)), features, target, [1.0, 2.0, 1.0], {"inverse_penalty": 1.0}, np.zeros((3, 1)))
    # Its intercept is penalised too: a column of ones.
    ones = np.hstack([features.toarray(), np.ones((50, 1))])
    oracle = LogisticRegression(C=1.0, fit_intercept=False, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, tol=1e-10, max_iter=1000)
    expected = oracle.fit(ones, target).coef_
    np.testing.assert_allclose(np.column_stack([found.change, found.intercepts]), expected, atol=1e-4)


def test_a_prior_moves_as_far_as_the_rows_say() -> None:
    first, features = np.array([[2.0, -2.0], [-2.0, 2.0]]), csr_matrix(np.eye(2))
    mixing = np.eye(2)
    still = fit_map(first, features, np.array([0, 1]), [0.0, 0.0], {"inverse_penalty": 10.0}, mixing)
    np.testing.assert_array_equal(still.margins(first, features), first)
    # Two rows that contradict it: with a weak penalty they win, with a strong one the first classifier stays.
    contradicted = [fit_map(first, features, np.array([1, 0]), [1.0, 1.0], {"inverse_penalty": c}, mixing) for c in (100.0, 1e-6)]
    weak, strong = (one.margins(first, features).argmax(axis=1).tolist() for one in contradicted)
    assert weak == [1, 0]
    assert contradicted[1].change == pytest.approx(0.0, abs=1e-5)
    assert len(strong) == 2


def test_few_rows_are_fitted_in_the_space_that_they_span(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    presence = csr_matrix((rng.random((40, 60)) < 0.2).astype(float))
    target = (presence[:, :5].sum(axis=1).A1 > 0).astype(np.int64)
    matrix = TermMatrix(presence, np.array([f"t{n:02}" for n in range(60)], object), target, np.zeros(40, bool), np.zeros(40, bool))
    prior = prior_of(["a", "b"], ["t00", "t07"], np.ones(2), np.array([[2.0, -1.0]]), np.array([0.5]))
    rows = np.ones(40, bool)
    space = space_of(matrix, rows, prior, 1)

    def found() -> tuple[Weights, dict[str, float], np.ndarray]:
        weights, settings, given, _ = search_and_fit(
            space, target, rows, ["a", "b"], prior, [0, 1], 7, lambda given, truth: float((given.argmax(axis=1) == truth).mean())
        )
        return weights, settings, given

    weights, settings, given = found()
    monkeypatch.setattr(transfer, "SPANNED_ROWS", 0)
    others, other_settings, other_given = found()
    assert settings == other_settings
    np.testing.assert_allclose(given, other_given, atol=1e-3)
    np.testing.assert_allclose(weights.coefficients, others.coefficients, atol=0.02)
    assert (weights.probabilities(space.vectors).argmax(axis=1) == target).mean() > 0.9


def test_labels_are_the_same_in_any_case_or_not_at_all() -> None:
    assert same_labels(["a", "B"], ["b", "A", "c"]).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert same_labels(["a", "d"], ["b", "a"]).tolist() == [[0, 0], [0, 0]]


def test_terms_of_both_sets_have_a_place() -> None:
    prior = prior_of(["no", "yes"], ["old", "both"], np.array([2.0, 3.0]), np.array([[5.0, 7.0]]), np.array([1.0]))
    presence = csr_matrix(np.array([[1.0, 0, 1], [1, 1, 0], [0, 1, 0]]))
    terms, none = np.array(["both", "new", "once"], object), np.zeros(3, bool)
    matrix = TermMatrix(presence, terms, np.array([0, 1, 1]), none, none)
    space = space_of(matrix, np.ones(3, bool), prior, 2)
    assert space.vocabulary == ("both", "new", "old")
    new = np.log(4 / 3)
    np.testing.assert_allclose(space.idf, [3, new, 2])
    length = (9 + new**2) ** 0.5
    np.testing.assert_allclose(space.vectors.toarray(), [[1, 0, 0], [3 / length, new / length, 0], [0, 1, 0]])
    np.testing.assert_allclose(space.margins, [[0, 8], [0, 1 + 7 * 3 / length], [0, 1]])
    # Nothing is learned: the two rows of coefficients become the prior's one.
    still = fit_map(space.margins, space.vectors, matrix.target, [0.0, 0.0], {"inverse_penalty": 1.0}, np.eye(2))
    weights = weights_of(still, space)
    assert (weights.coefficients.tolist(), weights.intercepts.tolist()) == ([[7.0, 0.0, 5.0]], [1.0])


def test_a_small_file_refits_a_model_and_keeps_what_it_knew(
    spark: SparkSession, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, model, small = tmp_path / "first", tmp_path / "model", tmp_path / "small.csv"
    with small.open("w", newline="", encoding="utf-8") as out:
        words = {"battery drained": "bad", "bright screen": "good"}
        rows = [(f"{said} phone {n}", label) for n in range(15) for said, label in words.items()]
        csv.writer(out).writerows([("words", "stars"), *rows])
    with pytest.raises(InputError, match=r"--init-from .*first: no model there \(no model\.json\)"):
        train_sentiment(small, "words", "stars", model=model, init_from=first)
    save_classifier(training.classifier, first, "sentiment-first", {"task": "sentiment", "thresholds": {}})
    train_sentiment(small, "words", "stars", model=model, init_from=first)
    said = json.loads(capsys.readouterr().out)
    assert (said["init_from"], said["labels"], said["metrics"]["macro_f1"], said["fitted_rows"]) == (
        "sentiment-first", ["bad", "good"], 1.0, 30,
    )  # fmt: skip
    found, about = load_classifier(model)
    assert about["init_from"] == "sentiment-first"
    asked = {"a battery drained": "bad", "so bright a screen": "good", "an awful film": "bad", "a great film, good cast": "good"}
    texts = spark.createDataFrame([(text,) for text in asked], "text string")
    assert {r["text"]: r["predicted_label"] for r in score_texts(texts, F.col("text"), found).collect()} == asked
