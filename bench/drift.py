"""Drift of 100 numeric columns x 1,000,000 rows a window: Shoal beside pandas with scipy, on the same Parquet files.

Both read both windows and give, for every column, Kolmogorov-Smirnov with its p-value, Wasserstein, PSI and Jensen-Shannon on
the same ten quantile bins. Shoal also gives the profiles and the shares. The peer is one process, as pandas is. Columns: pairs
of normal, log-normal, exponential and whole numbers in turn; the second of each pair is shifted in the current window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import stats
from scipy.spatial.distance import jensenshannon
from shoal.monitor.drift.compare import Window, drift_rows, measure_windows
from shoal.monitor.drift.thresholds import Rules

METRICS = ("kolmogorov_smirnov", "wasserstein", "psi", "jensen_shannon")


def run(spark: SparkSession, columns: int = 100, rows: int = 1_000_000) -> list[dict[str, Any]]:
    """Seconds of both and how many times faster ours is; the largest differences of their statistics and p-values."""
    with TemporaryDirectory(prefix="shoal-bench-drift-") as folder:
        paths = {name: Path(folder) / name for name in ("baseline", "current")}
        for seed, (name, path) in enumerate(paths.items()):
            simulate_window(spark, columns, rows, seed, shifted=name == "current").write.parquet(str(path))
        # The first Python worker and the first query of a session cost seconds that have nothing to do with size.
        shoal_drift(spark, paths, limit=1000)
        ours, seconds = timed(lambda: shoal_drift(spark, paths))
        theirs, peer_seconds = timed(lambda: scipy_drift(paths))
    size = f"{columns} columns x {rows:,} rows"
    statistics, p_values = largest_differences(ours, theirs)
    equal = {"unit": "absolute", "target": "<= 1e-06", "note": "largest over all columns and metrics"}
    return [
        {
            "what": f"{size} a window, two windows", "ours": seconds, "peer": peer_seconds, "ratio": peer_seconds / seconds,
            "unit": "s", "target": ">= 3", "note": "peer: scipy on pandas, one process; ratio: times as fast",
        },
        {"what": f"{size}: difference of the statistics", "ours": statistics, **equal},
        {"what": f"{size}: difference of the p-values", "ours": p_values, **equal},
    ]  # fmt: skip


def simulate_window(spark: SparkSession, columns: int, rows: int, seed: int, shifted: bool) -> DataFrame:
    """Seeded columns c000, c001, ...; with `shifted` every second one has another mean. Made by Spark, never held whole."""
    shift = 0.25 if shifted else 0.0
    made = [_column(i, seed * 1000 + i, shift if i % 2 else 0.0).alias(f"c{i:03d}") for i in range(columns)]
    return spark.range(0, rows, 1, 8).select(*made)


def _column(number: int, seed: int, shift: float) -> Column:
    normal, uniform = F.randn(seed), F.rand(seed)
    kinds = [
        normal + shift,
        F.exp(normal + shift),
        -F.log1p(-uniform) * (1 + shift),
        F.floor(-F.log1p(-uniform) * 3 * (1 + shift)).cast("double"),
    ]
    return kinds[number // 2 % len(kinds)]


def shoal_drift(spark: SparkSession, paths: dict[str, Path], limit: int | None = None) -> dict[tuple[str, str], Any]:
    """(column, metric) to the row of Shoal."""
    windows = []
    for name, path in paths.items():
        rows = spark.read.parquet(str(path))
        windows.append(Window("bench", (name,), rows.limit(limit) if limit else rows))
    measured = drift_rows(measure_windows(windows, Rules()))
    kept = measured.where(F.col("metric").isin(*METRICS)).select("column_name", "metric", "statistic", "p_value").collect()
    return {(row["column_name"], row["metric"]): row for row in kept}


def scipy_drift(paths: dict[str, Path]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """(column, metric) to the peer's statistic and p-value."""
    baseline, current = (pd.read_parquet(path) for path in paths.values())
    found: dict[tuple[str, str], tuple[float, float | None]] = {}
    for column in baseline.columns:
        a, b = baseline[column].to_numpy(), current[column].to_numpy()
        ks = stats.ks_2samp(a, b, method="asymp")
        old, new = peer_bins(a, b, 10)
        found[column, "kolmogorov_smirnov"] = float(ks.statistic), float(ks.pvalue)
        found[column, "wasserstein"] = float(stats.wasserstein_distance(a, b)), None
        found[column, "psi"] = peer_psi(old, new), None
        found[column, "jensen_shannon"] = float(jensenshannon(old, new, base=2)), None
    return found


def peer_bins(baseline: np.ndarray, current: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts in the bins of docs/adr/0020-drift-metrics.md, written with pandas and numpy alone."""
    cuts = np.unique(np.quantile(baseline, np.arange(1, bins + 1) / bins, method="inverted_cdf"))
    inner = [cut for cut in cuts if cut < baseline.max()]
    heavy = [cut for cut in cuts if (baseline == cut).mean() >= 1 / bins]
    outer = np.unique([-np.inf, *inner, *heavy, *np.nextafter(heavy, -np.inf), np.inf])
    old, new = (pd.cut(values, outer, labels=False) for values in (baseline, current))
    return np.bincount(old, minlength=len(outer) - 1), np.bincount(new, minlength=len(outer) - 1)


def peer_psi(old: np.ndarray, new: np.ndarray) -> float:
    """PSI with the floor of docs/adr/0020-drift-metrics.md."""
    p, q = (np.maximum(counts / counts.sum(), max(1e-4, 0.5 / counts.sum())) for counts in (old, new))
    used = (old > 0) | (new > 0)
    return float(((p - q) * np.log(p / q))[used].sum())


def largest_differences(ours: dict[tuple[str, str], Any], theirs: dict[tuple[str, str], Any]) -> tuple[float, float]:
    """The largest absolute difference of statistics and of p-values; both must have the same keys."""
    assert ours.keys() == theirs.keys(), "the two sides measured different things"
    statistics = max(abs(ours[key]["statistic"] - theirs[key][0]) for key in theirs)
    p_values = max(abs(ours[key]["p_value"] - theirs[key][1]) for key in theirs if theirs[key][1] is not None)
    return statistics, p_values


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """The action's result and its wall seconds."""
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start
