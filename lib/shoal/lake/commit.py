"""One Delta commit: the run in its metadata, retries of conflicts with other writers, storage errors in the user's words."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from shoal.errors import ContractError, InputError, TransientError
from shoal.lake.log import Txn
from shoal.lake.run import Run
from shoal.lake.store import Store

T = TypeVar("T")
METADATA = "spark.databricks.delta.commitInfo.userMetadata"
TXN_APP, TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
CONFLICTS = ("ConcurrentAppendException", "ConcurrentDeleteReadException", "ConcurrentDeleteDeleteException",
             "ConcurrentTransactionException", "ConcurrentWriteException", "MetadataChangedException",
             "ProtocolChangedException", "ConcurrentModificationException", "FileAlreadyExistsException")  # fmt: skip
# Delta's words for a table that is missing, or that another process is making at this moment.
MISSING = ("DELTA_TABLE_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE", "is not a Delta table")


class ConflictError(Exception):
    """Another writer changed what this commit rests on."""


class MissingError(Exception):
    """Delta found no table where one was to be written."""


@contextmanager
def session_settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Give a session other settings for this block. A run has a session of its own, so no other run sees them."""
    before: dict[str, str | None] = {key: spark.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@dataclass(frozen=True)
class Committer:
    """The commits of one run to the tables of a store."""

    store: Store
    run: Run
    retries: int
    backoff_seconds: float

    def metadata(self, txn: Txn | None = None) -> str:
        """Return the JSON that a commit carries: run_id and job, and the transaction where there is one."""
        facts: dict[str, Any] = {"run_id": self.run.run_id, "job": self.run.job}
        facts |= {"txn": f"{txn[0]}:{txn[1]}"} if txn else {}
        return json.dumps(facts)

    def writer(self, rows: DataFrame, txn: Txn | None = None) -> Any:
        """Return a DataFrameWriter of `rows` whose commit carries the run's metadata and happens once a `txn`."""
        writer = rows.write.format("delta").option("userMetadata", self.metadata(txn))
        return writer.option("txnAppId", txn[0]).option("txnVersion", txn[1]) if txn else writer

    @contextmanager
    def settings(self, more: Mapping[str, str] | None = None, txn: Txn | None = None) -> Iterator[None]:
        """Give this block's commits the run's metadata by the session's settings: MERGE, DELETE, OPTIMIZE, VACUUM and ALTER take no
        option."""
        once = {TXN_APP: txn[0], TXN_VERSION: str(txn[1])} if txn else {}
        with session_settings(self.store.spark, {METADATA: self.metadata(txn), **once, **(more or {})}):
            yield

    def commit(self, name: str, write: Callable[[], T]) -> T:
        """Run one Delta commit. A conflict with another writer is tried again after a jittered, doubling wait.

        Raises TransientError after `lake.retries` more tries; InputError, at once, for a table that does not exist. A table that a
        killed process had begun to make is begun anew at the last try.
        """
        for attempt in range(self.retries + 1):
            try:
                return translated(name, write)
            except ConflictError as conflict:
                if attempt == self.retries:
                    raise TransientError(
                        f"{name}: commit failed after {attempt + 1} conflicting writes; run the command again"
                    ) from conflict
            except MissingError as missing:
                # Of two processes that make a table, one may find it half made: its log is there a moment later.
                if attempt == self.retries or not self.store.has_log_folder(name):
                    raise InputError(f"{name} does not exist in this lake ({self.place(name)})") from missing
                if attempt == self.retries - 1:
                    # Seconds later it still has no version: who began it was killed, and Delta refuses the folder for ever.
                    self.store.remove_empty_log(name)
            # Jitter, so that two writers that met once do not meet again.
            time.sleep(self.backoff_seconds * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError("unreachable")

    def place(self, name: str) -> str:
        """Return where a message says that the table lies."""
        return self.store.sql_name(name) if self.store.catalog else self.store.path(name)

    def alter(self, name: str, statement: str) -> None:
        """Run a statement on the table, which stands in it as {table}; one commit."""
        sql = statement.replace("{table}", self.store.statement_name(name), 1)
        # A path is no table name to Spark while files cannot be named in SQL.
        with self.settings({"spark.sql.runSQLOnFiles": "true"}):
            self.commit(name, lambda: self.store.spark.sql(sql).collect())


def translated(name: str, action: Callable[[], T]) -> T:
    """Return `action()`. Failures that a user can act on are raised in the user's words, all others as they are."""
    try:
        return action()
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if any(conflict in text for conflict in CONFLICTS):
            raise ConflictError(text[:500]) from error
        if any(missing in text for missing in MISSING):
            raise MissingError(text[:500]) from error
        raise storage_error(name, text) or error from error


def storage_error(name: str, text: str) -> Exception | None:
    """Return the user's view of a Spark failure while `name` was written: a full disk, a broken CHECK or NOT NULL, a result that is
    too large for the driver; else None."""
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return TransientError(f"{name}: the disk is full; the table is as it was; make room and run the command again")
    if "Permission denied" in text or "Read-only file system" in text:
        return TransientError(f"{name}: the lake cannot be written: permission denied")
    if "spark.driver.maxResultSize" in text:
        return InputError(
            f"{name}: the result is larger than the driver accepts; --set spark.driver.maxResultSize=3g (Spark's default is 1g), "
            "and as much more spark.driver.memory"
        )
    for mark in ("CHECK constraint", "NOT NULL constraint violated", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
        if mark in text:
            # The values that Delta prints after the rule may be personal: the message has the rule alone.
            rule = text[text.find(mark) :].split(" violated by row", maxsplit=1)[0].split("\n", maxsplit=1)[0]
            return ContractError(f"{name}: {' '.join(rule.split())[:200]} (violated by a row that was to be written)")
    return None
