"""The part about data quality: what ingest refused, by rule, with an example of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Block, Cell, Part, Prose, Table
from shoal.publish.report.wording import clock, count, plural, share, shortened

MOST_RULES = 40
MOST_FILES = 20
_EXAMPLE_LENGTH = 120


def rejects_by_rule(quarantine: DataFrame) -> list[dict[str, Any]]:
    """One row per source, record type and rule, most rejects first, with rejects, and reason, file, line, raw of the first by file
    and line. Collects at most MOST_RULES (40) rows, raw text cut to 120 characters. One pass.
    """
    raw = F.substring("raw", 1, _EXAMPLE_LENGTH + 1).alias("raw")
    first = F.min(F.struct("file", "line", "reason", raw)).alias("first")
    rules = quarantine.groupBy("source", "record_type", "rule").agg(F.count(F.lit(1)).alias("rejects"), first)
    rows = rules.select("source", "record_type", "rule", "rejects", "first.*")
    order = (F.desc("rejects"), F.asc("source"), F.asc("record_type"), F.asc("rule"))
    return [row.asDict() for row in rows.orderBy(*order).limit(MOST_RULES).collect()]


def files_of_ingest(files: DataFrame) -> list[dict[str, Any]]:
    """The last MOST_FILES (20) ingested files, which are collected."""
    order = (F.desc("ingested_at"), F.asc("path"), F.asc("record_type"))
    fields = ("source", "record_type", "path", "bytes", "records", "ingested", "duplicates", "rejected", "ingested_at")
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
    lead = f"{plural(rejects, 'record')} refused; each is in ops.quarantine with its rule, reason and place in the file."
    return Part("quality", "Data quality", lead, blocks, f"{plural(rejects, 'record')} refused by ingest." if rejects else "")


def _rule_table(rules: Sequence[Mapping[str, Any]], rejects: int) -> Table:
    rows = [
        [
            Cell(r["rule"], _origin(r), "code"),
            Cell(count(r["rejects"]), share(r["rejects"] / rejects), "number"),
            Cell(shortened(r["reason"]), f"{shortened(PurePath(r['file']).name, 80)}, line {count(r['line'])}"),
            Cell(shortened(r["raw"], _EXAMPLE_LENGTH) or "–", kind="code"),
        ]
        for r in rules
    ]
    return Table("Refused records by rule", ["Rule", "Records", "First example", "The record"], rows)


def _file_table(files: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            Cell(shortened(PurePath(f["path"]).name, 90), _origin(f)),
            Cell(count(f["records"]), kind="number"),
            Cell(count(f["ingested"]), kind="number"),
            Cell(count(f["duplicates"]), kind="number"),
            Cell(count(f["rejected"]), share(f["rejected"] / f["records"]) if f["rejected"] else "", "number"),
            Cell(f"{clock(f['ingested_at'])} UTC"),
        ]
        for f in files
    ]
    return Table("The files that came in last", ["File", "Records", "Taken in", "Duplicates", "Refused", "When"], rows)


def _origin(row: Mapping[str, Any]) -> str:
    """Source and record type, once where they are the same."""
    return row["source"] if row["record_type"] == row["source"] else f"{row['source']} · {row['record_type']}"
