"""The privacy that Gaussian noise gives a sum of bounded contributions, exactly, and the noise itself. No Spark.

A release is a sum of vectors, one a unit (a person, a text), none longer than a bound, plus Gaussian noise of standard deviation
multiplier x bound in every number. Rounds that each release such a sum, later ones depending on earlier ones, are together one
Gaussian mechanism of multiplier / sqrt(rounds) (Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022, corollary 3.3),
and of one the curve of epsilon and delta is known in closed form (Balle and Wang, "Improving the Gaussian Mechanism for
Differential Privacy", ICML 2018, theorem 8). So nothing is bounded or approximated here, and an accountant could only come near it
(docs/adr/0155).
"""

from __future__ import annotations

import math
import os

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from shoal.arrays import Doubles

# The search for an epsilon ends there: a larger one protects no one.
MAX_EPSILON = 1e6
# A sum of so many normal draws, halved for four, is normal again; the low bits of one double can give away what was under the
# noise (Holohan and Braghin, "Secure Random Sampling in Differential Privacy", ESORICS 2021).
_DRAWS = 4


def delta_of(epsilon: float, multiplier: float, rounds: int = 1) -> float:
    """The smallest delta for which `rounds` releases are (epsilon, delta)-differentially private."""
    gap = math.sqrt(rounds) / multiplier
    return float(ndtr(gap / 2 - epsilon / gap) - math.exp(epsilon + log_ndtr(-gap / 2 - epsilon / gap)))


def epsilon_of(multiplier: float, delta: float, rounds: int = 1) -> float:
    """The smallest epsilon for which `rounds` releases are (epsilon, delta)-differentially private; infinite without noise."""
    if rounds == 0:
        return 0.0
    if multiplier == 0:
        return math.inf
    if delta_of(0.0, multiplier, rounds) <= delta:
        return 0.0
    high = 1.0
    while delta_of(high, multiplier, rounds) > delta:
        high *= 2
        if high > MAX_EPSILON:
            return math.inf
    return float(brentq(lambda epsilon: delta_of(epsilon, multiplier, rounds) - delta, 0.0, high, xtol=1e-12, rtol=1e-13))


def multiplier_for(epsilon: float, delta: float, rounds: int = 1) -> float:
    """The smallest noise multiplier with which `rounds` releases are (epsilon, delta)-differentially private.

    Raises ValueError for an epsilon of 0 or less and a delta outside 0..1.
    """
    if epsilon <= 0 or not 0 < delta < 1:
        raise ValueError(f"epsilon {epsilon}, delta {delta}: expected epsilon above 0 and delta between 0 and 1")
    low, high = 1e-3, 1.0
    while delta_of(epsilon, high) > delta:
        high *= 2
    while delta_of(epsilon, low) <= delta:
        low /= 2
    single = brentq(lambda multiplier: delta_of(epsilon, multiplier) - delta, low, high, xtol=1e-12, rtol=1e-13)
    # A hair more: the root is found to 13 digits, and the promise is one of at most epsilon.
    return float(single * math.sqrt(rounds) * (1 + 1e-9))


def gaussian_noise(size: int, deviation: float, seed: tuple[int, ...] | None = None) -> Doubles:
    """Draw `size` independent normal numbers of mean 0 and that standard deviation: from the operating system's generator for
    cryptography, or with a seed (for tests: whoever knows it subtracts the noise). Cost: 32 bytes of randomness a number."""
    if deviation == 0:
        return np.zeros(size)
    count = size * _DRAWS
    if seed is None:
        bits = np.frombuffer(os.urandom(8 * count), np.uint64)
    else:
        bits = np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)
    # The middle of each of 2^53 equal parts of 0..1: neither end occurs.
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    # The sum of four has twice the deviation of one.
    return np.asarray(ndtri(uniform).reshape(_DRAWS, size).sum(axis=0) / math.sqrt(_DRAWS) * deviation)
