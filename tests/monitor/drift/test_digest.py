"""Digests: exact below the bound, within the stated error above it, the same whatever the order of the partials."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from shoal.monitor.drift.digest import NumberDigest, Sample
from shoal.monitor.drift.distances import gap


def filled(values: np.ndarray, exact_values: int, partial: int) -> NumberDigest:
    digest = NumberDigest(exact_values)
    for number, start in enumerate(range(0, len(values), partial)):
        part = values[start : start + partial]
        if number % 2:
            digest.add(*np.unique(part, return_counts=True))
        else:
            digest.add(part)
    return digest


def rows_of(sample: Sample) -> np.ndarray:
    return np.repeat(sample.values, sample.counts())


@pytest.mark.parametrize("part", [1, 7, 100, 10_000])
def test_exact_whatever_the_parts(part: int) -> None:
    values = np.round(np.random.default_rng(1).normal(size=2_000), 1)
    digest = filled(values, 1_000, part)
    assert rows_of(digest.sample()).tolist() == sorted(values)
    assert digest.rank_error == 0.0
    assert digest.mean == pytest.approx(values.mean())
    assert digest.stddev() == pytest.approx(values.std(ddof=1))
    assert (digest.minimum, digest.maximum) == (values.min(), values.max())


def test_many_rows_of_few_values_stay_exact() -> None:
    values = np.random.default_rng(2).integers(0, 900, size=100_000).astype(float)
    digest = filled(values, 1_000, 5_000)
    assert digest.rank_error == 0.0
    assert rows_of(digest.sample()).tolist() == sorted(values)


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "lognormal", "atoms", "sorted"])
def test_above_the_bound_within_the_stated_error_and_memory(draw: str) -> None:
    rng, rows, bound = np.random.default_rng(3), 200_000, 2_000
    values = {
        "atoms": lambda: np.where(rng.random(rows) < 0.4, 1.0, rng.normal(size=rows)),
        "sorted": lambda: np.sort(rng.normal(size=rows)),
    }.get(draw, lambda: getattr(rng, draw)(size=rows))()
    digest = filled(values, bound, 999)
    sample = digest.sample()
    error = digest.relative_rank_error()
    assert len(sample.values) <= 2 * bound
    assert sample.counts().sum() == rows
    assert 0 < error <= 3.5 * rows / bound**2 + 12 / bound
    assert (np.diff(sample.values) > 0).all()
    probes = np.quantile(values, np.linspace(0, 1, 501))
    exact = np.searchsorted(np.sort(values), probes, side="right")
    assert np.abs(sample.rows_at_most(probes) - exact).max() <= error * rows
    assert digest.mean == pytest.approx(values.mean())
    assert digest.stddev() == pytest.approx(values.std(ddof=1))


def test_statistics_of_digests_are_within_the_sum_of_their_errors() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=100_000), rng.normal(0.2, size=80_000)
    first, second = filled(a, 2_000, 1_000), filled(b, 2_000, 1_000)
    error = first.relative_rank_error() + second.relative_rank_error()
    ours = gap(first.sample(), second.sample())
    assert ours.largest == pytest.approx(stats.ks_2samp(a, b).statistic, abs=error)
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    assert ours.area == pytest.approx(stats.wasserstein_distance(a, b), abs=error * span)


def test_nothing_added() -> None:
    digest = NumberDigest(1_000)
    digest.count(3, 2, 1, 0)
    digest.add(np.empty(0))
    assert (digest.sample().rows, digest.stddev(), digest.relative_rank_error()) == (0, None, 0.0)
    assert (digest.rows, digest.nulls, digest.nans) == (3, 2, 1)


def test_one_value_has_no_deviation() -> None:
    digest = NumberDigest(1_000)
    digest.add(np.array([4.0]))
    assert (digest.mean, digest.stddev()) == (4.0, None)


@pytest.mark.parametrize("bound", [1_000, 10_000])
def test_a_column_over_its_mean_is_that_of_the_divided_values(bound: int) -> None:
    values = np.random.default_rng(5).lognormal(size=5_000)
    digest, sample = filled(values, bound, 700).over_mean()
    expected = filled(values / values.mean(), bound, 700)
    assert sample.values == pytest.approx(expected.sample().values)
    assert sample.counts().tolist() == expected.sample().counts().tolist()
    for name in ("mean", "minimum", "maximum", "rows", "rank_error"):
        assert getattr(digest, name) == pytest.approx(getattr(expected, name)), name
    assert digest.stddev() == pytest.approx(expected.stddev())


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [-1.0, 1.0]])
def test_a_column_without_a_mean_above_zero_stays_as_it_is(values: list[float]) -> None:
    digest, sample = filled(np.array(values), 1_000, 10).over_mean()
    assert sample.values.tolist() == sorted(values)
    assert digest.minimum == (min(values) if values else np.inf)
