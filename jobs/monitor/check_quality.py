"""Measure every table of silver, features and gold, and say what is not as it should be.

Reads:  every table of silver, features and gold that there is: of those by days (as_of in the key) the latest one up to as_of, of
        others the rows up to as_of
        ops.ingest_files   the last load of each source
        ops.data_quality   earlier days
Writes: ops.data_quality   one row per table, rule and column; replaces as_of
Skipped: for a lake without such a table.

Ages are counted to the end of as_of, or to the start of the run where that is earlier. Cost: one pass over the nullable columns and
the keys of each table, a shuffle of two hashes a row. Spark jobs without adaptive execution: one for the newest days, one for every
FRAMES / 2 tables, one for every FRAMES references, one for ingest, one for the past, one or two to write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from shoal.conf.sections import QualityConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake
from shoal.monitor.quality.figures import Measured, figures_of, gap_figure, quality_row, quarantine_figure
from shoal.monitor.quality.measures import is_by_day, last_ingests, measure_keys, measure_rows
from shoal.monitor.quality.past import collect_pasts
from shoal.monitor.quality.references import measure_gap, references
from shoal.monitor.quality.severity import Figure
from shoal.runner.command import run_job

READS = (*(name for name in contract_names() if name.split(".")[0] in ("silver", "features", "gold")), "ops.ingest_files")
WRITES = ("ops.data_quality",)
INGEST, QUALITY = "ops.ingest_files", "ops.data_quality"
# Frames of one query: a plan of all of them takes longer to make than to run.
FRAMES = 24


def collect_all(frames: Sequence[DataFrame]) -> Iterator[Row]:
    """The rows of frames of one row each, FRAMES of them in a query."""
    for start in range(0, len(frames), FRAMES):
        yield from reduce(DataFrame.unionAll, frames[start : start + FRAMES]).collect()


def read_tables(lake: Lake, as_of: date) -> dict[str, tuple[DataFrame, date | None]]:
    """Each table's rows as they were on as_of, with the day that they are of. Tables whose days all come later are left out."""
    names = [name for name in READS if name != INGEST and lake.exists(name)]
    whole = {name: lake.read(name, before=as_of if contract(name).time_column else None) for name in names}
    whole |= {name: whole[name].where(F.col("as_of") <= F.lit(as_of)) for name in names if "as_of" in contract(name).columns}
    by_day = [name for name in names if is_by_day(contract(name))]
    days: dict[str, date] = {}
    if by_day:
        known = [whole[name].select(F.lit(name).alias("name"), "as_of") for name in by_day]
        newest = reduce(DataFrame.unionAll, known).groupBy("name").agg(F.max("as_of").alias("day"))
        days = {row["name"]: row["day"] for row in newest.limit(len(by_day)).collect()}
    found: dict[str, tuple[DataFrame, date | None]] = {}
    for name, rows in whole.items():
        if name in days:
            found[name] = rows.where(F.col("as_of") == F.lit(days[name])), days[name]
        elif name not in by_day:
            found[name] = rows, None
    return found


def measure(lake: Lake, tables: dict[str, tuple[DataFrame, date | None]]) -> dict[str, Measured]:
    """What there is of each table."""
    frames = [part(rows, contract(name)) for name, (rows, _) in tables.items() for part in (measure_rows, measure_keys)]
    found: dict[str, dict[str, Any]] = {name: {} for name in tables}
    for row in collect_all(frames):
        found[row["table_name"]] |= {key: value for key, value in row.asDict().items() if value is not None}
    return {
        name: Measured(
            each["row_count"], each["distinct_keys"], each.get("nulls", {}), each.get("newest_at"), tables[name][1],
            lake.committed_at(name) if contract(name).age_column() is None else None,
        )
        for name, each in found.items()
    }  # fmt: skip


def run(lake: Lake, conf: QualityConf, as_of: date) -> None:
    """Measure every table and replace the day's figures."""
    tables = read_tables(lake, as_of)
    if not tables:
        raise SkippedError("there is no table to check: neither of silver, features nor gold")
    moment = min(end_of(as_of), lake.run.started_at).replace(tzinfo=None)
    pasts = collect_pasts(lake.read_current(QUALITY), as_of, conf.history_days) if lake.exists(QUALITY) else {}
    figures: list[Figure] = []
    for name, measured in measure(lake, tables).items():
        figures += figures_of(contract(name), measured, pasts, conf, moment)
    gaps = [measure_gap(tables[each.table][0], tables[each.parent][0], each) for each in references(tables)]
    figures += [gap_figure(row, conf) for row in collect_all(gaps)]
    if lake.exists(INGEST):
        figures += [quarantine_figure(row, conf) for row in last_ingests(lake.read(INGEST)).collect()]
    rows = [quality_row(figure, as_of, pasts, conf) for figure in figures]
    fields = StructType([field for field in contract(QUALITY).struct() if field.name != "run_id"])
    # A row a table, rule and column of the lists above: keys are unique.
    lake.replace(QUALITY, lake.spark.createDataFrame(rows, fields).coalesce(1), on=as_of, unique=True)
    counts = {status: sum(row[6] == status for row in rows) for status in ("ok", "warn", "fail", "not_enough")}
    lake.run.note(tables=len(tables), rules=len(rows), **counts)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, QualityConf, argv)


if __name__ == "__main__":
    sys.exit(main())
