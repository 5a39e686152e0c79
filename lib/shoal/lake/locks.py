"""Locks between processes on one machine: files under <lake>/.locks, which the operating system unlocks when their holder ends,
however it ends. Built on filelock; a lock's file stays, and what is written in it stays too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from shoal.errors import TransientError

# A wait for a lock without an end.
FOREVER = -1.0


def lock_path(root: Path, name: str) -> Path:
    """The file of the lock `name` in the lake at `root`."""
    return root / ".locks" / f"{name}.lock"


@contextmanager
def file_lock(path: Path, wait_seconds: float, refusal: str, poll_seconds: float = 0.05) -> Iterator[Path]:
    """Hold the lock of the file `path` in this block; yields the path. The file and its folder are made where they are missing.

    Two holders exclude each other even in one thread. Raises TransientError with the text `refusal` where another holder still has
    the lock after `wait_seconds` (0: at once, FOREVER: never). OSError where the file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=wait_seconds, poll_interval=poll_seconds)
    except Timeout:
        raise TransientError(refusal) from None
    try:
        yield path
    finally:
        lock.release()
