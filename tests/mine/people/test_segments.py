"""Segments: k is found, names can be read, measures are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.spatial.distance import cdist
from shoal.errors import InputError
from shoal.mine.people.segments import adjusted_rand, find_segments, silhouette, with_segment
from sklearn.metrics import adjusted_rand_score, silhouette_score


def shoppers(spark: SparkSession) -> tuple[DataFrame, list[int]]:
    """Three kinds of shopper, and a column that never varies."""
    draw = np.random.default_rng(0)
    kinds = [(2.0, 30.0), (20.0, 30.0), (20.0, 300.0)]
    truth = [i % 3 for i in range(240)]
    rows = [(i, *(float(v) for v in draw.normal(kinds[t], (1.0, 10.0))), 1.0) for i, t in enumerate(truth)]
    return spark.createDataFrame(rows, "position bigint, orders double, spend double, same double"), truth


def test_planted_segments_are_found_and_named(spark: SparkSession) -> None:
    rows, truth = shoppers(spark)
    found = find_segments(rows, ["orders", "spend", "same"], None, 7)
    given = [row["segment_id"] for row in with_segment(rows, found).orderBy("position").collect()]
    assert adjusted_rand_score(truth, given) > 0.98
    assert len(found.names) == 3 and len(set(found.names)) == 3
    assert found.silhouette is not None and found.silhouette > 0.6
    assert found.stability is not None and found.stability > 0.95
    named = {row["segment_name"] for row in with_segment(rows, found).where("position % 3 = 2").collect()}
    assert len(named) == 1 and "high spend" in named.pop()
    assert len(find_segments(rows, ["orders", "spend"], 5, 7).names) == 5


def test_rows_that_cannot_be_divided(spark: SparkSession) -> None:
    rows, _ = shoppers(spark)
    with pytest.raises(InputError, match="same: every column has one value only"):
        find_segments(rows, ["same"], None, 7)
    with pytest.raises(InputError, match="2 different rows; expected at least 3"):
        find_segments(rows.where("position < 2"), ["orders", "spend"], 3, 7)


def test_measures_are_scikit_learns() -> None:
    draw = np.random.default_rng(2)
    points, first, second = draw.normal(size=(60, 2)), draw.integers(0, 4, 60), draw.integers(0, 3, 60)
    assert silhouette(cdist(points, points), first) == pytest.approx(silhouette_score(points, first))
    assert adjusted_rand(first, second) == pytest.approx(adjusted_rand_score(first, second))
