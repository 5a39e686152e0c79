"""Reads and writes of tables, by the names of their contracts. No other room reads or writes one.

Every writer checks the frame against the contract first, puts the run's id into the rows and into the Delta history, and is one
Delta commit: a job killed at any moment leaves the table as it was or as it should be. Where tables lie: `shoal.lake.store`;
contracts: `shoal.lake.schema`; commits and conflicts: `shoal.lake.commit`; Delta's log: `shoal.lake.log`; compaction, retention,
purging: `shoal.lake.maintenance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.conf.addresses import is_uri
from shoal.conf.sections import Settings
from shoal.errors import ContractError, SkippedError, UsageError
from shoal.lake import log, schema
from shoal.lake.commit import Committer, session_settings, storage_error, translated
from shoal.lake.contract import Contract, contract
from shoal.lake.locks import file_lock, lock_path
from shoal.lake.log import DataFile, Txn
from shoal.lake.migration import literal
from shoal.lake.run import Run
from shoal.lake.schema import PSEUDONYMISED_LAYERS, PSEUDONYMS_PROPERTY
from shoal.lake.store import Store, resolved_root

__all__ = ["PSEUDONYMISED_LAYERS", "PSEUDONYMS_PROPERTY", "Lake", "Run", "Txn", "storage_error"]

# Rows a file: small enough to rewrite quickly, large enough that a table of millions stays a handful of files.
ROWS_PER_FILE = 2_000_000
# Seconds that a writer by keys waits for the table's other one.
LOCK_SECONDS, LOCK_POLL_SECONDS = 600.0, 0.25
# Adaptive execution makes a Spark job of every shuffle and plans anew after each: more than a query over a small table costs.
ONE_JOB_A_QUERY = {"spark.sql.adaptive.enabled": "false"}
# Tables up to this size are merged without adaptive execution.
SMALL_TABLE_BYTES = 64_000_000
# A run whose input tables are together no larger plans its queries once, with as many tasks a shuffle as a small machine has cores.
SMALL_INPUT_BYTES = 8_000_000
SMALL_INPUT = ONE_JOB_A_QUERY | {"spark.sql.shuffle.partitions": "2"}


@dataclass(frozen=True)
class _View:
    """A version of a local table: the JVM's snapshot, its files, and the frame of their rows."""

    files: list[DataFile]
    frame: DataFrame


class Lake:
    """The tables under one root, seen from one run.

    `tunes_session`: the session is the run's own, and its settings follow the size of the input tables (SMALL_INPUT).
    """

    def __init__(self, spark: SparkSession, root: str | Path, settings: Settings, run: Run, tunes_session: bool = False) -> None:
        self.spark = spark
        self.address = resolved_root(root)
        self.settings = settings
        self.run = run
        self.store = Store(spark, self.address, settings.lake.catalog)
        self.commits = Committer(self.store, run, settings.lake.retries, settings.lake.backoff_seconds)
        self._held: set[str] = set()
        self._views: dict[tuple[str, int], _View | None] = {}
        tunes = tunes_session and self.store.is_local
        self._usual = {key: spark.conf.get(key) or "" for key in SMALL_INPUT} if tunes else {}
        self._input_bytes = 0

    @property
    def root(self) -> Path:
        """The lake's folder. Raises UsageError for a lake at a URI: what needs a folder of this machine names its setting."""
        if self.folder is None:
            raise UsageError(f"--lake {self.address}: this needs a local folder")
        return self.folder

    @property
    def folder(self) -> Path | None:
        """The lake's folder; None for a lake at a URI."""
        return None if is_uri(self.address) else Path(self.address)

    @property
    def is_local(self) -> bool:
        """Whether the tables are folders of this machine."""
        return self.store.is_local

    # -- tables

    def path(self, name: str) -> str:
        """Return the folder of a local table. Raises UsageError for a name without a contract."""
        return self.store.path(name)

    def exists(self, name: str) -> bool:
        """Whether the table has been made; True for a table without rows."""
        return self.store.exists(name)

    def version(self, name: str) -> int:
        """Return the number of the table's latest Delta commit; -1 where the table does not exist."""
        return log.version(self.store, name)

    def committed_at(self, name: str) -> datetime | None:
        """Return when the table's latest commit was made, UTC without a zone; None where its log does not say. No Spark job for a
        local table."""
        return log.committed_at(self.store, name)

    def properties(self, name: str) -> dict[str, str]:
        """Return the Delta properties of a table that exists; no Spark job for a local one."""
        return log.properties(self.store, name)

    def create(self, name: str) -> Contract:
        """Make the table from its contract where it does not exist yet, or migrate it, and return the contract.

        Raises ContractError, naming the columns, where a table of an older contract cannot be migrated.
        """
        return schema.create(self.commits, name, self.settings.privacy)

    def drop(self, name: str) -> None:
        """Remove the table with all its files."""
        self._views.clear()
        self.store.drop(name)

    def register(self, names: list[str]) -> list[str]:
        """Give tables of a local lake their SQL names in this session; returns those that exist. A catalog has them already."""
        return self.store.register(names)

    # -- reading

    def read(
        self,
        name: str,
        on: date | None = None,
        before: date | None = None,
        missing_ok: bool = False,
        version: int | None = None,
    ) -> DataFrame:
        """Return the rows of a table at its present version: all, those of `on` (as_of is that day), or those known `before` the
        end of that day (the contract's time column; a row without a time is always known).

        The version is recorded, so that every later look of this run at the table sees the same rows; another `version`
        can be asked for. Where the table does not exist: an empty frame with `missing_ok`, else SkippedError naming it. The first
        read counts the rows, from the log where it is short.
        """
        made = contract(name)
        if not self.exists(name):
            if missing_ok:
                return self.spark.createDataFrame([], made.struct())
            raise SkippedError(f"{name} does not exist in this lake")
        recorded = self._input_version(name)
        wanted = recorded if version is None else version
        whole = self._frame(name, wanted)
        if name not in self.run.rows_in:
            self._tune_session(name, wanted)
            self.run.rows_in[name] = self._count(name, whole, wanted, on)
        rows = schema.current_columns(made, whole)
        if on is not None:
            rows = rows.where(F.col("as_of") == F.lit(on))
        if before is not None:
            if made.time_column is None:
                raise ContractError(f"{name} has no time_column: `before` cannot be asked of it")
            end = F.lit(f"{before + timedelta(days=1)} 00:00:00").cast("timestamp")
            rows = rows.where(F.col(made.time_column).isNull() | (F.col(made.time_column) < end))
        return rows

    def read_if_exists(self, name: str, on: date | None = None, before: date | None = None) -> DataFrame | None:
        """Return `read`, or None where the table does not exist."""
        return self.read(name, on, before) if self.exists(name) else None

    def read_current(self, name: str) -> DataFrame:
        """Return the rows of a table as they are at this call, what this run wrote included; not recorded as an input."""
        # Asking a catalog for the version would cost a query.
        rows = self.store.load(name) if self.store.catalog else self._frame(name, self.version(name))
        return schema.current_columns(contract(name), rows)

    def read_commit(self, name: str, version: int) -> DataFrame:
        """Return the rows that the commit `version`, an append, has added; not recorded as an input.

        From that commit's files alone. Elsewhere, with more than 100 files, and where the commit is not in the log any more,
        these are the rows of `read_current`: the caller still says which ones it means.
        """
        files = log.added_files(self.store, name, version)
        if files is None:
            return self.read_current(name)
        frame = log.frame_of_files(self.store, name, log.snapshot(self.store, name), files)
        return schema.current_columns(contract(name), frame)

    def row_count(self, name: str) -> int:
        """Return how many rows the table has now; from a short log without a Spark job."""
        if self.store.catalog:
            return self.store.load(name).count()
        at = self.version(name)
        return self._count(name, self._frame(name, at), at, None)

    def inserts_since(self, name: str, since: int) -> DataFrame | None:
        """Return the rows added to a table after version `since`, up to the version this run reads; None where that cannot be
        known, because rows were changed or removed, files were vacuumed away, or there are over 10,000 commits since.

        Needs the contract's property delta.enableChangeDataFeed. Reads the commits' own records, and the files that were added.
        """
        until = self._input_version(name)
        if since > until:
            return None
        if since == until:
            return self.read(name).limit(0)
        last = self.version(name)
        if last - since > log.FEW_COMMITS:
            return None
        commits = log.commits(self.store, name, last - since)
        operations = [commit.get("operation") or "" for commit in commits if since < commit["version"] <= until]
        # An erasure removes the log's history too.
        if len(operations) < until - since or any("VACUUM" in each or each == "RESTORE" for each in operations):
            return None
        changes = self.store.load(name, readChangeFeed="true", startingVersion=since + 1, endingVersion=until)
        if changes.where("_change_type != 'insert'").limit(1).count():
            return None
        return changes.drop("_change_type", "_commit_version", "_commit_timestamp")

    def last_commit(self, name: str) -> int | None:
        """Return the version that this run's latest commit made of the local table; None where it is not among the last five."""
        ours = log.commit_with(self.store, name, self.run.run_id, 5)
        return None if ours is None else int(ours["version"])

    # -- writing

    def replace(self, name: str, rows: DataFrame, on: date, unique: bool = False, **within: str | Sequence[str]) -> int:
        """Make `rows` the table's only rows of that as_of, and return how many they are. Other days stay as they were.

        `unique=True` says that the caller has made the key unique already, which saves a shuffle and a cache. For a table that
        several jobs write, `within` names the part of the day that is this job's, by a value of a column or several:
        `task="sentiment"`.
        """
        made = contract(name)
        if not set(within) <= set(made.columns):
            raise ContractError(f"{name} has no column {', '.join(sorted(set(within) - set(made.columns)))}")
        parts = {"as_of": [on.isoformat()]}
        parts |= {column: [value] if isinstance(value, str) else list(value) for column, value in within.items()}
        return self._replace(name, rows, parts, on, unique)

    def replace_where(self, name: str, rows: DataFrame, column: str, values: Sequence[str], unique: bool = False) -> int:
        """Make `rows` the table's only rows whose `column` is one of `values`, and return how many they are.

        `unique=True` says that the caller has made the key unique already, which saves a shuffle.
        """
        if column not in contract(name).columns:
            raise ContractError(f"{name} has no column {column}")
        return self._replace(name, rows, {column: list(values)}, None, unique)

    def overwrite(self, name: str, rows: DataFrame) -> int:
        """Make `rows` the whole table, and return how many they are."""
        return self._replace(name, rows, {}, None)

    def append(self, name: str, rows: DataFrame, unique: bool = False) -> int:
        """Add `rows` and return how many they are. A rerun adds them again: for logs such as ops.runs."""
        made = self.create(name)
        with self._checked(made, rows, None, unique) as (checked, count):
            before = self.version(name)
            self._save(name, checked, "append")
        return self.run.wrote(name, count if count >= 0 else self._written(name, before))

    def append_once(self, name: str, rows: DataFrame, txn: Txn) -> int | None:
        """Add `rows`, whose key the caller has made unique, unless a commit of `txn` has; they are not counted. Returns the version
        that this made of a local table, None where nothing was added.

        An earlier attempt's rows stay as they are, whatever `rows` are now. Versions of an application must only rise.
        """
        ready = schema.conform(self.create(name), rows, self.run.run_id)
        before = self.version(name)
        self._prepare_snapshot(name)
        self._save(name, ready, "append", txn)
        if not self.is_local:
            return None
        # Of the versions since then others may have made some.
        ours = log.commit_with(self.store, name, log.txn_text(txn), self.version(name) - before)
        return None if ours is None else int(ours["version"])

    def append_log(self, name: str, rows: DataFrame) -> None:
        """Add rows that carry their own run_id (ops.runs) as they are; not counted as the run's output."""
        self.create(name)
        self._save(name, rows.coalesce(1), "append")

    def insert_if_absent(self, name: str, rows: DataFrame, unique: bool = False, txn: Txn | None = None) -> int:
        """Add the rows whose key the table does not have, and return how many these are. Rows that it has stay.

        With `txn` and an earlier attempt that was committed: nothing is written, and that attempt's rows are the count.
        """
        return self._merge(name, rows, unique, update=False, txn=txn)

    def append_known_new(self, name: str, rows: DataFrame, at: int, txn: Txn | None = None, renew: bool = False) -> int:
        """Add rows whose keys are unique and not in version `at` of the table (-1: there was none), as the caller has found, and
        return how many; `txn` as above.

        Where no other run has written since, that spares the search through the table that `insert_if_absent` makes; else, and
        elsewhere, where no lock keeps others out, this is `insert_if_absent`, or `upsert` with `renew`.
        """
        with self.sole_writer(name):
            if not self.is_local or self.version(name) != at:
                return (self.upsert if renew else self.insert_if_absent)(name, rows, unique=True, txn=txn)
            if txn is None:
                return self.append(name, rows, unique=True)
            self.append_once(name, rows, txn)
            return self.run.wrote(name, self._written(name, at, txn=txn))

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
        return self._change(name, lambda: self._target(name).merge(keys, copies).whenMatchedDelete(), "Deleted")

    def delete(self, name: str, keys: DataFrame) -> int:
        """Remove the rows whose key is in `keys` (the contract's key columns), and return how many they were.

        By MERGE: the values that are looked for stay out of the log, where those of a DELETE would stand.
        """
        made = contract(name)
        wanted = keys.select(*made.key).distinct().alias("s")
        merge = lambda: self._target(name).merge(wanted, _same_key(made.key)).whenMatchedDelete()  # noqa: E731
        return self.run.wrote(name, self._change(name, merge, "Deleted"))

    def update(self, name: str, rows: DataFrame, columns: Sequence[str]) -> int:
        """Put the `columns` of `rows` over the rows whose key is in `rows` under `_old_<key>`, and return how many changed.

        The key may be among what changes; CHECKs hold as for every write.
        """
        same = " AND ".join(f"t.`{k}` = s.`_old_{k}`" for k in contract(name).key)
        values: dict[str, str | Column] = {f"`{c}`": f"s.`{c}`" for c in columns}
        merge = lambda: self._target(name).merge(rows.alias("s"), same).whenMatchedUpdate(set=values)  # noqa: E731
        return self.run.wrote(name, self._change(name, merge, "Updated"))

    @contextmanager
    def sole_writer(self, name: str) -> Iterator[None]:
        """Keep others who add rows by their keys out of a local table; waits for one who has it, ten minutes at most. Tables
        elsewhere have no such lock: Delta's own check of conflicts decides."""
        if not self.is_local or name in self._held:
            yield
            return
        refusal = f"{name}: another run has been writing it for ten minutes; run the command again"
        with file_lock(lock_path(self.root, name), LOCK_SECONDS, refusal, LOCK_POLL_SECONDS):
            self._held.add(name)
            try:
                yield
            finally:
                self._held.discard(name)

    # -- how rows are read

    def _input_version(self, name: str) -> int:
        """The version that this run reads of a table; recorded at its first read."""
        if name not in self.run.input_versions:
            self.run.input_versions[name] = self.version(name)
        return self.run.input_versions[name]

    def _frame(self, name: str, version: int) -> DataFrame:
        """The rows of a version, as the table has them. Of a small local table from its list of files: Delta finds them with a
        Spark job a query, and three more for the first of a version."""
        view = self._view(name, version)
        return self.store.load(name, versionAsOf=version) if view is None else log.same_rows(view.frame)

    def _view(self, name: str, version: int) -> _View | None:
        """The files of a version and their frame; None elsewhere, for a long log and for many files. Kept: a run reads the
        same version again."""
        if not self.is_local or version < 0:
            return None
        if (name, version) not in self._views:
            latest = log.snapshot(self.store, name)
            view = None
            # The frame of an earlier version needs that version's schema, which Delta would rebuild.
            if int(latest.version()) == version:
                files = log.data_files(self.store, name, version)
                if files is not None and len(files) <= log.FEW_FILES:
                    view = _View(files, log.frame_of_files(self.store, name, latest, [file.action for file in files]))
            self._views[name, version] = view
        return self._views[name, version]

    def _tune_session(self, name: str, version: int) -> None:
        """Plan the run's queries for small tables for as long as it has read no others."""
        if not self._usual:
            return
        view = self._view(name, version)
        self._input_bytes += SMALL_INPUT_BYTES + 1 if view is None else sum(file.size for file in view.files)
        for key, value in (SMALL_INPUT if self._input_bytes <= SMALL_INPUT_BYTES else self._usual).items():
            self.spark.conf.set(key, value)

    def _count(self, name: str, whole: DataFrame, version: int, on: date | None) -> int:
        """How many rows a version has, of the day `on` where one is given."""
        view = self._view(name, version)
        known = None if view is None else log.rows_of(view.files, on)
        if known is not None:
            return known
        # Answered from the log's statistics, or from file footers where a partition is asked for.
        return (whole.where(F.col("as_of") == F.lit(on)) if on is not None else whole).count()

    # -- how rows are written

    def _save(self, name: str, rows: DataFrame, mode: str, txn: Txn | None = None, where: str = "") -> None:
        """One commit of a plain write."""
        writer = self.commits.writer(rows, txn).mode(mode)
        writer = writer.option("replaceWhere", where) if where else writer
        self.commits.commit(name, lambda: self.store.save(name, writer))

    def _target(self, name: str) -> Any:
        """The table as the target `t` of a MERGE."""
        return self.store.delta_table(name).alias("t")

    def _written(self, name: str, before: int, *metrics: str, txn: Txn | None = None) -> int:
        """The sum of these metrics of what this run has committed since version `before`, 0 where Delta had nothing to commit; of a
        `txn` that an earlier attempt committed, of that commit."""
        text = log.txn_text(txn) if txn else self.run.run_id
        return log.written(self.store, name, text, max(self.version(name) - before, log.TXN_COMMITS if txn else 0), *metrics)

    def _prepare_snapshot(self, name: str) -> None:
        """Let Delta sum up the table's log with one Spark job, which it needs to look for a transaction or for files to replace;
        with adaptive execution it would be three."""
        if not self.store.catalog:
            with session_settings(self.spark, ONE_JOB_A_QUERY):
                log.snapshot(self.store, name).numOfFiles()

    def _replace(self, name: str, rows: DataFrame, parts: dict[str, list[str]], on: date | None, unique: bool = False) -> int:
        """Replace the rows in which each column of `parts` has one of its values; all rows where there is no column."""
        made = self.create(name)
        where = " AND ".join(_where(made, column, values) for column, values in parts.items())
        with self._checked(made, rows, on, unique) as (checked, count), ExitStack() as held:
            mode, written = "overwrite", checked
            if parts and self.is_local:
                held.enter_context(self.sole_writer(name))
                if self._has_none_of(name, parts):
                    # Nothing to replace: an append, for which Delta looks for no files.
                    mode, where, written = "append", "", _refuse_others(made, checked, parts)
                else:
                    held.close()
            if mode == "overwrite":
                self._prepare_snapshot(name)
            before = self.version(name)
            self._save(name, written, mode, where=where)
        return self.run.wrote(name, count if count >= 0 else self._written(name, before))

    def _has_none_of(self, name: str, parts: dict[str, list[str]]) -> bool:
        """Whether no file of the local table's latest version can hold a row of `parts`, by partitions and statistics."""
        files = log.data_files(self.store, name, self.version(name))
        return files is not None and not any(log.may_hold(file, parts) for file in files)

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

            def commit() -> None:
                new = None if gone is not None else self._rows_to_append(made, checked, update)
                if new is not None:
                    self.store.save(name, self.commits.writer(new, txn).mode("append"))
                    return
                merge = self._target(name).merge(source.alias("s"), _same_key(made.key)).whenNotMatchedInsertAll(stays)
                merge = merge.whenMatchedDelete("s._gone") if gone is not None else merge
                merge = merge.whenMatchedUpdateAll() if update else merge
                with self.commits.settings(self._merge_settings(name, is_persisted=not unique and gone is None), txn):
                    merge.execute()

            metrics = ["numTargetRowsInserted", *(["numTargetRowsUpdated"] if update else [])]
            with self.sole_writer(name):
                before = self.version(name)
                if txn is not None:
                    self._prepare_snapshot(name)
                self.commits.commit(name, commit)
        return self.run.wrote(name, self._written(name, before, *metrics, txn=txn))

    def _rows_to_append(self, made: Contract, rows: DataFrame, update: bool) -> DataFrame | None:
        """Those of `rows` that an append adds to a local table with the same result as a MERGE, of which it takes a third of the
        Spark jobs; None where only a MERGE can. The caller holds the table's lock, which keeps others out who add rows by their
        keys.

        All of them where the table is empty; without `update` those whose key the table does not have, where it is small.
        """
        if not self.is_local:
            return None
        if log.is_without_files(self.store, made.name):
            return rows
        at = self.version(made.name)
        view = None if update else self._view(made.name, at)
        if view is None or sum(file.size for file in view.files) > SMALL_TABLE_BYTES:
            return None
        return rows.join(log.same_rows(view.frame).select(*made.key), list(made.key), "left_anti").select(*made.columns)

    def _change(self, name: str, merge: Callable[[], Any], what: str) -> int:
        """Run the MERGE and return how many rows it changed, which are not counted as the run's output."""

        def commit() -> None:
            with self.commits.settings(self._merge_settings(name)):
                merge().execute()

        before = self.version(name)
        self.commits.commit(name, commit)
        return self._written(name, before, f"numTargetRows{what}")

    def _merge_settings(self, name: str, is_persisted: bool = False) -> dict[str, str]:
        """Settings of a MERGE into a small local table, that runs as few Spark jobs as it can."""
        files = log.data_files(self.store, name, self.version(name))
        if files is None or sum(file.size for file in files) > SMALL_TABLE_BYTES:
            return {}
        # A source that is persisted is the same each time that Delta reads it.
        return ONE_JOB_A_QUERY | ({"spark.databricks.delta.merge.materializeSource": "none"} if is_persisted else {})

    @contextmanager
    def _checked(self, made: Contract, rows: DataFrame, on: date | None, unique: bool) -> Iterator[tuple[DataFrame, int]]:
        """The frame in contract order with its run_id, computed once, and its number of rows (-1: not counted, `unique`)."""
        ready = schema.conform(made, rows, self.run.run_id, on)
        if unique:
            yield ready, -1
            return
        ready = ready.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            groups = ready.groupBy(*made.key).agg(F.count(F.lit(1)).alias("_n"))
            sums = groups.agg(F.sum("_n").alias("rows"), F.max("_n").alias("most"))
            with session_settings(sums.sparkSession, ONE_JOB_A_QUERY if self.is_local else {}):
                seen = translated(made.name, lambda: sums.collect()[0])
            count = int(seen["rows"] or 0)
            if (seen["most"] or 0) > 1:
                twice = groups.where("_n > 1").orderBy(*made.key).limit(1).collect()[0]
                shown = ", ".join(f"{k}={twice[k]!r}" for k in made.key if not made.columns[k].pii)
                key = ", ".join(made.key)
                raise ContractError(f"{made.name}: the key ({key}) is not unique: {twice['_n']} rows have {shown}")
            yield ready.coalesce(count // ROWS_PER_FILE + 1), count
        finally:
            ready.unpersist()


def _same_key(key: Sequence[str]) -> str:
    """The SQL that joins the target `t` of a MERGE and its source `s`."""
    return " AND ".join(f"t.`{k}` = s.`{k}`" for k in key)


def _where(made: Contract, column: str, values: Sequence[str]) -> str:
    """The SQL by which a column has one of `values`."""
    kind = "DATE" if made.columns[column].type == "date" else ""
    listed = ", ".join(f"{kind}{literal(value)}" for value in values)
    return f"`{column}` = {listed}" if len(values) == 1 else f"`{column}` IN ({listed})"


def _refuse_others(made: Contract, rows: DataFrame, parts: dict[str, list[str]]) -> DataFrame:
    """The rows; the write of one that is not in `parts` fails, as it would with Delta's replaceWhere."""
    for column, values in parts.items():
        message = F.lit(f"{made.name}: a row whose {column} is not one of those that are replaced")
        fits = F.expr(_where(made, column, values))
        kept = F.when(fits, F.col(column)).otherwise(F.raise_error(message).cast(made.columns[column].type))
        rows = rows.withColumn(column, kept)
    return rows
