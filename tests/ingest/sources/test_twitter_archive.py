"""The documents of an archive of X: records of what is known, the object as it came, and whose archive it is."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shoal.ingest.formats.documents import ORIGINAL, WRONG_SHAPE, document_records
from shoal.ingest.formats.listing import list_files
from shoal.ingest.formats.parsing import Stretch
from shoal.ingest.sources import twitter_archive
from shoal.ingest.sources.twitter_archive import (
    PARTS,
    account_of,
    hidden_events,
    hidden_path,
    likes_of,
    made_at,
    messages_of,
    owner_names,
    owner_of,
    ties_of,
    tweets_of,
)

TWEET = {
    "id_str": "1601234567890123456", "id": "1601234567890123456", "favorite_count": "3", "retweet_count": "1",
    "created_at": "Fri Dec 09 15:30:00 +0000 2022", "full_text": "Morning run #Lisbon @bob",
    "entities": {"hashtags": [{"text": "Lisbon"}], "user_mentions": [{"id_str": "22", "screen_name": "bob"}], "urls": [
        {"expanded_url": "https://twitter.com/bob/status/1601000000000000001"}]},
}  # fmt: skip
REPLY = {
    "id_str": "1601234567890123457", "full_text": "Rest &amp; soup", "created_at": "Fri Dec 09 16:30:00 +0000 2022",
    "in_reply_to_status_id_str": "1601000000000000002", "in_reply_to_user_id_str": "23", "in_reply_to_screen_name": "cat",
}  # fmt: skip
RETWEET = {
    "id_str": "1601234567890123458", "full_text": "RT @bob: look", "favorite_count": "0", "retweet_count": "900",
    "created_at": "Fri Dec 09 17:30:00 +0000 2022",
    "extended_entities": {"media": [{"id_str": "1", "source_status_id_str": "1601000000000000003"}]},
}  # fmt: skip
ACCOUNT = {"username": "ann", "accountId": "11", "createdAt": "2010-01-01T00:00:00.000Z", "accountDisplayName": "Ann M"}


def script(name: str, things: list[Any], part: int = 0) -> bytes:
    """A file of the archive."""
    return f"window.YTD.{name}.part{part} = {json.dumps(things, indent=2)}".encode()


ARCHIVE: dict[str, bytes] = {
    "data/account.js": script("account", [{"account": ACCOUNT}]),
    "data/manifest.js": b'window.__THAR_CONFIG = {"archiveInfo" : {"generationDate" : "2022-12-20T08:00:00.000Z"}}',
    "data/tweets.js": script("tweets", [{"tweet": TWEET}, {"tweet": REPLY}]),
    "data/tweets-part1.js": script("tweets", [{"tweet": RETWEET}], 1),
    "data/like.js": script("like", [{"like": {"tweetId": "1050118621198921728", "fullText": "hello #World"}}]),
    "data/follower.js": script("follower", [{"follower": {"accountId": "22"}}, {"follower": {"accountId": "23"}}]),
    "data/following.js": script("following", [{"following": {"accountId": "22"}}]),
    "data/block.js": script("block", [{"blocking": {"accountId": "66"}}]),
    "data/mute.js": script("mute", [{"muting": {"accountId": "67"}}]),
    "data/direct-messages.js": script("direct_messages", [{"dmConversation": {"conversationId": "11-22", "messages": [
        {"messageCreate": {"id": "9", "senderId": "22", "recipientId": "11", "text": "hi @ann",
                           "createdAt": "2022-12-01T10:00:00.000Z",
                           "reactions": [{"senderId": "11", "reactionKey": "like", "createdAt": "2022-12-01T10:01:00.000Z"}]}},
        {"joinConversation": {"initiatingUserId": "22"}},
    ]}}]),
    "data/ad-engagements.js": script("ad_engagements", [{"ad": {}}]),
    "assets/js/app.js": b"(function() { window.x = 1 })()",
    "Your archive.html": b"<html></html>",
}  # fmt: skip


def write_archive(folder: Path, files: dict[str, bytes] = ARCHIVE) -> Path:
    """The files below `folder`."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def records_in(folder: Path, name: str, records_of: Any) -> list[dict[str, Any]]:
    """The records of a file, by the reader of documents, with its raw text."""
    columns = tuple(f"{field.name.replace('_', '')}={field.name}" for field in PARTS[0].fields)
    stretch = Stretch(str(folder / name), "document", "", 0, -1, 1, columns)
    names = [field.name for field in PARTS[0].fields]
    return [row for batch in document_records(stretch, names, records_of, 1 << 20) for row in batch.to_pylist()]


def test_tweets_with_their_events_people_and_counts(tmp_path: Path) -> None:
    folder = write_archive(tmp_path)
    first, reply = records_in(folder, "data/tweets.js", tweets_of)
    assert json.loads(first["raw"]) == {"tweet": TWEET}
    assert (first["record_id"], first["user_id"], first["item_id"], first["text"]) == (
        "1601234567890123456", "11", "1601234567890123456", "Morning run #Lisbon @bob",
    )  # fmt: skip
    assert (first["likes"], first["shares"], first["occurred_at"], first["observed_at"]) == (
        "3", "1", "2022-12-09T15:30:00+00:00", "2022-12-20T08:00:00.000Z",
    )  # fmt: skip
    assert json.loads(first["hashtags"]) == ["Lisbon"]
    assert json.loads(first["people"]) == [{"id_str": "22", "screen_name": "bob"}]
    share = {"user_id": "11", "item_id": "1601000000000000001", "event": "share", "at": "2022-12-09T15:30:00+00:00"}
    assert json.loads(first["events"]) == [share]
    assert [(e["event"], e["item_id"]) for e in json.loads(reply["events"])] == [("comment", "1601000000000000002")]
    assert json.loads(reply["people"]) == [{"id_str": "23", "screen_name": "cat"}]
    (retweet,) = records_in(folder, "data/tweets-part1.js", tweets_of)
    # The counts of a retweet are those of the tweet that it repeats.
    assert (retweet["likes"], retweet["shares"]) == (None, None)
    assert [(e["event"], e["item_id"]) for e in json.loads(retweet["events"])] == [("share", "1601000000000000003")]


def test_likes_ties_messages_and_the_account(tmp_path: Path) -> None:
    folder = write_archive(tmp_path)
    (like,) = records_in(folder, "data/like.js", likes_of)
    # When the like was given is not known; when the tweet was written is in its id.
    assert (like["user_id"], like["item_id"], like["text"], like["occurred_at"], like["observed_at"]) == (
        "11", "1050118621198921728", "hello #World", None, "2018-10-10T20:19:24.211000+00:00",
    )  # fmt: skip
    pairs = {
        name: [(row["kind"], row["user_id"], row["other_id"]) for row in records_in(folder, f"data/{name}.js", ties_of)]
        for name in ("follower", "following", "block", "mute")
    }
    assert pairs == {
        "follower": [("follow", "22", "11"), ("follow", "23", "11")], "following": [("follow", "11", "22")],
        "block": [("block", "11", "66")], "mute": [("block", "11", "67")],
    }  # fmt: skip
    (message,) = records_in(folder, "data/direct-messages.js", messages_of)
    assert (message["record_id"], message["user_id"], message["other_id"], message["text"]) == ("dm-9", "22", "11", "hi @ann")
    liked = {"user_id": "11", "item_id": "dm-9", "event": "like", "at": "2022-12-01T10:01:00.000Z"}
    assert json.loads(message["events"]) == [liked]
    assert len(message["conversation_id"]) == 32
    (account,) = records_in(folder, "data/account.js", account_of)
    assert (account["user_id"], account["username"], account["occurred_at"]) == ("11", "ann", "2010-01-01T00:00:00.000Z")


def test_what_is_not_understood_is_a_rejected_record_and_not_the_file(tmp_path: Path) -> None:
    things = [{"tweet": {"text": "no id"}}, {"tweet": TWEET}, 7, {"note": {}}]
    folder = write_archive(tmp_path, {"data/tweets.js": script("tweets", things), "data/like.js": b"window.YTD.like.part0 = [{"})
    rows = records_in(folder, "data/tweets.js", tweets_of)
    assert [(row["_line"], row["_rule"]) for row in rows] == [
        (1, "no_known_name"),
        (2, None),
        (3, "bad_json"),
        (4, "no_known_name"),
    ]
    assert json.loads(rows[0]["raw"]) == things[0]
    assert [row["_rule"] for row in records_in(folder, "data/like.js", likes_of)] == ["bad_json"]


def test_the_owner_is_who_the_account_says(tmp_path: Path) -> None:
    folder = write_archive(tmp_path / "a")
    assert owner_of(str(folder / "data/tweets.js")) == {"user_id": "11", "username": "ann", "name": "Ann M"}
    assert owner_names(str(folder / "data/tweets.js")) == {"ann": "11", "Ann M": "11"}
    assert made_at(str(tmp_path / "b/data/tweets.js")) is None
    one, other = (owner_of(str(tmp_path / name / "data/like.js"))["user_id"] for name in ("b", "c"))
    assert one.startswith("archive-")
    assert one != other
    (folder / "data/account.js").write_bytes(b"window.YTD.account.part0 = [7]")
    assert owner_of(str(folder / "data/tweets.js"))["user_id"].startswith("archive-")


def test_a_pseudonymised_lake_names_nobody() -> None:
    def hide(value: str) -> str:
        return f"<{len(value)}>"

    assert hidden_path("/home/ann/twitter-ann/data/tweets.js", hide) == "<21>/tweets.js"
    events = [{"user_id": "11", "item_id": "ann", "event": "share", "at": "x", "more": 1}, 7]
    assert json.loads(hidden_events(json.dumps(events), hide)) == [
        {"user_id": "<2>", "item_id": None, "event": "share", "at": None}
    ]
    assert hidden_events("no json", hide) == "[]"
    kept = [json.loads(hidden_events(json.dumps([{"item_id": item}]), hide))[0]["item_id"] for item in ("dm-9", "16", "x")]
    assert kept == ["<4>", "16", None]


def test_files_of_data_are_listed_and_other_scripts_are_not(tmp_path: Path) -> None:
    folder = write_archive(tmp_path)
    listed = {Path(path).name for path in list_files(str(folder), 100)}
    assert {"tweets.js", "tweets-part1.js", "account.js", "ad-engagements.js"} <= listed
    assert not {"app.js", "manifest.js", "Your archive.html"} & listed
    claimed = {part.name: {name for name in listed if part.claims(f"/x/data/{name}")} for part in PARTS}
    assert claimed["tweets"] == {"tweets.js", "tweets-part1.js"}
    assert claimed["messages"] == {"direct-messages.js"}
    assert claimed["blocks"] == {"block.js", "mute.js"}
    assert not any("ad-engagements.js" in names for names in claimed.values())


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
KEYS = st.sampled_from(["tweet", "like", "follower", "account", "dmConversation", "messages", "messageCreate", "senderId",
                        "id", "id_str", "full_text", "entities", "user_mentions", "accountId", "tweetId", "media"])  # fmt: skip
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20)


@settings(deadline=None)
@given(ANYTHING)
def test_any_document_is_records_or_of_a_wrong_shape(document: object) -> None:
    for part in PARTS:
        assert part.records_of is not None
        try:
            for record in part.records_of(document, "/nowhere/data/tweets.js"):
                json.dumps(record)
        except WRONG_SHAPE:
            continue


def test_doctests() -> None:
    found = doctest.testmod(twitter_archive)
    assert found.attempted > 0
    assert found.failed == 0
    with pytest.raises(TypeError, match="found a JSON dict, expected an array"):
        list(tweets_of({}, "/x/data/tweets.js"))
    assert ORIGINAL in next(iter(likes_of([{"like": {"tweetId": "1"}}], "/x/data/like.js")))  # type: ignore[operator]
