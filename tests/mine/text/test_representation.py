"""Texts as vectors: means of words' vectors, without what all share."""

from __future__ import annotations

import dataclasses

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from shoal.mine.text.representation import (
    SIF,
    WORD2VEC,
    RepresentationSettings,
    Terms,
    learn_terms,
    with_vectors,
    without_common,
    words_of,
)

SETTINGS = RepresentationSettings(SIF, 5, 2, 3, 5, 2, 100, 1000, 7)


def vectors(rows: DataFrame, terms: Terms) -> dict[str, list[float]]:
    return {r["text_id"]: r["values"] for r in with_vectors(rows, terms).collect()}


def test_a_text_is_the_mean_of_its_known_words(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("1", ["a", "b", "a", "x"]), ("2", ["x"]), ("3", None)], "text_id string, words array<string>")
    terms = Terms(WORD2VEC, ("a", "b"), (2, 2), np.ones(2), np.array([[3, 0], [0, 6]], np.float32))
    found = with_vectors(rows, terms).collect()
    assert {r["text_id"]: (r["size"], r["indices"], r["values"]) for r in found} == {
        "1": (2, None, [2.0, 2.0]), "2": (2, None, [0.0, 0.0]), "3": (2, None, [0.0, 0.0]),
    }  # fmt: skip


def test_the_direction_that_all_texts_share_goes() -> None:
    terms = Terms(SIF, ("a", "b"), (1, 1), np.ones(2), np.array([[3, 4], [1, 0]], np.float32))
    sample = np.array([[6.0, 8.0], [-3.0, -4.0]])  # along (.6, .8)
    found = without_common(terms, sample)
    # (1, 0) less .6 x (.6, .8)
    np.testing.assert_allclose(found.vectors, [[0, 0], [0.64, -0.48]], atol=1e-6)
    assert without_common(terms, np.zeros((2, 2))) is terms


def test_what_is_learned_does_not_depend_on_partitions(spark: SparkSession) -> None:
    rows = [(f"{i:02}", ("red cat runs fast" if i % 2 else "blue dog sleeps long") + f" n{i}") for i in range(40)]
    texts = spark.createDataFrame(rows, "text_id string, text string")
    one = learn_terms(texts.coalesce(1), 40, SETTINGS)
    other = learn_terms(texts.orderBy(texts.text_id.desc()).repartition(3), 40, SETTINGS)
    assert one is not None and other is not None
    # Eight words are in 20 texts each; five count, the smallest of equal ones.
    assert one.names == other.names == ("blue", "cat", "dog", "fast", "long")
    np.testing.assert_array_equal(one.vectors, other.vectors)
    # Each is a fifth of the words that count.
    np.testing.assert_allclose(one.weights, 0.001 / 0.201, rtol=1e-12)
    found = np.array(list(vectors(words_of(texts, 1000), one).values()))
    assert np.abs(found).max() > 0
    plain = learn_terms(texts, 40, dataclasses.replace(SETTINGS, representation=WORD2VEC))
    assert plain is not None and plain.vectors is not None and one.vectors is not None
    weighed = dataclasses.replace(plain, vectors=plain.vectors * 0.001 / 0.201)
    given = np.array(list(vectors(words_of(texts, 1000), weighed).values()))
    _, _, right = np.linalg.svd(given)
    np.testing.assert_allclose(found, given - np.outer(given @ right[0], right[0]), atol=1e-9)
    assert learn_terms(texts, 40, dataclasses.replace(SETTINGS, min_texts=21)) is None


def test_words_keep_their_order_and_number(spark: SparkSession) -> None:
    texts = spark.createDataFrame([("1", "So so good, @ann!"), ("2", None)], "text_id string, text string")
    found = {r["text_id"]: r["words"] for r in words_of(texts, 1000).collect()}
    assert found == {"1": ["so", "so", "good", "__mention__", "!"], "2": []}
