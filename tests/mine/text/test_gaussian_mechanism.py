"""Epsilon of Gaussian noise against an accountant's numbers, and the noise itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm
from shoal.mine.text.gaussian_mechanism import delta_of, epsilon_of, gaussian_noise, multiplier_for

# Multiplier, rounds, delta, and epsilon by get_epsilon_gaussian of dp-accounting 0.6.0. Its PLDAccountant, composing round by round
# (value_discretization_interval 1e-4), gives the same to 1.1e-8, and never less; prv-accountant 0.2.0 gives 3.73725 for the second
# and 2.05333 for the last.
ORACLE = [
    (1.0, 1, 1e-5, 4.377178095681137), (6.5, 41, 1e-4, 3.737249533975226), (20.0, 41, 1e-6, 1.3859992312581015),
    (0.5, 1, 1e-5, 9.997256146434315), (30.0, 101, 1e-7, 1.6163013015056298), (2.0, 2, 1e-3, 2.0533345596969963),
]  # fmt: skip


@pytest.mark.parametrize(("multiplier", "rounds", "delta", "expected"), ORACLE)
def test_epsilon_is_that_of_the_accountant(multiplier: float, rounds: int, delta: float, expected: float) -> None:
    assert epsilon_of(multiplier, delta, rounds) == pytest.approx(expected, abs=1e-9)
    assert multiplier_for(expected, delta, rounds) == pytest.approx(multiplier, rel=1e-8)


def test_what_noise_hides_nothing_and_what_hides_all() -> None:
    assert epsilon_of(0.0, 1e-5, 3) == math.inf
    assert epsilon_of(1e-6, 1e-5) == math.inf
    assert epsilon_of(1.0, 1e-5, 0) == 0.0
    # Total variation of two normals one multiplier apart: 2 Phi(1/2) - 1 = .3829 of it needs no epsilon.
    assert delta_of(0.0, 1.0) == pytest.approx(2 * norm.cdf(0.5) - 1)
    assert epsilon_of(1.0, 0.39) == 0.0
    for epsilon, delta in ((0.0, 0.1), (-1.0, 0.1), (1.0, 0.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="expected epsilon above 0 and delta between 0 and 1"):
            multiplier_for(epsilon, delta)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 4.0, 60.0])
def test_the_multiplier_keeps_the_promise_and_no_smaller_one_does(epsilon: float) -> None:
    found = multiplier_for(epsilon, 1e-6, 40)
    assert epsilon_of(found, 1e-6, 40) <= epsilon
    assert epsilon_of(found * 0.9999, 1e-6, 40) > epsilon


def test_noise_is_normal_and_new_each_time() -> None:
    first, second = gaussian_noise(20_000, 3.0), gaussian_noise(20_000, 3.0)
    assert (first != second).all()
    # One of a million such tests fails by chance.
    assert kstest(np.concatenate([first, second]) / 3.0, "norm").pvalue > 1e-6
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(20_000)
    assert (gaussian_noise(5, 1.0, (1, 2)) == gaussian_noise(5, 1.0, (1, 2))).all()
    assert (gaussian_noise(5, 1.0, (1, 2)) != gaussian_noise(5, 1.0, (1, 3))).all()
    assert gaussian_noise(3, 0.0).tolist() == [0.0, 0.0, 0.0]
