"""Leases: locks of a lake that has no local files, as rows of ops.locks.

A lease is a row with its owner and the time at which it expires. It is taken by one conditional MERGE, which Delta keeps apart from
others', and renewed before it expires; the lease of an owner that died is free once it has expired. `shoal.runner.job_lock` holds
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.lake import schema
from shoal.lake.commit import Committer, session_settings
from shoal.lake.contract import contract

TABLE = "ops.locks"
# The table has a row a job: a query of it is planned once, as one Spark job of one task a shuffle, and what is merged, some literal
# rows, is the same each time that Delta reads it.
_FEW_ROWS = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.merge.materializeSource": "none",
}


@dataclass(frozen=True)
class Lease:
    """`names`: what is locked; `owner`: the run; `started`: a text for the next holder; `seconds`: until it expires."""

    names: Sequence[str]
    owner: str
    started: str | None
    seconds: float


@dataclass(frozen=True)
class Holder:
    """Who holds, or held, a name. `owner` is None after a release; `expires_at` is UTC without a zone."""

    name: str
    owner: str | None
    expires_at: datetime
    started: str | None

    def holds(self, now: datetime) -> bool:
        """Whether the lease is taken at `now`."""
        return self.owner is not None and self.expires_at >= now


def holders(commits: Committer, names: Sequence[str]) -> dict[str, Holder]:
    """Return the rows of these names, by name; empty before the table exists. Collects a row a name."""
    if not commits.store.exists(TABLE):
        return {}
    # As text: a timestamp would come in the zone of this machine.
    columns = ("name", "owner", F.date_format("expires_at", "yyyy-MM-dd HH:mm:ss.SSSSSS").alias("expires_at"), "started")
    with session_settings(commits.store.spark, _FEW_ROWS):
        rows = commits.store.load(TABLE).where(F.col("name").isin(list(names))).select(*columns).collect()
    found = (Holder(r["name"], r["owner"], datetime.fromisoformat(r["expires_at"]), r["started"]) for r in rows)
    return {each.name: each for each in found}


def take(commits: Committer, lease: Lease, now: datetime) -> None:
    """Make the run the owner of each name that is free, expired at `now` (UTC), or its own; `holders` shows which. One MERGE."""
    schema.create(commits, TABLE, None)
    until = now + timedelta(seconds=lease.seconds)
    free = f"t.owner IS NULL OR t.owner = s.owner OR t.expires_at < TIMESTAMP'{now:%Y-%m-%d %H:%M:%S.%f}'"
    rows = [(name, lease.owner, f"{until:%Y-%m-%d %H:%M:%S.%f}", lease.started, lease.owner) for name in lease.names]
    _merge(commits, rows, "t.name = s.name", free, inserts=True)


def release(commits: Committer, lease: Lease, now: datetime) -> None:
    """Free the names that the run owns. One MERGE."""
    rows = [(name, None, f"{now:%Y-%m-%d %H:%M:%S.%f}", None, lease.owner) for name in lease.names]
    _merge(commits, rows, "t.name = s.name AND t.owner = s.run_id", None, inserts=False)


def _merge(
    commits: Committer, rows: Sequence[tuple[str, str | None, str, str | None, str]], same: str, when: str | None, inserts: bool
) -> None:
    names = list(contract(TABLE).columns)
    frame = _frame(commits.store.spark, rows).select(*names)

    def merge() -> None:
        target = commits.store.delta_table(TABLE).alias("t").merge(frame.alias("s"), same).whenMatchedUpdateAll(when)
        with commits.settings(_FEW_ROWS):
            (target.whenNotMatchedInsertAll() if inserts else target).execute()

    commits.commit(TABLE, merge)


def _frame(spark: SparkSession, rows: Sequence[tuple[str, str | None, str, str | None, str]]):  # type: ignore[no-untyped-def]
    frame = spark.createDataFrame(list(rows), "name string, owner string, expires_at string, started string, run_id string")
    return frame.withColumn("expires_at", F.col("expires_at").cast("timestamp"))
