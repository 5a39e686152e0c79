"""Inputs from the field, end to end: the archive of X, ratings without a time."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.ingest.sources.test_twitter_archive import ARCHIVE
from tests.jobs.ingest.test_ingest_files import World
from tests.privacy.test_pseudonyms import KEY, hmac_of, places

SPOKEN = datetime(2022, 12, 9, 15, 30)


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def test_an_archive_of_x_reaches_every_table(world: World) -> None:
    with zipfile.ZipFile(world.folder / "twitter.zip", "w") as archive:
        for name, content in ARCHIVE.items():
            archive.writestr(name, content)
    result = world.ingest(world.folder / "twitter.zip", "twitter_archive")
    assert (result.status, result.tags["ingested"], result.tags["rejected"]) == ("succeeded", "11", "0"), result.message
    assert result.tags["unmatched_files"] == "1"
    assert world.rows("silver.items", "item_id", "owner_id", "hashtags", "created_at") == [
        ("1050118621198921728", None, ["world"], datetime(2018, 10, 10, 20, 19, 24, 211000)),
        ("1601234567890123456", "11", ["lisbon"], SPOKEN),
        ("1601234567890123457", "11", [], SPOKEN.replace(hour=16)),
        ("1601234567890123458", "11", [], SPOKEN.replace(hour=17)),
    ]
    assert world.rows("silver.interactions", "user_id", "event", "item_id", "occurred_at") == [
        ("11", "comment", "1601000000000000002", SPOKEN.replace(hour=16)),
        ("11", "like", "1050118621198921728", None),
        ("11", "like", "dm-9", datetime(2022, 12, 1, 10, 1)),
        ("11", "share", "1601000000000000001", SPOKEN),
        ("11", "share", "1601000000000000003", SPOKEN.replace(hour=17)),
    ]
    assert world.rows("silver.texts", "text_id", "kind", "author_id") == [
        ("1601234567890123456", "tweet", "11"), ("1601234567890123457", "tweet", "11"), ("1601234567890123458", "tweet", "11"),
        ("dm-9", "message", "22"),
    ]  # fmt: skip
    assert world.rows("silver.users", "user_id", "username", "created_at") == [
        ("11", "ann", datetime(2010, 1, 1)), ("22", "bob", None), ("23", "cat", None),
    ]  # fmt: skip
    assert world.rows("silver.follows", "src_id", "dst_id", "followed_at") == [
        ("11", "22", None),
        ("22", "11", None),
        ("23", "11", None),
    ]
    assert world.rows("silver.blocks", "user_id", "blocked_id") == [("11", "66"), ("11", "67")]
    assert world.rows("silver.item_engagement", "item_id", "likes", "shares", "observed_at") == [
        ("1601234567890123456", 3, 1, datetime(2022, 12, 20, 8)),
    ]  # fmt: skip


def test_an_archive_of_x_without_people(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and ids stand in fields, lists, words and the folder's name; a pseudonymised lake has none of them."""
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    given = world.folder / "twitter-zqann"
    for name, content in ARCHIVE.items():
        file = given / name
        file.parent.mkdir(parents=True, exist_ok=True)
        plain = (
            content.replace(b"ann", b"zqann").replace(b"Ann M", b"Zq Ann").replace(b"bob", b"zqbob").replace(b'"22"', b'"zq-22"')
        )
        file.write_bytes(plain.replace(b'"11-22"', b'"zq-11-22"').replace(b'"11"', b'"zq-11"'))
    result = world.ingest(given, "twitter_archive", "privacy.pseudonymise=true")
    assert (result.status, result.tags["ingested"], result.tags["rejected"]) == ("succeeded", "11", "0"), result.message
    for secret in ("zqann", "zqbob", "Zq Ann", "zq-11", "zq-22", KEY):
        assert places(world.root, secret) == [], secret
    ann, bob = hmac_of("zq-11"), hmac_of("zq-22")
    assert (ann, bob) in world.rows("silver.follows", "src_id", "dst_id")
    assert {row[0] for row in world.rows("silver.interactions", "user_id")} == {ann}
    messages = world.rows("silver.texts", "text_id", "kind")
    assert (
        {i for i, kind in messages if kind == "message"}
        == {hmac_of("dm-9")}
        < {row[0] for row in world.rows("silver.interactions", "item_id")}
    )
    assert {ann, bob, hmac_of("23")} == {row[0] for row in world.rows("silver.users", "user_id")}


def test_ratings_without_a_time_land_once(world: World) -> None:
    """Names of files, escapes and rejects: tests/ingest/formats/test_reading.py."""
    path = world.file('"User-ID";"ISBN";"Book-Rating"\r\n"u1";"X";"5"\r\n"u2";"X";"0"\r\n')
    sets = ("delimiter=;", "allow_missing_time=true")
    assert world.ingest(path, "ratings", *sets).tags["ingested"] == "2"
    again = world.ingest(path, "ratings", *sets, "rating_max=11")
    assert (again.tags["ingested"], again.tags["duplicates"]) == ("0", "2")
    assert world.rows("silver.interactions", "user_id", "value", "occurred_at") == [("u1", 5.0, None), ("u2", 0.0, None)]
