"""Forests as arrays of numbers, and what they predict, in numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles, Ints


@dataclass(frozen=True)
class Tree:
    """Nodes by number, the root first: the feature that is cut (-1 in a leaf), the cut, the children at or below it and above it,
    what the node predicts (a number, or the share of class 1), its rows in training, and their impurity. Rows are compared in
    single precision, in which they were cut."""

    feature: Ints
    cut: Doubles
    low: Ints
    high: Ints
    value: Doubles
    rows: Doubles
    impurity: Doubles


Forest = tuple[Tree, ...]


def predict(forest: Sequence[Tree], rows: Doubles) -> Doubles:
    """The mean over trees of what the leaf of each row predicts: a number, or the share of votes for class 1."""
    total = np.zeros(len(rows))
    for tree in forest:
        total += tree.value[_leaves(tree, rows.astype(np.float32))]
    return total / len(forest)


def _leaves(tree: Tree, rows: np.ndarray) -> Ints:
    """The leaf of each row."""
    place = np.zeros(len(rows), np.int64)
    going = np.arange(len(rows)) if tree.feature[0] >= 0 else np.empty(0, np.int64)
    while len(going):
        here = place[going]
        place[going] = np.where(rows[going, tree.feature[here]] <= tree.cut[here], tree.low[here], tree.high[here])
        going = going[tree.feature[place[going]] >= 0]
    return place


def packed(forest: Forest) -> Doubles:
    """A forest as one array, a row a node: tree, feature, cut, low, high, value, rows, impurity."""
    parts = [
        np.column_stack([np.full(len(t.feature), i), t.feature, t.cut, t.low, t.high, t.value, t.rows, t.impurity])
        for i, t in enumerate(forest)
    ]
    return np.asarray(np.concatenate(parts), np.float64)


def unpacked(nodes: Doubles) -> Forest:
    """The forest that `packed` gave."""
    trees: Sequence[Doubles] = np.split(nodes, np.flatnonzero(np.diff(nodes[:, 0])) + 1)
    whole = [(t[:, 1].astype(np.int64), t[:, 3].astype(np.int64), t[:, 4].astype(np.int64)) for t in trees]
    return tuple(
        Tree(feature, t[:, 2], low, high, t[:, 5], t[:, 6], t[:, 7])
        for t, (feature, low, high) in zip(trees, whole, strict=True)
    )  # fmt: skip
