"""The drift part: the most drifted first, their distributions, what has no number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.blocks import Figure, Missing, Prose, Table
from shoal.publish.report.shifts import column_levels, distribution_figure, shifts_part, worst_columns

DRIFT = (
    "table_name string, column_name string, kind string, comparison string, reference_start date, reference_end date, "
    "reference_rows bigint, current_rows bigint, metric string, statistic double, p_value double, threshold double, "
    "is_drifted boolean, severity string, note string"
)
PROFILES = (
    "table_name string, column_name string, kind string, window string, row_count bigint, bin_edges array<double>, "
    "bin_counts array<bigint>, quantiles map<string,double>, category_counts map<string,bigint>"
)
START, END = date(2024, 2, 1), date(2024, 2, 29)


def row(column: str, comparison: str, metric: str, statistic: float | None, severity: str = "none", **more: Any) -> tuple[Any, ...]:
    kind = "category" if column == "event" else "number"
    return (
        "silver.interactions", column, kind, comparison, START, END, 100, 90, metric, statistic, more.get("p_value"), 0.1,
        severity != "none", severity, more.get("note"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def drift(spark: SparkSession) -> DataFrame:
    rows = [
        row("value", "baseline", "psi", 0.15, "warning"),
        row("value", "baseline", "kolmogorov_smirnov", 0.2, p_value=0.0001),
        row("value", "previous", "psi", 0.01),
        row("event", "baseline", "psi", 0.4, "critical"),
        row("event", "baseline", "chi_square", 1234.5, "critical", p_value=0.0),
        row("event", "baseline", "new_categories", 0.3, "critical", note="1 new: <b>lke</b>"),
        row("hour", "baseline", "psi", None, note="no finite value in the current window"),
    ]
    return spark.createDataFrame(rows, DRIFT)


def test_columns_count_once_by_their_worst(drift: DataFrame) -> None:
    assert column_levels(drift) == {"none": 1, "warning": 1, "critical": 1}


def test_the_most_drifted_come_first(drift: DataFrame) -> None:
    order = [(c["column_name"], c["comparison"], c["level"]) for c in worst_columns(drift)]
    assert order == [("event", "baseline", 2), ("value", "baseline", 1), ("value", "previous", 0), ("hour", "baseline", 0)]


def test_the_part_shows_statistics_and_verdicts(drift: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    part = shifts_part(drift, None, day, day, absent)
    assert part.lead == "3 columns compared between windows: 1 critical, 1 warning, 1 stable."
    assert part.finding == "2 columns of 3 drifted, 1 of them critically."
    table = next(b for b in part.blocks if isinstance(b, Table))
    first, second = table.rows[0], table.rows[1]
    assert [c.text for c in first] == ["event", "baseline", "critical", "0.4000", "1234", "–", "–", "New categories 0.3"]
    assert first[1].under == "1 February 2024 to 29 February 2024"
    assert first[4].under == "χ², p <0.001"
    assert first[7].under == "1 new: <b>lke</b>"  # plain text: the page escapes it
    assert (second[3].tone, second[4].tone) == ("critical", "plain")  # above its threshold, and not
    assert table.rows[3][3].text == "–"
    assert [b.what for b in part.blocks if isinstance(b, Missing)] == ["ops.profiles"]
    assert {"psi", "chi_square", "new_categories"} <= part.terms


def test_nothing_drifted_is_said(drift: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    part = shifts_part(drift.where("column_name = 'hour'"), None, day, day, absent)
    assert part.finding == "None of 1 columns drifted."
    assert any(isinstance(b, Prose) for b in part.blocks)
    assert not any(isinstance(b, Missing) for b in part.blocks)  # no picture is wanted
    empty = shifts_part(drift.limit(0), None, None, day, absent)
    assert [b.what for b in empty.blocks if isinstance(b, Missing)] == ["ops.drift"]


def number(window: str, counts: list[int]) -> dict[str, Any]:
    quantiles = {f"p{p:02d}": float(p) for p in (1, 5, 10, 25, 50, 75, 90, 95, 99)}
    return {
        "table_name": "t", "column_name": "c", "kind": "number", "window": window, "bin_edges": [0.0, 1.0, 2.0],
        "bin_counts": counts, "quantiles": quantiles, "category_counts": None,
    }  # fmt: skip


def test_a_number_is_a_histogram_or_where_skewed_a_curve() -> None:
    even = distribution_figure("d", [number("current", [5, 5]), number("baseline", [4, 6])])
    assert even is not None
    assert "share of rows<" in even.svg
    assert even.alt.startswith("Distribution of t · c. baseline: half of the rows up to 50, a tenth above 90.")
    skewed = distribution_figure("d", [number("current", [99, 1]), number("baseline", [4, 6])])
    assert skewed is not None
    assert "share of rows up to there<" in skewed.svg


def test_a_category_shows_its_largest_shares() -> None:
    profiles = [
        {"table_name": "t", "column_name": "c", "kind": "category", "window": w, "category_counts": counts}
        for w, counts in (("current", {"a": 1, "b": 3}), ("previous", {"a": 4}))
    ]
    figure = distribution_figure("d", profiles)
    assert figure is not None
    assert figure.alt == "Distribution of t · c. current: a 25.0%, b 75.0%. previous: a 100.0%, b 0.0%."


def test_one_window_alone_is_no_comparison() -> None:
    assert distribution_figure("d", [number("current", [5, 5])]) is None
    assert distribution_figure("d", []) is None
    assert distribution_figure("d", [number("current", [5, 5]), number("baseline", [])]) is None


def test_pictures_come_from_the_profiles(
    spark: SparkSession, drift: DataFrame, day: date, absent: Callable[[str], Missing]
) -> None:
    counts = [("baseline", {"view": 50, "like": 50}), ("current", {"view": 90})]
    rows = [("silver.interactions", "event", "category", w, 100, None, None, None, c) for w, c in counts]
    part = shifts_part(drift, spark.createDataFrame(rows, PROFILES), day, day, absent)
    figures = [b for b in part.blocks if isinstance(b, Figure)]
    assert len(figures) == 1  # value has no profile
    assert "view 50.0%" in figures[0].alt
    assert not any(isinstance(b, Missing) for b in part.blocks)


def test_losses_on_matured_labels_have_a_table(drift: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    def loss(model: str, statistic: float | None, severity: str, **more: Any) -> tuple[Any, ...]:
        return (
            f"models:/{model}", "log_loss", "loss", "previous", START, END, 1000, 900, "loss_rise", statistic, more.get("p_value"),
            0.1, severity != "none", severity, more.get("note"),
        )  # fmt: skip

    tests = [
        loss("shoal_viral/2", None, "none", note="too_few_rows: 3 of 30 users in the current window"),
        loss("shoal_sentiment/3", 0.25, "critical", p_value=0.0001, note="0.4 until 2024-02-29, 0.5 until 2024-03-14"),
    ]
    losses = drift.sparkSession.createDataFrame(tests, DRIFT)
    part = shifts_part(drift.unionByName(losses), None, day, day, absent)
    assert part.lead == "3 columns compared between windows: 1 critical, 1 warning, 1 stable."
    assert part.finding == "2 columns of 3 drifted, 1 of them critically. The loss of 1 of 2 model versions has risen."
    table = part.blocks[-1]
    assert isinstance(table, Table)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["shoal_sentiment/3", "previous", "critical", "25.0%", "1,000", "900"],
        ["shoal_viral/2", "previous", "too few rows", "–", "1,000", "900"],
    ]
    assert table.rows[1][5].under == "too_few_rows: 3 of 30 users in the current window"
    alone = shifts_part(losses, None, day, day, absent)
    assert (alone.finding, len(alone.blocks)) == ("The loss of 1 of 2 model versions has risen.", 1)
