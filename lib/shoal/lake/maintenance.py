"""What keeps a table small and its past short: compaction, vacuum, retention, purging. Each step is a commit of its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from shoal.errors import ContractError
from shoal.lake import log
from shoal.lake.contract import contract
from shoal.lake.lake import ONE_JOB_A_QUERY, Lake

# Of a table elsewhere, up to so many files are listed by a few tasks; a local one always is.
FEW_FILES = 1_000


def disk_bytes(lake: Lake, name: str) -> int | None:
    """Return what a local table takes on disk, earlier versions and log included; None where it is not on this
    machine. A file that is deleted meanwhile counts nothing."""
    if not lake.store.is_local:
        return None
    total = 0
    for file in Path(lake.path(name)).rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def sizes(lake: Lake, name: str) -> tuple[int, int]:
    """Return (files, bytes) of a table's latest version; from a short log without a Spark job."""
    listed = log.data_files(lake.store, name, lake.version(name))
    if listed is not None:
        return len(listed), sum(file.size for file in listed)
    found = lake.store.delta_table(name).detail().select("numFiles", "sizeInBytes").collect()[0]
    return int(found[0]), int(found[1])


def compact(lake: Lake, name: str) -> None:
    """Make few large files of many small ones, sorted by the contract's cluster_by; the rows stay. Statistics of what is rewritten
    are made anew."""
    with lake.commits.settings():
        lake.commits.commit(name, lambda: lake.store.delta_table(name).optimize().executeCompaction())


def vacuum(lake: Lake, name: str, hours: float) -> None:
    """Delete the files that no version of the last `hours` needs. Under the 168 of Delta's own check, readers and writers of an
    older version fail: the caller knows that there are none."""
    quiet = {"spark.databricks.delta.retentionDurationCheck.enabled": "false"} if hours < 168 else {}
    # Spark lists folders with 10,000 tasks by default: half a minute for a table of three files.
    few = {"spark.sql.sources.parallelPartitionDiscovery.parallelism": "4"} | ONE_JOB_A_QUERY
    is_small = lake.is_local or sizes(lake, name)[0] <= FEW_FILES
    with lake.commits.settings(quiet | (few if is_small else {})):
        lake.commits.commit(name, lambda: lake.store.delta_table(name).vacuum(hours))


def remove_before(lake: Lake, name: str, day: date) -> int:
    """Remove the rows whose time column (else as_of) lies before `day`, and return how many they were; rows without a time stay."""
    made = contract(name)
    column = made.age_column()
    if column is None:
        raise ContractError(f"{name} has neither a time_column nor an as_of to be kept by")
    old = f"`{column}` < {'DATE' if made.columns[column].type == 'date' else 'TIMESTAMP'}'{day.isoformat()}'"
    before = lake.version(name)
    with lake.commits.settings():
        lake.commits.commit(name, lambda: lake.store.delta_table(name).delete(old))
    gained = lake.version(name) - before
    return lake.run.wrote(name, log.written(lake.store, name, lake.run.run_id, gained, "numDeletedRows"))


def purge_history(lake: Lake, name: str) -> None:
    """Remove a table's past: rows marked as deleted, files of earlier versions, change data, the log before now.

    No other run may read or write the table meanwhile. With a catalog the log is the platform's: its retention is set to a day, and
    it is gone with the first checkpoint after that. Nothing is done where there is no past (`log.is_without_past`). Raises
    ContractError where no checkpoint could be written.
    """
    if log.is_without_past(lake.store, name, lake.version(name)):
        return
    if lake.properties(name).get("delta.enableDeletionVectors") == "true":
        lake.commits.alter(name, "REORG TABLE {table} APPLY (PURGE)")
    if lake.store.catalog:
        lake.commits.alter(name, "ALTER TABLE {table} SET TBLPROPERTIES ('delta.logRetentionDuration' = 'interval 1 day')")
    vacuum(lake, name, 0)
    if lake.store.catalog:
        return
    # Delta would keep the log of the present day. Everything up to the checkpoint is in the checkpoint.
    last = lake.version(name)
    log.delta_log(lake.store, name).checkpoint()
    if not lake.store.has_checkpoint(name, last):
        raise ContractError(f"{name}: no checkpoint of version {last} was written; its log is as it was")
    lake.store.remove_log_before(name, last)
