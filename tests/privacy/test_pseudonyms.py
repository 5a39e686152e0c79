"""Pseudonyms: the same everywhere, made before anything is written, under a key that is nowhere in the lake."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.cli.app import run as shoal_command
from shoal.conf.loading import load
from shoal.conf.pseudonym_key import key_from_environment
from shoal.errors import UsageError
from shoal.ingest.pseudonymise import hide_people
from shoal.ingest.sources.catalogue import parts_of
from shoal.ingest.sources.instagram_export.hiding import hidden_media, hidden_path
from shoal.lake.lake import Lake, Run
from shoal.privacy.masking import mask, names_replaced
from shoal.privacy.pseudonyms import pseudonym
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

from tests.ingest.sources.instagram_archives import mojibake, write_folder, write_zip
from tests.support.bytes_of_a_lake import places

KEY = "5b1f0c7e9a3d4468b2c6e1f07a9d8c35"
DAY = date(2024, 1, 1)


def hmac_of(value: str, key: str = KEY) -> str:
    return "p_" + hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()


def ingest(spark: SparkSession, root: Path, source: str, path: Path, *sets: str) -> Result:
    settings = load(sets=["privacy.pseudonymise=true", *sets])
    return execute(spark, find_job("ingest_files"), settings, root, DAY, {"source": source, "input": str(path)})


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_ids_are_pseudonyms_everywhere_joins_hold_and_neither_id_nor_key_is_in_the_lake(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    root = tmp_path / "lake"
    files = {
        # One sound, one with a bad value in which an id stands, one that is cut off.
        "events": "event_id,user_id,item_id,event,occurred_at\nzq-1,zq-ann,i1,like,2023-06-01\n"
        "zq-2,zq-bob,i1,zq-ann,2023-06-01\nzq-3,zq-ann\n",
        "texts": 'text_id,author_id,item_id,text\nzq-t, zq-ann ,i1,"hi @zq-ann, zq.mail@example.org or +49 170 1234567, 2023"\n',
        "edges": "src,dst\nzq-ann,zq-bob\n",
    }
    for source, text in files.items():
        result = ingest(spark, root, source, written(tmp_path, f"{source}.csv", text), "ingest.max_reject_ratio=1")
        assert result.status == "succeeded", result.message
    lake = Lake(spark, root, load(), Run("reader"))
    events = lake.read("silver.interactions").collect()
    assert [(r["user_id"], r["event_id"], r["item_id"]) for r in events] == [(hmac_of("zq-ann"), hmac_of("zq-1"), "i1")]
    text = lake.read("silver.texts").collect()[0]
    assert text["author_id"] == hmac_of("zq-ann")
    assert text["text"] == f"hi @{hmac_of('zq-ann')}, (mail) or (phone), 2023"
    follows = lake.read("silver.follows").withColumnRenamed("src_id", "user_id")
    assert follows.join(lake.read("silver.interactions"), "user_id").count() == 1
    assert sorted((r["rule"], r["reason"]) for r in lake.read("ops.quarantine").collect()) == [
        ("check", "event: (withheld: the lake is pseudonymised)"),
        ("field_count", "(withheld: the lake is pseudonymised)"),
    ]
    assert {r["raw"] for r in lake.read_current("bronze.events").collect()} == {"(withheld: the lake is pseudonymised)"}
    for secret in ("zq-ann", "zq-bob", "zq-1", "zq.mail", KEY, KEY.encode().hex(), base64.b64encode(KEY.encode()).decode()):
        assert places(root, secret) == [], secret

    # What is asked under the plain id is found and taken under the pseudonym.
    assert shoal_command(["export", "--user", "zq-ann", "--lake", str(root)]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert [row["event_id"] for row in reported["tables"]["silver.interactions"]] == [hmac_of("zq-1")]
    assert shoal_command(["erase", "--user", "zq-ann", "--lake", str(root)]) == 0
    assert places(root, hmac_of("zq-ann")) == []
    assert places(root, KEY) == []


def test_people_inside_tweets_are_hidden_and_still_joined(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API's two object forms, a table with links, events, follows and follower edges; ids as numbers and as text."""
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    folder = tmp_path / "in"
    folder.mkdir()
    user = {"id": 770077001, "id_str": "770077001", "screen_name": "zqann", "name": "zq Ann", "description": "I am zqann",
            "followers_count": 7, "created_at": "Wed Oct 10 20:19:24 +0000 2018", "location": "zqtown"}  # fmt: skip
    tweet = {"id": "11", "text": "RT @zqbob hello", "user": user, "created_at": 10, "public_metrics": {"like_count": 12345678}}
    written(folder, "tweets.jsonl", json.dumps(tweet) + "\n")
    people = [{"id": "770077001", "username": "zqann", "public_metrics": {"followers_count": 8}, "name": "zq Ann"},
              {"id": 770077002, "username": "zqbob", "url": "https://zqbob.test"}]  # fmt: skip
    page = {"data": [{"id": "12", "text": "more", "author_id": "770077001", "created_at": 20}], "includes": {"users": people}}
    written(folder, "page.json", json.dumps(page))
    written(folder, "table.csv", "link,tweet,author,date\nhttps://twitter.com/zqbob/status/13,words,zqbob,2018-01-01\n")
    lines = [{"type": "like", "user_id": "770077002", "tweet_id": "11", "created_at": 30},
             {"type": "follow", "user_id": "770077002", "target_user_id": "770077001", "created_at": 40}]  # fmt: skip
    written(folder, "events.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    written(folder, "followers.csv", "follower_id,followed_id\n770077001,770077002\n")
    root = tmp_path / "lake"
    result = ingest(spark, root, "twitter_activity", folder)
    assert (result.status, result.message, result.tags["rejected"]) == ("succeeded", None, "0")
    for secret in ("zqann", "zqbob", "zq Ann", "zqtown", "770077001", "770077002"):
        assert places(root, secret) == [], secret
    lake = Lake(spark, root, load(), Run("reader"))
    ann, bob, ann_name, bob_name = (hmac_of(value) for value in ("770077001", "770077002", "zqann", "zqbob"))
    items = lake.read("silver.items").select("item_id", "owner_id").collect()
    assert sorted(map(tuple, items)) == [("11", ann), ("12", ann), ("13", bob_name)]
    users = {row["user_id"]: (row["username"], row["followers"]) for row in lake.read("silver.users").collect()}
    assert users == {ann: (ann_name, users[ann][1]), bob: (bob_name, None), bob_name: (bob_name, None)}
    assert users[ann][1] in (7, 8)
    follows = lake.read("silver.follows").select("src_id", "dst_id").collect()
    assert sorted(map(tuple, follows)) == sorted([(bob, ann), (ann, bob)])
    likes = lake.read("silver.item_engagement").where("item_id = '11'").select("likes").collect()
    assert [row["likes"] for row in likes] == [12345678]
    texts = dict(lake.read("silver.texts").select("text_id", "text").collect())
    assert texts["11"] == f"RT @{bob_name} hello"


def test_the_key_is_in_no_plan(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    part = parts_of("ratings")[0]
    fields = ", ".join(f"{f.name} string" for f in part.fields)
    records = spark.createDataFrame([("f", 1, "r", None, None, *["u"] * len(part.fields))],
                                    f"_file string, _line bigint, raw string, _rule string, _reason string, {fields}")  # fmt: skip
    hidden = hide_people(records, part, load(sets=["privacy.pseudonymise=true"]).privacy)
    hidden.explain(True)
    plan = capsys.readouterr().out
    assert "MapInArrow" in plan
    assert KEY not in plan + str(spark.sparkContext.getConf().getAll())
    assert hidden.select("user_id", "item_id", "raw").collect()[0][:2] == (hmac_of("u"), "u")


def test_paths_and_currencies_are_no_words(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    part = parts_of("fashion_catalog")[0]
    values = {"product_id": "0108775015", "title": "Hat", "currency": "EUR", "image_path": "images/010/0108775015.jpg"}
    fields = ", ".join(f"{f.name} string" for f in part.fields)
    row = ("f", 1, "r", None, None, *[values.get(f.name) for f in part.fields])
    records = spark.createDataFrame([row], f"_file string, _line bigint, raw string, _rule string, _reason string, {fields}")
    settings = load(sets=["privacy.pseudonymise=true", "privacy.free_text=withhold"])
    found = hide_people(records, part, settings.privacy).select(*values).collect()[0].asDict()
    assert found == values | {"title": "(withheld: the lake is pseudonymised)"}


@pytest.mark.parametrize(("key", "says"), [(None, "SHOAL_PSEUDONYM_KEY is not set"), ("short", "has 5 bytes; expected at least")])
def test_without_a_key_nothing_is_read(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, says: str
) -> None:
    monkeypatch.delenv("SHOAL_PSEUDONYM_KEY", raising=False)
    if key:
        monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", key)
    result = ingest(spark, tmp_path / "lake", "edges", written(tmp_path, "e.csv", "src,dst\na,b\n"))
    assert result.exit_code == 2
    assert says in (result.message or "")
    assert not (tmp_path / "lake" / "bronze").exists()


def test_plain_ids_pseudonyms_and_other_keys_are_never_mixed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    edges = written(tmp_path, "e.csv", "src,dst\na,b\n")
    assert ingest(spark, tmp_path / "lake", "edges", edges).exit_code == 0
    plain = ingest(spark, tmp_path / "lake", "edges", edges, "privacy.pseudonymise=false")
    assert (plain.exit_code, "this lake is pseudonymised" in (plain.message or "")) == (2, True)
    assert ingest(spark, tmp_path / "plain", "edges", edges, "privacy.pseudonymise=false").exit_code == 0
    mixed = ingest(spark, tmp_path / "plain", "edges", edges)
    assert (mixed.exit_code, "holds plain ids" in (mixed.message or "")) == (2, True)
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY[::-1])
    other = ingest(spark, tmp_path / "lake", "edges", edges)
    assert (other.exit_code, "is not the key" in (other.message or "")) == (2, True)
    assert shoal_command(["erase", "--user", "a", "--lake", str(tmp_path / "lake")]) == 2


def test_a_pseudonym_is_hmac_sha256_of_the_id_without_blanks_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 4231, test case 2.
    assert pseudonym(b"Jefe", " what do ya want for nothing? ") == (
        "p_5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", "é" * 16)
    assert len(key_from_environment()) == 32  # bytes
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", "é" * 15)
    with pytest.raises(UsageError, match="30 bytes"):
        key_from_environment()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("@ann! and @b.c.", f"@{hmac_of('ann')}! and @{hmac_of('b.c')}."),
        ("write to a.b+c@x-y.co.uk now", "write to (mail) now"),
        ("call +1 (555) 123-4567", "call (phone)"),
        ("in 2024 for 19.99, 100000 times", "in 2024 for 19.99, 100000 times"),
        ("nothing", "nothing"),
    ],
)
def test_names_after_an_at_addresses_and_numbers_go_from_words(text: str, left: str) -> None:
    assert mask(KEY.encode(), text) == left


ZQ_OLD: dict[str, Any] = {
    "profile.json": {"username": "zqann", "name": "Zq Ann", "email": "zqann@mail.test"},
    "messages.json": [{"participants": ["zqann", "zqbob"], "conversation": [
        {"sender": "zqbob", "created_at": "2020-01-02T10:00:00+00:00", "text": "hi zqann, @zqcat and ZQBOB",
         "likes": [{"username": "zqann"}]},
        {"sender": "zqann", "created_at": "2020-01-02T10:01:00+00:00", "link": "https://www.instagram.com/zqdan/"},
        {"sender": "zqann", "created_at": "2020-01-02T10:02:00+00:00", "media": "https://cdn.test/zqbob.jpg"},
    ]}],
    "media.json": {"photos": [{"caption": "Zq Ann at sea", "taken_at": "2019-07-07T12:00:00", "path": "photos/201907/zqann.jpg"}]},
    "likes.json": {"media_likes": [["2020-01-03T00:00:00+00:00", "zqcat"]]},
    "saved.json": ["You have no data in this section"],
    "comments.json": {"media_comments": [["2020-01-05T00:00:00+00:00", "dear zqcat", "zqcat"], ["zqcat", "x", "zqcat"], "zqcat"]},
    "connections.json": {"followers": {"zqbob": "2019-02-01T00:00:00"}, "following": {"zqcat": "2019-03-01T00:00:00"},
                         "blocked_users": {"zqeve": "2018-01-01T00:00:00"}},
}  # fmt: skip
ZQ_NEW: dict[str, Any] = {
    "personal_information/personal_information.json": {"profile_user": [
        {"string_map_data": {"Username": {"value": "zqann"}, "Name": {"value": mojibake("Zq Änn")}}}]},
    "messages/inbox/zqbob_123/message_1.json": {
        "participants": [{"name": "Zq Bob"}, {"name": mojibake("Zq Änn")}], "thread_path": "inbox/zqbob_123", "title": "Zq Bob",
        "messages": [
            {"sender_name": "Zq Bob", "timestamp_ms": 1577959200123, "content": mojibake("Zq Bob named the group Zq Änn's"),
             "reactions": [{"reaction": "x", "actor": mojibake("Zq Änn")}]},
            {"sender_name": mojibake("Zq Änn"), "timestamp_ms": 1577959260000, "share": {"link": "https://www.instagram.com/p/Zz-9/"}},
            {"sender_name": mojibake("Zq Änn"), "timestamp_ms": 1577959320000,
             "photos": [{"uri": "messages/inbox/zqbob_123/photos/17_n_1.jpg"}]},
        ]},
    "messages/inbox/zqcat_9/message_1.json": {"participants": [{"zqcat": 1}], "messages": []},
    "your_instagram_activity/likes/liked_posts.json": {"likes_media_likes": [
        {"title": "zqcat", "string_list_data": [{"href": "https://www.instagram.com/p/Cc-1/", "timestamp": 1578009600}]}]},
    "connections/followers_and_following/followers_1.json": [
        {"string_list_data": [{"href": "https://www.instagram.com/zqbob", "value": "zqbob", "timestamp": 1548979200}]}],
    "connections/followers_and_following/followers_zqdan.json": [],
    "connections/followers_and_following/blocked_accounts.json": {
        "relationships_blocked_users": [
            {"title": "zqeve", "string_list_data": [{"href": "https://www.instagram.com/zqeve", "timestamp": 1514764800}]}]},
}  # fmt: skip


@pytest.mark.parametrize("form", ["old folder", "new zip"])
@pytest.mark.slow
def test_a_persons_archive_is_in_the_lake_without_people(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Names stand in fields, lists, words, links, folders and files' names, and in what cannot be read."""
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    files = ZQ_OLD if form == "old folder" else ZQ_NEW
    called, root = "instagram-zqann-2024-01-31-x", tmp_path / "lake"
    make = write_zip if form == "new zip" else write_folder
    given = make(files, tmp_path / "in" / (f"{called}.zip" if form == "new zip" else called))
    result = ingest(spark, root, "instagram_export", given, "ingest.max_reject_ratio=1")
    assert (result.status, result.message) == ("succeeded", None)
    for secret in ("zqann", "zqbob", "zqcat", "zqdan", "zqeve", "Zq Ann", "Zq Änn", "Zq Bob", "Zq \\u00c4nn", "ZQBOB", KEY):
        assert places(root, secret) == [], secret
    aside = f"shoal-{os.getuid()}-{hashlib.sha256(str(root).encode()).hexdigest()[:16]}"
    assert not (Path(tempfile.gettempdir()) / aside).exists()

    lake = Lake(spark, root, load(), Run("reader"))
    ann, cat = hmac_of("zqann"), hmac_of("zqcat")
    bob = hmac_of("zqbob" if form == "old folder" else "Zq Bob")
    texts = lake.read("silver.texts").where("kind = 'message'").orderBy("created_at").collect()
    if form == "old folder":
        said = [f"hi {ann}, @{cat} and {bob}", f"https://www.instagram.com/{hmac_of('zqdan')}/", ""]
        rejected = [("comments.json", "bad_json"), ("comments.json", "type")]
    else:
        said = [f"{bob} named the group {ann}'s", "https://www.instagram.com/p/Zz-9/", ""]
        rejected = [("message_1.json", "bad_json")]
    assert [(row["author_id"], row["text"]) for row in texts] == [(bob, said[0]), (ann, said[1]), (ann, said[2])]
    found = lake.read("ops.quarantine").select("file", "rule", "raw").collect()
    assert sorted((Path(row["file"]).name, row["rule"]) for row in found) == rejected
    assert {row["raw"] for row in found} == {"(withheld: the lake is pseudonymised)"}
    # Joins: whoever likes, follows and writes is one person, and a liked message is a message.
    events = lake.read("silver.interactions")
    assert events.where(F.col("item_id") == texts[0]["text_id"]).select("user_id", "event").collect() == [(ann, "like")]
    users = {row["user_id"] for row in lake.read("silver.users").collect()}
    assert {ann, bob, cat} <= users == {row["username"] for row in lake.read("silver.users").collect()}
    owners = lake.read("silver.items").join(events.where(f"event = 'like' and user_id = '{ann}'"), "item_id")
    assert {row["owner_id"] for row in owners.collect()} == {cat}
    follows = {tuple(row) for row in lake.read("silver.follows").select("src_id", "dst_id").collect()}
    assert (hmac_of("zqbob"), ann) in follows
    blocks = {tuple(row) for row in lake.read("silver.blocks").select("user_id", "blocked_id").collect()}
    assert blocks == {(ann, hmac_of("zqeve"))}
    # The same archive again is known, although its paths are hidden.
    again = ingest(spark, root, "instagram_export", given, "ingest.max_reject_ratio=1")
    assert (again.status, again.tags["files"]) == ("succeeded", "0")


def test_what_went_wrong_with_an_archive_is_told_to_the_user_and_not_to_the_lake(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_PSEUDONYM_KEY", KEY)
    given = write_folder({"zqann.txt": b"words"}, tmp_path / "instagram-zqann-2024-01-31-x")
    result = ingest(spark, tmp_path / "lake", "instagram_export", given)
    assert (result.exit_code, "instagram-zqann" in (result.message or "")) == (3, True)
    rows = Lake(spark, tmp_path / "lake", load(), Run("reader")).read("ops.runs").select("error_class", "message").collect()
    assert [tuple(row) for row in rows] == [("InputError", "(withheld: the lake is pseudonymised)")]
    assert places(tmp_path / "lake", "zqann") == []


def test_names_of_a_conversation_go_from_its_words_and_numbers_stay() -> None:
    named = names_replaced(KEY.encode(), {"Zq Ann": "zqann", "Ann": "Ann", "4": "4", "Bo ": "Bo "}, 5)
    assert mask(KEY.encode(), "zq ann and Ann, ann, 4 stars, Bobby, Bo", named) == (
        f"{hmac_of('zqann')} and {hmac_of('Ann')}, ann, 4 stars, Bobby, {hmac_of('Bo')}"
    )


def test_paths_of_an_archive_keep_what_every_archive_has() -> None:
    def hide(value: str) -> str:
        return f"<{value}>"

    assert hidden_path("/x/zq/your_instagram_activity/messages/inbox/likes/message_12.json", hide) == (
        "</x/zq>/your_instagram_activity/messages/inbox/<likes>/message_12.json"
    )
    assert hidden_path("/x/zq/followers_and_following/followers_zq.json.gz", hide) == (
        "</x/zq>/followers_and_following/<followers_zq.json.gz>.json.gz"
    )
    assert json.loads(hidden_media('["media/posts/201907/17_2_n.jpg", "photos/zq.JPG", "https://zq.test/1", 7]', hide)) == [
        "media/posts/201907/17_2_n.jpg", "photos/<zq.JPG>.JPG", "https://www.instagram.com/", None,
    ]  # fmt: skip
