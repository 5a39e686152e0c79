"""Terms by hand, weights beside scikit-learn, a planted taste for words, cosine neighbours by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import UsageError
from shoal.recommend.candidates.content import (
    ContentSettings,
    as_content,
    as_factors,
    content_matrix,
    content_neighbours,
    content_terms,
    fit_mapping,
    genre_popularity,
)
from shoal.recommend.candidates.histories import catalogue_of
from sklearn.linear_model import Ridge

SETTINGS = ContentSettings(5, 1, 0.5)
TERMS = {"i1": ["sea", "sea", "ship"], "i2": ["sea", "war"], "i3": ["war", "war", "war", "love"], "i4": ["love"], "i5": []}


def terms_of(spark: SparkSession, terms: dict[str, list[str]]) -> DataFrame:
    return spark.createDataFrame(list(terms.items()), "item_id string, terms array<string>")


def expected_weights(terms: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """The docstring's formula, without Spark."""
    has = {term: sum(term in given for given in terms.values()) for given in terms.values() for term in given}
    rows = {
        item: {t: (1 + np.log(given.count(t))) * (1 + np.log((len(terms) + 1) / (has[t] + 1))) for t in set(given)}
        for item, given in terms.items() if given
    }  # fmt: skip
    lengths = {item: np.sqrt(sum(w * w for w in row.values())) for item, row in rows.items()}
    most = 2 * np.mean(list(lengths.values()))
    return {item: {t: w * min(1, most / lengths[item]) for t, w in row.items()} for item, row in rows.items()}


def found_weights(content: DataFrame, kept: list[str]) -> dict[str, dict[str, float]]:
    return {row["item_id"]: {kept[n]: w for n, w in zip(row["terms"], row["weights"], strict=True)} for row in content.collect()}


def test_terms_of_every_column(spark: SparkSession) -> None:
    rows = [("a", "Été à Paris (1997)", "Un texte 😀", ["Drama"], ["Sea"], "film", "ann", 9.0), ("b", *[None] * 7)]
    schema = ("item_id string, title string, text string, categories array<string>, hashtags array<string>, kind string, "
              "owner_id string, price_usd double")  # fmt: skip
    found = {row["item_id"]: row["terms"] for row in content_terms(spark.createDataFrame(rows, schema)).collect()}
    assert found == {
        "a": ["été", "à", "paris", "1997", "years:1995", "un", "texte", "category:drama", "#sea", "kind:film", "owner:ann",
              "price:3"],
        "b": [],
    }  # fmt: skip
    only = spark.createDataFrame([("a",)], "item_id string")
    assert [row["terms"] for row in content_terms(only).collect()] == [[]]


def test_weights_are_tf_idf_and_long_rows_are_cut_back(spark: SparkSession) -> None:
    content = as_content(terms_of(spark, TERMS), SETTINGS)
    found, expected = found_weights(content, ["love", "sea", "ship", "war"]), expected_weights(TERMS)
    assert found.keys() == expected.keys() == {"i1", "i2", "i3", "i4"}
    for item, row in expected.items():
        assert found[item] == pytest.approx(row, rel=1e-5)
    many = {f"i{n}": ["a"] for n in range(20)} | {"long": [chr(98 + n) for n in range(20)] + ["a"]}
    content = as_content(terms_of(spark, many), ContentSettings(100, 1, 1.0))
    found, expected = found_weights(content, [chr(97 + n) for n in range(21)]), expected_weights(many)
    assert found["long"] == pytest.approx(expected["long"], rel=1e-4)
    lengths = [np.sqrt(sum(w * w for w in row.values())) for row in expected.values()]
    assert max(lengths) > 1.9 * np.mean(sorted(lengths)[:-1])


def test_the_terms_that_most_items_have_are_kept(spark: SparkSession) -> None:
    # sea, love and war have two items each: of these the first by name.
    content = as_content(terms_of(spark, TERMS), ContentSettings(2, 2, 1.0))
    assert {row["item_id"]: list(row["terms"]) for row in content.collect()} == {"i1": [1], "i2": [1], "i3": [0], "i4": [0]}
    with pytest.raises(UsageError, match="max_terms: 0"):
        as_content(terms_of(spark, TERMS), ContentSettings(0, 1, 1.0))


def test_the_mapping_is_ridge_regression(spark: SparkSession) -> None:
    content = as_content(terms_of(spark, TERMS), ContentSettings(4, 1, 0.5)).persist()
    factors = {"i1": [1.0, 0.0], "i2": [0.5, -1.0], "i3": [-2.0, 0.25], "nobody": [9.0, 9.0]}
    rows = spark.createDataFrame(list(factors.items()), "item_id string, features array<float>")
    mapping = fit_mapping(content, rows, ContentSettings(4, 1, 0.5))
    weights = found_weights(content, ["love", "sea", "ship", "war"])
    known = np.array([[weights[i].get(t, 0.0) for t in ("love", "sea", "ship", "war")] + [1.0] for i in ("i1", "i2", "i3")])
    oracle = Ridge(alpha=0.5, fit_intercept=False).fit(known, [factors[i] for i in ("i1", "i2", "i3")])
    np.testing.assert_allclose(mapping, oracle.coef_.T, atol=1e-5)
    made = {row["item_id"]: row["features"] for row in as_factors(content, mapping).collect()}
    assert made["i4"] == pytest.approx(oracle.predict([[weights["i4"]["love"], 0, 0, 0, 1.0]])[0], abs=1e-5)
    nothing = fit_mapping(content, rows.where("false"), ContentSettings(4, 1, 0.5))
    assert not nothing.any()
    content.unpersist()


def test_neighbours_are_cosines(spark: SparkSession) -> None:
    content = as_content(terms_of(spark, TERMS), SETTINGS)
    pairs = content_neighbours(content, 100, 1, 1.0).collect()
    found = {(row["item_id"], row["rank"]): (row["similar_item_id"], row["similarity"]) for row in pairs}
    rows = expected_weights(TERMS)

    def cosine(a: str, b: str) -> float:
        dot = sum(w * rows[b].get(t, 0.0) for t, w in rows[a].items())
        return float(dot / np.sqrt(sum(w * w for w in rows[a].values()) * sum(w * w for w in rows[b].values())))

    expected = {}
    for item in rows:
        best = max((other for other in rows if other != item), key=lambda other, item=item: cosine(item, other))
        expected[item, 1] = (best, pytest.approx(cosine(item, best), rel=1e-5))
    assert found == expected


def test_what_all_share_makes_nobody_alike(spark: SparkSession) -> None:
    terms = {f"i{n}": ["all", "sea" if n < 2 else f"word{n}"] for n in range(5)}
    content = as_content(terms_of(spark, terms), ContentSettings(10, 1, 1.0))
    found = [tuple(row) for row in content_neighbours(content, 100, 5, 0.5).orderBy("item_id").collect()]
    assert found == [("i0", 1, "i1", pytest.approx(1.0)), ("i1", 1, "i0", pytest.approx(1.0))]


def test_genre_popularity_by_hand(spark: SparkSession) -> None:
    items = spark.createDataFrame([("a", ["x"]), ("b", ["x", "y"]), ("new", ["x", "y", "z"]), ("bare", None)],
                                  "item_id string, categories array<string>")  # fmt: skip
    popular = spark.createDataFrame([("a", 4.0), ("b", 1.0)], "item_id string, score double")
    # x: (4 + 1) / 2, y: 1, z: nothing.
    found = {row["item_id"]: row["score"] for row in genre_popularity(items, popular).collect()}
    assert found == {"a": 2.5, "b": 1.75, "new": pytest.approx(3.5 / 3)}


def test_rows_of_the_catalogue_are_of_length_one(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", [0, 2], [3.0, 4.0]), ("c", [1], [7.0]), ("not", [0], [1.0])],
                                 "item_id string, terms array<int>, weights array<float>")  # fmt: skip
    met = spark.createDataFrame([("u", "a"), ("u", "b"), ("u", "c")], "user_id string, item_id string")
    found = content_matrix(rows, catalogue_of(met, 10), 4)
    np.testing.assert_allclose(found.toarray(), [[0.6, 0, 0.8, 0], [0, 0, 0, 0], [0, 1, 0, 0]], rtol=1e-6)
    assert found.dtype == np.float32
    assert content_matrix(rows.limit(0), catalogue_of(met, 10), 4).shape == (3, 4)
