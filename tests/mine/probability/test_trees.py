"""Forests as arrays: the same predictions as MLlib's, contributions that add up, and importances of what matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import SparkSession
from shoal.mine.probability.explain import odds_contributions, vote_odds
from shoal.mine.probability.forests import Growth, forest_column, grow, grow_from, impurity_importances
from shoal.mine.probability.plain_forest import Tree, packed, predict, unpacked
from shoal.mine.probability.trees import contributions, permutation_importances, read_forest


def test_predictions_are_mllibs_and_contributions_add_up(spark: SparkSession, tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(200, 3))
    y = 2 * x[:, 0] + (x[:, 1] > 0.5) + draw.normal(0, 0.1, 200)
    made = [(Vectors.dense(row), float(t), float(t > 0.5)) for row, t in zip(x, y, strict=True)]
    frame = spark.createDataFrame(made, ["features", "number", "is_large"]).coalesce(1).localCheckpoint()
    regression = RandomForestRegressor(labelCol="number", numTrees=5, maxDepth=4, seed=1).fit(frame)
    classifier = RandomForestClassifier(labelCol="is_large", numTrees=5, maxDepth=4, seed=1).fit(frame)
    numbers = [row[0] for row in regression.transform(frame).select("prediction").collect()]
    shares = [row[0] for row in classifier.transform(frame).select(vector_to_array("probability")[1]).collect()]
    for model, expected in ((regression, numbers), (classifier, shares)):
        model.write().overwrite().save(f"file://{tmp_path / 'forest'}")
        forest = read_forest(tmp_path / "forest")
        assert len(forest) == 5
        assert predict(forest, x) == pytest.approx(np.array(expected), abs=1e-9)
        impurity = model.featureImportances.toArray()
        assert impurity_importances(forest, 3) == pytest.approx(impurity, abs=1e-6)
        again = unpacked(packed(forest))
        assert predict(again, x).tolist() == predict(forest, x).tolist() and len(again) == 5
    # The last column says nothing, the first one most.
    lost = permutation_importances(forest, x, (y > 0.5).astype(float), 3)
    assert lost[0] > 0.2 > lost[1] > abs(lost[2])
    base, parts = contributions(forest, x)
    start, odds = odds_contributions(base, parts, 5)
    assert start + odds.sum(axis=1) == pytest.approx(vote_odds(np.array(expected), 5), abs=1e-9)


def test_few_rows_are_grown_by_scikit_learn_and_scored_in_a_column(spark: SparkSession) -> None:
    draw = np.random.default_rng(4)
    x = draw.normal(size=(150, 4))
    y = x[:, 0] ** 2 + x[:, 1]
    made = [(Vectors.dense(row), float(t), float(t > 1)) for row, t in zip(x, y, strict=True)]
    frame = spark.createDataFrame(made, ["features", "number", "is_large"]).coalesce(1)
    growth = Growth(7, 4, 3, 1)
    for label, is_class in (("number", False), ("is_large", True)):
        forest = grow_from(frame, "features", label, growth, 150, is_class)
        assert len(forest) == 7 and max(len(tree.feature) for tree in forest) <= 2**5 - 1
        column = forest_column(forest, vector_to_array("features"))
        found = np.array([row[0] for row in frame.select(column).collect()])
        assert found == pytest.approx(predict(forest, x))
        assert np.corrcoef(found, y if not is_class else y > 1)[0, 1] > 0.7
        # The order of the rows does not matter.
        shuffled = draw.permutation(150)
        target = (y > 1).astype(float) if is_class else y
        assert predict(grow(x[shuffled], target[shuffled], growth, is_class), x) == pytest.approx(found)
        assert impurity_importances(forest, 4)[:2].sum() > 0.6


def test_a_path_by_hand() -> None:
    # x0 <= 1: 2, else 6 or, where x1 > 0, 10; roots 4 of 8 rows and so on.
    tree = Tree(
        np.array([0, -1, 1, -1, -1]), np.array([1.0, 0, 0.0, 0, 0]), np.array([1, -1, 3, -1, -1]), np.array([2, -1, 4, -1, -1]),
        np.array([4.0, 2.0, 7.0, 6.0, 10.0]), np.ones(5), np.ones(5),
    )  # fmt: skip
    base, parts = contributions([tree], np.array([[0.5, 9.0], [2.0, -1.0], [2.0, 1.0]]))
    assert base == 4.0
    assert parts.tolist() == [[-2.0, 0.0], [3.0, -1.0], [3.0, 3.0]]
