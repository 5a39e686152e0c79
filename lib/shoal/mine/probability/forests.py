"""Random forests of numbers: grown by scikit-learn on the driver where the rows are one task's, else by MLlib; arrays either way.

MLlib grows a forest in a Spark job a level, and its jobs over two thousand rows are all overhead. What scores is the same: the
trees as arrays (shoal.mine.probability.trees), in a column.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.functions import vector_to_array
from pyspark.ml.regression import RandomForestRegressor
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from sklearn import ensemble

from shoal.arrays import Doubles
from shoal.mine.probability.linear_models import DRIVER_ROWS
from shoal.mine.probability.plain_forest import Forest, Tree, predict
from shoal.mine.probability.trees import read_forest
from shoal.spark.driver_files import written_by_tasks


@dataclass(frozen=True)
class Growth:
    """How many trees, how deep, the fewest rows of a leaf, the seed, and the kind: a random forest, extremely random trees
    ("extra"), or, of numbers only, boosted trees ("boosting") that learn at `rate`."""

    trees: int
    depth: int
    leaf: int
    seed: int
    kind: str = "forest"
    rate: float = 0.1


def grow(inputs: Doubles, target: Doubles, growth: Growth, is_class: bool) -> Forest:
    """A forest of rows on the driver: of the squared error, or of two classes 0 and 1 by Gini impurity. A cut looks at a third of
    the columns, of classes at the square root of their number, as MLlib's. The same rows in any order give the same forest."""
    order = np.lexsort((target, *inputs.T[::-1]))
    x, y = inputs[order].astype(np.float32), target[order]
    settings: dict[str, Any] = {
        "n_estimators": growth.trees, "max_depth": growth.depth, "min_samples_leaf": growth.leaf, "random_state": growth.seed,
    }  # fmt: skip
    if growth.kind == "boosting" and not is_class:
        return _boosted(x, y, settings, growth.rate)
    is_extra = growth.kind == "extra"
    if is_class:
        kind: Any = ensemble.ExtraTreesClassifier if is_extra else ensemble.RandomForestClassifier
        fitted: Any = kind(max_features="sqrt", **settings).fit(x, y)
    else:
        kind = ensemble.ExtraTreesRegressor if is_extra else ensemble.RandomForestRegressor
        fitted = kind(max_features=1 / 3, **settings).fit(x, y)
    return tuple(_tree(one.tree_, is_class) for one in fitted.estimators_)


def _boosted(x: Any, y: Doubles, settings: dict[str, Any], rate: float) -> Forest:
    """Boosted trees (least squares, half of the rows a tree) as a forest, whose mean is their sum: each tree's values times the
    rate and the number of trees, upon the mean of `y`. Friedman, Stochastic gradient boosting (2002)."""
    fitted: Any = ensemble.GradientBoostingRegressor(max_features=1 / 3, subsample=0.5, learning_rate=rate, **settings).fit(x, y)
    trees = [_tree(one.tree_, False) for one in fitted.estimators_[:, 0]]
    return tuple(replace(tree, value=float(y.mean()) + rate * len(trees) * tree.value) for tree in trees)


def _tree(grown: Any, is_class: bool) -> Tree:
    values = grown.value[:, 0, :]
    is_leaf = grown.children_left < 0
    return Tree(
        np.where(is_leaf, -1, grown.feature).astype(np.int64), np.where(is_leaf, 0.0, grown.threshold).astype(np.float64),
        grown.children_left.astype(np.int64), grown.children_right.astype(np.int64),
        (values[:, 1] / values.sum(axis=1) if is_class else values[:, 0]).astype(np.float64),
        grown.weighted_n_node_samples.astype(np.float64), grown.impurity.astype(np.float64),
    )  # fmt: skip


def grow_from(rows: DataFrame, features: str, label: str, growth: Growth, count: int, is_class: bool) -> Forest:
    """A forest of `count` rows of a vector column and a label: `grow` of the collected rows up to DRIVER_ROWS, else MLlib's, some
    three jobs more than it is deep, a random forest whatever the kind."""
    if count <= DRIVER_ROWS:
        found: Any = rows.select(vector_to_array(F.col(features)).alias("x"), F.col(label).alias("y")).toPandas()
        return grow(np.array(found["x"].tolist(), np.float64), found["y"].to_numpy(np.float64), growth, is_class)
    kind: Any = RandomForestClassifier if is_class else RandomForestRegressor
    model = kind(
        featuresCol=features, labelCol=label, numTrees=growth.trees, maxDepth=growth.depth, minInstancesPerNode=growth.leaf,
        seed=growth.seed,
    ).fit(rows)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shoal-forest-") as place:
        with written_by_tasks(rows.sparkSession, Path(place) / "forest") as target:
            model.write().overwrite().save(target)
        return read_forest(Path(place) / "forest")


def forest_column(forest: Forest, inputs: Column) -> Column:
    """What a forest predicts of an array of doubles: a number, or the share of votes for class 1."""

    def predicted(arrays: pd.Series) -> pd.Series:
        return pd.Series(predict(forest, np.array(arrays.tolist(), np.float64)) if len(arrays) else np.empty(0))

    return F.pandas_udf(predicted, "double")(inputs)  # type: ignore[call-overload, no-any-return]


def impurity_importances(forest: Forest, width: int) -> Doubles:
    """Of each of `width` columns, the mean over trees of its share of what the cuts of a tree gain in purity, weighed by their
    rows; they sum to 1, or to 0 where nothing is cut."""
    total = np.zeros(width)
    for tree in forest:
        cut = np.flatnonzero(tree.feature >= 0)
        low, high = tree.low[cut], tree.high[cut]
        gained = tree.rows[cut] * tree.impurity[cut] - tree.rows[low] * tree.impurity[low] - tree.rows[high] * tree.impurity[high]
        own = np.bincount(tree.feature[cut], gained, width)
        total += own / own.sum() if own.sum() > 0 else own
    return np.asarray(total / total.sum() if total.sum() > 0 else total, np.float64)
