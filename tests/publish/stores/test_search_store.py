"""Publishing to a real OpenSearch: words and filters, the swap under readers, a killed publisher, return, removal."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.errors import TransientError, UsageError
from shoal.lake.lake import Lake, Run
from shoal.publish.api.answers import open_published, search_elsewhere
from shoal.publish.api.search_source import SearchSource
from shoal.publish.api.sources import LmdbSource, StoreError
from shoal.publish.stores.manifest import Loaded, Manifest
from shoal.publish.stores.publication import PUBLICATIONS, publish, roll_back
from shoal.publish.stores.search_store import ITEMS, PASSWORD, SearchTarget, connect
from shoal.testing import opensearch_node

from tests.publish.api.conftest import write_version
from tests.publish.stores.test_publication import frame, item

pytestmark = pytest.mark.slow
NOW, DAY = datetime(2024, 3, 3, 12, tzinfo=timezone.utc), date(2024, 3, 2)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[opensearch_node.OpenSearch]:
    with opensearch_node.running(tmp_path_factory.mktemp("opensearch")) as running:
        yield running


@pytest.fixture
def target(node: opensearch_node.OpenSearch) -> SearchTarget:
    made = SearchTarget(node.url, 0.0)
    made.client.indices.delete(index="shoal-*")
    return made


def document(name: str, title: str, **more: Any) -> dict[str, Any]:
    return {"item_id": name, "kind": "post", "title": title, "text": None, "hashtags": None, "categories": None, "price_usd": None,
            "created_at": None, "popularity": 0.0, **more}  # fmt: skip


def write(target: SearchTarget, version: str, documents: list[dict[str, Any]] | None, since: str = "") -> Manifest:
    """Write literal documents as a version; None: those of version `since` stay."""
    previous = target.current()
    loaded = {"documents": Loaded({"t": 1}, len(documents or ()), None, version if documents is not None else since, "d")}
    manifest = Manifest(version, "search", "2024-03-03T12:00:00+00:00", loaded, previous=previous.version if previous else None)
    with target.building(version, previous) as building:
        if documents is None:
            building.keep("documents", since)
        else:
            building.load("documents", sorted((each["item_id"].encode(), json.dumps(each).encode()) for each in documents))
        building.finish(manifest)
    target.switch(manifest)
    return manifest


def indices(target: SearchTarget) -> list[str]:
    return sorted(target.client.indices.get(index="shoal-*"))


def found(url: str, words: str = "", k: int = 10, offset: int = 0, **filters: str) -> list[str]:
    return asyncio.run(SearchSource(url, 60).find(words, filters, k, offset))[1]


def test_a_lake_is_published_found_and_returned_to(spark: SparkSession, node: Any, target: SearchTarget, tmp_path: Path) -> None:
    def lake(run: str) -> Lake:
        return Lake(spark, tmp_path / "lake", load(), Run(run, "publish_tables", NOW))

    def published(run: str) -> Any:
        return publish(lake(run), target, tmp_path / "published", 1, lambda: NOW)

    items = [
        item("a", "Red Boat", hashtags=["Sea", "Boats"], created_at=datetime(2024, 1, 1)),
        item("b", "A cat", text="on a red sofa", categories=["Pets"]),
        item("c", "Čaj, tea!", kind="product", price_usd=2.5),
    ]
    writer = lake("20240303T0-r0")
    writer.overwrite("silver.items", frame(writer, "silver.items", items))
    first = published("20240303T1-r1")
    assert first.is_new and first.loaded == ("documents",) and set(first.manifest.exports) == {"documents"}
    assert found(node.url, "red") == ["a", "b"]  # a word of the title counts more
    assert found(node.url, "RED sofa") == ["b"] and found(node.url, "red tea") == []
    assert found(node.url, "čaj") == ["c"] and found(node.url, "boats") == ["a"] and found(node.url, "pets") == ["b"]
    assert found(node.url, hashtag="#SEA") == ["a"] and found(node.url, category="pets") == ["b"]
    assert found(node.url, "red", category="Pets") == ["b"]
    assert found(node.url, kind="product") == ["c"] and found(node.url, "red", hashtag="sea", category="pets") == []
    assert found(node.url, "red", k=1, offset=1) == ["b"] and found(node.url, "red", offset=10_000, k=1_000) == []
    rows = lake("q").read_current(PUBLICATIONS).collect()
    assert [(r["version"], r["target"], r["status"], r["exported_keys"]) for r in rows] == [
        ("20240303T1-r1", "search", "published", {"documents": 3}),
    ]  # fmt: skip
    assert rows[0]["size_bytes"] > 0
    assert not published("20240303T2-r2").is_new
    # One row more: a new index; the version before stays, the one before that goes.
    writer.overwrite("silver.items", frame(writer, "silver.items", [*items, item("d", "Red kite")]))
    published("20240303T3-r3")
    assert sorted(found(node.url, "red")) == ["a", "b", "d"] and target.versions() == ["20240303T1-r1", "20240303T3-r3"]
    assert roll_back(lake("20240303T4-r4"), target, lambda: NOW).version == "20240303T1-r1"
    assert found(node.url, "red") == ["a", "b"]
    writer.overwrite("silver.items", frame(writer, "silver.items", [item("e", "Red")]))
    published("20240303T5-r5")
    assert found(node.url, "red") == ["e"] and target.versions() == ["20240303T3-r3", "20240303T5-r5"]
    assert indices(target) == ["shoal-20240303t3-r3-documents", "shoal-20240303t5-r5-documents", "shoal-manifests"]


def test_popular_items_come_first_where_words_fit_alike(node: Any, target: SearchTarget) -> None:
    popular = [document("b", "red", popularity=9.0), document("d", "blue", popularity=99.0)]
    write(target, "v1", [document("a", "red"), *popular, document("c", "red")])
    assert found(node.url, "red") == ["b", "a", "c"] and found(node.url, kind="post") == ["d", "b", "a", "c"]


def test_what_has_not_changed_is_shared_and_a_killed_publisher_leaves_the_old_version(node: Any, target: SearchTarget) -> None:
    write(target, "v1", [document("a", "red")])
    second = write(target, "v2", None, "v1")
    assert target.current() == second and indices(target) == ["shoal-manifests", "shoal-v1-documents"]
    with pytest.raises(KeyboardInterrupt), target.building("v3", second) as building:
        building.load("documents", iter([(b"b", json.dumps(document("b", "red")).encode())]))
        raise KeyboardInterrupt
    assert "shoal-v3-documents" in indices(target) and target.current() == second and found(node.url, "red") == ["a"]
    assert target.clean() == ["shoal-v3-documents"] and target.clean() == []
    assert target.retire(0, second) == ["v1"] and indices(target) == ["shoal-manifests", "shoal-v1-documents"]
    with pytest.raises(UsageError, match="there is no version v1"):
        target.manifest("v1")


def test_searches_see_one_version_whole_through_swaps(node: Any, target: SearchTarget) -> None:
    def version(number: int) -> list[dict[str, Any]]:
        return [document(f"{number}-{n:02}", "red") for n in range(20)]

    write(target, "v0", version(0))
    seen: list[set[str]] = []
    stop = threading.Event()

    def reading() -> None:
        client = connect(node.url)
        while not stop.is_set():
            hits = client.search(index=ITEMS, body={"query": {"match": {"title": "red"}}, "size": 50})["hits"]["hits"]
            seen.append({f"{hit['_id'].split('-')[0]}:{len(hits)}" for hit in hits})

    readers = [threading.Thread(target=reading) for _ in range(2)]
    for each in readers:
        each.start()
    for number in range(1, 4):
        manifest = write(target, f"v{number}", version(number))
        stop.wait(0.3)  # the grace time: searches that have begun end
        target.retire(0, manifest)
    stop.set()
    for each in readers:
        each.join()
    assert len(seen) > 10 and {frozenset(each) for each in seen} <= {frozenset([f"{n}:20"]) for n in range(4)}


def test_the_server_searches_there_and_says_when_it_is_away(node: Any, target: SearchTarget, tmp_path: Path) -> None:
    write(target, "v1", [document("i1", "Red"), document("i2", "red tea", popularity=5.0)])
    cards = {"i1": {"title": "Red", "categories": ["Art"], "kind": "post"}}
    write_version(tmp_path, "v1", {"items": cards, "popularity": {"all": []}})

    async def work() -> None:
        source = LmdbSource(tmp_path / "lmdb")
        published = await open_published(await source.open(str(await source.current())), {})
        engine = SearchSource(node.url, 60)
        answer = await search_elsewhere(published, engine, "red, ", {}, 1, 1)
        assert answer["matches"] == 2 and [(row["item_id"], row["title"]) for row in answer["items"]] == [("i1", "Red")]
        assert await search_elsewhere(published, engine, " ,. ", {}, 5, 0) == {"matches": 0, "items": []}
        with pytest.raises(StoreError):
            await search_elsewhere(published, SearchSource("http://127.0.0.1:1"), "red", {}, 1, 0)

    asyncio.run(work())


def test_bad_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="has a password in it; put it into SHOAL_SEARCH_PASSWORD"):
        connect("https://u:p@h:9200")
    with pytest.raises(UsageError, match="a user in the URL and a password in SHOAL_SEARCH_PASSWORD are needed, or neither"):
        connect("https://u@h:9200")
    monkeypatch.setenv(PASSWORD, "secret")
    with pytest.raises(TransientError, match="http://u@127.0.0.1:1: ") as caught:
        SearchTarget("http://u@127.0.0.1:1", 0).current()
    assert "secret" not in str(caught.value)
