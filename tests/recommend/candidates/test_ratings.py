"""Predicted ratings: biases worked by hand, factors that find a planted taste, errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError
from shoal.recommend.candidates.als import with_numbers
from shoal.recommend.candidates.ratings import (
    RatingSettings,
    evaluate_ratings,
    fit_biases,
    fit_ratings,
    rating_errors,
    with_predicted_ratings,
)

SETTINGS = RatingSettings(1.0, 1.0, 2, (0.01,), 5, 0.2, 1)
COLUMNS = "user_id string, item_id string, value double, weight double, occurred_at timestamp"


def test_biases_are_damped_means_of_what_is_left(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("u", "a", 5.0), ("u", "b", 3.0), ("v", "a", 4.0), ("v", "c", None)],
                                 "user_id string, item_id string, value double")  # fmt: skip
    found = fit_biases(rows, SETTINGS)
    assert (found.mean, found.low, found.high) == (4.0, 3.0, 5.0)
    # By hand, damping 1, three turns: a's is (1 - u + 0 - v) / 3, b's (-1 - u) / 2; u's (1 - a - 1 - b) / 3, v's (0 - a) / 2.
    u = v = a = b = 0.0
    for _ in range(3):
        a, b = (1 - u - v) / 3, (-1 - u) / 2
        u, v = (-a - b) / 3, -a / 2
    assert {row[0]: round(row[1], 12) for row in found.users.collect()} == {"u": round(u, 12), "v": round(v, 12)}
    assert {row[0]: round(row[1], 12) for row in found.items.collect()} == {"a": round(a, 12), "b": round(b, 12)}


def test_factors_find_what_biases_cannot(spark: SparkSession) -> None:
    # Even users like even items: every mean is 3, so biases see nothing.
    rng = np.random.default_rng(3)
    pairs = [(u, i) for u in range(30) for i in range(20) if rng.random() < 0.7]
    rows = [(f"u{u}", f"i{i}", 5.0 if u % 2 == i % 2 else 1.0, 1.0, None) for u, i in pairs]
    train = with_numbers(spark.createDataFrame(rows, COLUMNS)).persist()
    test = spark.createDataFrame(
        [("u0", "i0", 5.0), ("u0", "i1", 1.0), ("u1", "i1", 5.0)], "user_id string, item_id string, value double"
    )
    errors, chosen = evaluate_ratings(train, test, replace(SETTINGS, reg_params=(5.0, 0.01)))
    assert chosen["reg_param"] == 0.01
    rmse = {name: each["rmse"] or math.inf for name, each in errors.items()}
    assert rmse["als"] < 0.5
    assert rmse["bias"] > 1.5
    assert errors["als"]["ratings"] == 3
    train.unpersist()


def test_strangers_get_the_mean_and_nobody_more_than_was_ever_given(spark: SparkSession) -> None:
    rows = [("u", "a", 5.0, 1.0, None), ("u", "b", 5.0, 1.0, None), ("v", "a", 1.0, 1.0, None), ("v", "b", 1.0, 1.0, None)]
    model = fit_ratings(with_numbers(spark.createDataFrame(rows, COLUMNS)), replace(SETTINGS, user_damping=0.0), 0.01)
    asked = spark.createDataFrame([("u", "a"), ("w", "z"), ("v", "z")], "user_id string, item_id string")
    found = {(row["user_id"], row["item_id"]): row for row in with_predicted_ratings(asked, model).collect()}
    assert found["w", "z"]["predicted_rating"] == found["w", "z"]["bias_rating"] == 3.0
    assert found["v", "z"]["bias_rating"] == 1.0
    assert 4.5 < found["u", "a"]["predicted_rating"] <= 5.0


def test_errors_by_hand_and_without_a_rating(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.0, 2.0), (4.0, 2.0), (1.0, None)], "guess double, value double")
    assert rating_errors(rows, ["guess"]) == {"guess": {"rmse": math.sqrt((1 + 4) / 2), "mae": 1.5, "ratings": 2}}
    assert rating_errors(rows.where("value is null"), ["guess"]) == {"guess": {"rmse": None, "mae": None, "ratings": 0}}


def test_nothing_rated_is_refused(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="no row has a rating"):
        fit_biases(spark.createDataFrame([("u", "a", None)], "user_id string, item_id string, value double"), SETTINGS)
