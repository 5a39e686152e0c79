"""The store in Redis: versioned keys, and one key whose value is the manifest of the version that serves.

`shoal:current` holds the name of the version, `shoal:manifest:<version>` its manifest, `shoal:<version>:<export>:<key>` a value.
A reader takes a manifest once and reads its keys: it sees one version and no mixture. An export that has not changed stays under
the version that wrote it. Keys of a version that no manifest refers to are unlinked, after a grace time for readers that still
have it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from shoal.errors import TransientError, UsageError, one_line
from shoal.publish.stores.manifest import Manifest, read_manifest, versions_beyond

if TYPE_CHECKING:
    from redis import Redis

NAME = "redis"
PASSWORD = "SHOAL_REDIS_PASSWORD"  # noqa: S105 - the variable's name
CURRENT, MANIFEST, BUILDING = "shoal:current", "shoal:manifest:", "shoal:building"
# Beside each manifest, and read with every look-up: where it is gone, as after a restart without a disk, an absent value is no
# answer.
WITNESS = "shoal:whole:"
# Pairs of an MSET: one trip to the server; ten times the rate of single SETs.
BATCH_PAIRS = 1_000
# Pairs sent before the answers are read: some 10 MB of lists.
SCANNED, TIMEOUT_SECONDS = 1_000, 30.0
Pair = tuple[bytes, bytes]


def connection_options(url: str) -> dict[str, Any]:
    """What a client is made with: the URL without a password, and that of SHOAL_REDIS_PASSWORD. Raises UsageError where the URL
    has a password: settings are shown and logged."""
    parts = urlsplit(url)
    if parts.password:
        raise UsageError(f"publish.redis_url: has a password in it; put it into {PASSWORD}")
    password = os.environ.get(PASSWORD)
    return {"url": urlunsplit(parts), **({"password": password} if password else {})}


def value_key(version: str, export: str, key: bytes) -> bytes:
    """The key of a value. `version`: that which wrote the export."""
    return f"shoal:{version}:{export}:".encode() + key


class RedisTarget:
    """The versions of a Redis, as a publisher writes them."""

    name = NAME

    def __init__(self, url: str, grace_seconds: float) -> None:
        import redis

        self.place, self.grace_seconds = url, grace_seconds
        self.client: Redis = redis.Redis.from_url(
            **connection_options(url), socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=5.0, protocol=2
        )

    def current(self) -> Manifest | None:
        """The manifest of the version that serves; None where nothing was published."""
        with _answered(self.place):
            name: Any = self.client.get(CURRENT)
        return None if name is None else self.manifest(name.decode())

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UsageError where the store does not have it."""
        with _answered(self.place):
            text: Any = self.client.get(MANIFEST + version)
        if text is None:
            raise UsageError(f"{self.place}: there is no version {version}")
        return read_manifest(text.decode(), f"{self.place} {MANIFEST}{version}")

    def versions(self) -> list[str]:
        """The names of the whole versions, the oldest first."""
        with _answered(self.place):
            return sorted(key.decode().removeprefix(MANIFEST) for key in self.client.scan_iter(f"{MANIFEST}*", SCANNED))

    def clean(self) -> list[str]:
        """Unlink what a killed writer left, and return its names."""
        with _answered(self.place):
            left: Any = self.client.get(BUILDING)
        if left is None:
            return []
        version = left.decode()
        if version not in self.versions():
            self._unlink(f"shoal:{version}:*")
        with _answered(self.place):
            self.client.delete(BUILDING)
        return [version]

    @contextmanager
    def building(self, version: str, previous: Manifest | None) -> Iterator[RedisBuilding]:
        """Write a new version in this block; the keys of one that was not finished are unlinked by `clean`."""
        with _answered(self.place):
            self.client.set(BUILDING, version)
            yield RedisBuilding(self.client, version)

    def switch(self, manifest: Manifest) -> None:
        """Make a whole version the current one: one SET."""
        with _answered(self.place):
            self.client.set(CURRENT, manifest.version)
            self.client.delete(BUILDING)

    def retire(self, keep: int, serving: Manifest) -> list[str]:
        """Forget the oldest versions but `keep` besides the one that serves; then, after the grace time, unlink the exports that no
        version refers to."""
        gone, kept = versions_beyond(self.versions(), serving.version, keep)
        if not gone:
            return []
        used = {(each.since, name) for version in kept for name, each in self.manifest(version).exports.items()}
        unused = {(each.since, name) for version in gone for name, each in self.manifest(version).exports.items()} - used
        time.sleep(self.grace_seconds)
        with _answered(self.place):
            self.client.delete(*[kind + name for name in gone for kind in (MANIFEST, WITNESS)])
        for since, export in sorted(unused):
            self._unlink(f"shoal:{since}:{export}:*")
        return gone

    def _unlink(self, pattern: str) -> None:
        """Unlink keys, SCANNED at a time: the server frees them beside its other work."""
        with _answered(self.place):
            found = self.client.scan_iter(pattern, SCANNED)
            while batch := list(islice(found, SCANNED)):
                self.client.unlink(*batch)


class RedisBuilding:
    """A version that is being written."""

    def __init__(self, client: Redis, version: str) -> None:
        self.client, self.version = client, version

    def load(self, name: str, pairs: Iterable[Pair]) -> int:
        """Write an export, BATCH_PAIRS pairs a trip, and return how many they are."""
        rows, waiting = 0, iter(pairs)
        while batch := list(islice(waiting, BATCH_PAIRS)):
            self.client.mset({value_key(self.version, name, key): value for key, value in batch})  # type: ignore[misc]
            rows += len(batch)
        return rows

    def keep(self, name: str, since: str) -> None:
        """Nothing to do: the manifest refers to the version that wrote the export."""

    def finish(self, manifest: Manifest) -> int:
        """Write the manifest: the version is whole."""
        self.client.mset({MANIFEST + manifest.version: manifest.text(), WITNESS + manifest.version: "1"})
        return 0


@contextmanager
def _answered(place: str) -> Iterator[None]:
    """Raise TransientError, one line, where the server is away, full or refuses."""
    import redis

    try:
        yield
    except redis.RedisError as error:
        raise TransientError(f"{place}: {one_line(error)}") from error
