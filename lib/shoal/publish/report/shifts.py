"""The part about drift: which columns differ between windows, by how much, what the largest differences look like, and whether
models lose more than they did (concept drift)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Block, Cell, Figure, Part, Prose, Table, Tone
from shoal.publish.report.glossary import shown_name
from shoal.publish.report.pictures import cumulative, paired_bars, steps
from shoal.publish.report.wording import NONE, count, day, decimal, metric, p_value, plural, share, shortened

MOST_COLUMNS = 30
MOST_LOSSES = 30
PICTURES = 4
MOST_CATEGORIES = 8
_LEVELS = ("none", "warning", "critical")
_TONES: Mapping[str, Tone] = {"none": "good", "warning": "warning", "critical": "critical"}
_WORDS = {"none": "stable", "warning": "warning", "critical": "critical"}
_TESTS = {"kolmogorov_smirnov": "KS", "chi_square": "χ²"}
# With more than this in one bin a histogram shows nothing but that bin: the cumulative curve shows the rest.
MOST_IN_A_BIN = 0.6


def column_levels(drift: DataFrame) -> dict[str, int]:
    """How many columns (table and column, over all comparisons and metrics) have which worst severity. Collects three rows."""
    worst = drift.groupBy("table_name", "column_name").agg(F.max(_level()).alias("level"))
    rows = worst.groupBy("level").count().limit(len(_LEVELS)).collect()
    found = {_LEVELS[row["level"]]: row["count"] for row in rows}
    return {name: found.get(name, 0) for name in _LEVELS}


def worst_columns(drift: DataFrame) -> list[dict[str, Any]]:
    """One row per table, column and comparison, the most drifted first, at most MOST_COLUMNS (30), which are collected.

    kind, level (0 none, 1 warning, 2 critical), reference_start, reference_end, reference_rows, current_rows, and `metrics`:
    metric to (statistic, p_value, threshold, is_drifted, note). Order: level, drifted metrics, PSI, names. One shuffle.
    """
    figures = F.struct("metric", F.struct("statistic", "p_value", "threshold", "is_drifted", "note").alias("figures"))
    psi = F.max(F.when(F.col("metric") == "psi", F.col("statistic")))
    columns = drift.groupBy("table_name", "column_name", "kind", "comparison").agg(
        F.max(_level()).alias("level"),
        F.count(F.when(F.col("is_drifted"), F.lit(1))).alias("drifted"),
        F.coalesce(psi, F.lit(0.0)).alias("psi"),
        F.first("reference_start").alias("reference_start"), F.first("reference_end").alias("reference_end"),
        F.first("reference_rows").alias("reference_rows"), F.first("current_rows").alias("current_rows"),
        F.map_from_entries(F.collect_list(figures)).alias("metrics"),
    )  # fmt: skip
    order = (F.desc("level"), F.desc("drifted"), F.desc("psi"), "table_name", "column_name", "comparison")
    return [row.asDict(recursive=True) for row in columns.orderBy(*order).limit(MOST_COLUMNS).collect()]


def loss_tests(drift: DataFrame) -> list[dict[str, Any]]:
    """The rows of kind loss, the worst first, then by model version; at most MOST_LOSSES (30), which are collected."""
    order = (F.desc(_level()), F.desc_nulls_last("statistic"), "table_name", "column_name", "comparison")
    return [row.asDict() for row in drift.where("kind = 'loss'").orderBy(*order).limit(MOST_LOSSES).collect()]


def profiles_of(profiles: DataFrame, columns: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The profiles of at most PICTURES (4) columns in all three windows: 12 rows at most are collected."""
    if not columns:
        return []
    wanted = [(F.col("table_name") == t) & (F.col("column_name") == c) for t, c in columns[:PICTURES]]
    fields = ("table_name", "column_name", "kind", "window", "row_count", "bin_edges", "bin_counts", "quantiles",
              "category_counts")  # fmt: skip
    rows = profiles.where(reduce(or_, wanted)).select(*fields).orderBy("table_name", "column_name", "window")
    return [row.asDict() for row in rows.limit(3 * PICTURES).collect()]


def shifts_part(drift: DataFrame | None, profiles: DataFrame | None, made_on: date | None, as_of: date, absent: Absent) -> Part:
    """`drift`, `profiles`: ops.drift and ops.profiles of the day `made_on`."""
    losses = [] if drift is None else loss_tests(drift)
    of_columns = None if drift is None else drift.where("kind <> 'loss'")
    columns = worst_columns(of_columns) if of_columns is not None else []
    if of_columns is None or not columns:
        missing: list[Block] = [absent("ops.drift")]
        if not losses:
            return Part("drift", "Drift", "Nothing has been compared.", missing)
        return Part("drift", "Drift", "Losses on matured labels are compared, columns are not.", [_loss_table(losses)],
                    _loss_finding(losses), frozenset({"loss_rise", "p_value"}))  # fmt: skip
    levels = column_levels(of_columns)
    total = sum(levels.values())
    summary = ", ".join(f"{count(levels[name])} {_WORDS[name]}" for name in reversed(_LEVELS))
    old = f" The comparison is of {day(made_on)}: none was made for {day(as_of)}." if made_on and made_on != as_of else ""
    drifted = levels["warning"] + levels["critical"]
    blocks: list[Block] = []
    firsts = list(dict.fromkeys((c["table_name"], c["column_name"]) for c in columns if c["level"]))[:PICTURES]
    seen = profiles_of(profiles, firsts) if profiles is not None else []
    for number, name in enumerate(firsts):
        mine = [p for p in seen if (p["table_name"], p["column_name"]) == name]
        picture = distribution_figure(f"drift-{number + 1}", mine)
        blocks += [picture] if picture else []
    if firsts and profiles is None:
        blocks.append(absent("ops.profiles"))
    rest = f"The {MOST_COLUMNS} most drifted are shown; ops.drift has all." if len(columns) == MOST_COLUMNS else ""
    blocks.append(_table(columns, rest))
    metrics = {name for c in columns for name in c["metrics"]} | {"p_value"}
    finding = f"{plural(drifted, 'column')} of {count(total)} drifted" if drifted else f"None of {count(total)} columns drifted"
    finding += f", {count(levels['critical'])} of them critically." if levels["critical"] else "."
    if losses:
        blocks.append(_loss_table(losses))
        metrics |= {"loss_rise"}
        finding += f" {_loss_finding(losses)}"
    lead = f"{plural(total, 'column')} compared between windows: {summary}.{old}"
    if not drifted:
        blocks.insert(0, Prose("Every difference is smaller than its threshold."))
    return Part("drift", "Drift", lead, blocks, finding, frozenset(metrics))


def distribution_figure(name: str, profiles: Sequence[Mapping[str, Any]]) -> Figure | None:
    """One column's windows over each other, as shares; None where fewer than two windows have anything to show."""
    by_window = {p["window"]: p for p in profiles}
    order = [w for w in ("baseline", "current", "previous") if w in by_window]
    if not order:
        return None
    first = by_window[order[0]]
    title = f"{first['table_name']} · {first['column_name']}"
    if first["kind"] == "number":
        shown = [w for w in order if by_window[w]["bin_counts"] and sum(by_window[w]["bin_counts"])]
        if len(shown) < 2:
            return None
        edges = by_window[shown[0]]["bin_edges"]
        series = [(w, _shares(by_window[w]["bin_counts"])) for w in shown]
        if max(values[i] for _, values in series for i in range(len(values))) <= MOST_IN_A_BIN:
            svg = steps(name, edges, series, first["column_name"], "share of rows")
        else:
            curves = [(w, sorted((v, int(p[1:]) / 100) for p, v in by_window[w]["quantiles"].items())) for w in shown]
            svg = cumulative(name, curves, first["column_name"], "share of rows up to there")
        parts = [f"{w}: half of the rows up to {decimal(by_window[w]['quantiles']['p50'])}, a tenth above "
                 f"{decimal(by_window[w]['quantiles']['p90'])}" for w in shown]  # fmt: skip
    else:
        shown = [w for w in order if by_window[w]["category_counts"]]
        if len(shown) < 2:
            return None
        labels, series = _category_series([(w, by_window[w]["category_counts"]) for w in shown])
        svg = paired_bars(name, [shortened(label, 24) for label in labels], series, "share of rows")
        parts = [
            f"{label}: " + ", ".join(f"{c} {share(v)}" for c, v in zip(labels, values, strict=True)) for label, values in series
        ]
    return Figure(svg, f"Distribution of {title}. {'. '.join(parts)}.", f"{title}. {parts[0]}; {'; '.join(parts[1:])}."
                  if first["kind"] == "number" else f"{title}, largest categories first.")  # fmt: skip


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [c / total for c in counts]


def _category_series(
    windows: Sequence[tuple[str, Mapping[str, int]]],
) -> tuple[list[str], list[tuple[str, list[float]]]]:
    """The categories with the largest share in any window, and each window's shares of them."""
    shares = [(label, {c: n / sum(counts.values()) for c, n in counts.items()}) for label, counts in windows]
    names = sorted({c for _, of in shares for c in of}, key=lambda c: (-max(of.get(c, 0.0) for _, of in shares), c))
    shown = names[:MOST_CATEGORIES]
    return shown, [(label, [of.get(c, 0.0) for c in shown]) for label, of in shares]


def _level() -> Column:
    return F.when(F.col("severity") == "critical", 2).when(F.col("severity") == "warning", 1).otherwise(0)


def _table(columns: Sequence[Mapping[str, Any]], note: str) -> Table:
    rows = []
    for c in columns:
        metrics = c["metrics"]
        test = "kolmogorov_smirnov" if "kolmogorov_smirnov" in metrics else "chi_square"
        others = [m for m in ("null_share", "non_finite_share", "new_categories", "missing_column")
                  if (metrics.get(m) or {}).get("is_drifted")]  # fmt: skip
        level = _LEVELS[c["level"]]
        span = " to ".join(day(d) for d in dict.fromkeys((c["reference_start"], c["reference_end"])) if d)
        rows.append(
            [
                Cell(c["column_name"], c["table_name"], "code"),
                Cell(c["comparison"], span or plural(c["reference_rows"], "row")),
                Cell(_WORDS[level], kind="chip", tone=_TONES[level]),
                _figure(metrics.get("psi")),
                _figure(metrics.get(test), f"{_TESTS[test]}, p {p_value((metrics.get(test) or {}).get('p_value'))}"),
                _figure(metrics.get("jensen_shannon")),
                _figure(metrics.get("wasserstein")),
                Cell("; ".join(f"{shown_name(m)} {decimal(metrics[m]['statistic'])}" for m in others), _notes(metrics, others)),
            ]
        )
    headings = ["Column", "Compared with", "Verdict", "PSI", "Test", "Jensen-Shannon", "Moved by", "Also"]
    if not any(row[-1].text for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    legend = "Moved by: Wasserstein distance in the column's own unit. Bold: above its threshold. "
    return Table("Columns, the most drifted first", headings, rows, legend + note)


def _loss_finding(losses: Sequence[Mapping[str, Any]]) -> str:
    """How many model versions lose more."""
    models = {row["table_name"] for row in losses}
    risen = {row["table_name"] for row in losses if row["is_drifted"]}
    return f"The loss of {count(len(risen))} of {plural(len(models), 'model version')} has risen."


def _loss_table(losses: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(row["table_name"].removeprefix("models:/"), shown_name(row["column_name"]), "code"),
            Cell(row["comparison"], f"{day(row['reference_start'])} to {day(row['reference_end'])}"),
            Cell(_WORDS[row["severity"]] if row["statistic"] is not None else "too few rows", kind="chip",
                 tone=_TONES[row["severity"]] if row["statistic"] is not None else "muted"),
            Cell(share(row["statistic"]), f"p {p_value(row['p_value'])}", "number", "critical" if row["is_drifted"] else "plain"),
            Cell(count(row["reference_rows"]), kind="number"),
            Cell(count(row["current_rows"]), row["note"] or "", "number"),
        ]
        for row in losses
    ]  # fmt: skip
    headings = ["Model version", "Compared with", "Verdict", "Rise of the loss", "Cases then", "Cases now"]
    note = "Loss of earlier predictions on the cases whose truth became known in the window. Bold: above its threshold."
    return Table("Losses on matured labels", headings, rows, note)


def _figure(figures: Mapping[str, Any] | None, under: str = "") -> Cell:
    if figures is None or figures["statistic"] is None:
        return Cell(NONE, "", "number", "muted")
    return Cell(metric(figures["statistic"]), under, "number", "critical" if figures["is_drifted"] else "plain")


def _notes(metrics: Mapping[str, Any], names: Sequence[str]) -> str:
    return shortened("; ".join(metrics[n]["note"] for n in names if metrics[n]["note"]), 90)
