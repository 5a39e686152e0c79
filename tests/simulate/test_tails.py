"""Bounded Pareto laws: exact totals, inverses, and the tail exponent that scipy finds again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from shoal.simulate import tails

LAWS = [(1.25, 100.0), (1.5, 60.0), (1.0, 10.0), (2.0, 5.0), (0.5, 1000.0)]


@pytest.mark.parametrize(("tail", "span"), LAWS)
def test_the_share_above_is_the_integral_of_the_quantile(tail: float, span: float) -> None:
    # Oracle: scipy's truncated Pareto on [1, span], integrated by quadrature over its upper tail.
    law = stats.truncpareto(tail, span)
    mean = integrate.quad(law.isf, 0, 1)[0]
    for position in (0.0, 0.01, 0.2, 0.5, 1.0):
        expected = integrate.quad(law.isf, 0, position)[0] / mean
        assert tails.share_above(np.array([position]), tail, span)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("tail", "span"), LAWS)
def test_position_of_share_is_the_inverse(tail: float, span: float) -> None:
    positions = np.linspace(0, 0.999, 50)
    shares = tails.share_above(positions, tail, span)
    np.testing.assert_allclose(tails.position_of_share(shares, tail, span), positions, atol=1e-9)
    assert tails.position_of_share(np.array([1.0]), tail, span)[0] < 1


@pytest.mark.parametrize(("size", "total"), [(1, 7), (10, 0), (10, 3), (1_500, 40_000), (1_000, 1)])
def test_counts_add_up_to_the_total(size: int, total: int) -> None:
    counts = tails.counts_by_rank(np.arange(size), size, total, 1.25, 100)
    assert counts.sum() == total
    assert counts.min() >= 0


def test_counts_fall_with_rank_and_have_the_stated_tail() -> None:
    counts = tails.counts_by_rank(np.arange(20_000), 20_000, 10_000_000, 1.4, 80)
    assert (np.diff(counts) <= 1).all()  # rounding may lift a count by one
    # Oracle: maximum likelihood of scipy's truncated Pareto, scale and bound from the sample's ends.
    values = counts / counts.min()
    found = optimize.minimize_scalar(
        lambda tail: -stats.truncpareto(tail, values.max() * 1.0001).logpdf(values).mean(), bounds=(0.5, 4), method="bounded"
    )
    assert found.x == pytest.approx(1.4, abs=0.03)


def test_groups_are_consecutive_and_largest_first() -> None:
    bounds = tails.bounds_of_groups(10, 1_000, 1.0, 10)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, 1_000, 11)
    sizes = np.diff(bounds)
    assert (np.diff(sizes) <= 1).all()
    # The first of ten groups covers positions 0 to 0.1: log(1 + 0.1 * 9) / log(10) of the whole at tail 1 and span 10.
    assert sizes[0] == pytest.approx(1_000 * np.log(1.9) / np.log(10), abs=1)
