"""The isolation forest against scikit-learn's, and rows scored where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.errors import InputError
from shoal.mine.anomalies.isolation_forest import grow_forest, score_rows
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score


def planted(rows: int = 10_000, outliers: int = 100) -> np.ndarray:
    draw = np.random.default_rng(3)
    points = draw.normal(size=(rows, 10))
    points[:outliers] += draw.choice([-1.5, 1.5], (outliers, 10))
    return points


def test_scores_are_distributed_as_scikit_learns() -> None:
    points = planted()
    truth = np.arange(len(points)) < 100
    ours = grow_forest(points, 1).score(points)
    theirs = -IsolationForest(random_state=1).fit(points).score_samples(points)
    assert roc_auc_score(truth, ours) == pytest.approx(roc_auc_score(truth, theirs), abs=0.01)
    assert np.quantile(ours, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(theirs, [0.1, 0.5, 0.9]), abs=0.015)


def test_a_frame_is_scored_and_the_asked_share_is_raised(spark: SparkSession) -> None:
    points = planted(2_000, 40)
    rows = [(i, float(p[0]), float(p[1]), float(p[2])) for i, p in enumerate(points)]
    rows[0] = (0, 50.0, 50.0, 50.0)
    rows[1] = (1, None, float("nan"), 0.0)  # what is missing counts as the median: an ordinary row
    frame = spark.createDataFrame(rows, "position bigint, a double, b double, c double")
    found = {row["position"]: row for row in score_rows(frame, ["a", "b", "c"], 0.05, 7).collect()}
    assert sum(row["is_anomaly"] for row in found.values()) == pytest.approx(100, abs=2)
    assert found[0]["is_anomaly"] and found[0]["anomaly_score"] == max(row["anomaly_score"] for row in found.values())
    assert not found[1]["is_anomaly"]
    assert all(0 < row["anomaly_score"] < 1 for row in found.values())
    again = {row["position"]: row["anomaly_score"] for row in score_rows(frame, ["a", "b", "c"], 0.05, 7).collect()}
    assert again == {position: row["anomaly_score"] for position, row in found.items()}


def test_rows_that_are_all_alike_are_refused(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(i, 1.0) for i in range(5)], "position bigint, a double")
    with pytest.raises(InputError, match="5 rows, all alike; expected rows that differ in a"):
        score_rows(frame, ["a"], 0.05, 7)
