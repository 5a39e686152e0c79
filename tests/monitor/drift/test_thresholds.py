"""The effect scale against closed forms, and the noise limits against samples of one distribution."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from shoal.monitor.drift.categories import CategoryCounts
from shoal.monitor.drift.digest import NumberDigest, Sample
from shoal.monitor.drift.distances import psi
from shoal.monitor.drift.severity import compare_categories, compare_numbers
from shoal.monitor.drift.thresholds import Rules, jensen_shannon_effect, ks_effect, psi_noise, unseen_noise, wasserstein_effect

RULES = Rules()


def number(values: np.ndarray) -> tuple[NumberDigest, Sample]:
    digest = NumberDigest(RULES.exact_values)
    digest.count(len(values), 0, 0, 0)
    digest.add(np.asarray(values, dtype=float))
    return digest, digest.sample()


def categories(current: np.ndarray, reference: np.ndarray) -> CategoryCounts:
    counts = CategoryCounts(2, RULES.max_categories)
    counts.count(0, len(current), 0)
    counts.count(1, len(reference), 0)
    new, old = Counter(current.tolist()), Counter(reference.tolist())
    for name in sorted({*new, *old}):
        counts.add(name, (new[name], old[name]))
    return counts


@pytest.mark.parametrize("psi_limit", [0.1, 0.25])
def test_one_scale_for_all_metrics_on_a_moved_normal(psi_limit: float) -> None:
    """A mean moved by the square root of the PSI: the fine-binned PSI and the others stand at their limits."""
    moved = np.sqrt(psi_limit)
    edges = np.linspace(-8, 8, 4001)
    old, new = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges, loc=moved))
    seen = (old > 1e-300) & (new > 1e-300)
    fine = float((old - new)[seen] @ np.log(old[seen] / new[seen]))
    assert fine == pytest.approx(psi_limit, rel=1e-3)
    assert ks_effect(psi_limit) == pytest.approx(stats.norm.cdf(moved / 2) - stats.norm.cdf(-moved / 2))
    assert wasserstein_effect(psi_limit, 2.0) == pytest.approx(2 * moved)
    assert jensen_shannon_effect(psi_limit) == pytest.approx(jensenshannon(old, new, base=2), rel=0.03)


def test_good_turing_by_hand() -> None:
    # At even chances no deviation is added: 9 of 100 rows are categories seen once, and one more is assumed.
    assert unseen_noise(9, 0, 100, 50, 0.5) == pytest.approx(0.1)
    # One standard deviation: (9 + 1 + sqrt(10 + 2 x 3)) / 100 = 0.14, then sqrt(0.14 x 0.86 / 50).
    assert unseen_noise(9, 3, 100, 50, stats.norm.sf(1)) == pytest.approx(0.14 + np.sqrt(0.14 * 0.86 / 50))
    assert unseen_noise(1, 0, 1, 1, 0.001) > 1.0


DRAWS = {
    "normal": lambda r, n: r.normal(size=n),
    "heavy tail": lambda r, n: r.lognormal(0, 2, size=n),
    "counts": lambda r, n: r.poisson(2, size=n),
    "mostly zero": lambda r, n: np.where(r.random(n) < 0.85, 0.0, r.exponential(size=n)),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("sizes", [(8, 8), (40, 400), (300, 300)], ids=str)
def test_no_false_alarm_on_numbers_of_one_distribution(name: str, sizes: tuple[int, int]) -> None:
    """300 pairs of samples: at the level 0.001 for each of four metrics hardly one pair may be called drifted."""
    rng = np.random.default_rng(11)
    alarms: Counter[str] = Counter()
    for _ in range(300):
        rows = compare_numbers(number(DRAWS[name](rng, sizes[0])), number(DRAWS[name](rng, sizes[1])), RULES)
        alarms.update(row["metric"] for row in rows if row["is_drifted"])
    assert max(alarms.values(), default=0) <= 3, alarms


@pytest.mark.parametrize("exponent", [1.2, 2.0])
@pytest.mark.parametrize("sizes", [(30, 30), (100, 2000), (500, 500)], ids=str)
def test_no_false_alarm_on_categories_of_one_distribution(exponent: float, sizes: tuple[int, int]) -> None:
    """Zipf: a long tail of categories, most of them new in every sample."""
    rng = np.random.default_rng(12)
    alarms: Counter[str] = Counter()
    for _ in range(300):
        new, old = (rng.zipf(exponent, size=n).astype(str) for n in sizes)
        rows = compare_categories(categories(new, old), 1, RULES)
        alarms.update(row["metric"] for row in rows if row["is_drifted"])
    assert max(alarms.values(), default=0) <= 3, alarms


def test_a_tiny_effect_is_significant_and_no_drift() -> None:
    rng = np.random.default_rng(13)
    a, b = rng.normal(size=200_000), rng.normal(0.03, size=200_000)
    rows = {row["metric"]: row for row in compare_numbers(number(a), number(b), RULES)}
    assert rows["kolmogorov_smirnov"]["p_value"] < 1e-10
    assert not any(row["is_drifted"] for row in rows.values())


@pytest.mark.parametrize(("moved", "severity"), [(0.4, "warning"), (0.8, "critical")])
def test_a_planted_shift_is_found_by_every_metric(moved: float, severity: str) -> None:
    rng = np.random.default_rng(14)
    rows = compare_numbers(number(rng.normal(size=5_000)), number(rng.normal(moved, size=5_000)), RULES)
    found = {row["metric"]: row["severity"] for row in rows}
    assert [found[m] for m in ("psi", "kolmogorov_smirnov", "jensen_shannon", "wasserstein")] == [severity] * 4
    assert found["null_share"] == found["non_finite_share"] == "none"


def test_psi_limit_of_small_windows_is_near_that_of_chance() -> None:
    """With ten rows in a bin the limit's tail is somewhat too light: 1% is about 2%."""
    rng = np.random.default_rng(15)
    chance = [psi(*(rng.multinomial(100, [0.1] * 10) for _ in range(2))) for _ in range(2_000)]
    limit = psi_noise(10, 100, 100, 0.01)
    assert 0.005 <= np.mean(np.array(chance) >= limit) <= 0.03
