"""The part about data quality: what ingest refused, by rule, with an example of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.report.activity import Absent
from shoal.report.blocks import Block, Cell, Part, Prose, Table
from shoal.report.wording import clock, count, plural, share, shortened

MOST_RULES = 40
MOST_FILES = 20
_EXAMPLE_LENGTH = 120


def rejects_by_rule(quarantine: DataFrame) -> list[dict[str, Any]]:
    """One row per source and rule, most rejects first: source, rule, rejects, and reason, file, line, raw of the first reject by
    file and line. Collects at most MOST_RULES (40) rows, raw text cut to 120 characters. One pass.
    """
    raw = F.substring("raw", 1, _EXAMPLE_LENGTH + 1).alias("raw")
    first = F.min(F.struct("file", "line", "reason", raw)).alias("first")
    rules = quarantine.groupBy("source", "rule").agg(F.count(F.lit(1)).alias("rejects"), first)
    rows = rules.select("source", "rule", "rejects", "first.*").orderBy(F.desc("rejects"), "source", "rule")
    return [row.asDict() for row in rows.limit(MOST_RULES).collect()]


def files_of_ingest(files: DataFrame) -> list[dict[str, Any]]:
    """The last MOST_FILES (20) ingested files, which are collected: source, file, rows, rejects, ingested_at."""
    order = (F.desc("ingested_at"), F.asc("file"))
    fields = ("source", "file", "rows", "rejects", "ingested_at")
    return [row.asDict() for row in files.orderBy(*order).select(*fields).limit(MOST_FILES).collect()]


def quality_part(quarantine: DataFrame | None, files: DataFrame | None, absent: Absent) -> Part:
    """`quarantine`: ops.quarantine; `files`: ops.ingest_files."""
    rules = rejects_by_rule(quarantine) if quarantine is not None else []
    recent = files_of_ingest(files) if files is not None else []
    if not recent and not rules:
        return Part("quality", "Data quality", "No file has been ingested.", [absent("ops.ingest_files")])
    rejects = sum(r["rejects"] for r in rules)
    blocks: list[Block] = []
    blocks += [_rule_table(rules, rejects)] if rules else [Prose("Every record was accepted.")]
    blocks += [_file_table(recent)] if recent else []
    lead = f"{plural(rejects, 'record')} refused; each is in ops.quarantine with its rule, its reason and its place in the file."
    return Part("quality", "Data quality", lead, blocks, f"{plural(rejects, 'record')} refused by ingest." if rejects else "")


def _rule_table(rules: Sequence[Mapping[str, Any]], rejects: int) -> Table:
    rows = [
        [
            Cell(r["rule"], r["source"], "code"),
            Cell(count(r["rejects"]), share(r["rejects"] / rejects), "number"),
            Cell(shortened(r["reason"]), f"{shortened(r['file'], 80)}, line {count(r['line'])}"),
            Cell(shortened(r["raw"], _EXAMPLE_LENGTH) or "–", kind="code"),
        ]
        for r in rules
    ]
    return Table("Refused records by rule", ["Rule", "Records", "First example", "The record"], rows)


def _file_table(files: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(shortened(f["file"], 90), f["source"]),
            Cell(count(f["rows"]), kind="number"),
            Cell(count(f["rejects"]), share(f["rejects"] / f["rows"]) if f["rows"] else "", "number"),
            Cell(f"{clock(f['ingested_at'])} UTC"),
        ]
        for f in files
    ]
    return Table("The files that came in last", ["File", "Records", "Refused", "When"], rows)
