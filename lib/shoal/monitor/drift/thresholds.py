"""From where on a difference counts.

With a million rows any difference is significant, with a hundred rows chance alone makes large ones. So a statistic counts
when it reaches its threshold, the larger of two numbers:

- an effect that matters. One scale for all metrics: a PSI of `psi_warning` (0.1), and for every other metric the value that
  goes with that PSI. A normal column whose mean moves by d standard deviations has PSI d^2 in the limit of fine bins,
  Kolmogorov-Smirnov 2 Phi(d / 2) - 1 and Wasserstein d standard deviations; to second order in the shares PSI is eight
  times Jensen-Shannon's divergence (in nats) and four times the square of Cramer's V of windows of one size.
- what two samples of one distribution exceed with probability `p_value` only. PSI: (1/n + 1/m) times the quantile of
  chi-square with bins - 1 degrees (Yurdakul and Naranjo 2020). Jensen-Shannon: the same through the factor of
  eight. Kolmogorov-Smirnov: Kolmogorov's quantile. Chi-square: its own quantile. Wasserstein: the normal quantile times the
  integral of sqrt(F (1 - F)), which bounds the spread of the area under a Brownian bridge. Shares: two proportions.

The rows of an event table are not independent (a user's events resemble each other), so the second number is a lower bound
of what chance does; the first one carries the decision for large windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import chdtri, kolmogi, ndtr, ndtri


@dataclass(frozen=True)
class Rules:
    """How columns are compared. The values and their reasons are in conf/base.yaml, section `drift`.

    psi_bins: quantile bins of the reference; psi_warning, psi_critical: the effect scale; share_warning, share_critical:
    differences of null and non-finite shares, share of rows in new categories; p_value: level of chance; max_categories:
    kept by name for a column, the rest is one; exact_values: see `shoal.monitor.drift.digest`.
    """

    psi_bins: int = 10
    psi_warning: float = 0.1
    psi_critical: float = 0.25
    share_warning: float = 0.05
    share_critical: float = 0.2
    p_value: float = 0.001
    max_categories: int = 100
    exact_values: int = 1_000_000


def ks_effect(psi: float) -> float:
    """The Kolmogorov-Smirnov distance that goes with a PSI."""
    return float(2 * ndtr(math.sqrt(psi) / 2) - 1)


def wasserstein_effect(psi: float, stddev: float) -> float:
    """The Wasserstein distance that goes with a PSI, in the unit of the standard deviation."""
    return math.sqrt(psi) * stddev


def jensen_shannon_effect(psi: float) -> float:
    """The Jensen-Shannon distance (base 2) that goes with a PSI."""
    return math.sqrt(psi / (8 * math.log(2)))


def chi_square_effect(psi: float, rows: int) -> float:
    """The chi-square statistic of `rows` rows in both windows whose Cramer's V goes with a PSI."""
    return psi / 4 * rows


def chi_square_noise(degrees: int, p_value: float) -> float:
    """The chi-square statistic that chance exceeds with that probability."""
    return float(chdtri(degrees, p_value)) if degrees else 0.0


def psi_noise(bins: int, reference_rows: int, current_rows: int, p_value: float) -> float:
    """The PSI over `bins` used bins that chance exceeds with that probability; with ten rows a bin, twice as often."""
    return chi_square_noise(bins - 1, p_value) * (1 / reference_rows + 1 / current_rows)


def ks_noise(reference_rows: int, current_rows: int, p_value: float) -> float:
    """The Kolmogorov-Smirnov distance that chance exceeds with that probability."""
    return float(kolmogi(p_value)) * math.sqrt(1 / reference_rows + 1 / current_rows)


def wasserstein_noise(spread: float, reference_rows: int, current_rows: int, p_value: float) -> float:
    """A Wasserstein distance that chance exceeds with at most about that probability; `spread` is that of `Gap`."""
    return -float(ndtri(p_value / 2)) * spread * math.sqrt(1 / reference_rows + 1 / current_rows)


def share_noise(reference: float, current: float, reference_rows: int, current_rows: int, p_value: float) -> float:
    """The difference of two shares that chance exceeds with that probability."""
    pooled = (reference * reference_rows + current * current_rows) / (reference_rows + current_rows)
    spread = math.sqrt(max(0.0, pooled * (1 - pooled)) * (1 / reference_rows + 1 / current_rows))
    return -float(ndtri(p_value / 2)) * spread


def unseen_noise(once: int, twice: int, reference_rows: int, current_rows: int, p_value: float) -> float:
    """The share of rows in new categories that chance exceeds with at most about that probability; above 1: too few rows to say.

    A reference with many rare categories has not seen them all. The share of rows still unseen is estimated from the
    categories seen once, its variance from those seen once and twice: Good (1953), "The population frequencies of species".
    One more is taken for seen once, so that a small reference without any does not promise to be complete. On the upper
    limit of that share comes the chance of the current window's draw.
    """
    z = -float(ndtri(p_value))
    unseen = (once + 1 + z * math.sqrt(once + 1 + 2 * twice)) / reference_rows
    return unseen + z * math.sqrt(max(0.0, unseen * (1 - unseen)) / current_rows)
