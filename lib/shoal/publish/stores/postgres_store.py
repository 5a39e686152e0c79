"""The store in PostgreSQL: a table an export and version, and views under the exports' names that move to new tables in one
transaction.

Schema `shoal`: publications (version, manifest), current (one row), tables <export>_<version> (key, value; primary key), views
<export>. People who write SQL use the views, whose grants stay; a server reads the tables of one manifest and so sees one
version. Tables that no manifest refers to are dropped, after a grace time for readers that still have them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shoal.errors import TransientError, UsageError, one_line
from shoal.publish.stores.manifest import Manifest, read_manifest, versions_beyond

if TYPE_CHECKING:
    from psycopg import Connection

NAME = "postgres"
PASSWORD = "SHOAL_POSTGRES_PASSWORD"  # noqa: S105 - the variable's name
_TABLES = """
CREATE SCHEMA IF NOT EXISTS shoal;
CREATE TABLE IF NOT EXISTS shoal.publications (version text PRIMARY KEY, manifest text NOT NULL);
CREATE TABLE IF NOT EXISTS shoal.current (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), version text NOT NULL);
"""
_SWITCH = "INSERT INTO shoal.current (version) VALUES (%s) ON CONFLICT (only_row) DO UPDATE SET version = excluded.version"
Pair = tuple[bytes, bytes]


def connection_options(url: str) -> dict[str, Any]:
    """What a connection is made with. Raises UsageError where the URL has a password: settings are shown and logged."""
    if urlsplit(url).password:
        raise UsageError(f"publish.postgres_url: has a password in it; put it into {PASSWORD}")
    password = os.environ.get(PASSWORD)
    return {"conninfo": url, "connect_timeout": 5, **({"password": password} if password else {})}


def table_name(export: str, since: str) -> str:
    """The table of an export that a version wrote."""
    return f"{export}_{since}"


class PostgresTarget:
    """The versions of a PostgreSQL, as a publisher writes them."""

    name = NAME

    def __init__(self, url: str, grace_seconds: float) -> None:
        self.place, self.grace_seconds = url, grace_seconds
        with self._connected() as connection:
            connection.execute(_TABLES)

    def current(self) -> Manifest | None:
        """The manifest of the version that serves; None where nothing was published."""
        with self._connected() as connection:
            found = connection.execute("SELECT version FROM shoal.current").fetchone()
        return None if found is None else self.manifest(found[0])

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UsageError where the store does not have it."""
        with self._connected() as connection:
            found = connection.execute("SELECT manifest FROM shoal.publications WHERE version = %s", (version,)).fetchone()
        if found is None:
            raise UsageError(f"{self.place}: there is no version {version}")
        return read_manifest(found[0], self.place)

    def versions(self) -> list[str]:
        """The names of the whole versions, the oldest first."""
        with self._connected() as connection:
            return [row[0] for row in connection.execute("SELECT version FROM shoal.publications ORDER BY version")]

    def clean(self) -> list[str]:
        """Drop the tables that no version refers to, and return their names."""
        used = {table_name(n, e.since) for version in self.versions() for n, e in self.manifest(version).exports.items()}
        with self._connected() as connection:
            there = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'shoal' AND tablename NOT IN ('publications', 'current')"
            )
            left = sorted({row[0] for row in there} - used)
            for name in left:
                connection.execute(_sql("DROP TABLE IF EXISTS shoal.{}", name))
        return left

    @contextmanager
    def building(self, version: str, previous: Manifest | None) -> Iterator[PostgresBuilding]:
        """Write a new version in this block; tables of one that was not finished are dropped by `clean`."""
        with self._connected() as connection:
            yield PostgresBuilding(connection, version)

    def switch(self, manifest: Manifest) -> None:
        """Make a whole version the current one: its name and all views in one transaction."""
        with self._connected() as connection, connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '10s'")
            connection.execute(_SWITCH, (manifest.version,))
            for name, loaded in manifest.exports.items():
                view = "CREATE OR REPLACE VIEW shoal.{} AS SELECT key, value FROM shoal.{}"
                connection.execute(_sql(view, name, table_name(name, loaded.since)))
            views = connection.execute("SELECT viewname FROM pg_views WHERE schemaname = 'shoal'").fetchall()
            for gone in sorted({row[0] for row in views} - set(manifest.exports)):
                connection.execute(_sql("DROP VIEW shoal.{}", gone))

    def retire(self, keep: int, serving: Manifest) -> list[str]:
        """Forget the oldest versions but `keep` besides the one that serves, and after the grace time drop what only they refer
        to."""
        gone, _ = versions_beyond(self.versions(), serving.version, keep)
        if gone:
            time.sleep(self.grace_seconds)
            with self._connected() as connection:
                connection.execute("DELETE FROM shoal.publications WHERE version = ANY(%s)", (gone,))
            self.clean()
        return gone

    @contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """A connection that commits each statement. Raises TransientError, one line, where the server is away or refuses."""
        import psycopg

        try:
            with psycopg.connect(**connection_options(self.place), autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise TransientError(f"{self.place}: {one_line(error)}") from error


class PostgresBuilding:
    """A version that is being written."""

    def __init__(self, connection: Connection[Any], version: str) -> None:
        self.connection, self.version = connection, version

    def load(self, name: str, pairs: Iterable[Pair]) -> int:
        """Write an export by COPY, then its primary key, and return how many pairs they are."""
        table = table_name(name, self.version)
        rows = 0
        with self.connection.transaction():
            self.connection.execute(_sql("CREATE TABLE shoal.{} (key text NOT NULL, value text NOT NULL)", table))
            with self.connection.cursor() as cursor, cursor.copy(_sql("COPY shoal.{} FROM STDIN", table)) as copy:
                for key, value in pairs:
                    copy.write_row((key.decode(), value.decode()))
                    rows += 1
            self.connection.execute(_sql("ALTER TABLE shoal.{} ADD PRIMARY KEY (key)", table))
        self.connection.execute(_sql("ANALYZE shoal.{}", table))
        return rows

    def keep(self, name: str, since: str) -> None:
        """Nothing to do: the manifest refers to the table of the version that wrote the export."""

    def finish(self, manifest: Manifest) -> int:
        """Write the manifest: the version is whole."""
        self.connection.execute("INSERT INTO shoal.publications VALUES (%s, %s)", (manifest.version, manifest.text()))
        return 0


def _sql(text: str, *names: str) -> Any:
    """A statement with quoted names in the places of {}."""
    from psycopg import sql

    return sql.SQL(text).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
