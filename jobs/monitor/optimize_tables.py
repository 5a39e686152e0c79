"""Keep tables quick to read and no older than they should be: retention, compaction, files that nothing needs any more.

Reads:  every table that there is
Writes: nothing new: rows older than the contract's retention_days before as_of go; the others stay in fewer, larger files,
        sorted by the contract's cluster_by; then files that no version of the last optimize.vacuum_hours needs are deleted

Safe beside readers and writers: each step is a commit of its own, and a reader's version keeps its files for vacuum_hours.
A second run finds nothing to do. ops.runs says what each table had before and after. Cost: the bytes of the small files are
read and written once; three Spark jobs a table where there is nothing to do.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from shoal.conf.sections import OptimizeConf
from shoal.errors import SkippedError, UsageError
from shoal.lake import maintenance
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake
from shoal.runner.command import run_job

READS = ("*",)
WRITES = ("*",)


def chosen(lake: Lake, wanted: list[str]) -> list[str]:
    """The tables to see to: those that exist, or those named. Raises UsageError for a name that is no table."""
    for name in wanted:
        contract(name)
    return [name for name in wanted or contract_names() if lake.exists(name)]


def optimize(lake: Lake, name: str, as_of: date, vacuum_hours: int) -> dict[str, int]:
    """See to one table, and return what was saved: rows too old, files and bytes before and after."""
    made = contract(name)
    found: dict[str, int] = {"rows_too_old": 0}
    disk = maintenance.disk_bytes(lake, name)
    found["files_before"], found["bytes_before"] = maintenance.sizes(lake, name)
    if made.retention_days:
        found["rows_too_old"] = maintenance.remove_before(lake, name, as_of - timedelta(days=made.retention_days))
    if found["files_before"] > 1:
        maintenance.compact(lake, name)
    maintenance.vacuum(lake, name, vacuum_hours)
    found["files_after"], found["bytes_after"] = maintenance.sizes(lake, name)
    if disk is not None:
        found["disk_bytes_before"], found["disk_bytes_after"] = disk, maintenance.disk_bytes(lake, name) or 0
    return found


def as_text(found: dict[str, int]) -> str:
    """What one table's care came to, in a line."""
    parts = [f"files {found['files_before']:,} -> {found['files_after']:,}"]
    parts.append(f"bytes {found['bytes_before']:,} -> {found['bytes_after']:,}")
    if "disk_bytes_before" in found:
        parts.append(f"on disk {found['disk_bytes_before']:,} -> {found['disk_bytes_after']:,}")
    if found["rows_too_old"]:
        parts.append(f"{found['rows_too_old']:,} rows too old")
    return ", ".join(parts)


def run(lake: Lake, conf: OptimizeConf, as_of: date) -> None:
    """See to every table that exists, one after the other."""
    names = chosen(lake, conf.tables)
    if not names:
        raise SkippedError("the lake has no table to optimise; `shoal ingest` loads data")
    if conf.vacuum_hours < 168 and lake.settings.lake.catalog:
        raise UsageError("optimize.vacuum_hours: at least 168 with a catalog, where others read without asking")
    total: dict[str, int] = {}
    for name in names:
        found = optimize(lake, name, as_of, conf.vacuum_hours)
        lake.run.note(**{name: as_text(found)})
        for key, value in found.items():
            total[key] = total.get(key, 0) + value
    lake.run.note(tables=len(names), **total)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, OptimizeConf, argv)


if __name__ == "__main__":
    sys.exit(main())
