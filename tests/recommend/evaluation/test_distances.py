"""Intra-list diversity against the example of docs/metrics.md, worked by hand."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError
from shoal.recommend.evaluation import distances
from shoal.recommend.evaluation.distances import intra_list_diversity, user_vectors
from shoal.recommend.evaluation.evaluate import diversity_of

LISTS = "model string, user_id string, rank int, item_id string"


def test_distance_by_who_met_the_items(spark: SparkSession) -> None:
    history = spark.createDataFrame([("u", "a"), ("u", "b"), ("v", "b"), ("v", "b"), ("v", "c")], "user_id string, item_id string")
    made = {("m", "x"): "abc", ("m", "y"): "ac", ("m", "one item"): "a", ("twice", "x"): "aab", ("unknown", "x"): "a?",
            ("same", "x"): "b"}  # fmt: skip
    rows = [(model, user, rank, item) for (model, user), items in made.items() for rank, item in enumerate(items, 1)]
    lists = spark.createDataFrame(rows, LISTS)
    found = {row["model"]: row for row in intra_list_diversity(
        lists, user_vectors(history), [2, 3], ["m", "twice", "unknown", "same", "silent"]
    ).collect()}  # fmt: skip
    near = 1 - 2**-0.5
    # a and b are .2929 apart, b and c too, a and c 1; a list of one item does not count.
    assert found["m"]["intra_list_diversity@3"] == pytest.approx(((near + 1 + near) / 3 + 1) / 2)
    assert found["m"]["intra_list_diversity@2"] == pytest.approx((near + 1) / 2)
    # An item twice is one item: up to 2 there is no pair.
    assert found["twice"]["intra_list_diversity@3"] == pytest.approx(near)
    assert found["twice"]["intra_list_diversity@2"] is None
    assert found["unknown"]["intra_list_diversity@2"] == 1.0
    assert (found["same"]["intra_list_diversity@3"], found["silent"]["intra_list_diversity@3"]) == (None, None)


def test_vectors_that_are_too_large_cost_the_metric_and_not_the_evaluation(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = user_vectors(spark.createDataFrame([("u", "a"), ("u", "b")], "user_id string, item_id string"))
    lists = spark.createDataFrame([("m", "u", 1, "a"), ("m", "u", 2, "b")], LISTS)
    assert diversity_of(lists, vectors, 2, ["m"]) == {"m": pytest.approx(0.0)}
    monkeypatch.setattr(distances, "MAX_VECTOR_BYTES", 23)
    with pytest.raises(InputError, match="2 numbers of items"):
        intra_list_diversity(lists, vectors, [2], ["m"])
    assert diversity_of(lists, vectors, 2, ["m"]) == {"m": None}
    assert "2 numbers of items" in caplog.text
