"""A person's archive, in both layouts, to every silver table; what is broken in it is quarantined and the rest lands."""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.ingest.sources.instagram_archives import NEW, NO_DATA, OLD, as_bytes, write_folder, write_zip
from tests.jobs.ingest.test_ingest_files import World

SOURCE = "instagram_export"


@pytest.fixture(scope="module")
def old(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake with the folder of 2020."""
    world = World(spark, tmp_path_factory.mktemp("old"))
    result = world.ingest(write_folder(OLD, world.folder / "me"), SOURCE)
    assert (result.status, result.tags["ingested"], result.tags["rejected"]) == ("succeeded", "14", "0"), result.message
    return world


@pytest.fixture(scope="module")
def new(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake with the .zip of 2022."""
    world = World(spark, tmp_path_factory.mktemp("new"))
    result = world.ingest(write_zip(NEW, world.folder / "ann.zip"), SOURCE)
    assert (result.status, result.tags["ingested"], result.tags["rejected"]) == ("succeeded", "13", "0"), result.message
    return world


def texts(world: World) -> list[tuple[Any, ...]]:
    rows = world.rows("silver.texts", "kind", "author_id", "text", "created_at", "conversation_id", "item_id")
    return [(*row[:4], row[4] is not None, row[5] is not None) for row in rows]


def test_texts_are_captions_comments_and_messages_of_a_conversation(old: World, new: World) -> None:
    both = [
        ("comment", "ann", "Très joli", datetime(2020, 1, 5), False, True),
        ("message", "ann", "", datetime(2020, 1, 2, 10, 2), True, False),  # a picture without words
    ]
    assert texts(old) == sorted([
        *both,
        ("caption", "ann", "Sea #Blue", datetime(2019, 7, 7, 12), False, True),
        ("message", "ann", "https://www.instagram.com/p/Zz-9/", datetime(2020, 1, 2, 10, 1), True, False),
        ("message", "bob", "Grüße 😀", datetime(2020, 1, 2, 10, 0, 0, 123456), True, False),
    ], key=repr)  # fmt: skip
    assert texts(new) == sorted([
        *both,
        ("caption", "ann", "Été #Été", datetime(2019, 7, 7, 12), False, True),
        ("message", "ann", "look", datetime(2020, 1, 2, 10, 1), True, False),
        ("message", "Bob", "Grüße 😀", datetime(2020, 1, 2, 10, 0, 0, 123000), True, False),
    ], key=repr)  # fmt: skip
    for world in (old, new):
        assert len({row[0] for row in world.rows("silver.texts", "conversation_id") if row[0]}) == 1


def test_interactions_are_of_the_owner_and_of_those_who_like_messages(old: World, new: World) -> None:
    days = {"like": datetime(2020, 1, 3), "save": datetime(2020, 1, 4), "comment": datetime(2020, 1, 5)}
    known = [("ann", event, day) for event, day in days.items()] + [("ann", "share", datetime(2020, 1, 2, 10, 1))]
    for world, micros in ((old, 123456), (new, 123000)):
        liked = ("ann", "like", datetime(2020, 1, 2, 10, 0, 0, micros))
        assert world.rows("silver.interactions", "user_id", "event", "occurred_at") == sorted([*known, liked], key=repr)
        messages = {row[0] for row in world.rows("silver.texts", "text_id")}
        assert [i in messages for i, at in world.rows("silver.interactions", "item_id", "occurred_at") if at == liked[2]] == [True]
    named = {(row[0], row[1]) for row in new.rows("silver.interactions", "event", "item_id")}
    assert {("like", "Cc-1"), ("save", "Dd-1"), ("share", "Zz-9")} < named


def test_items_are_the_owners_and_those_of_others_as_far_as_known(old: World, new: World) -> None:
    columns = ["kind", "owner_id", "text", "hashtags", "is_video", "image_count", "image_path", "location", "created_at"]
    unknown = ("post", None, [], None, None, None, None, None)
    others = [(unknown[0], owner, *unknown[1:]) for owner in ("cat", "cat", "dan")]
    assert old.rows("silver.items", *columns) == sorted([
        *others,
        ("post", "ann", "Sea #Blue", ["blue"], False, 1, "photos/201907/a.jpg", "Nice", datetime(2019, 7, 7, 12)),
        ("story", "ann", None, [], True, 0, "stories/201907/b.mp4", None, datetime(2019, 7, 8, 12)),
        ("profile_photo", "ann", None, [], False, 1, "profile/c.jpg", None, datetime(2019, 7, 9, 12)),
    ], key=repr)  # fmt: skip
    assert new.rows("silver.items", *columns) == sorted([
        *others,
        ("post", "ann", "Été #Été", ["été"], False, 2, "media/posts/201907/a.jpg", None, datetime(2019, 7, 7, 12)),
        ("story", "ann", None, [], True, 0, "media/stories/201907/b.mp4", None, datetime(2019, 7, 8, 12)),
    ], key=repr)  # fmt: skip
    assert [path for (path,) in new.rows("silver.images", "path")] == [
        "media/posts/201907/a.jpg", "media/posts/201907/b.jpg", "media/stories/201907/b.mp4",
    ]  # fmt: skip


def test_users_follows_and_blocks(old: World, new: World) -> None:
    follows = [
        ("ann", "cat", datetime(2019, 3, 1)), ("ann", "dan", datetime(2019, 4, 1)), ("bob", "ann", datetime(2019, 2, 1)),
    ]  # fmt: skip
    assert old.rows("silver.follows", "src_id", "dst_id", "followed_at") == follows
    assert new.rows("silver.follows", "src_id", "dst_id", "followed_at") == follows
    for world in (old, new):
        assert world.rows("silver.blocks", "user_id", "blocked_id", "occurred_at") == [("ann", "eve", datetime(2018, 1, 1))]
    joined = datetime(2015, 3, 1, 10)
    assert old.rows("silver.users", "user_id", "created_at") == [("ann", joined), ("bob", None), ("cat", None), ("dan", None)]
    # A message of the new layout has its sender's display name; only the owner's own is known to be a username.
    assert [row[0] for row in new.rows("silver.users", "user_id")] == ["Bob", "ann", "bob", "cat", "dan"]


def test_an_archive_lies_below_the_lake_by_its_content(new: World) -> None:
    sha = hashlib.sha256((new.folder / "ann.zip").read_bytes()).hexdigest()
    assert {Path(row[0]).parents[-(len(new.root.parts) + 2)] for row in new.rows("ops.ingest_files", "path")} == {
        new.root / ".landing" / sha
    }


def test_the_same_archive_again_is_passed_over(new: World) -> None:
    result = new.ingest(new.folder / "ann.zip", SOURCE)
    assert (result.tags["files"], result.tags["files_ingested_before"]) == ("0", "11")


def test_broken_files_are_quarantined_and_the_rest_lands(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    files = copy.deepcopy(NEW)
    likes, profile = "your_instagram_activity/likes/liked_posts.json", next(iter(NEW))
    files[likes] = as_bytes(files[likes])[:-20]
    files[profile] = b"\xff\xfe broken"
    files["connections/followers_and_following/following.json"] = ["a list"]
    files["your_instagram_activity/saved/saved_posts.json"] = NO_DATA
    files["your_instagram_activity/content/stories.json"] = {"ig_stories": NO_DATA}
    files["your_instagram_activity/comments/reels_comments.json"] = NO_DATA
    files["connections/followers_and_following/blocked_accounts.json"] = {"relationships_blocked_users": [{"title": "eve"}, "eve"]}
    result = world.ingest(write_folder(files, tmp_path / "instagram-ann-2023-11-05-x1Y2"), SOURCE)
    assert result.status == "succeeded", result.message
    assert sorted((Path(file).name, line, rule) for file, line, rule in world.rows("ops.quarantine", "file", "line", "rule")) == [
        ("blocked_accounts.json", 1, "bad_json"), ("following.json", 1, "bad_json"), ("liked_posts.json", 1, "bad_json"),
        ("personal_information.json", 1, "bad_encoding"),
    ]  # fmt: skip
    assert world.rows("silver.blocks", "user_id", "blocked_id", "occurred_at") == [("ann", "eve", None)]
    # The folder's name tells the owner where the profile does not.
    assert world.rows("silver.follows", "src_id", "dst_id") == [("bob", "ann")]
    assert world.rows("silver.texts", "kind", "author_id") == sorted([
        ("caption", "ann"), ("comment", "ann"), ("message", "Bob"), ("message", "Ann Müller"), ("message", "Ann Müller"),
    ], key=repr)  # fmt: skip
    without = ("reels_comments.json", "saved_posts.json", "stories.json")
    assert sorted(row for row in world.counts() if row[0] in without) == [(name, 0, 0, 0, 0) for name in without]


def test_the_same_bytes_in_the_archives_of_two_people_are_of_both(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    for name in ("ann", "bob"):
        files = {"profile.json": {"username": name}, "saved.json": NO_DATA, "likes.json": OLD["likes.json"]}
        write_folder(files, tmp_path / "in" / name)
    result = world.ingest(tmp_path / "in", SOURCE)
    assert result.status == "succeeded", result.message
    assert world.rows("silver.interactions", "user_id", "event") == [("ann", "like"), ("bob", "like")]
    assert world.rows("silver.users", "user_id") == [("ann",), ("bob",), ("cat",)]
    assert world.ingest(tmp_path / "in", SOURCE).tags["files"] == "0"


def spoiled(seed: int) -> Iterator[bytes]:
    """Copies of a file of messages with a few bytes changed, cut, doubled or another file's."""
    chosen = random.Random(seed)
    whole = as_bytes(NEW["your_instagram_activity/messages/inbox/bob_123/message_1.json"])
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chosen.randint(1, 4)):
            place = chosen.randrange(len(data))
            action = chosen.randrange(4)
            if action == 0:
                data[place] = chosen.randrange(256)
            elif action == 1:
                del data[place : place + chosen.randint(1, 30)]
            elif action == 2:
                data[place:place] = data[place : place + 40]
            else:
                data[place:place] = chosen.choice([b"null", b"[]", b"{}", b"-1e999", b"\x00", b'"\\ud800"', b"\xc3"])
        yield bytes(data)


def test_whatever_the_bytes_every_record_is_in_one_place(spark: SparkSession, tmp_path: Path) -> None:
    world = World(spark, tmp_path)
    files = {f"messages/inbox/t{i}/message_1.json": data for i, data in enumerate(spoiled(7))}
    result = world.ingest(write_folder(files, tmp_path / "me"), SOURCE)
    assert result.status == "succeeded", result.message
    # `counts` adds each file up.
    records, ingested, duplicates, rejected = (sum(row[i] for row in world.counts()) for i in (1, 2, 3, 4))
    assert records >= len(files)
    assert len(world.rows("silver.texts", "text_id")) == ingested
    assert len(world.rows("ops.quarantine", "line")) == rejected
    assert min(ingested, duplicates, rejected) > 5
