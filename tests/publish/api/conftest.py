"""A published folder of literal values, without Spark, and clients of an application over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from shoal.conf.loading import load
from shoal.publish.api.app import create_app
from shoal.publish.api.events import Inbox, Sink
from shoal.publish.api.gate import Gate, Limits
from shoal.publish.api.live import Live
from shoal.publish.api.quick import QuickLists
from shoal.publish.api.sources import LmdbSource, Source
from shoal.publish.api.telemetry import Log, Metrics
from shoal.publish.api.tokens import Door, parse_tokens
from shoal.publish.stores.lmdb_files import LmdbTarget
from shoal.publish.stores.manifest import Loaded, Manifest

NOW = datetime(2024, 3, 3, 12, tzinfo=timezone.utc)
Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def row(item: str, rank: int, **more: Any) -> dict[str, Any]:
    return {"item_id": item, "rank": rank, "score": 1.0 / rank, "reason_code": "because_like", "because_item_id": "i9",
            "source": "blend", "variant": "champion", "propensity": 1.0, "model_version": "m/1", **more}  # fmt: skip


def near(item: str, rank: int, kind: str = "cosine") -> dict[str, Any]:
    return {"item_id": item, "rank": rank, "similarity": 1.0 / rank, "kind": kind}


CARDS = {f"i{n}": {"kind": "post", "title": f"Title {n}", "owner_id": "u9", "categories": ["Art" if n % 2 else "Food"],
                   "hashtags": None, "price_usd": None, "created_at": None} for n in range(10)}  # fmt: skip
VALUES: dict[str, dict[str, Any]] = {
    "recommendations": {"u1": [row(f"i{n}", n) for n in range(1, 5)], "naïve 🎉/x": [row("i1", 1)]},
    "similar": {"i9": [near("i4", 1), near("i3", 2), near("i4", 1, "content")]},
    "trending": {"post": [{"item_id": "i5", "rank": 1, "score": 2.0, "trend_z_score": 1.0, "events": 3, "users": 2}],
                 "film": [{"item_id": "i6", "rank": 1, "score": 1.0, "trend_z_score": 0.0, "events": 1, "users": 1}]},
    "items": CARDS,
    "segments": {"u1": {"segment_id": 0, "segment_name": "typical"}},
    "communities": {"u1": {"community_id": "u9"}},
    "popularity": {"all": [{"item_id": f"i{n}", "score": 10.0 - n} for n in range(10)]},
    "seen": {"u1": ["i9", "i0"]},
    "words": {"title": [f"i{n}" for n in range(10)], "red": ["i2", "i7"], "category:art": ["i7", "i9"],
              "kind:post": ["i2", "i7", "i9"]},
}  # fmt: skip


def pairs(values: dict[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    return sorted((key.encode(), json.dumps(value).encode()) for key, value in values.items())


def write_version(folder: Path, version: str, values: dict[str, dict[str, Any]], models: dict[str, str] | None = None) -> Manifest:
    """Publish literal values as a version."""
    target = LmdbTarget(folder / "lmdb")
    loaded = {name: Loaded({"t": 1}, len(each), "2024-03-02", version, "d") for name, each in values.items()}
    manifest = Manifest(version, "lmdb", "2024-03-03T11:59:00+00:00", loaded, {}, models or {})
    with target.building(version, None) as building:
        for name, each in values.items():
            building.load(name, pairs(each))
        building.finish(manifest)
    target.switch(manifest)
    return manifest


def save_posts_model(place: Path) -> None:
    """A model of likes by hand: level 2, of the blank that every post has .5, intercept .25, a tree that says 1, half of each."""
    place.mkdir(parents=True)
    facts = {"prior": 2.0, "linear_share": 0.5, "scales": {}, "level_scale": [0.0, 1.0], "count": "likes", "spread": [1.0, 1.0]}
    about = {"format": "shoal-parts-1", "task": "engagement", "counts": {"likes": facts}}
    (place / "model.json").write_text(json.dumps(about))
    (place / "words.json").write_text(json.dumps({"likes_vocabulary": [" "]}))
    leaf = np.array([[0.0, -1.0, 0.0, -1.0, -1.0, 1.0, 9.0, 0.0]])
    np.savez(place / "numbers.npz", likes_idf=np.array([3.0]), likes_linear=np.array([0.25, 0.5]), likes_forest=leaf)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one published version, `v1`."""
    write_version(tmp_path / "published", "v1", VALUES)
    return tmp_path / "published"


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Client:
    """A function that opens a client of a new application over `folder`: tokens as SHOAL_TOKENS has them, None for `--open`."""

    @asynccontextmanager
    async def opened(
        tokens: str | None = None, limits: Limits | None = None, source: Source | None = None, now: datetime = NOW,
        sink: Sink | None = None,
    ) -> AsyncIterator[httpx.AsyncClient]:  # fmt: skip
        metrics, log = Metrics(), Log(lambda: now)
        live = Live(source or LmdbSource(folder / "lmdb"), folder / "models", metrics, log, lambda: now)
        await live.start()
        app = create_app(live, sink or Inbox(tmp_path / "inbox"), load(), lambda: now)
        door = Door(None if tokens is None else parse_tokens(tokens), lambda: now.date())
        gate = Gate(QuickLists(app, live, app.state.recent), door, limits or Limits(), metrics, log)  # type: ignore[arg-type]
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(gate, raise_app_exceptions=True)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://shoal") as asking:
                asking.live = live  # type: ignore[attr-defined]
                yield asking

    return opened
