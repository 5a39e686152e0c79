"""The statistics. Each is the textbook's, equal to scipy's on the same values or bins.

`steps` orders two samples of numbers together once; Kolmogorov-Smirnov and Wasserstein are read off it. PSI, Jensen-Shannon
and chi-square take the rows of each window in the same bins or categories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov

from shoal.drift.digest import Floats, Ints, Sample

# Smallest share that PSI sees in a bin. Zero would make it infinite; with 1e-4 a bin that empties from 10% counts 0.69.
SHARE_FLOOR = 1e-4
# Above this many effective rows the p-value of Kolmogorov-Smirnov comes from the corrected limit: exact to 1e-6.
LIMIT_ROWS = 50_000


@dataclass(frozen=True)
class Steps:
    """Two distribution functions between neighbouring values of both samples together."""

    values: Floats
    reference: Ints
    current: Ints
    reference_rows: int
    current_rows: int

    def gaps(self) -> Floats:
        """Share of the reference's rows minus share of the current rows, up to each value."""
        return self.reference / self.reference_rows - self.current / self.current_rows


def steps(reference: Sample, current: Sample) -> Steps:
    """Both samples in one order. Neither may be empty. Cost: one merge of two sorted runs."""
    values = np.concatenate([reference.values, current.values])
    # A stable sort finds the two sorted runs and merges them: linear, not n log n.
    order = np.argsort(values, kind="stable")
    mine: NDArray[np.bool_] = order < len(reference.values)
    if reference.weights is None and current.weights is None:
        upto_reference = np.cumsum(mine, dtype=np.int64)
        upto_current = np.arange(1, len(order) + 1, dtype=np.int64) - upto_reference
    else:
        first, second = np.diff(reference.cumulative, prepend=0), np.diff(current.cumulative, prepend=0)
        weights = np.concatenate([first, second])[order]
        upto_reference = np.cumsum(np.where(mine, weights, 0))
        upto_current = np.cumsum(weights) - upto_reference
    return Steps(values[order], upto_reference, upto_current, reference.rows, current.rows)


def ks_statistic(both: Steps) -> float:
    """Largest distance between the two distribution functions, 0 to 1: `scipy.stats.ks_2samp(...).statistic`."""
    last = np.concatenate([both.values[1:] != both.values[:-1], [True]])  # the last of equal values has all of them below
    return float(np.abs(both.gaps()[last]).max())


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


def wasserstein(both: Steps) -> float:
    """Area between the two distribution functions, in the column's unit: `scipy.stats.wasserstein_distance`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.abs(both.gaps()[:-1]) @ np.diff(both.values))


def floored_shares(counts: Ints) -> Floats:
    """Shares of the rows, none below 0.0001 or half a row; not scaled back to a sum of one."""
    rows = counts.sum()
    return np.maximum(counts / rows, max(SHARE_FLOOR, 0.5 / rows))


def psi(reference: Ints, current: Ints) -> float:
    """Population stability index, 0 upwards: sum of (p - q) ln(p / q) over bins, p and q the shares of the two windows.

    A share below the floor is lifted to it (`floored_shares`); bins empty in both are left out. Neither may be all zero.
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

    def divergence(shares: Floats) -> float:
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

    Categories empty in both are left out. Neither may be all zero. One category: statistic 0, p-value 1.
    """
    table = np.stack([reference, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    degrees = table.shape[1] - 1
    statistic = float(((table - expected) ** 2 / expected).sum()) if degrees else 0.0
    p_value = float(chdtrc(degrees, statistic)) if degrees else 1.0
    return ChiSquare(statistic, p_value, degrees, table.size, int((expected < 5).sum()))
