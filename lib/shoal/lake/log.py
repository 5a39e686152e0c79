"""What a table's Delta log holds: versions, commits with their metrics, the data files of a version. Reads only.

Local logs are read on the driver, by Delta's classes or from their JSON, without a Spark job: DESCRIBE takes one or two, and
Delta rebuilds a version's list of files with three. A catalog is asked by SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.store import Store

# (application, version): a write that Delta does once, however often it is asked for. Lower versions are not written either.
Txn = tuple[str, int]
# Commits in which the write of an earlier attempt is looked for; other writers' commits may lie between.
TXN_COMMITS = 1000
# Commits that are read one by one to find what a table has gained.
FEW_COMMITS = 10_000
# Files that are handed to Spark one by one; of more, Delta's own search by statistics costs less.
FEW_FILES = 100
# Commits, and bytes of them, whose JSON is replayed on the driver to list a version's files.
REPLAYED_COMMITS, REPLAYED_BYTES = 200, 4_000_000


@dataclass(frozen=True)
class DataFile:
    """A file of a table's version: its `add` action as JSON, partition values as text, bytes, rows where Delta counted them, and
    the least and greatest value of the columns that statistics are kept of."""

    action: str
    partition: Mapping[str, str | None]
    size: int
    rows: int | None
    least: Mapping[str, Any]
    greatest: Mapping[str, Any]


# -- through Delta's classes


def delta_log(store: Store, name: str) -> Any:
    """Return the JVM's DeltaLog of a local table."""
    return store.spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(store.spark._jsparkSession, store.path(name))


def snapshot(store: Store, name: str) -> Any:
    """Return the JVM's snapshot of a local table's latest version. No Spark job."""
    return delta_log(store, name).update(False, *[store.spark._jvm.scala.Option.empty()] * 2)


def version(store: Store, name: str) -> int:
    """Return the number of the table's latest commit; -1 where the table does not exist. No Spark job for a local table."""
    if not store.exists(name):
        return -1
    if store.catalog:
        return int(store.delta_table(name).history(1).select("version").collect()[0]["version"])
    return int(snapshot(store, name).version())


def committed_at(store: Store, name: str) -> datetime | None:
    """Return when the table's latest commit was made, UTC without a zone; None where the log does not say. No Spark job for a local
    table."""
    if not store.is_local:
        rows = store.delta_table(name).history(1).select(F.unix_millis("timestamp").alias("at")).collect()
        at = rows[0]["at"] if rows else None
    else:
        at = next(commits(store, name, 1), {}).get("timestamp")
    return None if at is None else datetime.fromtimestamp(at / 1000, timezone.utc).replace(tzinfo=None)


def properties(store: Store, name: str) -> dict[str, str]:
    """Return the Delta properties of a table that exists. No Spark job for a local table."""
    if store.catalog:
        return dict(store.delta_table(name).detail().select("properties").collect()[0][0])
    pairs = snapshot(store, name).metadata().configuration().toSeq()
    return {str(pairs.apply(i)._1()): str(pairs.apply(i)._2()) for i in range(pairs.size())}


def is_without_files(store: Store, name: str) -> bool:
    """Whether a local table has no row, by the checksum that Delta writes beside each commit; else from its whole log."""
    latest = snapshot(store, name)
    known = latest.checksumOpt()
    return int(known.get().numFiles() if known.isDefined() else latest.numOfFiles()) == 0


def frame_of_files(store: Store, name: str, at: Any, files: Sequence[str]) -> DataFrame:
    """Return the rows of `files`, `add` actions as JSON, with the schema of the JVM's snapshot `at`. A query of it runs no Spark
    job to list files. Costs some calls into the JVM a file."""
    jvm = store.spark._jvm
    listed = jvm.java.util.ArrayList()
    for file in files:
        listed.add(jvm.org.apache.spark.sql.delta.actions.Action.fromJson(file))
    wanted = jvm.org.apache.spark.api.python.PythonUtils.toSeq(listed)
    frame = delta_log(store, name).createDataFrame(at, wanted, False, jvm.scala.Option.empty())
    return DataFrame(frame, store.spark)


def same_rows(frame: DataFrame) -> DataFrame:
    """Return the frame of a table's files once more, with columns of its own: a join of both is no join of a frame with itself.
    Spark knows that both read the same."""
    session = frame.sparkSession
    plan = frame._jdf.queryExecution().analyzed().newInstance()
    return DataFrame(session._jvm.org.apache.spark.sql.Dataset.ofRows(session._jsparkSession, plan), session)


# -- from the log's JSON


def _actions(store: Store, name: str, number: int) -> Iterator[dict[str, Any]] | None:
    """The actions of one commit of a local table, in order; None where the log does not have it any more, or is elsewhere."""
    if not store.is_local:
        return None
    file = store.log_folder(name) / f"{number:020d}.json"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return (json.loads(line) for line in text.splitlines() if line)


def data_files(store: Store, name: str, at: int) -> list[DataFile] | None:
    """Return the files of version `at` of a local table, replayed from the JSON of its commits.

    None of a table that is not local, where these are more than REPLAYED_COMMITS or REPLAYED_BYTES, where the log does not begin
    with version 0 any more, and for a table with deletion vectors, whose files hold rows that are gone. Cost: a read of at
    most 200 small files.
    """
    folder = store.log_folder(name)
    if not store.is_local or at < 0 or at >= REPLAYED_COMMITS:
        return None
    found: dict[str, dict[str, Any]] = {}
    size = 0
    for number in range(at + 1):
        try:
            text = (folder / f"{number:020d}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        size += len(text)
        if size > REPLAYED_BYTES:
            return None
        for line in text.splitlines():
            # Other actions say nothing of files; parsing them would cost most of the time.
            if line.startswith('{"add"'):
                added = json.loads(line)["add"]
                if added.get("deletionVector"):
                    return None
                found[added["path"]] = added
            elif line.startswith('{"remove"'):
                found.pop(json.loads(line)["remove"]["path"], None)
    return [_data_file(added) for added in found.values()]


def is_without_past(store: Store, name: str, at: int) -> bool:
    """Whether a local table's folder and log hold nothing but what version `at`, its latest, has: no commit took a file or a row
    away or wrote change data, and no other file lies there. False where the log is too long to tell, or no longer begins with
    version 0. Cost: a read of at most REPLAYED_COMMITS small files, and a listing of the folder."""
    folder = store.log_folder(name)
    if not store.is_local or at < 0 or at >= REPLAYED_COMMITS:
        return False
    known: set[str] = set()
    for number in range(at + 1):
        actions = _actions(store, name, number)
        if actions is None:
            return False
        for action in actions:
            if "remove" in action or "cdc" in action or action.get("add", {}).get("deletionVector"):
                return False
            if "add" in action:
                known.add(unquote(action["add"]["path"]))
    files = (file for file in folder.parent.rglob("*") if file.is_file() and not file.is_relative_to(folder))
    return all(file.suffix == ".crc" or file.relative_to(folder.parent).as_posix() in known for file in files)


def _data_file(added: dict[str, Any]) -> DataFile:
    stats = json.loads(added["stats"]) if added.get("stats") else {}
    least, greatest = stats.get("minValues") or {}, stats.get("maxValues") or {}
    return DataFile(
        json.dumps({"add": added}), added["partitionValues"], int(added["size"]), stats.get("numRecords"), least, greatest
    )


def may_hold(file: DataFile, parts: Mapping[str, Sequence[str]]) -> bool:
    """Whether the file may hold a row in which each column of `parts`, a text or a day, has one of its values.

    Delta cuts long texts in its statistics so that they stay below the least and above the greatest; texts are in the order of
    their code points in Delta and in Python.
    """
    for column, values in parts.items():
        if column in file.partition:
            if file.partition[column] not in values:
                return False
        elif column in file.least and column in file.greatest:
            least, greatest = file.least[column], file.greatest[column]
            if not any(least <= value <= greatest for value in values):
                return False
    return True


def rows_of(files: Sequence[DataFile], on: date | None = None) -> int | None:
    """Return how many rows `files` hold, of the partition as_of=`on` where a day is given; None where Delta did not count those of
    a file, or the table is not partitioned by as_of."""
    if on is not None and any("as_of" not in file.partition for file in files):
        return None
    counted = [file.rows for file in files if on is None or file.partition["as_of"] == on.isoformat()]
    return None if any(rows is None for rows in counted) else sum(rows or 0 for rows in counted)


def added_files(store: Store, name: str, number: int) -> list[str] | None:
    """Return the files that the commit `number` of a local table added, as JSON; None for a commit that also removed files or added
    more than FEW_FILES, and where the log does not have it any more."""
    actions = _actions(store, name, number)
    if actions is None:
        return None
    found = []
    for action in actions:
        if "remove" in action or ("add" in action and action["add"].get("deletionVector")):
            return None
        if "add" in action:
            found.append(json.dumps(action))
    return found if len(found) <= FEW_FILES else None


def commits(store: Store, name: str, limit: int) -> Iterator[dict[str, Any]]:
    """Yield version, operation, userMetadata and operationMetrics of the table's latest commits, the last one first, as far as the
    log goes."""
    if not store.is_local:
        history = store.delta_table(name).history(limit).select("version", "operation", "userMetadata", "operationMetrics")
        yield from (row.asDict() for row in history.collect())
        return
    last = version(store, name)
    for number in range(last, max(-1, last - limit), -1):
        actions = _actions(store, name, number)
        if actions is None:
            return
        info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        yield {"version": number, **info}


def txn_text(txn: Txn) -> str:
    """Return the text by which the userMetadata of the transaction's commit is known."""
    return f'"txn": "{txn[0]}:{txn[1]}"'


def commit_with(store: Store, name: str, text: str, limit: int) -> dict[str, Any] | None:
    """Return the latest of the last `limit` commits whose userMetadata hold `text`, or None."""
    return next((each for each in commits(store, name, limit) if text in (each.get("userMetadata") or "")), None)


def written(store: Store, name: str, text: str, limit: int, *metrics: str) -> int:
    """Return the sum of these metrics of the latest of the last `limit` commits whose userMetadata hold `text`, of a plain write
    its rows; 0 without such a commit: Delta commits nothing where it has no rows to write."""
    ours = commit_with(store, name, text, limit)
    if ours is None:
        return 0
    counted = ["numOutputRows"] if ours["operation"] == "WRITE" else metrics
    return sum(int((ours["operationMetrics"] or {}).get(each, 0)) for each in counted)
