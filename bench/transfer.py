"""Transfer: a model of one set of texts refitted on few rows of another (shoal.mine.text.transfer), beside training on these rows
alone and beside the first model unchanged. Macro-F1 on the other rows (of MOST_ROWS) of the second set, mean of DRAWS draws.

Sets: vader's movie snippets -> Amazon snippets and -> tweets, positive and negative by the sign of the mean rating; SMS (spam, ham)
-> Davidson's tweets (hate, offensive, neither), whose labels differ.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.mine.text.classifier import Training, prior_of, train_classifier, train_on_driver, transfer_on_driver
from shoal.mine.text.metrics import label_index, quality_of_arrays
from shoal.mine.text.parts import Parts, Plan, known_texts, usable
from shoal.mine.text.term_matrix import TermMatrix, collect_terms
from shoal.mine.text.terms import TERMS, TEXT, with_terms
from shoal.mine.text.transfer import Prior, same_labels, space_of
from shoal.models.text_classifiers import plan_of

from bench.sentiment import read_sentences

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SIZES, DRAWS = (50, 100, 200), 5
# Rows of a second set: as many as decide the third digit.
MOST_ROWS = 5000
DAVIDSON = ("hate", "offensive", "neither")


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """Three rows a pair of sets, one a size."""
    plan = plan_of(load().train_sentiment)
    movies = train_classifier(read_sentences(spark, DATA / "vader" / "movieReviewSnippets_GroundTruth.txt"), plan, refit=True)
    messages = train_classifier(csv_texts(spark, DATA / "sms_spam" / "spam.csv", "latin-1", 1, 0), plan, refit=True)
    pairs = [
        ("movie -> Amazon snippets", movies, read_sentences(spark, DATA / "vader" / "amazonReviewSnippets_GroundTruth.txt")),
        ("movie snippets -> tweets", movies, read_sentences(spark, DATA / "vader" / "tweets_GroundTruth.txt")),
        ("SMS -> Davidson's tweets", messages, davidson(spark)),
    ]
    return [row for name, first, target in pairs for row in compare(name, first, target, plan)]


def compare(name: str, first: Training, texts: DataFrame, plan: Plan) -> list[dict[str, Any]]:
    """The rows of one pair. All terms of the second set come to the driver."""
    known = usable(known_texts(texts, plan.max_text_length)).orderBy(F.xxhash64(TEXT), TEXT).limit(MOST_ROWS).persist()
    labels = sorted(row["label"] for row in known.select("label").distinct().collect())
    terms = with_terms(known, plan.preprocessing).select("label", TERMS)
    no = F.lit(False)
    matrix = collect_terms(terms.select("label", TERMS, no.alias("is_test"), no.alias("is_valid")), label_index(labels))
    prior, rows = prior_of(first.classifier), []
    for size in SIZES:
        found = [judge(texts.sparkSession, drawn(matrix, size, draw), labels, prior, plan) for draw in range(DRAWS)]
        ours, alone, unchanged = (None if None in each else float(np.mean([x for x in each if x is not None]))
                                  for each in zip(*found, strict=True))  # fmt: skip
        spread = float(np.std([x[0] for x in found]))
        shown = "other labels" if unchanged is None else f"the first model unchanged: {unchanged:.4f}"
        assert ours is not None and alone is not None
        rows.append({
            "what": f"{name}, {size} rows: macro-F1 of the others", "ours": ours, "peer": alone, "ratio": ours / alone,
            "unit": "macro-F1", "target": "> the small set alone",
            "note": f"{shown}; standard deviation of {DRAWS} draws {spread:.3f}",
        })  # fmt: skip
    return rows


def drawn(matrix: TermMatrix, size: int, draw: int) -> TermMatrix:
    """`size` rows to learn from, two of each label among them, a fifth of them for the search of the training alone; all others for
    testing."""
    order = np.random.default_rng(draw).permutation(len(matrix.target))
    two = np.concatenate([order[matrix.target[order] == label][:2] for label in np.unique(matrix.target)])
    chosen = np.concatenate([two, order[~np.isin(order, two)]])[:size]
    is_test, is_valid = np.ones(len(matrix.target), bool), np.zeros(len(matrix.target), bool)
    is_test[chosen], is_valid[chosen[-(size // 5) :]] = False, True
    return replace(matrix, is_test=is_test, is_valid=is_valid)


def judge(
    spark: SparkSession, matrix: TermMatrix, labels: list[str], prior: Prior, plan: Plan
) -> tuple[float | None, float | None, float | None]:
    """Macro-F1 on the test rows: refitted, trained alone, the first model unchanged (None where its labels are others)."""

    def counted(rows: np.ndarray) -> dict[str, int]:
        counts = Counter(labels[n] for n in matrix.target[rows])
        return dict(sorted(counts.items()))

    train = ~matrix.is_test
    parts = Parts(
        counted(np.ones(len(train), bool)), counted(train), counted(train & ~matrix.is_valid), counted(matrix.is_valid), 0, 0, 1
    )
    assert len(parts.train) == len(labels)
    ours = transfer_on_driver(matrix, spark, parts, plan, prior, refit=False).quality.macro_f1
    alone = train_on_driver(matrix, spark, parts, plan, refit=False).quality.macro_f1
    if not same_labels(labels, prior.labels).any():
        return ours, alone, None
    space = space_of(matrix, train, prior, len(train))
    margins = space.margins[matrix.is_test] @ same_labels(labels, prior.labels).T
    given = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    return ours, alone, quality_of_arrays(given, matrix.target[matrix.is_test], labels).macro_f1


def csv_texts(spark: SparkSession, path: Path, encoding: str, text: int, label: int) -> DataFrame:
    """Columns text, label and group of a CSV file with a header, each text once."""
    with path.open(encoding=encoding, newline="") as lines:
        rows = {row[text]: (row[text], row[label], None) for row in list(csv.reader(lines))[1:]}
    return spark.createDataFrame(list(rows.values()), "text string, label string, group string")


def davidson(spark: SparkSession) -> DataFrame:
    """The tweets by the names of their classes."""
    texts = csv_texts(spark, DATA / "davidson_hate_offensive" / "data" / "labeled_data.csv", "utf-8", 6, 5)
    name = F.element_at(F.array(*map(F.lit, DAVIDSON)), F.col("label").cast("int") + 1)
    return texts.withColumn("label", name)
