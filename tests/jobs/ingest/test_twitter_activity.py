"""Tweets, activity and follower edges in every form they come in, to every silver table they give rows of."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.jobs.ingest.test_ingest_files import World

BIG = "9007199254740993"  # 2^53 + 1: as a double it is another tweet
TIME = datetime(2018, 10, 10, 20, 19, 24)
FIRST_VERSION = {
    "created_at": "Wed Oct 10 20:19:24 +0000 2018", "id": int(BIG), "id_str": BIG, "full_text": "It&#39;s #Été &amp; more",
    "user": {"id": 7, "id_str": "7", "screen_name": "ann", "followers_count": 12, "friends_count": 3,
             "created_at": "Tue Mar 21 20:50:14 +0000 2006"},
    "retweet_count": 5, "favorite_count": 11, "place": {"full_name": "Nice, France"}, "entities": {"hashtags": []},
}  # fmt: skip
PAGE = {
    "data": [
        {"id": "1000000000000000001", "text": "hi #One", "author_id": "8", "created_at": "2018-10-10T20:19:24.000Z",
         "conversation_id": "1000000000000000001",
         "public_metrics": {"retweet_count": 2, "reply_count": 1, "like_count": 9, "quote_count": 1, "impression_count": 100}},
        {"id": "1000000000000000002", "text": "plain", "author_id": "9"},
        "no tweet",
    ],
    "includes": {
        "users": [
            {"id": "8", "name": "Bob", "username": "bob", "created_at": "2010-01-02T03:04:05.000Z",
             "public_metrics": {"followers_count": 40, "following_count": 4}},
            {"id": "10", "name": "Cy", "username": "cy"},
        ],
        "tweets": [{"id": "999", "text": "quoted", "author_id": "10"}],
    },
    "meta": {"result_count": 2},
}  # fmt: skip


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def test_a_folder_of_all_kinds_reaches_every_table(world: World) -> None:
    lines = [json.dumps(FIRST_VERSION), '{"id": 5, "text": ""}', '{"id": 6, "text": ', json.dumps(FIRST_VERSION)]
    world.file("\n".join(lines) + "\n", "in/tweets.jsonl")
    world.file(json.dumps([PAGE]), "in/pages.json")
    activity = [
        {"type": "like", "user_id": 21, "tweet_id": int(BIG), "created_at": "2018-10-11T00:00:00Z"},
        {"type": "Retweet", "user_id": "22", "tweet_id": BIG, "created_at": 1539216000},
        {"type": "reply", "user_id": "22", "tweet_id": BIG, "created_at": "Thu Oct 11 00:00:01 +0000 2018", "id": "e3"},
        {"type": "follow", "user_id": "22", "target_user_id": "7", "created_at": "2018-10-11T00:00:02Z"},
        {"type": "view", "user_id": "23", "tweet_id": "9.00719925474099E15", "created_at": "2018-10-11T00:00:03Z"},
        {"type": "poke", "user_id": "23", "tweet_id": BIG, "created_at": "2018-10-11T00:00:03Z"},
        {"type": "follow", "user_id": "23", "created_at": "2018-10-11T00:00:03Z"},
        {"type": "click", "user_id": "23", "tweet_id": BIG, "created_at": "Foo Bar 99 00:00:00 +0000 2018"},
        {"type": "like", "user_id": "21", "tweet_id": BIG, "created_at": "2018-10-11T00:00:00Z"},
    ]  # fmt: skip
    world.file("\n".join(json.dumps(each) for each in activity) + "\nnot json\n", "in/activity.jsonl")
    world.file("follower_id,followed_id\n8,7\n9,7\n22,7\n", "in/followers.csv")
    result = world.ingest(world.folder / "in", "twitter_activity")
    assert result.status == "succeeded", result.message

    items = ["item_id", "kind", "owner_id", "text", "hashtags", "location", "created_at", "source"]
    assert world.rows("silver.items", *items) == [
        ("1000000000000000001", "tweet", "8", "hi #One", ["one"], None, TIME, "twitter_activity"),
        ("1000000000000000002", "tweet", "9", "plain", [], None, None, "twitter_activity"),
        (BIG, "tweet", "7", "It&#39;s #Été &amp; more", ["été"], "Nice, France", TIME, "twitter_activity"),
        ("999", "tweet", "10", "quoted", [], None, None, "twitter_activity"),
    ]
    texts = ["text_id", "kind", "author_id", "item_id", "conversation_id", "created_at"]
    assert world.rows("silver.texts", *texts)[0] == ("1000000000000000001", "tweet", "8", *["1000000000000000001"] * 2, TIME)
    assert len(world.rows("silver.texts", "text_id")) == 4
    assert world.rows("silver.item_engagement", "item_id", "observed_at", "likes", "comments", "shares", "views") == [
        ("1000000000000000001", TIME, 9, 1, 3, 100),
        (BIG, TIME, 11, None, 5, None),
    ]
    assert world.rows("silver.users", "user_id", "username", "followers", "following", "created_at") == [
        ("10", "cy", None, None, None),
        ("7", "ann", 12, 3, datetime(2006, 3, 21, 20, 50, 14)),
        ("8", "bob", 40, 4, datetime(2010, 1, 2, 3, 4, 5)),
    ]
    assert sorted(world.rows("silver.interactions", "user_id", "item_id", "event", "occurred_at")) == [
        ("21", BIG, "like", datetime(2018, 10, 11)),
        ("22", BIG, "comment", datetime(2018, 10, 11, 0, 0, 1)),
        ("22", BIG, "share", datetime(2018, 10, 11)),
    ]
    assert ("e3",) in world.rows("silver.interactions", "event_id")
    assert [row[:2] for row in world.rows("silver.follows", "src_id", "dst_id", "weight")] == [("22", "7"), ("8", "7"), ("9", "7")]
    reported = sorted((Path(file).name, line, rule) for file, line, rule in world.rows("ops.quarantine", "file", "line", "rule"))
    assert reported == [
        ("activity.jsonl", 5, "type"),  # an id that was rounded
        ("activity.jsonl", 6, "check"),  # no such event
        ("activity.jsonl", 7, "required"),  # follows nobody
        ("activity.jsonl", 8, "type"),  # no such time
        ("activity.jsonl", 10, "bad_json"),
        ("pages.json", 3, "bad_json"),
        ("tweets.jsonl", 2, "required"),
        ("tweets.jsonl", 3, "bad_json"),
    ]
    assert world.counts() == [
        ("activity.jsonl", 2, 1, 0, 1),  # its follows
        ("activity.jsonl", 8, 3, 1, 4),  # the rest
        ("followers.csv", 3, 3, 0, 0),
        ("pages.json", 4, 3, 0, 1),
        ("tweets.jsonl", 4, 1, 1, 2),
    ]


def test_tables_of_two_accounts_and_an_hour_of_tweets_lose_no_row(world: World, data: Path) -> None:
    for name in ("fivethirtyeight_twitter_ratio", "fivethirtyeight_maymac_tweets"):
        result = world.ingest(data / name, "twitter_activity")
        assert result.status == "succeeded", result.message
    # A third of the rows of the first two files is not UTF-8, which a count of their bytes says too.
    assert sorted(world.counts()) == [
        ("BarackObama.csv", 3207, 1829, 0, 1378), ("realDonaldTrump.csv", 3232, 2740, 0, 492), ("tweets.csv", 12118, 12118, 0, 0),
    ]  # fmt: skip
    assert {rule for _, rule, _ in world.quarantined()} == {"bad_encoding"}
    tweet = ("920061541986250758", "BarackObama", datetime(2017, 10, 16, 22, 59))
    assert tweet in world.rows("silver.items", "item_id", "owner_id", "created_at")
    counts = world.rows("silver.item_engagement", "item_id", "likes", "comments", "shares", "views")
    assert ("920061541986250758", 641842, 17064, 89916, None) in counts
    hashed = ("901656917105369088", "u2fa2660d36b2", ["mayweathervmcgregor"], datetime(2017, 8, 27, 0, 5, 35))
    assert hashed in world.rows("silver.items", "item_id", "owner_id", "hashtags", "created_at")
