"""Windows in, profiles and drift out, through Spark: against scipy, and every edge case with its defined answer."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy import stats
from scipy.spatial.distance import jensenshannon
from shoal.monitor.drift.bins import bin_counts, reference_edges
from shoal.monitor.drift.compare import Window, drift_rows, measure_windows, profile_rows
from shoal.monitor.drift.digest import sample_of
from shoal.monitor.drift.thresholds import Rules

RULES = Rules()
SCHEMA = (
    "same double, moved float, whole int, yes boolean, day date, "
    "constant double, nulls double, wild double, far double, sort string, fresh string"
)


def frame(spark: SparkSession, seed: int, rows: int, current: bool) -> DataFrame:
    rng = np.random.default_rng(seed)
    data = {
        "same": rng.normal(size=rows),
        "moved": rng.normal(1.0 if current else 0.0, size=rows).astype(np.float32),
        "whole": rng.poisson(3, size=rows),
        "yes": rng.random(rows) < (0.7 if current else 0.3),
        "day": [date.fromordinal(730_000 + int(i)) for i in rng.integers(0, 400, size=rows)],
        "constant": np.full(rows, 5.0),
        "nulls": [None if current or i % 2 else 1.0 for i in range(rows)],
        "wild": np.where(np.arange(rows) % 4 == 0, np.nan if current else np.inf, 1.0 + np.arange(rows) % 3),
        "far": rng.random(rows) + (100 if current else 0),
        "sort": rng.choice(["a", "b", "c"], size=rows, p=[0.5, 0.3, 0.2]),
        "fresh": rng.choice(["old", "new" if current else "older"], size=rows),
    }
    values = zip(*(np.asarray(data[name], dtype=object).tolist() for name in data), strict=True)
    plain = [tuple(None if v is None else v.item() if isinstance(v, np.generic) else v for v in row) for row in values]
    return spark.createDataFrame(plain, SCHEMA).repartition(3)


@pytest.fixture(scope="module")
def windows(spark: SparkSession) -> list[Window]:
    past, now = frame(spark, 1, 1_500, False).cache(), frame(spark, 2, 1_200, True).cache()
    return [
        Window("t", ("previous", "baseline"), past, date(2024, 1, 1), date(2024, 1, 30)),
        Window("t", ("current",), now, date(2024, 1, 31), date(2024, 2, 29)),
    ]


@pytest.fixture(scope="module")
def found(windows: list[Window]) -> dict[tuple[str, str], dict[str, Any]]:
    """(column, metric) to the row of the comparison with `previous`."""
    rows = drift_rows(measure_windows(windows, RULES)).where("comparison = 'previous'").collect()
    return {(row["column_name"], row["metric"]): row.asDict() for row in rows}


@pytest.fixture(scope="module")
def pandas_windows(windows: list[Window]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return windows[0].rows.toPandas(), windows[1].rows.toPandas()


def drift_of(old: DataFrame, new: DataFrame, rules: Rules = RULES) -> dict[tuple[str, str], dict[str, Any]]:
    rows = drift_rows(measure_windows([Window("t", ("previous",), old), Window("t", ("current",), new)], rules)).collect()
    return {(row["column_name"], row["metric"]): row.asDict() for row in rows}


@pytest.mark.parametrize("column", ["same", "moved", "whole", "yes", "day", "constant", "far"])
def test_numbers_equal_scipy(column: str, found: dict, pandas_windows: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    old, new = (window[column] for window in pandas_windows)
    if column == "day":
        old, new = ((pd.to_datetime(days) - pd.Timestamp(0)).dt.days for days in (old, new))
    a, b = old.to_numpy(dtype=np.float64), new.to_numpy(dtype=np.float64)
    peer = stats.ks_2samp(a, b, method="asymp")
    edges = reference_edges(sample_of(a), len(b), 10)
    p, q = (bin_counts(sample_of(values), edges) for values in (a, b))
    assert found[column, "kolmogorov_smirnov"]["statistic"] == pytest.approx(peer.statistic, abs=1e-9)
    assert found[column, "kolmogorov_smirnov"]["p_value"] == pytest.approx(peer.pvalue, abs=1e-9)
    assert found[column, "wasserstein"]["statistic"] == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)
    assert found[column, "jensen_shannon"]["statistic"] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)


def test_categories_equal_scipy(found: dict, pandas_windows: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    old, new = (window["sort"].value_counts().reindex(["a", "b", "c"]).to_numpy() for window in pandas_windows)
    peer = stats.chi2_contingency(np.stack([old, new]), correction=False)
    assert found["sort", "chi_square"]["statistic"] == pytest.approx(peer.statistic)
    assert found["sort", "chi_square"]["p_value"] == pytest.approx(peer.pvalue)
    assert found["sort", "jensen_shannon"]["statistic"] == pytest.approx(jensenshannon(old, new, base=2))


def test_planted_drift_is_found_and_nothing_else(found: dict) -> None:
    drifted = {column for (column, _), row in found.items() if row["is_drifted"]}
    assert drifted == {"moved", "yes", "nulls", "wild", "far", "fresh"}
    quiet = [row for (column, _), row in found.items() if column in ("same", "whole", "day", "constant", "sort")]
    assert {row["severity"] for row in quiet} == {"none"}


def test_every_metric_of_every_kind_is_there(found: dict) -> None:
    metrics = {column: {m for c, m in found if c == column} for column, _ in found}
    number = {"psi", "kolmogorov_smirnov", "jensen_shannon", "wasserstein", "null_share", "non_finite_share"}
    category = {"psi", "chi_square", "jensen_shannon", "null_share", "new_categories"}
    assert {name for name, seen in metrics.items() if seen == category} == {"sort", "fresh"}
    assert all(seen in (number, category) for seen in metrics.values())


def test_constant_column(found: dict) -> None:
    assert [found["constant", m]["statistic"] for m in ("psi", "kolmogorov_smirnov", "jensen_shannon", "wasserstein")] == [0.0] * 4


def test_all_null_window_has_no_statistic_but_its_share(found: dict) -> None:
    row = found["nulls", "psi"]
    assert (row["statistic"], row["threshold"], row["is_drifted"]) == (None, None, False)
    assert row["note"] == "no finite value in the current window"
    row = found["nulls", "null_share"]
    assert (row["statistic"], row["severity"]) == (0.5, "critical")


def test_nan_and_infinity_are_a_share_and_nothing_else(spark: SparkSession, found: dict) -> None:
    # A quarter of the rows: infinite before, NaN now. The finite values are the same.
    assert {metric for (column, metric), row in found.items() if column == "wild" and row["is_drifted"]} == {"non_finite_share"}
    assert found["wild", "non_finite_share"]["statistic"] == 0.25
    old = spark.createDataFrame([(float(i % 3),) for i in range(100)], "x double")
    new = spark.createDataFrame([(float("nan") if i < 30 else float(i % 3),) for i in range(90)], "x double")
    rows = drift_of(old, new)
    assert rows["x", "non_finite_share"]["statistic"] == pytest.approx(1 / 3)
    assert rows["x", "non_finite_share"]["severity"] == "critical"
    assert rows["x", "kolmogorov_smirnov"]["statistic"] < 0.02


def test_disjoint_supports(found: dict) -> None:
    assert found["far", "kolmogorov_smirnov"]["statistic"] == 1.0
    assert found["far", "jensen_shannon"]["statistic"] > 0.8  # the open last bin holds a tenth of the reference
    assert found["far", "wasserstein"]["statistic"] == pytest.approx(100, abs=0.1)
    assert {found["far", m]["severity"] for m in ("psi", "kolmogorov_smirnov", "wasserstein")} == {"critical"}


def test_new_categories_are_named(found: dict) -> None:
    row = found["fresh", "new_categories"]
    assert row["note"] == "1 new: new"
    assert row["statistic"] == pytest.approx(0.5, abs=0.05)
    assert row["severity"] == "critical"


def test_both_comparisons_of_one_window_and_its_days(windows: list[Window], found: dict) -> None:
    rows = drift_rows(measure_windows(windows, RULES)).where("column_name = 'moved' and metric = 'psi'").collect()
    assert {row["comparison"] for row in rows} == {"previous", "baseline"}
    assert len({row["statistic"] for row in rows}) == 1
    row = found["moved", "psi"]
    assert (row["reference_start"], row["reference_end"]) == (date(2024, 1, 1), date(2024, 1, 30))
    assert (row["reference_rows"], row["current_rows"]) == (1_500, 1_200)


def test_profiles_equal_pandas(windows: list[Window], pandas_windows: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    measured = profile_rows(measure_windows(windows, RULES)).collect()
    profiles = {(row["column_name"], row["window"]): row for row in measured}
    assert {window for _, window in profiles} == {"current", "previous", "baseline"}
    for window, values in zip(("previous", "current"), pandas_windows, strict=True):
        same = profiles["same", window]
        assert same["mean"] == pytest.approx(values["same"].mean())
        assert same["stddev"] == pytest.approx(values["same"].std())
        assert (same["minimum"], same["maximum"]) == (values["same"].min(), values["same"].max())
        assert same["quantiles"]["p50"] == np.quantile(values["same"], 0.5, method="inverted_cdf")
        assert same["distinct_count"] == values["same"].nunique()
        assert sum(same["bin_counts"]) == same["row_count"] == len(values)
        assert same["rank_error"] == 0.0
        assert profiles["sort", window]["category_counts"] == values["sort"].value_counts().to_dict()
    assert profiles["same", "current"]["bin_edges"] == profiles["same", "previous"]["bin_edges"]
    wild = profiles["wild", "previous"]
    assert (wild["infinite_share"], wild["nan_share"], wild["maximum"]) == (0.25, 0.0, 3.0)
    nulls = profiles["nulls", "current"]
    assert (nulls["null_share"], nulls["mean"], nulls["quantiles"]) == (1.0, None, None)


def test_empty_windows(spark: SparkSession) -> None:
    full = spark.createDataFrame([(float(i), "a") for i in range(50)], "x double, s string")
    empty = spark.createDataFrame([], "x double, s string")
    for old, new, missing in ((full, empty, "current"), (empty, full, "reference"), (empty, empty, "reference and the current")):
        rows = drift_of(old, new)
        assert len(rows) == 11
        assert {row["statistic"] for row in rows.values()} == {None}
        assert not any(row["is_drifted"] for row in rows.values())
        assert rows["s", "null_share"]["note"] == f"no row in the {missing} window"
    profile = profile_rows(measure_windows([Window("t", ("current",), empty)], RULES)).where("column_name = 'x'").collect()[0]
    assert (profile["row_count"], profile["null_share"], profile["mean"]) == (0, None, None)


def test_one_row_is_no_evidence(spark: SparkSession) -> None:
    one = spark.createDataFrame([(1.0, "a")], "x double, s string")
    other = spark.createDataFrame([(9.0, "b")], "x double, s string")
    rows = drift_of(one, other)
    assert rows["x", "kolmogorov_smirnov"]["statistic"] == 1.0
    assert rows["x", "kolmogorov_smirnov"]["p_value"] is None
    assert rows["x", "wasserstein"]["statistic"] == 8.0
    assert not any(row["is_drifted"] for row in rows.values())


def test_values_at_the_end_of_the_range_are_said_not_to_be_computable(spark: SparkSession) -> None:
    old = spark.createDataFrame([(-1.7e308,)] * 40 + [(1.7e308,)] * 40, "x double")
    new = spark.createDataFrame([(1.7e308,)] * 80, "x double")
    rows = drift_of(old, new)
    assert rows["x", "kolmogorov_smirnov"]["statistic"] == 0.5
    assert rows["x", "wasserstein"]["statistic"] is None
    assert "too large" in rows["x", "wasserstein"]["note"]


def test_a_column_that_one_window_lacks(spark: SparkSession) -> None:
    old = spark.createDataFrame([(1.0, 2.0)], "both double, gone double")
    new = spark.createDataFrame([(1.0, "c")], "both double, added string")
    rows = drift_of(old, new)
    assert {key for key in rows if key[0] != "both"} == {("gone", "missing_column"), ("added", "missing_column")}
    assert rows["gone", "missing_column"]["note"] == "the current window has no such column"
    assert rows["added", "missing_column"]["note"] == "the reference window has no such column"
    assert rows["added", "missing_column"]["severity"] == "critical"


def test_a_column_that_changed_its_kind_is_refused(spark: SparkSession) -> None:
    old, new = spark.createDataFrame([(1.0,)], "x double"), spark.createDataFrame([("1",)], "x string")
    with pytest.raises(ValueError, match=r"t\.x is a number in one window and a category in another"):
        drift_of(old, new)


def test_windows_must_be_one_current_and_others(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.0,)], "x double")
    with pytest.raises(ValueError, match="expected one current"):
        measure_windows([Window("t", ("previous",), rows)], RULES)
    with pytest.raises(ValueError, match="each name once"):
        measure_windows([Window("t", ("current",), rows), Window("t", ("current",), rows)], RULES)
    with pytest.raises(ValueError, match="no windows"):
        measure_windows([], RULES)
    with pytest.raises(ValueError, match="two parts of t have a column x"):
        measure_windows([Window("t", ("current",), rows), Window("t", ("current",), rows, part="b")], RULES)


def test_parts_of_a_table_are_compared_apart(spark: SparkSession) -> None:
    a, b = (spark.createDataFrame([(1.0,), (2.0,)], f"`score:{name}` double") for name in "ab")
    measured = measure_windows([Window("t", ("current",), a, part="a"), Window("t", ("current",), b, part="b")], RULES)
    assert sorted(row["column_name"] for row in profile_rows(measured).collect()) == ["score:a", "score:b"]
    assert drift_rows(measured).count() == 0


def test_above_the_bound_digests_say_so(spark: SparkSession) -> None:
    old, new = (spark.range(30_000).selectExpr(f"randn({seed}) + {shift} x") for seed, shift in ((1, 0), (2, 0.5)))
    rules = Rules(exact_values=5_000)
    close, exact = drift_of(old, new, rules), drift_of(old, new)
    note = close["x", "kolmogorov_smirnov"]["note"]
    error = float(note.split()[-1])
    assert 0 < error < 0.2
    for metric in ("kolmogorov_smirnov", "wasserstein", "psi", "jensen_shannon"):
        assert close["x", metric]["statistic"] == pytest.approx(exact["x", metric]["statistic"], rel=0.02)
        assert exact["x", metric]["note"] is None


def test_results_do_not_depend_on_partitions(windows: list[Window], found: dict) -> None:
    other = [Window(w.table, w.names, w.rows.repartition(7, "same"), w.start, w.end) for w in windows]
    rows = drift_rows(measure_windows(other, RULES)).where("comparison = 'previous'").collect()
    for row in rows:
        statistic = found[row["column_name"], row["metric"]]["statistic"]
        assert row["statistic"] == (statistic if statistic is None else pytest.approx(statistic, rel=1e-12))


def test_each_window_is_scanned_once_and_columns_are_shuffled_once(windows: list[Window]) -> None:
    measured = measure_windows(windows, RULES)
    # What is above the windows' own plans, which are the cached frames of this module.
    plan = measured._jdf.queryExecution().optimizedPlan().toString().split("\n")
    outside = [line for line in plan if "RepartitionByExpression" in line and "column_number" in line]
    assert len(outside) == 1
    assert sum("InMemoryRelation" in line for line in plan) == 2
    assert sum("MapInArrow" in line for line in plan) == 3
