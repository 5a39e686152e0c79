"""The only place that reads or writes tables, by the names of their contracts.

Locally a table lies in <root>/<layer>/<table>; with a catalog (conf/databricks.yaml) it is catalog.layer.table. Every writer
checks the frame against the contract first, puts the run's id into the rows and into the Delta history, and is one Delta
commit: a job killed at any moment leaves the table as it was or as it should be.
"""

from __future__ import annotations

import fcntl
import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.pseudonym_key import key_check_value
from shoal.conf.sections import Settings
from shoal.errors import ContractError, InputError, SkippedError, TransientError
from shoal.lake.contract import VERSION, Contract, contract
from shoal.lake.migration import Made, literal, refuse_types, statements

# A lake's tables of records carry the check value of its key, or `none`.
PSEUDONYMS_PROPERTY = "shoal.pseudonyms"
PSEUDONYMISED_LAYERS = ("bronze", "silver")
T = TypeVar("T")
# (application, version): a write that Delta does once, however often it is asked for. A lower version is passed over too.
Txn = tuple[str, int]
# What a writer says of its commit, for later runs to find in the table's log.
Mark = dict[str, Any]
_MARKED = '"mark": {'
# How far back the commit of a write that an earlier attempt made is looked for; other writers' commits may lie between.
_ATTEMPT_COMMITS = 1000
# Commits that are looked at one by one to tell what a table has gained.
_FEW_COMMITS = 10_000
# Files of a commit that are told one by one to Spark; of more a look through the table's log costs less.
_FEW_FILES = 100
_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# Jobs of one pipeline share a session, whose settings are everybody's while one statement needs its own.
_SESSION_SETTINGS = threading.RLock()
_TXN_APP, _TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
# Rows a file: small enough to rewrite quickly, large enough that a table of millions stays a handful of files.
ROWS_PER_FILE = 2_000_000
# For a table's lock: ten minutes.
WAITS, WAIT_SECONDS = 2400, 0.25
CONFLICTS = ("ConcurrentAppendException", "ConcurrentDeleteReadException", "ConcurrentDeleteDeleteException",
             "ConcurrentTransactionException", "ConcurrentWriteException", "MetadataChangedException",
             "ProtocolChangedException", "ConcurrentModificationException", "FileAlreadyExistsException",
             # Delta says so of a table that another process makes at the same moment.
             "DELTA_TABLE_NOT_FOUND")  # fmt: skip


@dataclass
class Run:
    """What one run of a job read, wrote and chose; `shoal.runner.execute` turns it into a row of ops.runs."""

    run_id: str
    job: str = "interactive"
    started_at: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)
    rows_in: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    input_versions: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    # Whether an error may name people, so that only its class is kept.
    withholds_message: bool = False
    # Of the settings that the job declares, and of the code that runs: shoal.runner.fingerprint.
    conf_hash: str = ""
    code_hash: str = ""

    def note(self, **tags: object) -> None:
        """Record a choice of the run (`engine="local"`); values are kept as text."""
        self.tags.update({name: str(value) for name, value in tags.items()})

    def wrote(self, name: str, rows: int) -> None:
        """Add to the count of rows written to a table."""
        self.rows_out[name] = self.rows_out.get(name, 0) + rows


class Lake:
    """The tables under one root, seen from one run."""

    def __init__(self, spark: SparkSession, root: str | Path, settings: Settings, run: Run) -> None:
        self.spark = spark
        self.root = Path(root).resolve()
        self.settings = settings
        self.run = run
        self._held: set[str] = set()

    # -- names

    def path(self, name: str) -> str:
        """Where a table lies locally. Raises UsageError for a name without a contract."""
        made = contract(name)
        return str(self.root / made.layer / made.table)

    def sql_name(self, name: str) -> str:
        """The quoted name of a table in SQL: `layer`.`table`, with the catalog where there is one."""
        made = contract(name)
        parts = [self.settings.lake.catalog] if self.settings.lake.catalog else []
        return ".".join(f"`{part}`" for part in [*parts, made.layer, made.table])

    def exists(self, name: str) -> bool:
        """Whether the table has been made; True for a table without rows."""
        if self.settings.lake.catalog:
            return self.spark.catalog.tableExists(self.sql_name(name))
        return DeltaTable.isDeltaTable(self.spark, self.path(name))

    def version(self, name: str) -> int:
        """The number of the table's latest Delta commit; -1 where the table does not exist."""
        if not self.exists(name):
            return -1
        if self.settings.lake.catalog:
            return int(self._delta(name).history(1).select("version").collect()[0]["version"])
        # DESCRIBE HISTORY would take a Spark job, and every read asks.
        return int(self._snapshot(name).version())

    # -- reading

    def read(
        self,
        name: str,
        on: date | None = None,
        before: date | None = None,
        missing_ok: bool = False,
        version: int | None = None,
    ) -> DataFrame:
        """The rows of a table at its present version: all, those of `on` (as_of is that day), or those known `before` the
        end of that day (the contract's time column; a row without a time is always known).

        The version is recorded, so that every later look of this run at the table sees the same rows; another `version`
        can be asked for. Where the table does not exist: an empty frame with `missing_ok`, else SkippedError naming it.
        """
        made = contract(name)
        if not self.exists(name):
            if missing_ok:
                return self.spark.createDataFrame([], made.struct())
            raise SkippedError(f"{name} does not exist in this lake")
        if name not in self.run.input_versions:
            self.run.input_versions[name] = self.version(name)
        wanted = self.run.input_versions[name] if version is None else version
        reader = self.spark.read.format("delta").option("versionAsOf", wanted)
        rows = reader.table(self.sql_name(name)) if self.settings.lake.catalog else reader.load(self.path(name))
        rows = _of_today(made, rows)
        if on is not None:
            rows = rows.where(F.col("as_of") == F.lit(on))
        if before is not None:
            if made.time_column is None:
                raise ContractError(f"{name} has no time_column: `before` cannot be asked of it")
            end = F.lit(f"{before + timedelta(days=1)} 00:00:00").cast("timestamp")
            rows = rows.where(F.col(made.time_column).isNull() | (F.col(made.time_column) < end))
        if name not in self.run.rows_in:
            # Answered from the log's statistics, or from file footers where a partition is asked for.
            whole = reader.load(self.path(name)) if not self.settings.lake.catalog else reader.table(self.sql_name(name))
            self.run.rows_in[name] = (whole.where(F.col("as_of") == F.lit(on)) if on is not None else whole).count()
        return rows

    def read_if_exists(self, name: str, on: date | None = None, before: date | None = None) -> DataFrame | None:
        """`read`, or None where the table does not exist."""
        return self.read(name, on, before) if self.exists(name) else None

    def read_current(self, name: str) -> DataFrame:
        """The rows of a table as they are now, what this run wrote included; not recorded as an input."""
        reader = self.spark.read.format("delta")
        rows = reader.table(self.sql_name(name)) if self.settings.lake.catalog else reader.load(self.path(name))
        return _of_today(contract(name), rows)

    def read_commit(self, name: str, version: int) -> DataFrame:
        """The rows that the commit `version`, an append, has added; not recorded as an input.

        From that commit's files alone: `read_current` would first look for them in the whole log, some Spark jobs a query. With a
        catalog or more than 100 files, and where the commit is not in the log any more, these are the rows of `read_current`: the
        caller still says which ones it means.
        """
        files = None if self.settings.lake.catalog else self._files_of(name, version)
        if files is None:
            return self.read_current(name)
        frame = self._log(name).createDataFrame(self._snapshot(name), files, False, self.spark._jvm.scala.Option.empty())
        return _of_today(contract(name), DataFrame(frame, self.spark))

    def _files_of(self, name: str, version: int) -> Any:
        """The JVM's list of the files that the commit added; None for more than _FEW_FILES or where it is not known."""
        jvm = self.spark._jvm
        changes = self._log(name).getChanges(version, False)
        if not changes.hasNext():
            return None
        commit = changes.next()
        actions = commit._2()
        if int(commit._1()) != version or actions.size() > 2 * _FEW_FILES:
            return None
        kinds = [(action, action.getClass().getSimpleName()) for action in map(actions.apply, range(actions.size()))]
        if any(kind == "RemoveFile" for _, kind in kinds):
            return None
        files = [action for action, kind in kinds if kind == "AddFile"]
        if len(files) > _FEW_FILES:
            return None
        listed = jvm.java.util.ArrayList()
        for file in files:
            listed.add(file)
        return jvm.org.apache.spark.api.python.PythonUtils.toSeq(listed)

    def inserts_since(self, name: str, since: int) -> DataFrame | None:
        """The rows added to a table after version `since`, up to the version this run reads; None where that cannot be
        known, because rows were changed or removed, files were vacuumed away, or there are over 10,000 commits since.

        Needs the contract's property delta.enableChangeDataFeed. Reads what the commits say of themselves, and the files that were
        added.
        """
        if name not in self.run.input_versions:
            self.run.input_versions[name] = self.version(name)
        until = self.run.input_versions[name]
        if since > until:
            return None
        if since == until:
            return self.read(name).limit(0)
        if self.version(name) - since > _FEW_COMMITS:
            return None
        commits = self._commits(name, self.version(name) - since)
        told = [commit.get("operation") or "" for commit in commits if since < commit["version"] <= until]
        # An erasure takes the log's history away too.
        if len(told) < until - since or any("VACUUM" in operation or operation == "RESTORE" for operation in told):
            return None
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        reader = reader.option("startingVersion", since + 1).option("endingVersion", until)
        changes = reader.table(self.sql_name(name)) if self.settings.lake.catalog else reader.load(self.path(name))
        if changes.where("_change_type != 'insert'").limit(1).count():
            return None
        return changes.drop("_change_type", "_commit_version", "_commit_timestamp")

    # -- writing

    def replace(self, name: str, rows: DataFrame, on: date, unique: bool = False, **within: str) -> int:
        """Make `rows` the table's only rows of that as_of, and return how many they are. Other days stay as they were.

        `unique=True` says that the caller has made the key unique already, which saves a shuffle and a cache. For a table that
        several jobs write, `within` names the part of the day that is this job's: `task="sentiment"`.
        """
        made = contract(name)
        if not set(within) <= set(made.columns):
            raise ContractError(f"{name} has no column {', '.join(sorted(set(within) - set(made.columns)))}")
        parts = [f"as_of = DATE'{on.isoformat()}'", *(f"`{c}` = {literal(v)}" for c, v in within.items())]
        return self._replace(name, rows, " AND ".join(parts), on, unique)

    def replace_where(
        self, name: str, rows: DataFrame, column: str, values: Sequence[str], unique: bool = False, mark: Mark | None = None
    ) -> int:
        """Make `rows` the table's only rows whose `column` is one of `values`, and return how many they are.

        `unique=True` says that the caller has made the key unique already, which saves a shuffle. `mark`: see `marks`.
        """
        if column not in contract(name).columns:
            raise ContractError(f"{name} has no column {column}")
        return self._replace(name, rows, f"`{column}` IN ({', '.join(map(literal, values))})", None, unique, mark)

    def overwrite(self, name: str, rows: DataFrame) -> int:
        """Make `rows` the whole table, and return how many they are."""
        return self._replace(name, rows, None, None)

    def append(self, name: str, rows: DataFrame, unique: bool = False, mark: Mark | None = None) -> int:
        """Add `rows` and return how many they are; `mark`: see `marks`. A rerun adds them again: for logs such as ops.runs."""
        made = self.create(name)
        with self._checked(made, rows, None, unique) as (checked, count):
            before = self.version(name)
            self._commit(name, lambda: self._save(name, self._writer(checked, mark=mark).mode("append")))
            if self.version(name) == before:
                # Of no rows Delta makes no commit.
                return self._wrote(name, 0)
        return self._wrote(name, count if count >= 0 else self._metric(name, "numOutputRows"))

    def append_once(self, name: str, rows: DataFrame, txn: Txn) -> int | None:
        """Add `rows`, whose key the caller has made unique, unless a commit of `txn` has; they are not counted. Returns the version
        that this made of a local table, None where nothing was added.

        An earlier attempt's rows stay as they are, whatever `rows` are now. Versions of an application must only rise.
        """
        writer = self._writer(self._conform(self.create(name), rows, None), txn).mode("append")
        before = self.version(name)
        self._commit(name, lambda: self._save(name, writer))
        if self.settings.lake.catalog:
            return None
        # Of the versions since then others may have made some.
        ours = self._commit_of(name, _mark_of(txn), self.version(name) - before)
        return None if ours is None else int(ours["version"])

    def append_log(self, name: str, rows: DataFrame) -> None:
        """Add rows that carry their own run_id (ops.runs) as they are; not counted as the run's output."""
        self.create(name)
        self._commit(name, lambda: self._save(name, self._writer(rows.coalesce(1)).mode("append")))

    def insert_if_absent(self, name: str, rows: DataFrame, unique: bool = False, txn: Txn | None = None) -> int:
        """Add the rows whose key the table does not have, and return how many these are. Rows that it has stay.

        With `txn` and an earlier attempt that came to its end: nothing is written, and that attempt's rows are the count.
        """
        return self._merge(name, rows, unique, update=False, txn=txn)

    def append_known_new(self, name: str, rows: DataFrame, at: int, txn: Txn | None = None, renew: bool = False) -> int:
        """Add rows whose keys are unique and not in version `at` of the table (-1: there was none), as the caller has found, and
        return how many; `txn` as above.

        Where nobody has written since, that spares the search through the table that `insert_if_absent` makes; else, and with a
        catalog, where nobody can be kept out for the moment of the commit, this is `insert_if_absent`, or `upsert` with `renew`.
        """
        with self.sole_writer(name):
            if self.settings.lake.catalog or self.version(name) != at:
                return (self.upsert if renew else self.insert_if_absent)(name, rows, unique=True, txn=txn)
            if txn is None:
                return self.append(name, rows, unique=True)
            self.append_once(name, rows, txn)
            return self._wrote(name, self._metric(name, "numOutputRows", txn=txn))

    def upsert(
        self, name: str, rows: DataFrame, unique: bool = False, txn: Txn | None = None, gone: DataFrame | None = None
    ) -> int:
        """Add the rows whose key is new, put the others over the old ones, and return how many rows these are; `txn` as above.

        `gone`: keys, none of them in `rows`, whose rows the same commit removes.
        """
        return self._merge(name, rows, unique, update=True, txn=txn, gone=gone)

    def delete_duplicates(self, name: str, rows: DataFrame, on: Sequence[str], other: str, where: str) -> int:
        """Remove the rows that equal one of `rows` in all columns `on` and differ from it in `other`; returns how many.

        `where` is SQL over the table, known to hold for them, that spares the reading of other files. Nulls equal nothing.
        """
        self.create(name)
        same = " AND ".join(f"t.`{column}` = s.`{column}`" for column in on)
        copies = f"{same} AND t.`{other}` <> s.`{other}` AND {where}"
        keys = rows.select(*on, other).alias("s")
        return self._in_place(name, lambda: self._delta(name).alias("t").merge(keys, copies).whenMatchedDelete(), "Deleted")

    def delete(self, name: str, keys: DataFrame) -> int:
        """Remove the rows whose key is in `keys` (the contract's key columns), and return how many they were.

        By MERGE: the values that are looked for stay out of the log, where those of a DELETE would stand.
        """
        made = contract(name)
        same = " AND ".join(f"t.`{k}` = s.`{k}`" for k in made.key)
        wanted = keys.select(*made.key).distinct().alias("s")
        merge = lambda: self._delta(name).alias("t").merge(wanted, same).whenMatchedDelete()  # noqa: E731
        return self._wrote(name, self._in_place(name, merge, "Deleted"))

    def update(self, name: str, rows: DataFrame, columns: Sequence[str]) -> int:
        """Put the `columns` of `rows` over the rows whose key is in `rows` under `_old_<key>`, and return how many changed.

        The key may be among what changes; CHECKs hold as for every write.
        """
        made = contract(name)
        same = " AND ".join(f"t.`{k}` = s.`_old_{k}`" for k in made.key)
        values: dict[str, str | Column] = {f"`{c}`": f"s.`{c}`" for c in columns}
        merge = lambda: self._delta(name).alias("t").merge(rows.alias("s"), same).whenMatchedUpdate(set=values)  # noqa: E731
        return self._wrote(name, self._in_place(name, merge, "Updated"))

    def _in_place(self, name: str, merge: Callable[[], Any], what: str) -> int:
        """Run the MERGE and return how many rows it changed, which are not counted as the run's output."""

        def commit() -> None:
            with self._session(**{_METADATA: self._metadata()}):
                merge().execute()

        before = self.version(name)
        self._commit(name, commit)
        return 0 if self.version(name) == before else self._metric(name, f"numTargetRows{what}")

    def remove_before(self, name: str, day: date) -> int:
        """Remove the rows whose time column (else as_of) lies before `day`, and return how many they were; rows without a time
        stay."""
        made = contract(name)
        column = made.age_column()
        if column is None:
            raise ContractError(f"{name} has neither a time_column nor an as_of to be kept by")
        old = f"`{column}` < {'DATE' if made.columns[column].type == 'date' else 'TIMESTAMP'}'{day.isoformat()}'"
        before = self.version(name)
        with self._session(**{_METADATA: self._metadata()}):
            self._commit(name, lambda: self._delta(name).delete(old))
        if self.version(name) == before:
            return 0
        return self._wrote(name, self._metric(name, "numDeletedRows"))

    # -- files

    def sizes(self, name: str) -> tuple[int, int]:
        """(files, bytes) of a table's present version."""
        found = self._delta(name).detail().select("numFiles", "sizeInBytes").collect()[0]
        return int(found[0]), int(found[1])

    def compact(self, name: str) -> None:
        """Make few large files of many small ones, sorted by the contract's cluster_by; the rows stay. Statistics are made
        anew for what is rewritten."""
        with self._session(**{_METADATA: self._metadata()}):
            self._commit(name, lambda: self._delta(name).optimize().executeCompaction())

    def vacuum(self, name: str, hours: float) -> None:
        """Delete the files that no version of the last `hours` needs. Under the 168 of Delta's own check, who still reads or
        writes an older version fails: the caller knows that nobody does."""
        quiet = {"spark.databricks.delta.retentionDurationCheck.enabled": "false"} if hours < 168 else {}
        # Spark lists folders with 10,000 tasks by default: half a minute for a local table of three files.
        local = {} if self.settings.lake.catalog else {"spark.sql.sources.parallelPartitionDiscovery.parallelism": "4"}
        with self._session(**quiet, **local, **{_METADATA: self._metadata()}):
            self._commit(name, lambda: self._delta(name).vacuum(hours))

    def purge_history(self, name: str) -> None:
        """Leave of a table's past nothing: rows marked as deleted, files of earlier versions, change data, the log before now.

        Nobody else may read or write the table meanwhile. With a catalog the log is the platform's: its retention is set to a
        day, and it is gone with the first checkpoint after that.
        """
        if self.properties(name).get("delta.enableDeletionVectors") == "true":
            self._alter(name, "REORG TABLE {table} APPLY (PURGE)")
        if self.settings.lake.catalog:
            self._alter(name, "ALTER TABLE {table} SET TBLPROPERTIES ('delta.logRetentionDuration' = 'interval 1 day')")
        self.vacuum(name, 0)
        if self.settings.lake.catalog:
            return
        # Delta would keep the log of the present day. Everything up to the checkpoint is in the checkpoint.
        log = self._log(name)
        last = int(self._snapshot(name).version())
        log.checkpoint()
        folder = Path(self.path(name)) / "_delta_log"
        if not (folder / f"{last:020d}.checkpoint.parquet").is_file():
            raise ContractError(f"{name}: no checkpoint of version {last} was written; its log is as it was")
        for file in folder.iterdir():
            number = file.name.lstrip(".").split(".")[0]
            if number.isdigit() and int(number) < last:
                file.unlink()

    def drop(self, name: str) -> None:
        """Take the table away with all its files."""
        if not self.exists(name):
            return
        if self.settings.lake.catalog:
            self.spark.sql(f"DROP TABLE {self.sql_name(name)}")
            return
        shutil.rmtree(self.path(name))
        self.spark._jvm.org.apache.spark.sql.delta.DeltaLog.invalidateCache(self.spark._jsparkSession, self._jvm_path(name))

    def _jvm_path(self, name: str) -> Any:
        return self.spark._jvm.org.apache.hadoop.fs.Path(self.path(name))

    # -- making

    def create(self, name: str) -> Contract:
        """Make the table from its contract where it does not exist yet, and return the contract.

        A table that an older version of the contract made is migrated where that only adds or loosens (`shoal.lake.migration`).
        Raises ContractError, naming the columns, where it cannot be.
        """
        made = contract(name)
        if self.exists(name):
            if self.properties(name).get(VERSION) != made.version():
                self._migrate(made)
            return made
        builder = DeltaTable.createIfNotExists(self.spark).comment(made.grain)
        if self.settings.lake.catalog:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{self.settings.lake.catalog}`.`{made.layer}`")
            builder = builder.tableName(self.sql_name(name))
        else:
            builder = builder.location(self.path(name))
        for column, spec in made.columns.items():
            builder = builder.addColumn(column, made.data_type(column), nullable=spec.null, comment=spec.comment)
        marks = {PSEUDONYMS_PROPERTY: key_check_value(self.settings.privacy)} if made.layer in PSEUDONYMISED_LAYERS else {}
        for key, value in (made.table_properties() | marks).items():
            builder = builder.property(key, value)
        if made.partition_by:
            builder = builder.partitionedBy(*made.partition_by)
        if made.cluster_by:
            builder = builder.clusterBy(*made.cluster_by)
        # A path is no table name to Spark while files cannot be named in SQL; the builder needs that for this one call.
        with self._session(**{"spark.sql.runSQLOnFiles": "true", _METADATA: self._metadata()}):
            self._commit(name, builder.execute)
        return made

    def _migrate(self, made: Contract) -> None:
        """Bring the table to today's contract, a statement a commit; noted in the run."""
        rows = self._delta(made.name)
        detail = rows.detail().select("partitionColumns", "clusteringColumns").collect()[0]
        there = Made(rows.toDF().schema, self.properties(made.name), detail[0], detail[1] or [])
        todo = statements(made, there)
        if len(todo) > 1 or VERSION in there.properties:
            was = there.properties.get(VERSION, "none")
            self.run.note(**{f"migrated {made.name}": f"contract {was} to {made.version()}, {len(todo)} statements"})
        for statement in todo:
            try:
                self._alter(made.name, statement)
            except ContractError as error:
                rule = statement.partition(" ADD CONSTRAINT ")[2]
                if not rule:
                    raise
                raise ContractError(
                    f"{made.name} was made by another version of its contract: rows in it break the new "
                    f"{' '.join(rule.split())}; correct them or use a new --lake"
                ) from error

    def _alter(self, name: str, statement: str) -> None:
        """Run a statement on the table, which stands in it as {table}."""
        where = self.sql_name(name) if self.settings.lake.catalog else f"delta.`{self.path(name)}`"
        sql = statement.replace("{table}", where, 1)
        # A path is no table name to Spark while files cannot be named in SQL.
        with self._session(**{"spark.sql.runSQLOnFiles": "true", _METADATA: self._metadata()}):
            self._commit(name, lambda: self.spark.sql(sql).collect())

    def properties(self, name: str) -> dict[str, str]:
        """The Delta properties of a table that exists; no Spark job for a local one."""
        if self.settings.lake.catalog:
            return dict(self._delta(name).detail().select("properties").collect()[0][0])
        pairs = self._snapshot(name).metadata().configuration().toSeq()
        return {str(pairs.apply(i)._1()): str(pairs.apply(i)._2()) for i in range(pairs.size())}

    def _snapshot(self, name: str) -> Any:
        """The local table's log as it is now, from the JVM: milliseconds, where DESCRIBE takes a Spark job."""
        return self._log(name).update(False, *[self.spark._jvm.scala.Option.empty()] * 2)

    def _is_without_files(self, name: str) -> bool:
        """Whether the local table has no row, by the checksum that Delta writes beside each commit; else from its whole log."""
        snapshot = self._snapshot(name)
        told = snapshot.checksumOpt()
        return int(told.get().numFiles() if told.isDefined() else snapshot.numOfFiles()) == 0

    def _log(self, name: str) -> Any:
        jvm = self.spark._jvm
        return jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(name))

    def register(self, names: list[str]) -> list[str]:
        """Give tables of a local lake their SQL names in this session; returns those that exist. A catalog has them already."""
        present = [name for name in names if self.exists(name)]
        if self.settings.lake.catalog:
            return present
        for layer in {contract(name).layer for name in names}:
            where = str(self.root / layer).replace("'", "\\'")
            self.spark.sql(f"CREATE DATABASE IF NOT EXISTS `{layer}` LOCATION '{where}'")
        for name in present:
            # An external table: dropping the name leaves the files.
            self.spark.sql(f"DROP TABLE IF EXISTS {self.sql_name(name)}")
            self.spark.catalog.createTable(name, path=self.path(name), source="delta")
        return present

    # -- how

    def _delta(self, name: str) -> DeltaTable:
        if self.settings.lake.catalog:
            return DeltaTable.forName(self.spark, self.sql_name(name))
        return DeltaTable.forPath(self.spark, self.path(name))

    @contextmanager
    def _session(self, **settings: str) -> Iterator[None]:
        """The session with other settings for one statement; no other thread's such statement runs meanwhile."""
        with _SESSION_SETTINGS:
            before: dict[str, str | None] = {key: self.spark.conf.get(key, None) for key in settings}
            for key, value in settings.items():
                self.spark.conf.set(key, value)
            try:
                yield
            finally:
                for key, old in before.items():
                    if old is None:
                        self.spark.conf.unset(key)
                    else:
                        self.spark.conf.set(key, old)

    def _metadata(self, txn: Txn | None = None, mark: Mark | None = None) -> str:
        told = {"run_id": self.run.run_id, "job": self.run.job}
        return json.dumps(told | ({"txn": f"{txn[0]}:{txn[1]}"} if txn else {}) | ({"mark": mark} if mark else {}))

    def _writer(self, rows: DataFrame, txn: Txn | None = None, mark: Mark | None = None) -> Any:
        writer = rows.write.format("delta").option("userMetadata", self._metadata(txn, mark))
        return writer.option("txnAppId", txn[0]).option("txnVersion", txn[1]) if txn else writer

    def _save(self, name: str, writer: Any) -> None:
        """Write to where the table is."""
        if self.settings.lake.catalog:
            writer.saveAsTable(self.sql_name(name))
        else:
            writer.save(self.path(name))

    def _wrote(self, name: str, count: int) -> int:
        self.run.wrote(name, count)
        return count

    def _replace(
        self, name: str, rows: DataFrame, where: str | None, on: date | None, unique: bool = False, mark: Mark | None = None
    ) -> int:
        made = self.create(name)
        with self._checked(made, rows, on, unique) as (checked, count):
            writer = self._writer(checked, mark=mark).mode("overwrite")
            writer = writer.option("replaceWhere", where) if where else writer
            before = self.version(name)
            self._commit(name, lambda: self._save(name, writer))
            if count < 0 and self.version(name) == before:
                # No rows in place of no rows: Delta commits nothing.
                return self._wrote(name, 0)
        return self._wrote(name, count if count >= 0 else self._metric(name, "numOutputRows"))

    def _merge(
        self, name: str, rows: DataFrame, unique: bool, update: bool, txn: Txn | None = None, gone: DataFrame | None = None
    ) -> int:
        made = self.create(name)
        with self._checked(made, rows, None, unique) as (checked, _):
            source, stays = checked, None
            if gone is not None:
                leaving = gone.select(*made.key, F.lit(True).alias("_gone"))
                source = checked.withColumn("_gone", F.lit(False)).unionByName(leaving, allowMissingColumns=True)
                stays = "NOT s._gone"
            same = " AND ".join(f"t.`{k}` = s.`{k}`" for k in made.key)

            metrics = ["numTargetRowsInserted", *(["numTargetRowsUpdated"] if update else [])]

            def commit() -> None:
                if not self.settings.lake.catalog and self._is_without_files(name):
                    # Nothing to meet: half the time of a MERGE. Not an append, which Delta would let pass beside another
                    # writer's first rows: an overwrite meets a conflict there, and the next attempt merges.
                    self._save(name, self._writer(checked, txn).mode("overwrite"))
                    return
                merge = self._delta(name).alias("t").merge(source.alias("s"), same).whenNotMatchedInsertAll(stays)
                merge = merge.whenMatchedDelete("s._gone") if gone is not None else merge
                merge = merge.whenMatchedUpdateAll() if update else merge
                # The MERGE builder takes no option: the session's settings are the only way to its commit.
                once = {_TXN_APP: txn[0], _TXN_VERSION: str(txn[1])} if txn else {}
                with self._session(**{_METADATA: self._metadata(txn)}, **once):
                    merge.execute()

            with self.sole_writer(name):
                before = self.version(name)
                self._commit(name, commit)
                nothing_new = self.version(name) == before
            if nothing_new and txn is None:
                return self._wrote(name, 0)
        return self._wrote(name, self._metric(name, *metrics, txn=txn))

    def _metric(self, name: str, *metrics: str, txn: Txn | None = None) -> int:
        """The sum of these counts of the table's latest commit of this run, of a plain write its rows; of that `txn`, of whatever
        run, 0 where it wrote nothing."""
        mark = _mark_of(txn) if txn else self.run.run_id
        for limit in (5, _ATTEMPT_COMMITS) if txn else (5,):
            ours = self._commit_of(name, mark, limit)
            if ours is not None:
                counted = ["numOutputRows"] if ours["operation"] == "WRITE" else metrics
                return sum(int((ours["operationMetrics"] or {}).get(metric, 0)) for metric in counted)
        if txn is None:
            raise ContractError(f"{name}: the commit of this run is not in the table's history")
        return 0

    def marks(self, name: str) -> Iterator[tuple[str, Mark]]:
        """(run, mark) of the commits to the table that carry one, the last one first, those of killed runs too; of the last 1,000
        commits, as far as the log goes. With a catalog what these say of themselves is collected."""
        for each in self._commits(name, _ATTEMPT_COMMITS):
            told = each.get("userMetadata") or ""
            # Others may have put anything there.
            if _MARKED in told:
                made = json.loads(told)
                yield made["run_id"], made["mark"]

    def last_commit(self, name: str) -> int | None:
        """The version that this run's latest commit made of the local table; None where it is not among the last five."""
        if self.settings.lake.catalog:
            return None
        ours = self._commit_of(name, self.run.run_id, 5)
        return None if ours is None else int(ours["version"])

    def _commit_of(self, name: str, mark: str, limit: int) -> dict[str, Any] | None:
        """The latest of the last `limit` commits whose userMetadata hold `mark`."""
        return next((told for told in self._commits(name, limit) if mark in (told.get("userMetadata") or "")), None)

    def _commits(self, name: str, limit: int) -> Iterator[dict[str, Any]]:
        """version, userMetadata and operationMetrics of the table's latest commits, the last one first, as far as the log goes."""
        if self.settings.lake.catalog:
            told = self._delta(name).history(limit).select("version", "operation", "userMetadata", "operationMetrics")
            yield from (row.asDict() for row in told.collect())
            return
        # DESCRIBE HISTORY would take two Spark jobs.
        folder, last = Path(self.path(name)) / "_delta_log", self.version(name)
        for version in range(last, max(-1, last - limit), -1):
            file = folder / f"{version:020d}.json"
            if not file.is_file():
                return
            with file.open(encoding="utf-8") as lines:
                actions = (json.loads(line) for line in lines)
                info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
            yield {"version": version, **info}

    @contextmanager
    def sole_writer(self, name: str) -> Iterator[None]:
        """Keep others who add rows by their keys out of a local table; waits for one who is at it, ten minutes at most. With a
        catalog nobody can be kept out."""
        if self.settings.lake.catalog or name in self._held:
            yield
            return
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        # The operating system frees the lock when its process ends, however it ends.
        with (folder / f"{name}.lock").open("a+", encoding="utf-8") as handle:
            for _ in range(WAITS):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(WAIT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
            else:
                raise TransientError(f"{name}: another run has been writing it for ten minutes; run the command again")
            self._held.add(name)
            try:
                yield
            finally:
                self._held.discard(name)

    @contextmanager
    def _checked(self, made: Contract, rows: DataFrame, on: date | None, unique: bool) -> Iterator[tuple[DataFrame, int]]:
        """The frame in contract order with its run_id, computed once, and its number of rows (-1: not counted, `unique`)."""
        ready = self._conform(made, rows, on)
        if unique:
            yield ready, -1
            return
        ready = ready.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            groups = ready.groupBy(*made.key).agg(F.count(F.lit(1)).alias("_n"))
            seen = _translated(made.name, lambda: groups.agg(F.sum("_n").alias("rows"), F.max("_n").alias("most")).collect()[0])
            count = int(seen["rows"] or 0)
            if (seen["most"] or 0) > 1:
                twice = groups.where("_n > 1").orderBy(*made.key).limit(1).collect()[0]
                shown = ", ".join(f"{k}={twice[k]!r}" for k in made.key if not made.columns[k].pii)
                key = ", ".join(made.key)
                raise ContractError(f"{made.name}: the key ({key}) is not unique: {twice['_n']} rows have {shown}")
            yield ready.coalesce(max(1, min(count // ROWS_PER_FILE + 1, ready.rdd.getNumPartitions()))), count
        finally:
            ready.unpersist()

    def _conform(self, made: Contract, rows: DataFrame, on: date | None) -> DataFrame:
        """`rows` with the contract's columns in its order, as_of and run_id filled in; ContractError where it does not fit."""
        if on is not None and "as_of" in made.columns and "as_of" not in rows.columns:
            rows = rows.withColumn("as_of", F.lit(on))
        if "run_id" in made.columns:
            rows = rows.withColumn("run_id", F.lit(self.run.run_id))
        missing = [n for n in made.columns if n not in rows.columns]
        extra = [n for n in rows.columns if n not in made.columns]
        there = {f.name: f.dataType for f in rows.schema.fields}
        wanted = {f.name: f.dataType for f in made.struct().fields}
        wrong = [
            f"{n} is {there[n].simpleString()}, not {wanted[n].simpleString()}"
            for n in made.columns
            if n in there and there[n].simpleString() != wanted[n].simpleString()
        ]
        if missing or extra or wrong:
            faults = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(extra)}"] * bool(extra)
            raise ContractError(f"{made.name}: the frame does not fit its contract: {'; '.join(faults + wrong)}")
        return rows.select(*made.columns)

    def _commit(self, name: str, write: Callable[[], T]) -> T:
        """Run one Delta commit; a conflict with another writer is tried again after a jittered, doubling wait."""
        lake = self.settings.lake
        for attempt in range(lake.retries + 1):
            try:
                return _translated(name, write)
            except _ConflictError as conflict:
                if attempt == lake.retries:
                    raise TransientError(
                        f"{name}: other writers got in the way {attempt + 1} times; run the command again"
                    ) from conflict
                # Jitter, so that two writers that met once do not meet again.
                time.sleep(lake.backoff_seconds * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError("unreachable")


def _mark_of(txn: Txn) -> str:
    """What the userMetadata of the transaction's commit hold."""
    return f'"txn": "{txn[0]}:{txn[1]}"'


def _of_today(made: Contract, rows: DataFrame) -> DataFrame:
    """A table's rows with the contract's columns in its order; those that the table does not have yet are null.

    Raises ContractError, naming the table, for a type that is another or a missing column that may not be null.
    """
    if rows.columns == list(made.columns):
        return rows
    refuse_types(made, rows.schema)
    lost = [n for n, c in made.columns.items() if n not in rows.columns and not c.null]
    if lost:
        raise ContractError(
            f"{made.name} was made by another version of its contract: it has no {', '.join(lost)}; migrate the table or use a "
            "new --lake"
        )
    nothing = {n: F.lit(None).cast(c.type) for n, c in made.columns.items() if n not in rows.columns}
    return rows.select(*[nothing[n].alias(n) if n in nothing else F.col(n) for n in made.columns])


class _ConflictError(Exception):
    """Another writer changed what this commit rests on."""


def _translated(name: str, action: Callable[[], T]) -> T:
    """`action()`, with the failures that a user can act on told in their own words; all others pass as they are."""
    try:
        return action()
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if any(conflict in text for conflict in CONFLICTS):
            raise _ConflictError(text[:500]) from error
        raise storage_error(name, text) or error from error


def storage_error(name: str, text: str) -> Exception | None:
    """The user's view of a Spark failure while `name` was written: a full disk, a broken CHECK or NOT NULL, more than the driver
    takes; else None."""
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return TransientError(f"{name}: the disk is full; the table is as it was; make room and run the command again")
    if "Permission denied" in text or "Read-only file system" in text:
        return TransientError(f"{name}: the lake cannot be written: permission denied")
    if "spark.driver.maxResultSize" in text:
        return InputError(
            f"{name}: more comes to the driver than it takes; --set spark.driver.maxResultSize=3g (Spark's default is 1g), and "
            "as much more spark.driver.memory"
        )
    for mark in ("CHECK constraint", "NOT NULL constraint violated", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
        if mark in text:
            # The values that Delta prints after the rule may be personal: only the rule is told.
            rule = text[text.find(mark) :].split(" violated by row", maxsplit=1)[0].split("\n", maxsplit=1)[0]
            return ContractError(f"{name}: {' '.join(rule.split())[:200]} (violated by a row that was to be written)")
    return None
