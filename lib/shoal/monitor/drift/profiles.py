"""What one window of one column looks like: the rows of ops.profiles, made from digests.

Shares are of all rows of the window; everything else of its finite values (numbers) or non-null values (categories). Without
such values the figures are null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from shoal.arrays import Doubles
from shoal.monitor.drift.bins import equal_edges, histogram, quantiles
from shoal.monitor.drift.categories import OTHER, CategoryCounts
from shoal.monitor.drift.digest import NumberDigest, Sample

PROFILE_TYPE = (
    "struct<window:string,window_start:date,window_end:date,row_count:bigint,null_share:double,nan_share:double,"
    "infinite_share:double,distinct_count:bigint,mean:double,stddev:double,minimum:double,maximum:double,"
    "quantiles:map<string,double>,bin_edges:array<double>,bin_counts:array<bigint>,"
    "category_counts:map<string,bigint>,rank_error:double>"
)
PERCENTS = np.array([1, 5, 10, 25, 50, 75, 90, 95, 99], dtype=np.int64)
HISTOGRAM_BINS = 20


def finite_or_none(number: float | None) -> float | None:
    """The number, or None where it is missing, NaN or infinite: tables hold no such doubles."""
    return None if number is None or not math.isfinite(number) else float(number)


def common_edges(digests: list[NumberDigest]) -> Doubles | None:
    """Histogram edges over all windows of a column, so that their bars compare; None without a finite value."""
    seen = [d for d in digests if d.finite]
    if not seen:
        return None
    return equal_edges(min(d.minimum for d in seen), max(d.maximum for d in seen), HISTOGRAM_BINS)


def profile_number(digest: NumberDigest, sample: Sample, edges: Doubles | None) -> dict[str, Any]:
    """The figures of a number column; exact, but for quantiles and histogram where rank_error is above 0."""
    rows = digest.rows
    figures = _shares(rows, digest.nulls, digest.nans, digest.infinities)
    if sample.rows == 0 or edges is None:
        return figures
    values = quantiles(sample, PERCENTS, 100)
    return figures | {
        "distinct_count": sample.distinct() if digest.rank_error == 0 else None,
        "mean": finite_or_none(digest.mean),
        "stddev": finite_or_none(digest.stddev()),
        "minimum": digest.minimum,
        "maximum": digest.maximum,
        "quantiles": [(f"p{percent:02d}", float(value)) for percent, value in zip(PERCENTS, values, strict=True)],
        "bin_edges": edges.tolist(),
        "bin_counts": histogram(sample, edges).tolist(),
        "rank_error": digest.relative_rank_error(),
    }


def profile_category(counts: CategoryCounts, window: int) -> dict[str, Any]:
    """The figures of a category column in one window: its categories kept by name, then all others together."""
    rows, nulls = counts.rows[window], counts.nulls[window]
    figures = _shares(rows, nulls, 0, 0)
    if rows == nulls:
        return figures
    kept = [(name, int(seen[window])) for name, seen in sorted(counts.kept().items()) if seen[window]]
    other = rows - nulls - sum(n for _, n in kept)
    return figures | {
        "distinct_count": counts.distinct[window],
        "category_counts": kept + ([(OTHER, other)] if other else []),
        "rank_error": 0.0,
    }


def labelled(figures: Mapping[str, Any], window: str, start: date | None, end: date | None) -> dict[str, Any]:
    """The profile under its window's name and days."""
    return {"window": window, "window_start": start, "window_end": end, **figures}


def _shares(rows: int, nulls: int, nans: int, infinities: int) -> dict[str, Any]:
    shares = {"null_share": nulls, "nan_share": nans, "infinite_share": infinities}
    return {"row_count": rows} | {name: part / rows if rows else None for name, part in shares.items()}
