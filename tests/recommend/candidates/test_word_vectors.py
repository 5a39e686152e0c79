"""Words that are used alike are near; the mean by hand; prices by their formula."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.recommend.candidates.content import ContentSettings, as_content, kept_terms
from shoal.recommend.candidates.price_vectors import price_vectors
from shoal.recommend.candidates.word_vectors import WordSettings, fit_words, word_vectors

CONTENT = ContentSettings(1000, 2, 1.0)
WORDS = WordSettings(8, 4, 5, 1000, 3)


def sentences(spark: SparkSession, parts: int = 1) -> DataFrame:
    """Sixty items on ships, sixty on wars; each has four of its shelf's ten words. s0 and s1 (w0, w1) are never together."""
    rng = np.random.default_rng(4)
    rows = []
    for n in range(120):
        shelf = "sw"[n % 2]
        one = int(rng.integers(2))
        others = rng.choice(np.arange(2, 10), 3, replace=False)
        rows.append((f"i{n:03d}", [f"{shelf}{one}", *[f"{shelf}{m}" for m in others], f"once{n}"]))
    return spark.createDataFrame(rows, "item_id string, terms array<string>").repartition(parts)


def test_the_mean_of_terms_by_weight_and_the_same_from_other_partitions(spark: SparkSession) -> None:
    terms = sentences(spark).persist()
    kept = kept_terms(terms, CONTENT)
    assert kept == sorted(f"{shelf}{n}" for shelf in "sw" for n in range(10))
    mapping = fit_words(terms, kept, WORDS)
    found = {row["item_id"]: np.array(row["features"]) for row in word_vectors(terms, WORDS, CONTENT).collect()}
    for row in as_content(terms, CONTENT).collect():
        weights = np.array(row["weights"])
        np.testing.assert_allclose(found[row["item_id"]], weights @ mapping[row["terms"]] / weights.sum(), atol=1e-6)
    again = {row["item_id"]: np.array(row["features"]) for row in word_vectors(sentences(spark, 3), WORDS, CONTENT).collect()}
    assert found.keys() == again.keys()
    assert all((found[item] == again[item]).all() for item in found)
    # Words that never stand together, but among the same ones, are nearer than those of another shelf.
    units = mapping / np.linalg.norm(mapping, axis=1, keepdims=True)
    place = {term: n for n, term in enumerate(kept)}
    assert units[place["s0"]] @ units[place["s1"]] > units[place["s0"]] @ units[place["w1"]] + 0.2
    terms.unpersist()


def test_nothing_to_learn_from_gives_nothing(spark: SparkSession) -> None:
    alone = spark.createDataFrame([("a", ["x"]), ("b", ["x"]), ("c", [])], "item_id string, terms array<string>")
    assert not fit_words(alone, ["x"], WORDS).any()
    rows = word_vectors(alone, WORDS, CONTENT).collect()
    assert {row["item_id"]: list(row["features"]) for row in rows} == {"a": [0.0] * 8, "b": [0.0] * 8}
    assert word_vectors(alone.limit(0), WORDS, CONTENT).count() == 0


def test_prices_by_their_formula(spark: SparkSession) -> None:
    rows = [("a", 10.0, ["Shoes", "Men"]), ("b", 20.0, ["shoes"]), ("c", 12.0, ["hats"]), ("d", 1e9, None), ("e", 1e12, []),
            ("free", 0.0, ["shoes"]), ("null", None, ["shoes"])]  # fmt: skip
    items = spark.createDataFrame(rows, "item_id string, price_usd double, categories array<string>")
    found = {row["item_id"]: np.array(row["features"]) for row in price_vectors(items).collect()}
    assert set(found) == {"a", "b", "c", "d", "e"}
    assert found["a"] @ found["a"] == pytest.approx(1.0, abs=1e-6)
    # Twice the price, one category of two.
    assert found["a"] @ found["b"] == pytest.approx(0.5 * np.exp(-1) + 0.5 * 0.5**0.5, abs=1e-4)
    assert found["a"] @ found["c"] == pytest.approx(0.5 * np.exp(-(np.log2(1.2) ** 2)), abs=1e-4)
    # Beyond the grid all prices are one; without a category half is missing.
    assert found["d"] @ found["e"] == pytest.approx(0.5, abs=1e-6)
    nothing = price_vectors(items.where("item_id = 'free'"))
    assert nothing.count() == 0
