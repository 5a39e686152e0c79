"""One column of one window as sorted values with their counts, exact up to a bound and a fine quantile digest above it.

A digest takes arrays of finite numbers in any order. It is exact while the column has at most `exact_values` different
values (an integer column of any length, or up to twice that many rows of any numbers). Above it neighbouring values are
merged, each group into its mean, so that no group holds more than 6 / exact_values of the rows seen so far. Then every
share of rows below a number is off by at most `rank_error`, which the digest adds up as it merges: about
3 x rows / exact_values^2, that is 0.00015 for 50 million rows and a million values. Kolmogorov-Smirnov's statistic is off by
at most the sum of the two windows' errors, a bin's share by twice that, Wasserstein's distance by that times the range of
the values. Count, mean, standard deviation, smallest and largest value stay exact.

Memory: 16 bytes for each of at most 2 x exact_values held values, about four times that for a moment while merging.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from shoal.arrays import Doubles, Ints

# Values handled at a time where temporaries would otherwise pass through memory: half a megabyte stays in a core's cache.
_BLOCK = 65_536


@dataclass(frozen=True)
class Sample:
    """Sorted finite values with the number of rows at each.

    `weights` is None where every value stands for one row; then equal values may stand side by side.
    """

    values: Doubles
    weights: Ints | None
    rows: int

    def counts(self) -> Ints:
        """Rows at each position."""
        return np.ones(len(self.values), dtype=np.int64) if self.weights is None else self.weights

    def rows_at_most(self, x: Doubles) -> Ints:
        """For each number how many rows are not above it. Cost: a binary search each."""
        at = np.searchsorted(self.values, x, side="right")
        if self.weights is None:
            return at.astype(np.int64)
        return np.concatenate([[0], np.cumsum(self.weights)])[at]

    def distinct(self) -> int:
        """How many different values there are."""
        if self.weights is not None or self.rows == 0:
            return len(self.values)
        return int(np.count_nonzero(self.values[1:] != self.values[:-1])) + 1


def sample_of(values: Doubles) -> Sample:
    """The exact sample of an array of finite numbers."""
    return Sample(np.sort(np.asarray(values, dtype=np.float64)), None, len(values))


@dataclass
class NumberDigest:
    """What is kept of a column of numbers while its partials arrive; `sample()` is what the statistics use.

    rows counts everything; nulls, nans and infinities are parts of it that no statistic but their own share uses.
    """

    exact_values: int
    rows: int = 0
    nulls: int = 0
    nans: int = 0
    infinities: int = 0
    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    rank_error: float = 0.0
    _plain: list[Doubles] = field(default_factory=list)
    _values: list[Doubles] = field(default_factory=list)
    _weights: list[Ints] = field(default_factory=list)
    _held: int = 0

    def count(self, rows: int, nulls: int, nans: int, infinities: int) -> None:
        """Add to the counters; the finite values are added by `add`."""
        self.rows += rows
        self.nulls += nulls
        self.nans += nans
        self.infinities += infinities

    def add(self, values: Doubles, weights: Ints | None = None) -> None:
        """Take finite values, each one row or, with `weights`, that many rows. Arrays are kept as they are until a merge."""
        if not len(values):
            return
        for start in range(0, len(values), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._moments(values[part], None if weights is None else weights[part])
        for start in range(0, len(values), 2 * self.exact_values):
            part = slice(start, start + 2 * self.exact_values)
            self._take(values[part], None if weights is None else weights[part])

    def stddev(self) -> float | None:
        """Sample standard deviation (divisor n - 1); None below two values."""
        return math.sqrt(self.squares / (self.finite - 1)) if self.finite > 1 else None

    def sample(self) -> Sample:
        """Everything added so far, sorted."""
        if not self._values:
            values = np.concatenate(self._plain) if self._plain else np.empty(0)
            values.sort()
            self._plain = [values]
            return Sample(values, None, self.finite)
        self._merge()
        return Sample(self._values[0], self._weights[0], self.finite)

    def over_mean(self) -> tuple[NumberDigest, Sample]:
        """The column divided by its mean over the finite values, and its sample; unchanged where that mean is not above 0.

        Shares of rows and the rank error stay as they are.
        """
        sample, mean = self.sample(), self.mean
        if not (self.finite and math.isfinite(mean) and mean > 0):
            return self, sample
        scaled = replace(
            self, mean=1.0, squares=self.squares / mean**2, minimum=self.minimum / mean, maximum=self.maximum / mean,
            _plain=[], _values=[], _weights=[], _held=0,
        )  # fmt: skip
        return scaled, Sample(sample.values / mean, sample.weights, sample.rows)

    def _take(self, values: Doubles, weights: Ints | None) -> None:
        if weights is None:
            self._plain.append(values)
        else:
            self._values.append(values)
            self._weights.append(weights)
        self._held += len(values)
        if self._held > 2 * self.exact_values:
            self._merge()
            if self._held > self.exact_values:
                self._compress()

    def _moments(self, values: Doubles, weights: Ints | None) -> None:
        """Mean and sum of squared deviations of two parts together: Chan, Golub and LeVeque (1979)."""
        rows = len(values) if weights is None else int(weights.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean() if weights is None else values @ weights / rows)
            apart = values - mean
            squares = float(apart @ apart if weights is None else (apart * apart) @ weights)
            total, shift = self.finite + rows, mean - self.mean
            self.mean += shift * rows / total
            self.squares += squares + shift * shift * self.finite * rows / total
        self.finite = total
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))

    def _merge(self) -> None:
        """One sorted array of different values with their counts in the place of all pending ones."""
        values = np.concatenate([*self._plain, *self._values])
        weights = np.concatenate([np.ones(sum(map(len, self._plain)), dtype=np.int64), *self._weights])
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        self._plain, self._values, self._weights = [], [values[first]], [np.add.reduceat(weights, first)]
        self._held = len(first)

    def _compress(self) -> None:
        """At most `exact_values` groups of neighbouring values, each at its mean.

        A value that holds a group's share of rows by itself is never merged, so a group of several values holds less than
        two shares: at most 2 x 3 / exact_values of the rows.
        """
        values, weights = self._values[0], self._weights[0]
        rows, groups = int(weights.sum()), max(1, self.exact_values // 3)
        cumulative = np.cumsum(weights)
        bucket = (cumulative - 1) // -(-rows // groups)
        alone = weights * groups >= rows
        starts = np.concatenate([[True], (np.diff(bucket) != 0) | alone[1:] | alone[:-1]])
        first = np.flatnonzero(starts)
        merged = np.add.reduceat(weights, first)
        several = np.diff(np.concatenate([first, [len(values)]])) > 1
        # A group of one value keeps it to the last bit; a mean could round it away from the other window's.
        means = np.where(several, np.add.reduceat(values * (weights / merged[np.cumsum(starts) - 1]), first), values[first])
        self.rank_error += float(merged[several].max(initial=0))
        self._values, self._weights, self._held = [np.maximum.accumulate(means)], [merged], len(first)

    def relative_rank_error(self) -> float:
        """The largest possible error of a share of rows; 0.0 where the digest is exact."""
        return self.rank_error / self.finite if self.finite else 0.0
