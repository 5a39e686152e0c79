"""Every statistic against scipy, on continuous, tied, weighted, tiny and disjoint samples; PSI by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from shoal.monitor.drift import distances
from shoal.monitor.drift.digest import Sample, sample_of

Draw = Callable[[np.random.Generator, int], np.ndarray]
DRAWS: dict[str, Draw] = {
    "normal": lambda r, n: r.normal(size=n),
    "heavy tail": lambda r, n: r.standard_cauchy(size=n),
    "tied": lambda r, n: r.integers(0, 7, size=n).astype(float),
    "mostly zero": lambda r, n: np.where(r.random(n) < 0.9, 0.0, r.exponential(size=n)),
    "tiny and huge": lambda r, n: 10.0 ** r.integers(-300, 300, size=n),
    "constant": lambda r, n: np.full(n, 3.5),
}


def weighted(values: np.ndarray) -> Sample:
    """The same rows as different values with counts."""
    different, counts = np.unique(values, return_counts=True)
    return Sample(different, counts, len(values))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 50), (3, 2), (400, 300), (70_000, 66_000)], ids=str)
@pytest.mark.parametrize("name", DRAWS)
def test_numbers_equal_scipy(name: str, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    a, b = DRAWS[name](rng, sizes[0]), DRAWS[name](rng, sizes[1])
    both = [distances.gap(first(a), second(b)) for first in (sample_of, weighted) for second in (sample_of, weighted)]
    peer = stats.ks_2samp(a, b, method="asymp")
    area = stats.wasserstein_distance(a, b)
    for gap in both:
        assert gap.largest == pytest.approx(peer.statistic, abs=1e-12)
        assert gap.area == pytest.approx(area, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("sizes", [(5, 8), (140, 140), (3_000, 2_000), (50_001, 10**9), (200_000, 150_000)], ids=str)
def test_ks_p_value_equals_scipy_asymptotic(shift: float, sizes: tuple[int, int]) -> None:
    n, m = sizes
    rows = round(n * m / (n + m))
    for statistic in (shift, shift / math.sqrt(rows), 1.2 / math.sqrt(rows), 2.5 / math.sqrt(rows)):
        expected = float(np.clip(stats.kstwo.sf(statistic, rows), 0, 1))
        assert distances.ks_p_value(statistic, n, m) == pytest.approx(expected, abs=1e-6)


def test_ks_p_value_is_that_of_ks_2samp() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=900), rng.normal(0.1, size=1100)
    peer = stats.ks_2samp(a, b, method="asymp")
    assert distances.ks_p_value(distances.gap(sample_of(a), sample_of(b)).largest, 900, 1100) == pytest.approx(peer.pvalue)


def test_ks_p_value_needs_an_effective_row() -> None:
    assert distances.ks_p_value(1.0, 1, 1) is None  # 1 x 1 / 2 rounds to no row; scipy gives NaN


def test_spread_by_hand() -> None:
    # 0 and 4 in one window, 0 and 4 in the other: H is 1/2 between them, sqrt(1/4) x 4 = 2.
    assert distances.gap(sample_of(np.array([0.0, 4.0])), sample_of(np.array([4.0, 0.0]))).spread == 2.0


def test_disjoint_samples_are_as_far_as_can_be() -> None:
    gap = distances.gap(sample_of(np.array([1.0, 2.0])), sample_of(np.array([11.0, 12.0])))
    assert (gap.largest, gap.area) == (1.0, 10.0)


def test_psi_by_hand() -> None:
    # shares 0.5 0.3 0.2 and 0.2 0.3 0.5: 0.3 ln 2.5 + 0 + (-0.3) ln 0.4 = 0.6 ln 2.5
    assert distances.psi(np.array([50, 30, 20]), np.array([20, 30, 50])) == pytest.approx(0.6 * math.log(2.5))


def test_psi_with_an_empty_bin_by_hand() -> None:
    # 100 rows: an empty bin counts half a row, 0.005; the bin that is empty in both counts nothing.
    # (0.9 - 1.0) ln 0.9 + (0.1 - 0.005) ln 20
    expected = -0.1 * math.log(0.9) + 0.095 * math.log(20)
    assert distances.psi(np.array([90, 10, 0]), np.array([100, 0, 0])) == pytest.approx(expected)


def test_psi_with_an_empty_bin_of_a_large_window_by_hand() -> None:
    # a million rows: half a row is less than the floor of 0.0001
    expected = -0.1 * math.log(0.9) + (0.1 - 0.0001) * math.log(1000)
    assert distances.psi(np.array([900_000, 100_000]), np.array([1_000_000, 0])) == pytest.approx(expected)


def test_psi_and_jensen_shannon_of_equal_shares_are_zero() -> None:
    assert distances.psi(np.array([10, 20]), np.array([100, 200])) == 0.0
    assert distances.jensen_shannon(np.array([10, 20]), np.array([100, 200])) == 0.0


def test_jensen_shannon_of_disjoint_counts_is_one() -> None:
    assert distances.jensen_shannon(np.array([5, 0]), np.array([0, 9])) == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bins = int(rng.integers(2, 30))
    a, b = rng.integers(0, 40, size=bins), rng.integers(0, 900, size=bins)
    a[0] = b[1] = 1
    a[-1] = b[-1] = 0 if seed % 2 else 3
    assert distances.jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b, base=2), abs=1e-12)
    table = np.stack([a, b])[:, (a + b) > 0]
    peer = stats.chi2_contingency(table, correction=False)
    ours = distances.chi_square(a, b)
    assert ours.statistic == pytest.approx(peer.statistic)
    assert ours.p_value == pytest.approx(peer.pvalue, abs=1e-12)
    assert (ours.degrees, ours.cells) == (peer.dof, table.size)
    assert ours.low_cells == (peer.expected_freq < 5).sum()


def test_two_by_two_has_no_continuity_correction() -> None:
    a, b = np.array([30, 10]), np.array([20, 20])
    assert distances.chi_square(a, b).statistic == pytest.approx(16 / 3)  # 80 (30 x 20 - 10 x 20)^2 / (40 x 40 x 50 x 30)


def test_one_category_is_no_difference() -> None:
    ours = distances.chi_square(np.array([4, 0]), np.array([9, 0]))
    assert (ours.statistic, ours.p_value, ours.degrees) == (0.0, 1.0, 0)
