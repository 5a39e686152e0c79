"""Publishing to a real Redis and reading from it: the swap under readers, what is unlinked, a server that is killed and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shoal.errors import TransientError, UsageError
from shoal.publish.api.redis_source import RedisSource
from shoal.publish.api.sources import LastAnswers, StoreError
from shoal.publish.stores.manifest import Loaded, Manifest
from shoal.publish.stores.redis_store import PASSWORD, RedisTarget
from shoal.testing import redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis_server.RedisServer]:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def target(server: redis_server.RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisTarget:
    monkeypatch.setenv(PASSWORD, server.password)
    made = RedisTarget(server.url, 0.1)
    made.client.flushall(asynchronous=True)
    return made


def publish(target: RedisTarget, version: str, values: dict[str, dict[str, Any]], kept: dict[str, str] | None = None) -> Manifest:
    """Write literal values as a version; `kept`: exports that stay those of another version."""
    previous = target.current()
    loaded = {name: Loaded({"t": 1}, len(each), None, version, "d") for name, each in values.items()}
    loaded |= {name: Loaded({"t": 1}, 1, None, since, "d") for name, since in (kept or {}).items()}
    manifest = Manifest(version, "redis", "2024-03-03T12:00:00+00:00", loaded, previous=previous.version if previous else None)
    with target.building(version, previous) as building:
        for name, each in values.items():
            building.load(name, sorted((key.encode(), json.dumps(value).encode()) for key, value in each.items()))
        for name, since in (kept or {}).items():
            building.keep(name, since)
        building.finish(manifest)
    target.switch(manifest)
    return manifest


def keys(target: RedisTarget) -> set[str]:
    return {key.decode() for key in target.client.scan_iter()}  # type: ignore[union-attr]


def test_a_version_is_read_back_and_unchanged_exports_are_shared(target: RedisTarget) -> None:
    publish(target, "v1", {"items": {"a": 1, "b": 2}, "seen": {"u": ["a"]}})
    second = publish(target, "v2", {"items": {"a": 3}}, {"seen": "v1"})
    publish(target, "v3", {"items": {"a": 4}}, {"seen": "v1"})
    assert target.versions() == ["v1", "v2", "v3"] and target.manifest("v2") == second

    async def work() -> None:
        source = RedisSource(target.place)
        reader = await source.open(str(await source.current()))
        wanted = [("items", "a"), ("items", "b"), ("seen", "u"), ("none", "a"), ("items", "\0"), ("items", "")]
        assert await reader.get_many(wanted) == [b"4", None, b'["a"]', None, None, None]
        assert await reader.get_many([]) == [] and not reader.is_stale
        await source.close()

    asyncio.run(work())
    current = target.current()
    assert current is not None and target.retire(0, current) == ["v1", "v2"]
    assert keys(target) == {"shoal:current", "shoal:manifest:v3", "shoal:whole:v3", "shoal:v3:items:a", "shoal:v1:seen:u"}


def test_readers_see_one_version_whole_through_swaps(target: RedisTarget) -> None:
    first = {f"k{n}": "v0" for n in range(50)}
    publish(target, "v0", {"items": first})

    async def work() -> None:
        source, stop, read, bad = RedisSource(target.place), asyncio.Event(), 0, []
        loop = asyncio.get_running_loop()

        async def reading() -> None:
            nonlocal read
            while not stop.is_set():
                reader = await source.open(str(await source.current()))
                found = {json.loads(each or b"null") for each in await reader.get_many([("items", f"k{n}") for n in range(50)])}
                read += 1
                if found != {reader.manifest.version}:
                    bad.append(found)

        readers = [asyncio.create_task(reading()) for _ in range(3)]
        for number in range(1, 4):
            values = {"items": dict.fromkeys(first, f"v{number}")}
            manifest = await loop.run_in_executor(None, publish, target, f"v{number}", values)
            await loop.run_in_executor(None, target.retire, 0, manifest)
        stop.set()
        await asyncio.gather(*readers)
        await source.close()
        assert not bad and read > 10

    asyncio.run(work())


def test_what_a_killed_publisher_left_is_unlinked_by_the_next(target: RedisTarget) -> None:
    publish(target, "v1", {"items": {"a": 1}})
    with pytest.raises(KeyboardInterrupt), target.building("v2", target.current()) as building:
        building.load("items", iter([(b"a", b"2"), (b"b", b"3")]))
        raise KeyboardInterrupt
    assert "shoal:v2:items:b" in keys(target) and target.versions() == ["v1"]
    assert target.clean() == ["v2"] and target.clean() == []
    assert keys(target) == {"shoal:current", "shoal:manifest:v1", "shoal:whole:v1", "shoal:v1:items:a"}


def test_last_answers_while_the_server_is_away_and_after_it_lost_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = redis_server.start(tmp_path / "redis")
    monkeypatch.setenv(PASSWORD, server.password)
    publish(RedisTarget(server.url, 0), "v1", {"items": {"a": 1}})

    async def work() -> None:
        nonlocal server
        source = RedisSource(server.url)
        reader = await source.open("v1")
        assert await reader.get_many([("items", "a")]) == [b"1"]
        redis_server.stop(server)
        assert await reader.get_many([("items", "a")]) == [b"1"] and reader.is_stale
        with pytest.raises(StoreError):
            await reader.get_many([("items", "b")])
        with pytest.raises(StoreError):
            await source.current()
        # Back, with an empty memory: the last answers still hold, absent values are no answer.
        server = redis_server.start(tmp_path / "redis", server.port, server.password)
        assert await reader.get_many([("items", "a")]) == [b"1"] and reader.is_stale
        publish(RedisTarget(server.url, 0), "v2", {"items": {"a": 2}})
        assert await source.current() == "v2"
        fresh = await source.open("v2")
        assert await fresh.get_many([("items", "a")]) == [b"2"] and not fresh.is_stale
        await source.close()

    try:
        asyncio.run(work())
    finally:
        redis_server.stop(server)


def test_mistakes_are_one_line(server: redis_server.RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(TransientError, match="(invalid username-password pair|invalid password|WRONGPASS)"):
        RedisTarget(server.url, 0).current()
    monkeypatch.delenv(PASSWORD)
    with pytest.raises(TransientError, match="(?i)authentication required"):
        RedisTarget(server.url, 0).current()
    with pytest.raises(TransientError, match="redis://127.0.0.1:1/0: Error 111"):
        RedisTarget("redis://127.0.0.1:1/0", 0).current()
    with pytest.raises(UsageError, match="has a password in it; put it into SHOAL_REDIS_PASSWORD"):
        RedisTarget("redis://:secret@127.0.0.1:1/0", 0)


def test_last_answers_are_bounded() -> None:
    last = LastAnswers(1_000)
    for number in range(10):
        last.put(("items", str(number)), b"x" * 100)
    assert last.bytes <= 1_000 and last.get_many([("items", "9")]) == [b"x" * 100] and last.get_many([("items", "0")]) is None
