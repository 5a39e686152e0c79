"""Quantiles, and the bins whose shares PSI and Jensen-Shannon compare.

A quantile is a value that occurs: the smallest that at least that share of rows does not exceed (`inverted_cdf` of numpy,
`percentile_disc` of SQL; Hyndman and Fan 1996, definition 1).
"""

from __future__ import annotations

import numpy as np

from shoal.arrays import Doubles, Ints
from shoal.monitor.drift.digest import Sample

# A chi-square like statistic over bins wants about five rows in each (Cochran 1954).
ROWS_PER_BIN = 5


def quantiles(sample: Sample, parts: Ints, whole: int) -> Doubles:
    """The values at shares parts / whole, 0 < part <= whole. Integer ranks: no rounding decides. Empty sample: NaN."""
    if sample.rows == 0:
        return np.full(len(parts), np.nan)
    ranks = np.maximum(1, -(-parts * sample.rows // whole))
    if sample.weights is None:
        return sample.values[ranks - 1]
    return sample.values[np.searchsorted(np.cumsum(sample.weights), ranks)]


def reference_edges(reference: Sample, other_rows: int, bins: int) -> Doubles:
    """Inner edges of the bins that split the reference into `bins` parts of equal rows.

    Bins are closed on the right and open to both infinities. A value that holds at least 1 / bins of the reference's rows is
    a bin by itself (its predecessor among the floats is an edge too), so that a constant column has the bins below, at and
    above it. Small windows get fewer bins, at least two: five rows each in the smaller window.
    """
    bins = max(2, min(bins, min(reference.rows, other_rows) // ROWS_PER_BIN))
    cuts = np.unique(quantiles(reference, np.arange(1, bins + 1, dtype=np.int64), bins))
    below = np.nextafter(cuts, -np.inf)
    mass = reference.rows_at_most(cuts) - reference.rows_at_most(below)
    atoms = mass * bins >= reference.rows
    inner = cuts < reference.values[-1]
    return np.unique(np.concatenate([below[atoms], cuts[atoms | inner]]))


def bin_counts(sample: Sample, edges: Doubles) -> Ints:
    """Rows in each of the len(edges) + 1 bins."""
    return np.diff(np.concatenate([[0], sample.rows_at_most(edges), [sample.rows]]))


def equal_edges(low: float, high: float, bins: int) -> Doubles:
    """Edges of `bins` bins of equal width from low to high; just that value twice where they are equal."""
    if not low < high:
        return np.array([low, low])
    share = np.linspace(0.0, 1.0, bins + 1)
    # low + share * (high - low) overflows for the largest doubles; this does not.
    return np.unique(low * (1.0 - share) + high * share)


def histogram(sample: Sample, edges: Doubles) -> Ints:
    """Rows in each bin of outer `edges` that enclose all values: closed on the right, the first on both sides."""
    upto = sample.rows_at_most(edges[1:])
    upto[-1] = sample.rows
    return np.diff(np.concatenate([[0], upto]))
