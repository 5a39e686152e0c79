"""Publishing to a real PostgreSQL and reading from it: views that move at once, what is dropped, a server that is killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from shoal.errors import TransientError, UsageError
from shoal.publish.api.postgres_source import PostgresSource
from shoal.publish.api.sources import StoreError
from shoal.publish.stores.manifest import Loaded, Manifest
from shoal.publish.stores.postgres_store import PASSWORD, PostgresTarget
from shoal.testing import postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[postgres_server.PostgresServer]:
    try:
        postgres_server.program("initdb")
    except TransientError as error:
        pytest.skip(str(error))
    with postgres_server.running() as running:
        yield running


@pytest.fixture
def target(server: postgres_server.PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresTarget:
    monkeypatch.setenv(PASSWORD, server.password)
    PostgresTarget(server.url, 0)
    query(server, "DROP SCHEMA shoal CASCADE")
    return PostgresTarget(server.url, 0)


def query(server: postgres_server.PostgresServer, text: str) -> list[Any]:
    with psycopg.connect(server.url, password=server.password, autocommit=True) as connection:
        found = connection.execute(text)  # type: ignore[arg-type]
        return found.fetchall() if found.description else []


def publish(
    target: PostgresTarget, version: str, values: dict[str, dict[str, Any]], kept: dict[str, str] | None = None
) -> Manifest:
    """Write literal values as a version; `kept`: exports that stay those of another version."""
    loaded = {name: Loaded({"t": 1}, len(each), None, version, "d") for name, each in values.items()}
    loaded |= {name: Loaded({"t": 1}, 1, None, since, "d") for name, since in (kept or {}).items()}
    manifest = Manifest(version, "postgres", "2024-03-03T12:00:00+00:00", loaded)
    with target.building(version, None) as building:
        for name, each in values.items():
            building.load(name, sorted((key.encode(), json.dumps(value).encode()) for key, value in each.items()))
        building.finish(manifest)
    target.switch(manifest)
    return manifest


def test_versions_views_and_rests(server: postgres_server.PostgresServer, target: PostgresTarget) -> None:
    odd = {"a\tb": "tab \\ \n", "": 0, "naïve 🎉": [1, "\0"]}
    publish(target, "v1", {"items": {"a": 1, "b": 2, **odd}, "seen": {"u": ["a"]}})
    query(server, "CREATE ROLE reader; GRANT SELECT ON shoal.items TO reader")
    second = publish(target, "v2", {"items": {"a": 3, **odd}}, {"seen": "v1"})
    assert target.versions() == ["v1", "v2"] and target.current() == second
    assert query(server, "SELECT value FROM shoal.items WHERE key = 'a'") == [("3",)]
    assert query(server, "SELECT has_table_privilege('reader', 'shoal.items', 'SELECT')") == [(True,)]
    with pytest.raises(KeyboardInterrupt), target.building("v3", None) as building:
        building.load("items", iter([(b"a", b"9")]))
        raise KeyboardInterrupt
    assert target.clean() == ["items_v3"] and query(server, "SELECT value FROM shoal.items WHERE key = 'a'") == [("3",)]

    async def work() -> None:
        source = PostgresSource(target.place)
        reader = await source.open(str(await source.current()))
        wanted = [("items", "a"), ("items", "b"), ("seen", "u"), ("none", "a"), ("items", "\0")]
        wanted += [("items", "naïve 🎉"), ("items", "a\tb")]
        found = await reader.get_many(wanted)
        assert found[:5] == [b"3", None, b'["a"]', None, None]
        assert [json.loads(each or b"") for each in found[5:]] == [[1, "\0"], "tab \\ \n"]
        many = await asyncio.gather(*[reader.get_many(wanted) for _ in range(40)])
        assert all(each == found for each in many)
        await source.close()

    asyncio.run(work())
    assert target.retire(0, second) == ["v1"] and target.versions() == ["v2"]
    there = query(server, "SELECT tablename FROM pg_tables WHERE schemaname = 'shoal' ORDER BY 1")
    assert [row[0] for row in there] == ["current", "items_v2", "publications", "seen_v1"]
    query(server, "DROP OWNED BY reader; DROP ROLE reader")


def test_readers_see_one_version_through_swaps(target: PostgresTarget) -> None:
    names = [f"k{n}" for n in range(50)]
    publish(target, "v0", {"items": dict.fromkeys(names, "v0")})

    async def work() -> None:
        source, stop, read, bad = PostgresSource(target.place), asyncio.Event(), 0, []
        loop = asyncio.get_running_loop()

        async def reading() -> None:
            nonlocal read
            while not stop.is_set():
                reader = await source.open(str(await source.current()))
                found = {json.loads(each or b"null") for each in await reader.get_many([("items", name) for name in names])}
                read += 1
                if found != {reader.manifest.version}:
                    bad.append(found)

        readers = [asyncio.create_task(reading()) for _ in range(3)]
        for number in range(1, 4):
            await loop.run_in_executor(None, publish, target, f"v{number}", {"items": dict.fromkeys(names, f"v{number}")})
        stop.set()
        await asyncio.gather(*readers)
        await source.close()
        assert not bad and read > 5

    asyncio.run(work())


def test_last_answers_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch, server: postgres_server.PostgresServer) -> None:
    own = postgres_server.start()
    monkeypatch.setenv(PASSWORD, own.password)
    publish(PostgresTarget(own.url, 0), "v1", {"items": {"a": 1}})

    async def work() -> None:
        source = PostgresSource(own.url)
        reader = await source.open("v1")
        assert await reader.get_many([("items", "a")]) == [b"1"]
        postgres_server.stop(own)
        assert await reader.get_many([("items", "a")]) == [b"1"] and reader.is_stale
        for _ in range(2):
            with pytest.raises(StoreError):
                await reader.get_many([("items", "b")])
        await source.close()

    asyncio.run(work())


def test_mistakes_are_one_line(server: postgres_server.PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(TransientError, match="password authentication failed") as caught:
        PostgresTarget(server.url, 0)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(TransientError, match="(?i)connection refused|failed"):
        PostgresTarget("postgresql://shoal@127.0.0.1:1/postgres", 0)
    with pytest.raises(UsageError, match="has a password in it; put it into SHOAL_POSTGRES_PASSWORD"):
        PostgresTarget("postgresql://shoal:secret@127.0.0.1:1/postgres", 0)
