"""Where answers come from: one published version of a store, and how the next one is noticed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

from shoal.publish.stores.lmdb_files import LmdbReader, current_version
from shoal.publish.stores.manifest import Manifest

Wanted = tuple[str, str]
# Bytes of the last answers of a server that are kept for when it is away.
CACHE_BYTES = 64_000_000


class StoreError(Exception):
    """The store does not answer, or not in time. The message is for the log: it names no key."""


class Reader(Protocol):
    """One published version."""

    manifest: Manifest
    # Whether the last look-ups were answered from what was read before, because the store is away.
    is_stale: bool

    async def get_many(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """The JSON of each (export, key); None for an unknown one. Raises StoreError."""
        ...


class Source(Protocol):
    """A store with a version that serves."""

    place: str

    async def current(self) -> str | None:
        """The name of the version that serves; None where nothing was published. Raises StoreError."""
        ...

    async def open(self, version: str) -> Reader:
        """Open a version. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class LmdbSource:
    """The embedded store: look-ups take microseconds, so that none waits."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)
        # A file can be mapped once in a process: after a return to an earlier version requests may still have it.
        self._open: WeakValueDictionary[str, LmdbVersion] = WeakValueDictionary()

    async def current(self) -> str | None:
        """The version that the pointer names."""
        return current_version(self.folder)

    async def open(self, version: str) -> LmdbVersion:
        """Map a version."""
        found = self._open.get(version)
        if found is None:
            self._open[version] = found = LmdbVersion(LmdbReader(self.folder, version))
        return found

    async def close(self) -> None:
        """Unmap the versions that are open."""
        for each in list(self._open.values()):
            each.close()


class LmdbVersion:
    """A mapped version."""

    is_stale = False

    def __init__(self, reader: LmdbReader) -> None:
        self.manifest, self._get, self.close = reader.manifest, reader.get, reader.close

    async def get_many(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """The JSON of each (export, key)."""
        get = self._get
        return [get(export, key) for export, key in wanted]


class LastAnswers:
    """The newest look-ups of a version, CACHE_BYTES of them, for when its store is away."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._values: OrderedDict[Wanted, bytes | None] = OrderedDict()

    def put(self, wanted: Wanted, value: bytes | None) -> None:
        """Keep an answer; the oldest go."""
        if wanted in self._values:
            self.bytes -= _size(wanted, self._values.pop(wanted))
        self._values[wanted] = value
        self.bytes += _size(wanted, value)
        while self.bytes > self.most_bytes:
            self.bytes -= _size(*self._values.popitem(last=False))

    def get_many(self, wanted: Sequence[Wanted]) -> list[bytes | None] | None:
        """The answers, None where one of them is not kept."""
        if any(each not in self._values for each in wanted):
            return None
        return [self._values[each] for each in wanted]


def _size(wanted: Wanted, value: bytes | None) -> int:
    return 200 + len(wanted[1]) + len(value or b"")
