"""Groups of accounts that behave alike, with names that a person can read: k-means on robustly scaled columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from shoal.arrays import Doubles, Ints
from shoal.errors import InputError

# Rows that the centroids are found from, drawn by a hash; and those among which k is chosen, whose distances are a square.
MAX_ROWS, MAX_PAIR_ROWS = 10_000, 2_000
MAX_K = 10
# Different rows that a segment has at least in the mean: with one each, every silhouette is perfect.
ROWS_A_SEGMENT = 10
RESTARTS, BOOTSTRAPS = 4, 5
# A column whose largest value is so many times its median (and nowhere negative) is scaled by its logarithm.
SKEWED = 20.0
# Scaled values are cut here: one account of a hundred million followers is no segment of its own.
MAX_SCALED = 4.0
# A silhouette this near to the best counts as it: the more stable k is taken.
SILHOUETTE_SLACK = 0.02
# How far from the middle a centroid is called high or low, in scaled units.
NOTABLE = 0.5


@dataclass(frozen=True)
class ScaledColumn:
    """How a column is scaled: by log1p or not, then (value - middle) / width, cut at MAX_SCALED."""

    name: str
    is_log: bool
    middle: float
    width: float

    def column(self) -> Column:
        """The scaled value; 0 for a missing one."""
        value = F.log1p(self.name) if self.is_log else F.col(self.name)
        scaled = F.greatest(F.lit(-MAX_SCALED), F.least(F.lit(MAX_SCALED), (value - self.middle) / self.width))
        return F.coalesce(scaled, F.lit(0.0))


@dataclass(frozen=True)
class Segments:
    """Scaled columns, centroids (a row a segment, the largest segment first), names, and how good the division is: mean
    silhouette, -1 to 1, and the mean adjusted Rand index between divisions of bootstrap samples, about 0 for chance to 1."""

    columns: tuple[ScaledColumn, ...]
    centroids: Doubles
    names: tuple[str, ...]
    silhouette: float | None
    stability: float | None


def find_segments(rows: DataFrame, names: Sequence[str], k: int | None, seed: int) -> Segments:
    """Segments of rows by the double columns `names`.

    Scaling is by median and interquartile range, after log1p for a skewed column. k: so many segments, or None for the k of 2 to
    MAX_K (at most one for ROWS_A_SEGMENT different rows) with the best silhouette; of those within SILHOUETTE_SLACK of it the most
    stable one, the smaller of equal ones. Raises InputError for fewer than two different rows, or fewer than k. Collects MAX_ROWS
    rows; one pass for the scales.
    """
    scales = _scales(rows, names)
    if not scales:
        raise InputError(f"{', '.join(names)}: every column has one value only; expected columns that differ")
    drawn = rows.orderBy(F.xxhash64("position", F.lit(seed)), "position").limit(MAX_ROWS)
    collected: Any = drawn.select(*[c.column().alias(c.name) for c in scales]).toPandas()
    points = collected.to_numpy(np.float64)
    different = len(np.unique(points, axis=0))
    if different < max(2, k or 2):
        raise InputError(f"{different} different rows; expected at least {max(2, k or 2)}, one a segment")
    few = points[:MAX_PAIR_ROWS]
    distances = cdist(few, few)
    most = max(2, min(MAX_K, different // ROWS_A_SEGMENT))
    tried = [k] if k else list(range(2, most + 1))
    divisions = {count: kmeans(points, count, seed) for count in tried}
    silhouettes = {count: silhouette(distances, nearest(few, divisions[count])) for count in tried}
    best = max(silhouettes.values())
    near = [count for count in tried if silhouettes[count] >= best - SILHOUETTE_SLACK]
    stabilities = {count: stability(few, count, seed) for count in near}
    chosen = max(near, key=lambda count: (round(stabilities[count], 2), -count))
    centroids = divisions[chosen]
    sizes = np.bincount(nearest(points, centroids), minlength=len(centroids))
    centroids = centroids[np.argsort(-sizes, kind="stable")]
    return Segments(scales, centroids, name_segments(scales, centroids), silhouettes[chosen], stabilities[chosen])


def _scales(rows: DataFrame, names: Sequence[str]) -> tuple[ScaledColumn, ...]:
    """The scales of the columns that have more than one value."""
    quantiles = F.array(*[F.lit(q) for q in (0.25, 0.5, 0.75)])
    found = rows.agg(
        *[F.percentile_approx(n, quantiles, 10_000).alias(f"{n}_q") for n in names],
        *[F.percentile_approx(F.log1p(n), quantiles, 10_000).alias(f"{n}_l") for n in names],
        *[F.min(n).alias(f"{n}_min") for n in names], *[F.max(n).alias(f"{n}_max") for n in names],
        *[F.stddev_pop(n).alias(f"{n}_s") for n in names], *[F.stddev_pop(F.log1p(n)).alias(f"{n}_ls") for n in names],
    ).collect()[0]  # fmt: skip
    scales = []
    for name in names:
        least, most = found[f"{name}_min"], found[f"{name}_max"]
        if least is None or least == most:
            continue
        is_log = least >= 0 and most > SKEWED * max(found[f"{name}_q"][1], 1e-9) and most > 1
        low, middle, high = found[f"{name}_l" if is_log else f"{name}_q"]
        # The range of a normal distribution's middle half is 1.349 deviations. A flag has none.
        width = (high - low) / 1.349 or found[f"{name}_ls" if is_log else f"{name}_s"]
        scales.append(ScaledColumn(name, bool(is_log), float(middle), float(width)))
    return tuple(scales)


def kmeans(points: Doubles, k: int, seed: int) -> Doubles:
    """The centroids of least summed squared distance of RESTARTS runs from k-means++ starts; a centroid that lost all its
    points is gone."""
    best, least = points[:1], np.inf
    for restart in range(RESTARTS):
        centroids, label = kmeans2(points, k, iter=50, minit="++", seed=seed + restart, missing="warn")
        error = float(((points - centroids[label]) ** 2).sum())
        if error < least - 1e-9:
            best, least = centroids[np.unique(label)], error
    return np.asarray(best, np.float64)


def nearest(points: Doubles, centroids: Doubles) -> Ints:
    """The place of each point's nearest centroid, the first of equal ones."""
    return np.asarray(cdist(points, centroids).argmin(axis=1), np.int64)


def silhouette(distances: Doubles, label: Ints) -> float:
    """The mean over points of (b - a) / max(a, b), a the mean distance to its own segment, b to the nearest other (Rousseeuw
    1987); a point alone has 0, and so has a division into one.

    >>> points = np.array([[0.0], [0.0], [4.0], [4.0]])
    >>> silhouette(cdist(points, points), np.array([0, 0, 1, 1]))
    1.0
    """
    present, label = np.unique(label, return_inverse=True)
    if len(present) < 2:
        return 0.0
    member = np.eye(len(present))[label]
    sizes = member.sum(axis=0)
    sums = distances @ member
    rows = np.arange(len(label))
    own = sums[rows, label] / np.maximum(sizes[label] - 1, 1)
    means = sums / sizes
    means[rows, label] = np.inf
    other = means.min(axis=1)
    value = np.where(sizes[label] > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-300), 0.0)
    return float(value.mean())


def stability(points: Doubles, k: int, seed: int) -> float:
    """The mean adjusted Rand index, on all points, between the division by them and BOOTSTRAPS divisions by draws with
    replacement."""
    draw = np.random.default_rng(seed)
    whole = nearest(points, kmeans(points, k, seed))
    found = []
    for turn in range(BOOTSTRAPS):
        sample = points[draw.integers(0, len(points), len(points))]
        found.append(adjusted_rand(whole, nearest(points, kmeans(sample, k, seed + turn + 1))))
    return float(np.mean(found))


def adjusted_rand(first: Ints, second: Ints) -> float:
    """The agreement of two divisions: 1 for the same, about 0 for chance (Hubert and Arabie 1985).

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    """
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1.0)
    pairs, rows, columns = (float((x * (x - 1) / 2).sum()) for x in (table, table.sum(axis=1), table.sum(axis=0)))
    expected = rows * columns / (len(first) * (len(first) - 1) / 2)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (pairs - expected) / (most - expected)


def name_segments(columns: Sequence[ScaledColumn], centroids: Doubles) -> tuple[str, ...]:
    """A name a segment: its one to three columns farthest from the middle of all, as "high likes, low posts"; "typical" where none
    is NOTABLE away. Equal names get a number."""
    names: list[str] = []
    for centroid in centroids:
        far = [i for i in np.argsort(-np.abs(centroid), kind="stable")[:3] if abs(centroid[i]) >= NOTABLE]
        words = [f"{'high' if centroid[i] > 0 else 'low'} {columns[i].name.replace('_', ' ')}" for i in far]
        names.append(", ".join(words) or "typical")
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(numbered)


def with_segment(rows: DataFrame, segments: Segments) -> DataFrame:
    """The rows with `segment_id` (int, 0 the largest) and `segment_name`, of the nearest centroid. Lazy, no shuffle."""
    scaled = [c.column() for c in segments.columns]
    distances = []
    for place, centroid in enumerate(segments.centroids):
        distance = F.lit(0.0)
        for value, middle in zip(scaled, centroid, strict=True):
            distance = distance + (value - float(middle)) * (value - float(middle))
        distances.append(F.struct(distance.alias("distance"), F.lit(place).alias("segment_id")))
    nearest_one = F.array_min(F.array(*distances))["segment_id"]
    names = F.array(*[F.lit(name) for name in segments.names])
    return rows.withColumn("segment_id", nearest_one).withColumn("segment_name", names[F.col("segment_id")])
