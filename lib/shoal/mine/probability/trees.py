"""Forests as arrays: read from MLlib, what each feature adds along the paths, and what they lose without a feature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from shoal.arrays import Doubles
from shoal.mine.probability.plain_forest import Forest, Tree, predict
from shoal.mine.probability.quality import roc_auc

# Shuffles of a column that its importance is a mean of.
SHUFFLES = 3


def read_forest(folder: Path) -> Forest:
    """The trees of a random forest of numbers that MLlib has saved as `folder`, in their order; no Spark job."""
    rows = pq.read_table(folder / "data").to_pydict()
    nodes: dict[int, dict[int, Any]] = {}
    for tree, node in zip(rows["treeID"], rows["nodeData"], strict=True):
        nodes.setdefault(tree, {})[node["id"]] = node
    return tuple(_tree([of_tree[i] for i in range(len(of_tree))]) for _, of_tree in sorted(nodes.items()))


def _tree(nodes: Sequence[Any]) -> Tree:
    splits = [node["split"] for node in nodes]
    is_leaf = np.array([node["leftChild"] < 0 for node in nodes])
    cuts = [0.0 if leaf else s["leftCategoriesOrThreshold"][0] for s, leaf in zip(splits, is_leaf, strict=True)]
    # Of a classifier a node has its counts of the two classes, of a regression three sums.
    values = [n["impurityStats"][1] / sum(n["impurityStats"]) if len(n["impurityStats"]) == 2 else n["prediction"] for n in nodes]
    stats = [np.asarray(n["impurityStats"], np.float64) for n in nodes]
    is_class = len(stats[0]) == 2
    rows = np.array([s.sum() if is_class else s[0] for s in stats])
    # A leaf that was not looked at for a cut is saved with an impurity of -1.
    impurity = [1.0 - ((s / s.sum()) ** 2).sum() if is_class else s[2] / s[0] - (s[1] / s[0]) ** 2 for s in stats]
    return Tree(
        np.where(is_leaf, -1, [s["featureIndex"] for s in splits]).astype(np.int64), np.array(cuts, np.float64),
        np.array([n["leftChild"] for n in nodes], np.int64), np.array([n["rightChild"] for n in nodes], np.int64),
        np.array(values, np.float64), rows, np.array(impurity, np.float64),
    )  # fmt: skip


def contributions(forest: Sequence[Tree], rows: Doubles) -> tuple[float, Doubles]:
    """The mean prediction of the roots, and of each row and feature the mean over trees of what the cuts of that feature have
    changed along the row's path: rows x features. Both together are the prediction (Saabas 2014).

    Cost: rows x trees x depth.
    """
    parts, rows = np.zeros(rows.shape), rows.astype(np.float32)
    for tree in forest:
        place = np.zeros(len(rows), np.int64)
        going = np.arange(len(rows)) if tree.feature[0] >= 0 else np.empty(0, np.int64)
        while len(going):
            here = place[going]
            feature = tree.feature[here]
            there = np.where(rows[going, feature] <= tree.cut[here], tree.low[here], tree.high[here])
            # A row stands once in `going`: no two additions meet.
            parts[going, feature] += tree.value[there] - tree.value[here]
            place[going] = there
            going = going[tree.feature[there] >= 0]
    return float(np.mean([tree.value[0] for tree in forest])), parts / len(forest)


def permutation_importances(forest: Sequence[Tree], rows: Doubles, label: Doubles, seed: int) -> Doubles:
    """Of each feature, the ROC-AUC that the forest loses where the column is shuffled among the rows, the mean of SHUFFLES shuffles
    (Breiman 2001); 0 for every feature where the rows are of one class. Cost: features x SHUFFLES predictions."""
    whole = roc_auc(label, predict(forest, rows))
    lost = np.zeros(rows.shape[1])
    if whole is None:
        return lost
    draw = np.random.default_rng(seed)
    used = np.unique(np.concatenate([tree.feature for tree in forest]))
    for feature in used[used >= 0]:
        for _ in range(SHUFFLES):
            shuffled = rows.copy()
            shuffled[:, feature] = draw.permutation(shuffled[:, feature])
            lost[feature] += (whole - (roc_auc(label, predict(forest, shuffled)) or 0.0)) / SHUFFLES
    return lost
