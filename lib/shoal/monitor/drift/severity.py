"""The comparisons of one column: the rows of ops.drift, made from digests.

A metric that cannot be computed (no finite value in a window, no row at all) is a row too: its statistic is null, it is not
drifted, and `note` says why. Null and non-finite shares tell such a window apart.
"""

from __future__ import annotations

import math
from typing import Any

from shoal.arrays import Ints
from shoal.monitor.drift import distances, thresholds
from shoal.monitor.drift.bins import bin_counts, reference_edges
from shoal.monitor.drift.categories import CategoryCounts
from shoal.monitor.drift.digest import NumberDigest, Sample
from shoal.monitor.drift.profiles import finite_or_none
from shoal.monitor.drift.thresholds import Rules

PSI = "psi"
KS = "kolmogorov_smirnov"
JENSEN_SHANNON = "jensen_shannon"
WASSERSTEIN = "wasserstein"
CHI_SQUARE = "chi_square"
NULL_SHARE = "null_share"
NON_FINITE_SHARE = "non_finite_share"
NEW_CATEGORIES = "new_categories"
MISSING_COLUMN = "missing_column"
NUMBER_METRICS = (PSI, KS, JENSEN_SHANNON, WASSERSTEIN, NULL_SHARE, NON_FINITE_SHARE)
CATEGORY_METRICS = (PSI, CHI_SQUARE, JENSEN_SHANNON, NULL_SHARE, NEW_CATEGORIES)

RESULT_TYPE = (
    "struct<comparison:string,reference_start:date,reference_end:date,reference_rows:bigint,current_rows:bigint,"
    "metric:string,statistic:double,p_value:double,threshold:double,is_drifted:boolean,severity:string,note:string>"
)


def with_severity(
    metric: str, statistic: float, warning: float, critical: float, p_value: float | None = None, note: str | None = None
) -> dict[str, Any]:
    """One metric with its threshold: drifted from `warning` on, critical from `critical` on; a statistic of 0 never is."""
    if not math.isfinite(statistic):
        return not_computed(metric, f"the statistic is {statistic}: values too large for float64 arithmetic")
    is_drifted = statistic >= warning and statistic > 0
    severity = "none" if not is_drifted else "critical" if statistic >= critical else "warning"
    return {
        "metric": metric, "statistic": statistic, "p_value": p_value, "threshold": finite_or_none(warning),
        "is_drifted": is_drifted, "severity": severity, "note": note,
    }  # fmt: skip


def not_computed(metric: str, note: str) -> dict[str, Any]:
    """A metric without a statistic, and why."""
    return {
        "metric": metric, "statistic": None, "p_value": None, "threshold": None,
        "is_drifted": False, "severity": "none", "note": note,
    }  # fmt: skip


def missing_column(missing_in: str) -> dict[str, Any]:
    """The one row of a column that only one of the windows has."""
    return with_severity(MISSING_COLUMN, 1.0, 1.0, 1.0, note=f"the {missing_in} window has no such column")


def compare_numbers(
    reference: tuple[NumberDigest, Sample], current: tuple[NumberDigest, Sample], rules: Rules
) -> list[dict[str, Any]]:
    """PSI, Kolmogorov-Smirnov, Jensen-Shannon, Wasserstein over finite values; differences of null, NaN and infinite shares."""
    (old, old_sample), (new, new_sample) = reference, current
    n, m = old_sample.rows, new_sample.rows
    absent = _absent(n, m, "finite value")
    shares = [
        _compare_share(NULL_SHARE, old.nulls, new.nulls, old.rows, new.rows, rules),
        _compare_non_finite(old, new, rules),
    ]
    if absent:
        return [not_computed(metric, absent) for metric in NUMBER_METRICS[:4]] + shares
    error = old.relative_rank_error() + new.relative_rank_error()
    note = f"from digests: shares of rows are exact to {error:.1e}" if error else None
    gap = distances.gap(old_sample, new_sample)
    edges = reference_edges(old_sample, m, rules.psi_bins)
    binned = _compare_bins(bin_counts(old_sample, edges), bin_counts(new_sample, edges), rules, note)
    noise = thresholds.ks_noise(n, m, rules.p_value)
    ks = with_severity(
        KS, gap.largest, max(thresholds.ks_effect(rules.psi_warning), noise),
        max(thresholds.ks_effect(rules.psi_critical), noise), distances.ks_p_value(gap.largest, n, m), note,
    )  # fmt: skip
    spread, noise = old.stddev() or 0.0, thresholds.wasserstein_noise(gap.spread, n, m, rules.p_value)
    area = with_severity(
        WASSERSTEIN, gap.area, max(thresholds.wasserstein_effect(rules.psi_warning, spread), noise),
        max(thresholds.wasserstein_effect(rules.psi_critical, spread), noise), None, note,
    )  # fmt: skip
    return [binned[0], ks, binned[1], area, *shares]


def compare_categories(counts: CategoryCounts, reference: int, rules: Rules) -> list[dict[str, Any]]:
    """PSI, chi-square, Jensen-Shannon over non-null values; difference of null shares; share of rows in new categories."""
    n, m = counts.present(reference), counts.present(0)
    absent = _absent(n, m, "value")
    nulls = _compare_share(NULL_SHARE, counts.nulls[reference], counts.nulls[0], counts.rows[reference], counts.rows[0], rules)
    if absent:
        others = [not_computed(metric, absent) for metric in (PSI, CHI_SQUARE, JENSEN_SHANNON)]
        return [*others, nulls, not_computed(NEW_CATEGORIES, absent)]
    old, new = counts.table(reference)
    test = distances.chi_square(old, new)
    low = f"{test.low_cells} of {test.cells} expected counts are below 5" if test.low_cells else None
    noise = thresholds.chi_square_noise(test.degrees, rules.p_value)
    chi = with_severity(
        CHI_SQUARE, test.statistic, max(thresholds.chi_square_effect(rules.psi_warning, n + m), noise),
        max(thresholds.chi_square_effect(rules.psi_critical, n + m), noise), test.p_value, low,
    )  # fmt: skip
    psi, js = _compare_bins(old, new, rules, None)
    seen = counts.new[reference]
    noise = thresholds.unseen_noise(seen.once, seen.twice, n, m, rules.p_value)
    names = ", ".join(seen.examples) + (", ..." if seen.count > len(seen.examples) else "")
    unseen = with_severity(
        NEW_CATEGORIES, seen.rows / m, max(rules.share_warning, noise), max(rules.share_critical, noise), None,
        f"{seen.count} new: {names}" if seen.count else None,
    )  # fmt: skip
    return [psi, chi, js, nulls, unseen]


def _compare_bins(old: Ints, new: Ints, rules: Rules, note: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """PSI and Jensen-Shannon of the same counts."""
    used = int(((old > 0) | (new > 0)).sum())
    noise = thresholds.psi_noise(used, int(old.sum()), int(new.sum()), rules.p_value)
    levels = max(rules.psi_warning, noise), max(rules.psi_critical, noise)
    # Chance moves the distance as it moves PSI, so one conversion serves both halves of the threshold.
    distances_at = thresholds.jensen_shannon_effect(levels[0]), thresholds.jensen_shannon_effect(levels[1])
    psi = with_severity(PSI, distances.psi(old, new), *levels, None, note)
    return psi, with_severity(JENSEN_SHANNON, distances.jensen_shannon(old, new), *distances_at, None, note)


def _compare_share(metric: str, old: int, new: int, n: int, m: int, rules: Rules) -> dict[str, Any]:
    """The absolute difference of two shares of all rows."""
    absent = _absent(n, m, "row")
    if absent:
        return not_computed(metric, absent)
    noise = thresholds.share_noise(old / n, new / m, n, m, rules.p_value)
    return with_severity(metric, abs(new / m - old / n), max(rules.share_warning, noise), max(rules.share_critical, noise))


def _compare_non_finite(old: NumberDigest, new: NumberDigest, rules: Rules) -> dict[str, Any]:
    """The larger of the differences of the shares of NaN and of infinite values: one must not make up for the other."""
    nans = _compare_share(NON_FINITE_SHARE, old.nans, new.nans, old.rows, new.rows, rules)
    infinities = _compare_share(NON_FINITE_SHARE, old.infinities, new.infinities, old.rows, new.rows, rules)
    return max(infinities, nans, key=lambda row: row["statistic"] or 0.0)


def _absent(n: int, m: int, what: str) -> str | None:
    """Which window has nothing to compare; None where both have."""
    empty = [name for name, rows in (("reference", n), ("current", m)) if not rows]
    return f"no {what} in the {' and the '.join(empty)} window" if empty else None
