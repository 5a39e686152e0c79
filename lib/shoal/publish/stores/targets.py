"""The stores by name, as a publisher writes them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from shoal.conf.sections import PublishConf
from shoal.errors import UsageError
from shoal.publish.stores.lmdb_files import LmdbTarget
from shoal.publish.stores.manifest import Manifest
from shoal.publish.stores.postgres_store import PostgresTarget
from shoal.publish.stores.redis_store import RedisTarget
from shoal.publish.stores.search_store import SearchTarget


class Building(Protocol):
    """A version that is being written and that no reader sees."""

    def load(self, name: str, pairs: Iterable[tuple[bytes, bytes]]) -> int:
        """Write an export from pairs in the order of their keys, and return how many they are."""
        ...

    def keep(self, name: str, since: str) -> None:
        """Take an export over from the version before, in which it is that of version `since`."""
        ...

    def finish(self, manifest: Manifest) -> int:
        """Make the version whole; returns its bytes, 0 where the store does not say."""
        ...


class Target(Protocol):
    """A store with versions of which one serves."""

    name: str
    place: str

    def current(self) -> Manifest | None:
        """The manifest of the version that serves."""
        ...

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UsageError where the store does not have it."""
        ...

    def versions(self) -> list[str]:
        """The names of the whole versions, the oldest first."""
        ...

    def clean(self) -> list[str]:
        """Remove what killed writers left, and return its names."""
        ...

    def building(self, version: str, previous: Manifest | None) -> AbstractContextManager[Building]:
        """Write a new version in this block."""
        ...

    def switch(self, manifest: Manifest) -> None:
        """Make a whole version the one that serves, in one step."""
        ...

    def retire(self, keep: int, serving: Manifest) -> list[str]:
        """Remove the oldest versions but `keep` besides the one that serves."""
        ...


def open_target(conf: PublishConf, folder: Path) -> Target:
    """The store of `publish.target`. `folder`: where published files lie. Raises UsageError where its address is missing."""
    if conf.target == "redis":
        if conf.redis_url is None:
            raise UsageError("publish.redis_url is not set; --url redis://HOST:PORT/0 names the server")
        client("redis", "redis")
        return RedisTarget(conf.redis_url, conf.grace_seconds)
    if conf.target == "postgres":
        if conf.postgres_url is None:
            raise UsageError("publish.postgres_url is not set; --url postgresql://USER@HOST:PORT/DATABASE names the server")
        client("psycopg", "postgres")
        return PostgresTarget(conf.postgres_url, conf.grace_seconds)
    if conf.target == "search":
        if conf.search_url is None:
            raise UsageError("publish.search_url is not set; --url https://USER@HOST:PORT names the server")
        client("opensearchpy", "search")
        return SearchTarget(conf.search_url, conf.grace_seconds)
    return LmdbTarget(folder / "lmdb")


def client(module: str, extra: str) -> None:
    """Raise UsageError where the client of a store is not installed."""
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"the package {module} is not installed; `pip install shoal[{extra}]` brings it")
