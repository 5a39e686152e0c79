"""The application over a real Redis: its answers are those over LMDB, and stale ones while it is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from shoal.publish.api.redis_source import RedisSource
from shoal.publish.stores.manifest import Loaded, Manifest
from shoal.publish.stores.redis_store import PASSWORD, RedisTarget
from shoal.testing import redis_server

from tests.publish.api.conftest import VALUES, Client, pairs

PATHS = (
    "/recommendations?user_id=u1&k=3&details=true", "/recommendations?user_id=u1&k=2", "/similar/i9", "/trending", "/people/u1",
    "/search?q=red", "/recommendations?user_id=nobody&k=2",
)  # fmt: skip


def test_redis_answers_as_lmdb_does_and_from_memory_while_it_is_away(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server.start(tmp_path / "redis")
    monkeypatch.setenv(PASSWORD, server.password)
    target = RedisTarget(server.url, 0)
    loaded = {name: Loaded({"t": 1}, len(each), "2024-03-02", "v1", "d") for name, each in VALUES.items()}
    manifest = Manifest("v1", "redis", "2024-03-03T11:59:00+00:00", loaded)
    with target.building("v1", None) as building:
        for name, each in VALUES.items():
            building.load(name, pairs(each))
        building.finish(manifest)
    target.switch(manifest)

    async def work() -> None:
        async with client() as ask:
            expected = [(await ask.get(path)).json() for path in PATHS]
        async with client(source=RedisSource(server.url)) as ask:
            assert [(await ask.get(path)).json() for path in PATHS] == expected
            redis_server.stop(server)
            stale = [(await ask.get(path)).json() for path in PATHS]
            assert stale[2] == {**expected[2], "stale": True} and [each["items"] for each in stale if "items" in each] == [
                each["items"] for each in expected if "items" in each
            ]
            for path in ("/recommendations?user_id=other", "/people/other"):
                away = await ask.get(path)
                assert away.status_code == 503 and away.headers["retry-after"] == "1"
                assert away.json()["error"]["message"].startswith("the store does not answer")
            assert (await ask.get("/health")).status_code == 200 and (await ask.get("/ready")).json()["stale"]

    asyncio.run(work())
