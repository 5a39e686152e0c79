"""What an experiment says of a metric: differences between arms with intervals, from sums alone.

An arm and metric is a row of sums over its users (`Sums`), so that an analysis of any number of users collects one row an arm. The
formulas are those of the cited texts; scipy and statsmodels are the tests' oracles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Expected users of the smaller arm below which a test of proportions has no normal approximation (five of each outcome).
FEWEST_OUTCOMES = 5


@dataclass(frozen=True)
class Sums:
    """Sums over the users of an arm: their number, of the metric y, of the second variable x (a ratio's denominator, or what was
    measured of the user before the experiment), and of their squares and product."""

    n: int
    y: float
    yy: float
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    @property
    def mean(self) -> float:
        """The mean of y; NaN without users."""
        return self.y / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """The unbiased variance of y; NaN below two users."""
        return _covariance(self.n, self.y, self.y, self.yy)

    def less(self, theta: float, centre: float) -> Sums:
        """The sums of y - theta (x - centre): those of a metric adjusted by what was known before."""
        y = self.y - theta * (self.x - self.n * centre)
        yy = (
            self.yy - 2 * theta * (self.xy - centre * self.y)
            + theta**2 * (self.xx - 2 * centre * self.x + self.n * centre**2)
        )  # fmt: skip
        return Sums(self.n, y, yy)


@dataclass(frozen=True)
class Effect:
    """Treatment against control: their means (or ratios), the difference with its interval, and the relative one (NaN where the
    control's mean is 0); `p_value` of no difference, two-sided; `method`: welch, z or delta; `standard_error` of the difference."""

    control: float
    treatment: float
    difference: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    p_value: float
    standard_error: float
    method: str


def welch(control: Sums, treatment: Sums, level: float = 0.95) -> Effect | None:
    """The difference of means without equal variances (Welch, Biometrika 34, 1947). None below two users an arm, and where neither
    arm has a variance, of which no interval can be made."""
    if min(control.n, treatment.n) < 2:
        return None
    parts = [control.variance / control.n, treatment.variance / treatment.n]
    if not sum(parts) > 0:
        return None
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (control.n - 1) + parts[1] ** 2 / (treatment.n - 1))
    return _effect(control.mean, treatment.mean, parts, level, "welch", freedom)


def proportions(control: Sums, treatment: Sums, level: float = 0.95) -> Effect | None:
    """The difference of two shares (y is 0 or 1): p-value of the pooled z test, interval without pooling (Agresti, Categorical Data
    Analysis, 2013, 3.1). None where the test has fewer than FEWEST_OUTCOMES expected of either outcome in an arm."""
    users, hits = control.n + treatment.n, control.y + treatment.y
    if min(control.n, treatment.n) < 2:
        return None
    pooled = hits / users
    if min(control.n, treatment.n) * min(pooled, 1 - pooled) < FEWEST_OUTCOMES:
        return None
    parts = [each.mean * (1 - each.mean) / each.n for each in (control, treatment)]
    found = _effect(control.mean, treatment.mean, parts, level, "z")
    spread = math.sqrt(pooled * (1 - pooled) * (1 / control.n + 1 / treatment.n))
    return _with_p(found, 2 * float(stats.norm.sf(abs(found.difference) / spread)))


def ratios(control: Sums, treatment: Sums, level: float = 0.95) -> Effect | None:
    """The difference of two ratios sum(y) / sum(x), by the delta method over users, who are what was randomised (Deng, Knoblich and
    Lu, KDD 2018, section 2.2). None below two users an arm, where an arm's x sums to 0, and without variance."""
    if min(control.n, treatment.n) < 2 or not (control.x > 0 and treatment.x > 0):
        return None
    parts = [_ratio_variance(each) for each in (control, treatment)]
    if not sum(parts) > 0:
        return None
    return _effect(control.y / control.x, treatment.y / treatment.x, parts, level, "delta")


def adjusted(control: Sums, treatment: Sums) -> tuple[Sums, Sums, float]:
    """Both arms' sums less what the users' x, measured before the experiment, predicts of y (CUPED: Deng, Xu, Kohavi and Walker,
    WSDM 2013), and the share of the variance that this takes away. One theta and one centre for both arms, so the difference is not
    biased. Unchanged, and 0, where x has no variance."""
    n = control.n + treatment.n
    pooled_xx = _within(control, treatment, lambda each: (each.x, each.x, each.xx))
    pooled_xy = _within(control, treatment, lambda each: (each.x, each.y, each.xy))
    pooled_yy = _within(control, treatment, lambda each: (each.y, each.y, each.yy))
    if not pooled_xx > 0 or not pooled_yy > 0:
        return control, treatment, 0.0
    theta, centre = pooled_xy / pooled_xx, (control.x + treatment.x) / n
    share = min(1.0, pooled_xy**2 / (pooled_xx * pooled_yy))
    return control.less(theta, centre), treatment.less(theta, centre), share


def sample_ratio_p_value(users: Sequence[int], weights: Sequence[float]) -> float | None:
    """The p-value of arms of these sizes under the planned weights, by the chi-squared test (Fabijan et al., KDD 2019: below .001
    something is wrong with the assignment or the log, and no result counts). None without users or with one arm."""
    total = sum(users)
    if len(users) < 2 or not total:
        return None
    expected = np.asarray(weights, np.float64) / sum(weights) * total
    return float(stats.chisquare(np.asarray(users, np.float64), expected).pvalue)


@dataclass(frozen=True)
class Anytime:
    """An interval and a p-value that hold however often they are looked at."""

    low: float
    high: float
    p_value: float


def always_valid(difference: float, standard_error: float, expected: float, level: float = 0.95) -> Anytime:
    """The mixture sequential probability ratio test of a difference that is about normal (Johari, Koomen, Pekelis and Walsh,
    Operations Research 70(3), 2022): the mixture is N(0, expected^2). `expected`: the size of an effect that the experiment is
    planned for, above 0, fixed before it begins; the test is valid for any, and has most power near it. Peeking daily, keep the
    smallest p-value so far."""
    v, t = standard_error**2, expected**2
    log_ratio = 0.5 * math.log(v / (v + t)) + t * difference**2 / (2 * v * (v + t))
    half = math.sqrt(v * (v + t) / t * (2 * math.log(1 / (1 - level)) + math.log((v + t) / v)))
    return Anytime(difference - half, difference + half, min(1.0, math.exp(-log_ratio)))


def detectable(standard_error: float, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest difference that a test of this standard error finds with the given power (Bloom, Evaluation Review 19, 1995)."""
    return float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power)) * standard_error


def users_needed(variance: float, effect: float, share: float = 0.5, power: float = 0.8, level: float = 0.95) -> float:
    """How many users both arms together need to find a difference `effect`, of a metric of this variance, where `share` of them is
    treated: (z + z)^2 variance / (effect^2 share (1 - share)). Infinite for an effect of 0."""
    if effect == 0:
        return math.inf
    quantiles = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    return quantiles**2 * variance / (effect**2 * share * (1 - share))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted so that the chance of any false alarm among them holds (Holm, Scandinavian Journal of Statistics 6,
    1979)."""
    count, adjusted_by, largest = len(p_values), [0.0] * len(p_values), 0.0
    for place, n in enumerate(sorted(range(count), key=lambda n: p_values[n])):
        largest = max(largest, min(1.0, (count - place) * p_values[n]))
        adjusted_by[n] = largest
    return adjusted_by


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted so that the share of false ones among alarms holds (Benjamini and Hochberg, JRSS B 57, 1995)."""
    return [float(each) for each in stats.false_discovery_control(p_values)] if p_values else []


def _covariance(n: int, a: float, b: float, ab: float) -> float:
    if n < 2:
        return math.nan
    found = (ab - a * b / n) / (n - 1)
    # What rounding leaves of a constant is no variance.
    return 0.0 if abs(found) <= 1e-12 * max(abs(ab) / n, 1e-300) else found


def _within(control: Sums, treatment: Sums, of: object) -> float:
    """The pooled sum of squares (or products) about each arm's own means."""
    total = 0.0
    for each in (control, treatment):
        a, b, ab = of(each)  # type: ignore[operator]
        total += (each.n - 1) * _covariance(each.n, a, b, ab) if each.n > 1 else 0.0
    return total


def _ratio_variance(each: Sums) -> float:
    """The variance of sum(y) / sum(x) over users."""
    ratio, mean_x = each.y / each.x, each.x / each.n
    var_x, var_y = _covariance(each.n, each.x, each.x, each.xx), _covariance(each.n, each.y, each.y, each.yy)
    return (var_y - 2 * ratio * _covariance(each.n, each.x, each.y, each.xy) + ratio**2 * var_x) / (mean_x**2 * each.n)


def _effect(
    control: float, treatment: float, variances: Sequence[float], level: float, method: str, freedom: float = math.inf
) -> Effect:
    """The effect from both arms' values and the variances of these."""
    difference, error = treatment - control, math.sqrt(sum(variances))
    quantile = float(stats.t.ppf(0.5 + level / 2, freedom))
    p_value = 2 * float(stats.t.sf(abs(difference) / error, freedom)) if error > 0 else math.nan
    relative = half = math.nan
    if control:
        # The delta method on the quotient of the arms' values.
        relative = treatment / control - 1
        half = quantile * math.sqrt(variances[1] / control**2 + variances[0] * treatment**2 / control**4)
    return Effect(
        control, treatment, difference, difference - quantile * error, difference + quantile * error,
        relative, relative - half, relative + half, p_value, error, method,
    )  # fmt: skip


def _with_p(effect: Effect, p_value: float) -> Effect:
    return Effect(**{**effect.__dict__, "p_value": p_value})
