"""A published version in Redis, read without blocking; from the last answers while the server is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError

from shoal.publish.api.sources import LastAnswers, StoreError, Wanted
from shoal.publish.stores.exports import store_key
from shoal.publish.stores.manifest import Manifest, read_manifest
from shoal.publish.stores.redis_store import CURRENT, MANIFEST, WITNESS, connection_options, value_key

# A look-up takes some tenths of a millisecond; a server that takes a second is away.
TIMEOUT_SECONDS, MAX_CONNECTIONS = 1.0, 64


class RedisSource:
    """A Redis with a version that serves."""

    def __init__(self, url: str) -> None:
        self.place = url
        self.client: Any = redis.Redis.from_url(
            **connection_options(url), socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS,
            max_connections=MAX_CONNECTIONS, protocol=2,
        )  # fmt: skip

    async def current(self) -> str | None:
        """The version that the pointer names."""
        found = await self._get(CURRENT)
        return None if found is None else found.decode()

    async def open(self, version: str) -> RedisVersion:
        """Take a version's manifest."""
        text = await self._get(MANIFEST + version)
        if text is None:
            raise StoreError(f"version {version} has no manifest")
        return RedisVersion(self.client, read_manifest(text.decode(), self.place))

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def _get(self, key: str) -> bytes | None:
        try:
            found: bytes | None = await self.client.get(key)
        except (RedisError, OSError) as error:
            raise StoreError(type(error).__name__) from None
        return found


class RedisVersion:
    """A version: one MGET a look-up."""

    def __init__(self, client: Any, manifest: Manifest) -> None:
        self.client, self.manifest = client, manifest
        self.is_stale = False
        self.last = LastAnswers()

    async def get_many(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """The JSON of each (export, key); what was read before where the server is away. Raises StoreError."""
        keys: list[bytes | None] = []
        for export, key in wanted:
            loaded, given = self.manifest.exports.get(export), store_key(key)
            keys.append(None if loaded is None or given is None else value_key(loaded.since, export, given))
        asked = [WITNESS + self.manifest.version, *(key for key in keys if key is not None)]
        try:
            witness, *values_there = await self.client.mget(asked)
            if witness is None:
                raise StoreError("the version is gone")
        except (RedisError, OSError, StoreError) as error:
            self.is_stale = True
            kept = self.last.get_many(wanted)
            if kept is None:
                raise StoreError(type(error).__name__) from None
            return kept
        found = iter(values_there)
        self.is_stale = False
        values = [None if key is None else next(found) for key in keys]
        for each, value in zip(wanted, values, strict=True):
            self.last.put(each, value)
        return values
