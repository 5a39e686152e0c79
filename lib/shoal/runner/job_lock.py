"""One run of a job at a time in a lake: a locked file in a local lake, a renewed lease in a lake at a URI or in a catalog."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shoal.errors import ShoalError, TransientError, UsageError
from shoal.lake.commit import Committer
from shoal.lake.lake import Lake, storage_error
from shoal.lake.leases import Holder, Lease, holders, release, take
from shoal.lake.locks import file_lock, lock_path
from shoal.runner.clock import utc_now
from shoal.runner.job import job_files
from shoal.spark.session import own_session

LOG = logging.getLogger(__name__)


@contextmanager
def job_lock(lake: Lake, job: str, started: dict[str, str]) -> Iterator[dict[str, str] | None]:
    """Hold the only run of `job` in this lake; yields what a killed earlier run left in the lock, else None.

    In a local lake the operating system frees the lock when its process ends, however it ends; elsewhere the lease of a process
    that died expires after lake.lease_seconds. Raises TransientError after the configured number of jittered, doubling waits, of a
    lease at once.
    """
    if not lake.is_local:
        with held_lease(lake, [job], json.dumps(started)) as left_behind:
            yield json.loads(left_behind[job]) if job in left_behind else None
        return
    path, conf = lock_path(lake.root, job), lake.settings.lake
    refusal = f"{job} is running in this lake already ({path} is held); wait for it, then run this again"
    # As long as a commit that meets conflicts is tried.
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(path, conf.backoff_seconds * (2**conf.retries - 1), refusal))
            left = path.read_text(encoding="utf-8").strip()
            path.write_text(json.dumps(started), encoding="utf-8")
        except OSError as error:
            raise _os_error(lake.root, error) from error
        killed = None
        if left:
            try:
                killed = json.loads(left)
            except ValueError:
                killed = None  # cut while it was written: the run had not begun
        yield killed
        try:
            path.write_text("", encoding="utf-8")
        except OSError as error:
            raise _os_error(lake.root, error) from error


@contextmanager
def alone(lake: Lake) -> Iterator[None]:
    """Keep every other job out of this lake. Raises TransientError, naming it, where one is running now."""
    if not lake.is_local:
        with held_lease(lake, [name for name in job_files() if name != lake.run.job], None):
            yield
        return
    with ExitStack() as held:
        for name in job_files():
            if name == lake.run.job:
                continue
            refusal = f"{name} is running in this lake; wait for it or stop it, then run this again"
            held.enter_context(file_lock(lock_path(lake.root, name), 0, refusal))
        yield


@contextmanager
def held_lease(lake: Lake, names: Sequence[str], started: str | None) -> Iterator[dict[str, str]]:
    """Hold the lease of all `names` in this block; yields name -> `started` of holders that died with it.

    Raises TransientError, naming the holder and when its lease expires, where another run holds one of the names. Cost: a MERGE and
    two reads of ops.locks to take it, a MERGE each quarter of lake.lease_seconds, one to release it. They run in a session of their
    own, whose settings the run's commits do not share.
    """
    lease = Lease(list(names), lake.run.run_id, started, lake.settings.lake.lease_seconds)
    with own_session(lake.spark) as session:
        commits = replace(lake.commits, store=replace(lake.store, spark=session))
        lake.store.require_root()
        before = holders(commits, names)
        _refuse_held(lease, before)
        take(commits, lease, _now())
        ours = holders(commits, names)
        lost = [each for each in ours.values() if each.owner != lease.owner]
        if lost:
            # Another run was faster; its lease may have ended since, but this one was not taken.
            release(commits, lease, _now())
            raise _held_by_another(lost[0])
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(commits, lease, ended), daemon=True, name=f"lease of {lease.owner}")
    renewal.start()
    try:
        yield {name: each.started for name, each in before.items() if each.owner is not None and each.started}
    finally:
        ended.set()
        renewal.join()
        with own_session(lake.spark) as session:
            release(replace(commits, store=replace(lake.store, spark=session)), lease, _now())


def _now() -> datetime:
    """The time by which leases expire: UTC without a zone, as ops.locks has it."""
    return utc_now().replace(tzinfo=None)


def _renew(commits: Committer, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(lease.seconds / 4):
        try:
            take(commits, lease, _now())
        except Exception as error:  # noqa: BLE001 - another try follows before the lease expires
            LOG.warning("the lease of %s could not be renewed: %s", ", ".join(lease.names), error)


def _refuse_held(lease: Lease, found: dict[str, Holder]) -> None:
    for each in found.values():
        if each.owner != lease.owner and each.holds(_now()):
            raise _held_by_another(each)


def _held_by_another(holder: Holder) -> TransientError:
    until = f"{holder.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return TransientError(
        f"{holder.name} is running in this lake already (run {holder.owner}); wait for it, or, where it was killed, until its "
        f"lease expires: {until}"
    )


def _os_error(root: Path, error: OSError) -> ShoalError:
    known = storage_error(str(root), str(error))
    return known if isinstance(known, ShoalError) else UsageError(f"--lake {root}: {error.strerror or error}")
