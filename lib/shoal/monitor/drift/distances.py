"""The statistics. Each is the textbook's, equal to scipy's on the same values or bins.

`gap` orders two samples of numbers together once and reads Kolmogorov-Smirnov and Wasserstein off it. PSI, Jensen-Shannon
and chi-square take the rows of each window in the same bins or categories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, kolmogorov

from shoal.arrays import Doubles, Ints
from shoal.monitor.drift.digest import Sample

# Smallest share that PSI sees in a bin. Zero would make it infinite; with 1e-4 a bin that empties from 10% counts 0.69.
SHARE_FLOOR = 1e-4
# Above this many effective rows the p-value of Kolmogorov-Smirnov comes from the corrected limit: exact to 1e-6.
LIMIT_ROWS = 50_000
# Values handled at a time: half a megabyte an array stays in a core's cache, whole columns would pass through memory ten times.
_BLOCK = 65_536


@dataclass(frozen=True)
class Gap:
    """How far the distribution functions F and G of two samples lie apart.

    largest: max |F - G|, Kolmogorov-Smirnov's statistic, `scipy.stats.ks_2samp(...).statistic`, 0 to 1.
    area: integral of |F - G|, Wasserstein's distance, `scipy.stats.wasserstein_distance`, in the column's unit.
    spread: integral of sqrt(H (1 - H)), H that of both samples together; what the area owes to chance grows with it.
    """

    largest: float
    area: float
    spread: float


def gap(reference: Sample, current: Sample) -> Gap:
    """The distance of two samples, neither empty. Cost: one merge of two sorted runs and one pass over it, in blocks."""
    n, m = reference.rows, current.rows
    values = np.concatenate([reference.values, current.values])
    # A stable sort finds the two sorted runs and merges them: linear, not n log n.
    order = np.argsort(values, kind="stable")
    weights = None
    if reference.weights is not None or current.weights is not None:
        weights = np.concatenate([reference.counts(), current.counts()])
    largest = area = spread = 0.0
    below_reference = below = 0
    # Each block also holds the first value of the next one: the distance to it and whether it is equal belong here.
    for start in range(0, len(order), _BLOCK):
        places = order[start : start + _BLOCK + 1]
        at = values[places]
        places = places[:_BLOCK]
        mine = places < len(reference.values)
        if weights is None:
            upto_reference = below_reference + np.cumsum(mine)
            upto = np.arange(below + 1, below + len(places) + 1)
        else:
            heavy = weights[places]
            upto_reference = below_reference + np.cumsum(np.where(mine, heavy, 0))
            upto = below + np.cumsum(heavy)
        below_reference, below = int(upto_reference[-1]), int(upto[-1])
        apart = np.abs(upto_reference / n - (upto - upto_reference) / m)
        with np.errstate(over="ignore", invalid="ignore"):
            width = np.diff(at)
            # The last of equal values has all of them below it; the very last value has everything, and no gap.
            largest = max(largest, float(apart[: len(width)][width > 0].max(initial=0.0)))
            area += float(apart[: len(width)] @ width)
            pooled = upto[: len(width)] / (n + m)
            spread += float(np.sqrt(pooled * (1.0 - pooled)) @ width)
    return Gap(largest, area, spread)


def ks_p_value(statistic: float, reference_rows: int, current_rows: int) -> float | None:
    """Chance of a distance at least this large between samples of one continuous distribution, two-sided.

    It is that of `scipy.stats.ks_2samp(method="asymp")` for every size: the one-sample distribution (Simard and L'Ecuyer
    2011) with n m / (n + m) rows, rounded. Above 50,000 such rows, where scipy sums as many terms, Kolmogorov's limit with
    Vrbik's correction ("Small-sample corrections to Kolmogorov-Smirnov test statistic", 2018) is within 1e-6 of it. With
    ties the true chance is smaller. None below one effective row.
    """
    rows = round(reference_rows * current_rows / (reference_rows + current_rows))
    if rows < 1:
        return None
    if rows > LIMIT_ROWS:
        root = math.sqrt(rows)
        scaled = root * statistic
        corrected = scaled + 1 / (6 * root) + (scaled - 1) / (4 * rows)
        return float(kolmogorov(corrected)) if scaled > 0 else 1.0
    # Imported here: scipy.stats takes a second, and most workers never need it.
    from scipy.stats import kstwo

    return float(np.clip(kstwo.sf(statistic, rows), 0.0, 1.0))


def floored_shares(counts: Ints) -> Doubles:
    """Shares of the rows, none below 0.0001 or half a row; not scaled back to a sum of one."""
    rows = counts.sum()
    return np.maximum(counts / rows, max(SHARE_FLOOR, 0.5 / rows))


def psi(reference: Ints, current: Ints) -> float:
    """Population stability index, 0 upwards: sum of (p - q) ln(p / q) over bins, p and q the shares of the two windows.

    A share below the floor is lifted to it (`floored_shares`); bins empty in both are dropped. Neither may be all zero.
    Symmetric in its arguments up to the choice of bins. Siddiqi, Credit Risk Scorecards (2006).
    """
    used = (reference > 0) | (current > 0)
    p, q = floored_shares(reference)[used], floored_shares(current)[used]
    return float((p - q) @ np.log(p / q))


def jensen_shannon(reference: Ints, current: Ints) -> float:
    """Jensen-Shannon distance, base 2, 0 to 1: the square root of the divergence, `scipy.spatial.distance.jensenshannon`.

    Empty bins need no smoothing. Neither may be all zero. Endres and Schindelin (2003): the root is a metric.
    """
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2

    def divergence(shares: Doubles) -> float:
        used = shares > 0
        return float(shares[used] @ np.log2(shares[used] / middle[used]))

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2))


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test that two rows of counts come from one distribution; `low_cells` of `cells` expect fewer than 5 rows."""

    statistic: float
    p_value: float
    degrees: int
    cells: int
    low_cells: int


def chi_square(reference: Ints, current: Ints) -> ChiSquare:
    """Pearson's chi-square of the 2 x k table: `scipy.stats.chi2_contingency(table, correction=False)`.

    Categories empty in both are dropped. Neither may be all zero. One category: statistic 0, p-value 1.
    """
    table = np.stack([reference, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    degrees = table.shape[1] - 1
    statistic = float(((table - expected) ** 2 / expected).sum()) if degrees else 0.0
    p_value = float(chdtrc(degrees, statistic)) if degrees else 1.0
    return ChiSquare(statistic, p_value, degrees, table.size, int((expected < 5).sum()))
