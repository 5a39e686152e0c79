"""The figures of a table from what was measured of it, and the rows of ops.data_quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from pyspark.sql import Row

from shoal.conf.sections import QualityConf
from shoal.lake.contract import Contract
from shoal.monitor.quality import severity as rules
from shoal.monitor.quality.severity import Figure, Limits, Past, Usual, decide

Pasts = Mapping[tuple[str, str, str], Past]


@dataclass(frozen=True)
class Measured:
    """A table as it was found. `newest_day`: of a table by days the one that was measured; `committed_at`: of a table with neither
    days nor times its latest commit."""

    rows: int
    distinct_keys: int
    nulls: Mapping[str, int]
    newest_at: datetime | None = None
    newest_day: date | None = None
    committed_at: datetime | None = None


def figures_of(made: Contract, found: Measured, pasts: Pasts, conf: QualityConf, moment: datetime) -> list[Figure]:
    """Every figure of one table; ages are counted to `moment` (UTC, without a zone)."""
    name, rows = made.name, found.rows
    past = pasts.get((name, rules.ROW_COUNT, ""), Past())
    before = past.values[-1] if past.values else None
    shrinking = rules.shrink_limits(before, conf.shrink_warning, conf.shrink_critical)
    shares = [
        Figure(name, rules.NULL_SHARE, column, nulls / rows if rows else None, rows, note=None if rows else "no rows")
        for column, nulls in found.nulls.items()
    ]
    return [
        Figure(name, rules.ROW_COUNT, "", float(rows), rows),
        Figure(name, rules.ROW_GROWTH, "", rules.growth(rows, before), rows, shrinking if before else Limits()),
        Figure(name, rules.KEY_DUPLICATES, "", float(rows - found.distinct_keys), rows, Limits(None, 1.0)),
        _freshness(made, found, conf, moment),
        *shares,
    ]


def _freshness(made: Contract, found: Measured, conf: QualityConf, moment: datetime) -> Figure:
    """Hours since the newest time, the end of the newest day, or the latest commit; never below 0."""
    limits = Limits(conf.freshness_warning_hours, conf.freshness_critical_hours)
    newest: datetime | None
    if found.newest_day is not None:
        newest, by = datetime.combine(found.newest_day + timedelta(days=1), time.min), "as_of"
        judged = made.name not in conf.unscheduled_tables
    elif made.age_column():
        newest, by, judged = found.newest_at, str(made.age_column()), made.name in conf.fresh_tables
    else:
        newest, by, judged = found.committed_at, "the latest commit", False
    hours = None if newest is None else max(0.0, (moment - newest).total_seconds() / 3600)
    return Figure(made.name, rules.FRESHNESS, "", hours, found.rows, limits if judged else Limits(), f"by {by}")


def gap_figure(row: Row, conf: QualityConf) -> Figure:
    """The figure of a row of shoal.monitor.quality.references.measure_gap."""
    rows, column = row["row_count"], f"{row['column_name']} in {row['parent']}"
    share, limits = row["missing"] / rows if rows else None, Limits(conf.missing_warning, conf.missing_critical)
    return Figure(row["table_name"], rules.MISSING_PARENTS, column, share, rows, limits, None if rows else "no row names one")


def quarantine_figure(row: Row, conf: QualityConf) -> Figure:
    """The figure of a row of shoal.monitor.quality.measures.last_ingests."""
    rows = row["records"]
    limits = Limits(conf.quarantine_warning, conf.quarantine_critical)
    share = row["rejected"] / rows if rows else None
    return Figure("ops.ingest_files", rules.QUARANTINE, row["source"], share, rows, limits, "of the source's last load")


def quality_row(figure: Figure, day: date, pasts: Pasts, conf: QualityConf) -> tuple[Any, ...]:
    """The figure as a row of ops.data_quality, without its run_id."""
    past = pasts.get((figure.table, figure.rule, figure.column), Past())
    outcome = decide(figure, day, past, Usual(conf.min_runs, conf.anomaly_warning, conf.anomaly_critical))
    return (
        day, figure.table, figure.rule, figure.column, figure.value, figure.rows, outcome.status, figure.limits.warn,
        figure.limits.fail, len(past.values), outcome.expected, outcome.low, outcome.high, outcome.deviations,
        outcome.trend_per_day, figure.note,
    )  # fmt: skip
