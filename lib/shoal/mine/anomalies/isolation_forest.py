"""An isolation forest: trees that are grown on the driver from a bounded sample, rows that are scored where they lie.

Liu, Ting and Zhou, Isolation Forest (2008): trees of random cuts; a row that few cuts set apart is unlike the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Ints
from shoal.errors import InputError

# The paper's, and scikit-learn's.
TREES, SAMPLE = 100, 256
_EULER = 0.5772156649015329


@dataclass(frozen=True)
class IsolationTree:
    """Nodes by number, the root first: the column cut (-1 in a leaf), the cut, the child below or at it (the other one follows),
    and in a leaf its depth with what a tree of its rows would add."""

    column: Ints
    cut: Doubles
    child: Ints
    depth: Doubles


@dataclass(frozen=True)
class IsolationForest:
    """Trees, and the sample that each was grown from."""

    trees: tuple[IsolationTree, ...]
    sample: int

    def score(self, rows: Doubles) -> Doubles:
        """2^-(mean depth / that of a random search tree): near 1 for a row set apart, about .5 and below for the others."""
        depths = np.zeros(len(rows))
        for tree in self.trees:
            place = np.zeros(len(rows), np.int64)
            going = np.arange(len(rows)) if tree.column[0] >= 0 else np.empty(0, np.int64)
            while len(going):
                nodes = place[going]
                above = rows[going, tree.column[nodes]] > tree.cut[nodes]
                place[going] = tree.child[nodes] + above
                going = going[tree.column[place[going]] >= 0]
            depths += tree.depth[place]
        usual = mean_depth(np.array([float(self.sample)]))[0]
        return np.asarray(2.0 ** (-depths / len(self.trees) / max(usual, 1e-9)), np.float64)


def mean_depth(rows: Doubles) -> Doubles:
    """The mean depth of an unsuccessful search among so many rows: 2 H(n - 1) - 2 (n - 1) / n; 0 for one, 1 for two.

    >>> mean_depth(np.array([1.0, 2.0])).tolist()
    [0.0, 1.0]
    """
    more = np.maximum(rows, 3.0)
    usual = 2.0 * (np.log(more - 1.0) + _EULER) - 2.0 * (more - 1.0) / more
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, usual))


def grow_forest(rows: Doubles, seed: int) -> IsolationForest:
    """TREES trees, each of min(SAMPLE, rows) of the rows drawn without replacement."""
    draw = np.random.default_rng(seed)
    sample = min(SAMPLE, len(rows))
    trees = tuple(_grow_tree(rows[draw.choice(len(rows), sample, replace=False)], draw) for _ in range(TREES))
    return IsolationForest(trees, sample)


def _grow_tree(rows: Doubles, draw: np.random.Generator) -> IsolationTree:
    """A tree of random cuts of the rows, at most log2 of them deep."""
    limit = int(np.ceil(np.log2(max(len(rows), 2))))
    columns, cuts, children, depths = [-1], [0.0], [0], [0.0]
    waiting = [(0, np.arange(len(rows)), 0)]
    while waiting:
        node, here, depth = waiting.pop()
        low, high = rows[here].min(axis=0), rows[here].max(axis=0)
        varied = np.flatnonzero(high > low)
        if depth >= limit or len(here) < 2 or not len(varied):
            depths[node] = depth + float(mean_depth(np.array([float(len(here))]))[0])
            continue
        column = int(draw.choice(varied))
        cut = float(draw.uniform(low[column], high[column]))
        below = rows[here, column] <= cut
        columns[node], cuts[node], children[node] = column, cut, len(columns)
        for part in (here[below], here[~below]):
            waiting.append((len(columns), part, depth + 1))
            columns.append(-1)
            cuts.append(0.0)
            children.append(0)
            depths.append(0.0)
    return IsolationTree(np.asarray(columns), np.asarray(cuts), np.asarray(children), np.asarray(depths))


def score_rows(rows: DataFrame, names: Sequence[str], contamination: float, seed: int) -> DataFrame:
    """`position`, `anomaly_score` (0 to 1), `is_anomaly` of rows `position` (bigint, unique) and columns `names` (double).

    A missing value counts as its column's median. The share `contamination` (0 to .5) of rows with the largest scores are
    anomalies; rows whose scores tie with the last one are none. Collects TREES x SAMPLE rows, drawn by a hash of the position.
    Raises InputError for fewer than two rows, or where all rows are alike. Three passes, one small shuffle.
    """
    medians = rows.agg(*[F.percentile_approx(name, 0.5, 10_000).alias(name) for name in names]).collect()[0]
    filled = rows.select("position", *[_filled(name, medians[name]).alias(name) for name in names])
    drawn: Any = filled.orderBy(F.xxhash64("position", F.lit(seed)), "position").limit(TREES * SAMPLE).select(*names).toPandas()
    sample = drawn.to_numpy(np.float64)
    if len(sample) < 2 or (sample.max(axis=0) == sample.min(axis=0)).all():
        raise InputError(f"{len(sample)} rows, all alike; expected rows that differ in {', '.join(names)}")
    forest = grow_forest(sample, seed)

    def score(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            found = forest.score(batch[list(names)].to_numpy(np.float64))
            yield pd.DataFrame({"position": batch["position"], "anomaly_score": found})

    scored = filled.mapInPandas(score, "position bigint, anomaly_score double")
    cut = scored.agg(F.percentile_approx("anomaly_score", 1.0 - contamination, 1_000_000)).collect()[0][0]
    return scored.withColumn("is_anomaly", F.col("anomaly_score") > F.lit(cut))


def _filled(name: str, median: float | None) -> Column:
    value = F.when(~F.isnan(name), F.col(name))
    return F.coalesce(value, F.lit(float(median or 0.0))).cast("double")
