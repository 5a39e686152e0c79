"""Quantiles against numpy; bins of continuous, tied, constant and tiny references."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.monitor.drift.bins import bin_counts, equal_edges, histogram, quantiles, reference_edges
from shoal.monitor.drift.digest import Sample, sample_of


def of(*values: float) -> Sample:
    return sample_of(np.array(values, dtype=float))


@pytest.mark.parametrize("rows", [1, 2, 9, 10, 11, 1000])
def test_quantiles_are_those_of_the_inverted_distribution_function(rows: int) -> None:
    values = np.round(np.random.default_rng(rows).normal(size=rows), 1)
    parts = np.array([1, 5, 25, 50, 75, 99, 100])
    expected = [np.quantile(values, share / 100, method="inverted_cdf") for share in parts]
    different, counts = np.unique(values, return_counts=True)
    assert quantiles(sample_of(values), parts, 100).tolist() == expected
    assert quantiles(Sample(different, counts, rows), parts, 100).tolist() == expected


def test_quantiles_of_nothing_are_nan() -> None:
    assert np.isnan(quantiles(of(), np.array([50]), 100)).all()


def test_continuous_reference_has_equal_bins() -> None:
    reference = sample_of(np.random.default_rng(0).normal(size=1000))
    edges = reference_edges(reference, 1000, 10)
    assert len(edges) == 9
    assert bin_counts(reference, edges).tolist() == [100] * 10


def test_bins_are_closed_on_the_right_and_open_to_infinity() -> None:
    edges = np.array([1.0, 2.0])
    assert bin_counts(of(-1e300, 1.0, 1.5, 2.0, 2.5, 1e300), edges).tolist() == [2, 2, 2]


def test_constant_reference_tells_below_at_and_above() -> None:
    edges = reference_edges(sample_of(np.full(100, 7.0)), 100, 10)
    assert bin_counts(of(6.9, 7.0, 7.0, 7.1), edges).tolist() == [1, 2, 1]


def test_a_value_with_a_share_of_its_own_is_a_bin() -> None:
    # 40 zeros of 100, then 1..60: zero is an atom, 1 falls into the next bin.
    reference = sample_of(np.concatenate([np.zeros(40), np.arange(1, 61)]))
    edges = reference_edges(reference, 100, 10)
    assert bin_counts(reference, edges).tolist() == [0, 40, 10, 10, 10, 10, 10, 10]


def test_the_largest_value_can_be_an_atom() -> None:
    reference = sample_of(np.concatenate([np.arange(90), np.full(10, 99.0)]))
    edges = reference_edges(reference, 100, 10)
    assert bin_counts(of(98.0, 99.0, 99.0, 100.0), edges).tolist()[-3:] == [1, 2, 1]


def test_small_windows_get_fewer_bins() -> None:
    reference = sample_of(np.arange(1000.0))
    assert len(reference_edges(reference, 24, 10)) == 3  # four bins for 24 rows, five in each and some left
    assert len(reference_edges(reference, 1, 10)) == 1


def test_histogram_counts_every_row_and_both_ends() -> None:
    edges = equal_edges(0.0, 1.0, 4)
    assert edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert histogram(of(0.0, 0.25, 0.26, 1.0), edges).tolist() == [2, 1, 0, 1]


def test_histogram_of_one_value_is_one_bar() -> None:
    edges = equal_edges(5.0, 5.0, 20)
    assert (edges.tolist(), histogram(of(5.0, 5.0), edges).tolist()) == ([5.0, 5.0], [2])


def test_edges_of_the_widest_range_do_not_overflow() -> None:
    edges = equal_edges(-1.7e308, 1.7e308, 20)
    assert np.isfinite(edges).all()
    assert histogram(of(-1.7e308, 0.0, 1.7e308), edges).sum() == 3
