"""A published version in PostgreSQL, read without blocking; from the last answers while the server is away."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql

from shoal.publish.api.sources import LastAnswers, StoreError, Wanted
from shoal.publish.stores.exports import store_key
from shoal.publish.stores.manifest import Manifest, read_manifest
from shoal.publish.stores.postgres_store import connection_options, table_name

CONNECTIONS = 8
# A look-up takes tenths of a millisecond; a statement that takes a second is given up, by the server too.
TIMEOUT_SECONDS = 1.0
_QUERY = "SELECT key, value FROM shoal.{} WHERE key = ANY(%s)"


class PostgresSource:
    """A PostgreSQL with a version that serves."""

    def __init__(self, url: str) -> None:
        self.place = url
        self._options = connection_options(url) | {"connect_timeout": 2, "options": "-c statement_timeout=1000"}
        self._idle: list[Any] = []
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def current(self) -> str | None:
        """The version that the one row names."""
        rows = await self.query("SELECT version FROM shoal.current", ())
        return rows[0][0] if rows else None

    async def open(self, version: str) -> PostgresVersion:
        """Take a version's manifest."""
        rows = await self.query("SELECT manifest FROM shoal.publications WHERE version = %s", (version,))
        if not rows:
            raise StoreError(f"version {version} has no manifest")
        return PostgresVersion(self, read_manifest(rows[0][0], self.place))

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            await connection.close()
        self._idle.clear()

    async def query(self, statement: Any, values: Sequence[Any]) -> list[Any]:
        """The rows of a query. Raises StoreError."""
        try:
            async with self._connection() as connection:
                cursor = await asyncio.wait_for(connection.execute(statement, values), 2 * TIMEOUT_SECONDS)
                return list(await cursor.fetchall())
        except (psycopg.Error, OSError, asyncio.TimeoutError) as error:
            raise StoreError(type(error).__name__) from None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of at most CONNECTIONS; one that failed is closed, and so is one whose request was given up."""
        async with self._places:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = await psycopg.AsyncConnection.connect(**self._options, autocommit=True)
            try:
                yield connection
            except BaseException:
                await connection.close()
                raise
            self._idle.append(connection)


class PostgresVersion:
    """A version: one query an export of a look-up."""

    def __init__(self, source: PostgresSource, manifest: Manifest) -> None:
        self.source, self.manifest = source, manifest
        self.is_stale = False
        self.last = LastAnswers()
        self._queries = {
            name: sql.SQL(_QUERY).format(sql.Identifier(table_name(name, each.since)))
            for name, each in manifest.exports.items()
        }

    async def get_many(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        """The JSON of each (export, key); what was read before where the server is away. Raises StoreError."""
        keys: dict[str, set[str]] = defaultdict(set)
        names = []
        for export, key in wanted:
            given = store_key(key)
            name = None if given is None or export not in self._queries else given.decode()
            names.append(name)
            if name is not None:
                keys[export].add(name)
        found: dict[Wanted, bytes] = {}
        try:
            for export, asked in keys.items():
                for key, value in await self.source.query(self._queries[export], (sorted(asked),)):
                    found[export, key] = value.encode()
        except StoreError:
            self.is_stale = True
            kept = self.last.get_many(wanted)
            if kept is None:
                raise
            return kept
        self.is_stale = False
        values = [None if name is None else found.get((export, name)) for (export, _), name in zip(wanted, names, strict=True)]
        for each, value in zip(wanted, values, strict=True):
            self.last.put(each, value)
        return values
