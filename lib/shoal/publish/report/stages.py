"""The part about the runs behind a day: every job's status, rows, seconds and choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.blocks import Cell, Missing, Part, Table, Tone
from shoal.publish.report.wording import clock, count, plural, seconds, shortened

MOST_RUNS = 60
MOST_TABLES = 500
_TONES: Mapping[str, Tone] = {"succeeded": "good", "skipped": "muted", "failed": "critical", "killed": "critical"}
_MOST_FACTS = 8


@dataclass(frozen=True)
class Writer:
    """The last successful run that wrote a table."""

    run_id: str
    job: str
    ended_at: Any


def runs_of_day(runs: DataFrame, as_of: date) -> list[dict[str, Any]]:
    """Each job's last run for `as_of` with `attempts`, its number of runs; every run of the ingest stage, since each brings
    other files. The latest MOST_RUNS (60) of them, in order of their start, are collected. One small shuffle.
    """
    own = F.when(F.col("stage") == "ingest", F.col("run_id")).otherwise(F.lit(""))
    fields = ("run_id", "stage", "status", "started_at", "seconds", "rows_in", "rows_out", "tags", "message", "code_version")
    order = F.struct("started_at", "run_id")
    last = (
        runs.where(F.col("as_of") == F.lit(as_of))
        .groupBy("job", own.alias("_own"))
        .agg(F.max_by(F.struct(*fields), order).alias("last"), F.count(F.lit(1)).alias("attempts"))
        .select("job", "attempts", "last.*")
    )
    found = last.orderBy(F.desc("started_at"), F.desc("run_id")).limit(MOST_RUNS).collect()
    return [row.asDict() for row in reversed(found)]


def last_writers(runs: DataFrame) -> dict[str, Writer]:
    """The last successful run that wrote each table. Collects a row a table, at most MOST_TABLES (500)."""
    wrote = runs.where("status = 'succeeded'").select(
        F.explode(F.map_keys("rows_out")).alias("table_name"), "run_id", "job", "ended_at", "started_at"
    )
    last = wrote.groupBy("table_name").agg(
        F.max_by(F.struct("run_id", "job", "ended_at"), F.struct("started_at", "run_id")).alias("last")
    )
    rows = last.orderBy("table_name").limit(MOST_TABLES).collect()
    return {r["table_name"]: Writer(r["last"]["run_id"], r["last"]["job"], r["last"]["ended_at"]) for r in rows}


def stages_part(found: Sequence[Mapping[str, Any]]) -> Part:
    """The table of runs; `found`: the rows of `runs_of_day`."""
    if not found:
        nothing = Missing("ops.runs", "no earlier run was for this day", "shoal pipeline --as-of YYYY-MM-DD")
        return Part("runs", "Runs behind this day", "No job has run for this day before this page was made.", [nothing])
    total = sum(row["seconds"] or 0.0 for row in found)
    states = [row["status"] for row in found]
    bad = sum(state in ("failed", "killed") for state in states)
    counts = [plural(states.count("succeeded"), "run") + " succeeded"]
    counts += [f"{states.count('skipped'):,} skipped"] * ("skipped" in states)
    counts += [f"{bad:,} failed"] * bool(bad)
    return Part(
        "runs",
        "Runs behind this day",
        f"{', '.join(counts)}; together they took {seconds(total)}. Skipped means that a job had nothing to work on.",
        [
            Table(
                "Each job's last run for this day, in order; ingest with each of its runs",
                ["Job", "Status", "Rows in", "Rows out", "Time", "Choices"],
                [_row(row, total) for row in found],
                "Rows in: rows of the tables as they were opened. Rows out: rows written or changed. Times are wall clock; "
                "the bar is the share of all runs shown.",
            )
        ],
        finding=f"{plural(bad, 'run')} of this day failed; what they make may be missing or old." if bad else "",
    )


def _row(row: Mapping[str, Any], total: float) -> list[Cell]:
    attempts = f" · run {row['attempts']} times" if row["attempts"] > 1 else ""
    facts = [f"{name}: {shortened(value, 60)}" for name, value in sorted((row["tags"] or {}).items())]
    more = [f"and {len(facts) - _MOST_FACTS} more"] * (len(facts) > _MOST_FACTS)
    rows_in, rows_out = row["rows_in"] or {}, row["rows_out"] or {}
    return [
        Cell(row["job"], row["stage"] + attempts, "code"),
        Cell(row["status"], shortened(row["message"]), "chip", _TONES.get(row["status"], "plain")),
        Cell(count(sum(rows_in.values())), _tables(rows_in), "number"),
        Cell(count(sum(rows_out.values())), _tables(rows_out), "number"),
        Cell(seconds(row["seconds"]), kind="number", share=(row["seconds"] or 0) / total if total else None),
        Cell("; ".join(facts[:_MOST_FACTS] + more), f"{clock(row['started_at'])} UTC"),
    ]


def _tables(rows: Mapping[str, int]) -> str:
    names = sorted(rows)
    return names[0] if len(names) == 1 else plural(len(names), "table") if names else ""
