"""Write one self-contained HTML page about the lake on a day.

Reads:  ops.runs, ops.model_metrics, ops.drift, ops.profiles, ops.quarantine, ops.ingest_files
        silver.interactions, silver.items, silver.texts, silver.follows
        features.users, features.items
        gold.recommendations, gold.communities, gold.community_summary
        and the number of rows of every other table
Writes: <lake>/reports/<as_of>/report.html, or under report.folder: one file, put in place whole; replaces as_of
        ops.runs: the run's own row, as every job

A part whose table is missing says so, and what would make it. Where as_of has no rows, those of the latest day before it are
shown and dated. Skipped where the lake has no table but ops.runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import ReportConf
from shoal.errors import SkippedError, UsageError
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake
from shoal.models.metrics_table import EVALUATION
from shoal.publish.report import activity, communities, models, quality, samples, shifts, stages
from shoal.publish.report.blocks import Missing, Part, Tile, Tiles
from shoal.publish.report.holdings import Holding, holdings_part
from shoal.publish.report.page import Heading, page
from shoal.publish.report.wording import count
from shoal.runner.command import run_job
from shoal.runner.fingerprint import code_version

READS = ("*",)
WRITES = ()

# The job that makes each table a part is built on.
MAKERS = {
    "features.users": "build_users",
    "features.items": "build_items",
    "ops.model_metrics": "train_recommender",
    "gold.recommendations": "build_recommendations",
    "gold.communities": "find_communities",
    "gold.community_summary": "find_communities",
    "ops.drift": "detect_drift",
    "ops.profiles": "detect_drift",
}
INGESTED = ("silver.interactions", "silver.items", "silver.texts", "silver.follows", "ops.quarantine", "ops.ingest_files")


@dataclass(frozen=True)
class Shelf:
    """The lake as the report sees it: which tables there are, and the day that is shown of each."""

    lake: Lake
    as_of: date
    tables: Mapping[str, Holding]
    said: Mapping[str, str] = field(default_factory=dict)

    def day(self, name: str) -> date | None:
        """The table's last day up to as_of; None where it has no such rows or no days."""
        return self.tables[name].latest_day if name in self.tables else None

    def rows(self, name: str) -> DataFrame | None:
        """The rows to show: of `day`, or known before the end of as_of, or all; None where there is nothing to read."""
        if name not in self.tables:
            return None
        if self.tables[name].has_days:
            day = self.day(name)
            return None if day is None else self.lake.read(name, on=day)
        before = self.as_of if contract(name).time_column else None
        return self.lake.read(name, before=before)

    def absent(self, name: str) -> Missing:
        """Why a table has nothing to show, and the command that would make it."""
        day = self.as_of.isoformat()
        if name in INGESTED:
            return Missing(name, "nothing has been ingested into it", "shoal ingest --source NAME --input PATH")
        job = MAKERS[name]
        why = f"no rows up to {day}" if name in self.tables else "the table has not been made"
        said = f"; {job} said: {self.said[job].rstrip('.')}" if job in self.said else ""
        return Missing(name, why + said, f"shoal run {job} --as-of {day}")


def look(lake: Lake, as_of: date) -> dict[str, Holding]:
    """Every table that exists, by name, in the order of the layers. One Spark job for all the days together."""
    found: dict[str, Holding] = {}
    days: list[DataFrame] = []
    for name in contract_names():
        if not lake.exists(name):
            continue
        rows = lake.read(name)
        has_days = "as_of" in contract(name).columns and name != "ops.runs"
        found[name] = Holding(name, lake.run.rows_in[name], lake.run.input_versions[name], contract(name).grain, None, has_days)
        if has_days:
            known = rows.where(F.col("as_of") <= F.lit(as_of))
            days.append(known.agg(F.lit(name).alias("name"), F.max("as_of").alias("day")))
    latest = {r["name"]: r["day"] for r in reduce(DataFrame.unionAll, days).collect()} if days else {}
    return {n: Holding(n, t.rows, t.version, t.grain, latest.get(n), t.has_days) for n, t in found.items()}


def build(shelf: Shelf, runs: list[dict[str, Any]], writers: Mapping[str, stages.Writer], conf: ReportConf) -> list[Part]:
    """The parts of the page, in order."""
    events = shelf.rows("silver.interactions")
    # A title may have been given after the day: every row of the catalogue counts.
    titles = shelf.lake.read("silver.items") if "silver.items" in shelf.tables else None
    users, items = shelf.rows("features.users"), shelf.rows("features.items")
    trained, evaluated = last_metrics(shelf, f"task != '{EVALUATION}'"), last_metrics(shelf, f"task = '{EVALUATION}'")
    absent_tables = [name for name in contract_names() if name not in shelf.tables]
    parts: list[Callable[[], Part]] = [
        lambda: activity.activity_part(events, users, items, titles, shelf.absent),
        lambda: models.models_part(*trained, shelf.as_of, shelf.absent, *evaluated),
        lambda: samples.samples_part(
            shelf.rows("gold.recommendations"), shelf.day("gold.recommendations"), shelf.as_of, events, titles,
            conf.sample_users, shelf.absent,
        ),
        lambda: communities.communities_part(
            shelf.rows("gold.community_summary"), shelf.rows("gold.communities"), shelf.rows("silver.follows"),
            shelf.day("gold.community_summary"), shelf.as_of, conf.communities, conf.nodes, shelf.absent,
        ),
        lambda: shifts.shifts_part(
            shelf.rows("ops.drift"), shelf.rows("ops.profiles"), shelf.day("ops.drift"), shelf.as_of, shelf.absent
        ),
        lambda: quality.quality_part(shelf.rows("ops.quarantine"), shelf.rows("ops.ingest_files"), shelf.absent),
        lambda: stages.stages_part(runs),
        lambda: holdings_part(list(shelf.tables.values()), absent_tables, writers, shelf.as_of),
    ]  # fmt: skip
    return [make() for make in parts]


def last_metrics(shelf: Shelf, which: str) -> tuple[DataFrame | None, date | None]:
    """The rows of ops.model_metrics `which` (SQL) of their last day up to as_of, and that day; None where there is none. An
    evaluation may be of another day than a training. One small Spark job."""
    if shelf.day("ops.model_metrics") is None:
        return None, None
    rows = shelf.lake.read("ops.model_metrics").where(which).where(F.col("as_of") <= F.lit(shelf.as_of))
    last = rows.agg(F.max("as_of")).collect()[0][0]
    return (None, None) if last is None else (rows.where(F.col("as_of") == F.lit(last)), last)


def sizes(shelf: Shelf) -> Tiles:
    """The world's sizes as of the day, of what there is. One Spark job."""
    names = {
        "Users": "features.users", "Items": "features.items", "Events": "silver.interactions", "Texts": "silver.texts",
        "Follows": "silver.follows",
    }  # fmt: skip
    counted = [
        rows.agg(F.lit(label).alias("label"), F.count(F.lit(1)).alias("rows"))
        for label, name in names.items()
        if (rows := shelf.rows(name)) is not None
    ]
    found = {row["label"]: row["rows"] for row in reduce(DataFrame.unionAll, counted).collect()} if counted else {}
    return Tiles([Tile(label, count(found[label])) for label in names if label in found])


def folder(lake: Lake, conf: ReportConf) -> Path:
    """Where reports go. Raises UsageError where the lake is a catalog and no folder is named."""
    if conf.folder is not None:
        return Path(conf.folder)
    if lake.settings.lake.catalog:
        raise UsageError("report.folder: needed with lake.catalog; name a Volume: /Volumes/<catalog>/<schema>/<volume>")
    return lake.root / "reports"


def put(path: Path, text: str) -> None:
    """Write the file whole or not at all: beside its place, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def run(lake: Lake, conf: ReportConf, as_of: date) -> None:
    """Look at every table, build the page, put it in place."""
    path = folder(lake, conf) / as_of.isoformat() / "report.html"
    tables = look(lake, as_of)
    if not set(tables) - {"ops.runs"}:
        raise SkippedError("the lake has no table to report on; `shoal ingest` brings rows in")
    runs, writers = [], {}
    if "ops.runs" in tables:
        log = lake.read("ops.runs").persist()
        try:
            runs = [row for row in stages.runs_of_day(log, as_of) if row["job"] != lake.run.job]
            writers = stages.last_writers(log)
        finally:
            log.unpersist()
    said = {row["job"]: row["message"] for row in runs if row["message"]}
    shelf = Shelf(lake, as_of, tables, said)
    heading = Heading(lake.settings.lake.catalog or str(lake.root), as_of, lake.run.run_id, code_version(), sizes(shelf))
    put(path, page(heading, build(shelf, runs, writers, conf)))
    lake.run.note(report=path)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ReportConf, argv)


if __name__ == "__main__":
    sys.exit(main())
