"""The archive that X, once Twitter, gives a person who asks for their data: a folder or the .zip, its data in data/*.js.

Each file is `window.YTD.<name>.part<N> = [...]`, an array of objects that wrap one thing each; the same with the assignment cut
away is read too. The functions here take them apart into records of one flat form, FIELDS: all parts share a bronze table, whose
raw text is the object as the archive has it. The archive is of one person, the owner, whom account.js names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, Hide
from shoal.ingest.formats.documents import ORIGINAL, document_of
from shoal.ingest.formats.listing import shown_path
from shoal.ingest.record_type import DerivedTable, RecordType, event_id_from, hashtags_of, unlabelled
from shoal.ingest.sources.general import item_of
from shoal.ingest.sources.twitter_activity import TIME_FORMS, without_entities

SOURCE = "twitter_archive"
_BRONZE = "bronze.twitter_archive"
_ACCOUNT_FILES = ("account.js", "data/account.js", "account.json", "data/account.json")
_SMALL_BYTES = 1 << 20
# Tweet ids have contained their time since November 2010: milliseconds after this moment, above 22 other bits.
_FIRST_ID, _EPOCH = 30_000_000_000, datetime(2010, 11, 4, 1, 42, 54, 657_000, tzinfo=timezone.utc)
_STATUS = re.compile(r"https?://(?:mobile\.)?(?:twitter|x)\.com/(?:\w+|i/web)/status(?:es)?/(\d+)")

# -- whose archive it is, and when it was made


def root_of(path: str) -> Path:
    """The folder of the archive that a file of it lies in."""
    folder = Path(path).parent
    return folder.parent if folder.name.lower() == "data" else folder


def owner_of(path: str) -> dict[str, str]:
    """{user_id, username, name} of the person whose archive a file is of, from account.js.

    Without it, an id made from the folder's path, and no names.
    """
    root = root_of(path)
    for name in _ACCOUNT_FILES:
        account = _first(root / name, "account")
        if isinstance(account.get("accountId"), str) and account["accountId"].strip():
            names = {ours: account[theirs] for ours, theirs in (("username", "username"), ("name", "accountDisplayName"))
                     if isinstance(account.get(theirs), str)}  # fmt: skip
            return {"user_id": account["accountId"].strip(), **names}
    return {"user_id": f"archive-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"}


def _first(path: Path, wrapper: str) -> dict[str, Any]:
    """The first thing of a small file; empty where that cannot be read: the part that reads the file reports it."""
    try:
        with path.open("rb") as file:
            found = unwrapped(document_of(file.read(_SMALL_BYTES)), wrapper)
        return next((each for each, _ in found if isinstance(each, dict)), {})
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def owner_id_of(path: str) -> str:
    """The id of the person whose archive a file is of; two people may have files of the same bytes."""
    return owner_of(path)["user_id"]


def owner_names(path: str) -> dict[str, str]:
    """The owner's names, with the id that they stand for; none where account.js does not say them."""
    owner = owner_of(path)
    return {owner[name]: owner["user_id"] for name in ("username", "name") if owner.get(name, "").strip()}


def made_at(path: str) -> str | None:
    """When the archive was made, by its manifest.js: its counts are of that time. None where that cannot be read."""
    for name in ("data/manifest.js", "manifest.js"):
        try:
            with (root_of(path) / name).open("rb") as file:
                found = re.search(rb'"generationDate"\s*:\s*"([0-9T:.Z+-]{10,40})"', file.read(_SMALL_BYTES))
        except OSError:
            continue
        if found:
            return found.group(1).decode()
    return None


def hidden_path(path: str, hide: Hide) -> str:
    """What a pseudonymised lake calls a file: its own name, which all archives share, below a pseudonym of the place."""
    return f"{hide(shown_path(str(root_of(path))))}/{Path(path).name}"


def hidden_events(value: str, hide: Hide) -> str:
    """Events of a record, a JSON list, with pseudonyms; nothing but the fields that are made here."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = []
    rows = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def shown(each: dict[str, Any]) -> dict[str, Any]:
        user, item = each.get("user_id"), each.get("item_id")
        return {
            "user_id": hide(user) if isinstance(user, str) and user.strip() else None,
            "item_id": _hidden_item(item, hide) if isinstance(item, str) else None,
            "event": each.get("event") if each.get("event") in ("comment", "share", "like") else None,
            "at": each.get("at") if re.fullmatch(r"[\dT:+.Z-]+", str(each.get("at"))) else None,
        }  # fmt: skip

    return json.dumps([shown(each) for each in rows])


def _hidden_item(item: str, hide: Hide) -> str | None:
    """A tweet's id as it is, the pseudonym of a message's, as its text has it; None for anything else."""
    return hide(item) if item.startswith("dm-") else item if item.isdecimal() else None


FIELDS = (
    Field("record_id", "id"),
    Field("kind", "word"),
    Field("user_id", "id"),
    Field("username", "text", people="id"),
    Field("other_id", "id"),
    Field("item_id", "id"),
    Field("conversation_id", "id"),
    Field("text", "text"),
    Field("hashtags", "list"),
    Field("likes", "count"),
    Field("shares", "count"),
    Field("occurred_at", "time", forms=TIME_FORMS),
    Field("observed_at", "time"),
    # JSON arrays: users that a tweet mentions as {id_str, screen_name}, events that a record tells of besides.
    Field("people", "text", people="person"),
    Field("events", "text", people=hidden_events),
)
_EVENT = "user_id string, item_id string, event string, at string"


# -- documents to records


def unwrapped(document: object, *names: str) -> Iterator[tuple[Any, Any]]:
    """(thing, element) of an array of objects that wrap one thing each under one of `names`; the element itself where it has none.
    TypeError for what is no array."""
    if not isinstance(document, list):
        raise TypeError(f"found a JSON {type(document).__name__}, expected an array")
    for element in document:
        held = next((element[name] for name in names if isinstance(element.get(name), dict)), None) if isinstance(
            element, dict) else None  # fmt: skip
        yield (element if held is None else held), element


def account_of(document: object, path: str) -> Iterator[object]:
    """One record: the owner."""
    for account, element in unwrapped(document, "account"):
        if not isinstance(account, dict) or "accountId" not in account:
            yield element
            continue
        yield {"kind": "user", "user_id": account["accountId"], "username": account.get("username"),
               "occurred_at": account.get("createdAt"), ORIGINAL: element}  # fmt: skip


def tweets_of(document: object, path: str) -> Iterator[object]:
    """One record a tweet, with the events that it tells of: a reply, a quote, a retweet whose original's id is known."""
    owner, observed = owner_id_of(path), made_at(path)
    for tweet, element in unwrapped(document, "tweet"):
        if isinstance(tweet, dict) and ("id_str" in tweet or "id" in tweet):
            yield {**_tweet(tweet, owner, observed), ORIGINAL: element}
        else:
            yield element


def _tweet(tweet: dict[str, Any], owner: str, observed: str | None) -> dict[str, Any]:
    words = tweet.get("full_text") or tweet.get("text")
    entities = tweet["entities"] if isinstance(tweet.get("entities"), dict) else {}
    media = [
        m for holder in (tweet.get("extended_entities"), entities) if isinstance(holder, dict) for m in _dicts(holder.get("media"))
    ]
    number, when = str(tweet.get("id_str") or tweet["id"]), iso_time(tweet.get("created_at"))
    is_retweet = isinstance(words, str) and words.startswith("RT @")
    repeated = next((m["source_status_id_str"] for m in media if m.get("source_status_id_str")), None)
    held = tweet.get("retweeted_status")
    original = held.get("id_str") if isinstance(held, dict) else tweet.get("retweeted_status_id_str") or repeated
    linked = [_STATUS.match(str(url.get("expanded_url"))) for url in _dicts(entities.get("urls"))]
    quoted = tweet.get("quoted_status_id_str") or next((found.group(1) for found in linked if found), None)
    events = [
        ("comment", tweet.get("in_reply_to_status_id_str") or tweet.get("in_reply_to_status_id")),
        ("share", original if is_retweet else quoted),
    ]  # fmt: skip
    people = [{"id_str": u.get("id_str"), "screen_name": u.get("screen_name")} for u in _dicts(entities.get("user_mentions"))]
    if tweet.get("in_reply_to_user_id_str"):
        people.append({"id_str": tweet["in_reply_to_user_id_str"], "screen_name": tweet.get("in_reply_to_screen_name")})
    return {
        "record_id": number, "kind": "tweet", "user_id": owner, "item_id": number, "text": words, "occurred_at": when,
        "observed_at": observed, "hashtags": [tag.get("text") for tag in _dicts(entities.get("hashtags"))],
        # A retweet has the counts of the tweet that it repeats.
        "likes": None if is_retweet else tweet.get("favorite_count"),
        "shares": None if is_retweet else tweet.get("retweet_count"), "people": people,
        "events": [{"user_id": owner, "item_id": str(item), "event": event, "at": when} for event, item in events if item],
    }  # fmt: skip


def likes_of(document: object, path: str) -> Iterator[object]:
    """One record a like. The archive does not say when, nor whose tweet it is; its id says when that was written."""
    owner = owner_id_of(path)
    for like, element in unwrapped(document, "like"):
        if not isinstance(like, dict) or "tweetId" not in like:
            yield element
            continue
        item = like["tweetId"]
        yield {"kind": "like", "user_id": owner, "item_id": item, "text": like.get("fullText"), "observed_at": time_of_id(item),
               ORIGINAL: element}  # fmt: skip


def ties_of(document: object, path: str) -> Iterator[object]:
    """One record a follower, a followee, a blocked or a muted user."""
    owner = owner_id_of(path)
    for tie, element in unwrapped(document, "follower", "following", "blocking", "muting"):
        kinds = ("follower", "following", "blocking", "muting")
        named = next((name for name in kinds if isinstance(element, dict) and name in element), None)
        if named is None or not isinstance(tie, dict) or "accountId" not in tie:
            yield element
            continue
        users = (tie["accountId"], owner) if named == "follower" else (owner, tie["accountId"])
        kind = "follow" if named in ("follower", "following") else "block"
        yield {"kind": kind, "user_id": users[0], "other_id": users[1], ORIGINAL: element}


def messages_of(document: object, path: str) -> Iterator[object]:
    """One record a direct message, with the likes of it. Joining and leaving a conversation are no messages."""
    for talk, _ in unwrapped(document, "dmConversation"):
        for message, element in unwrapped(talk["messages"], "messageCreate"):
            if isinstance(message, dict) and "senderId" in message:
                # A digest: the id of a conversation of two is their ids.
                thread = hashlib.md5(str(talk["conversationId"]).encode(), usedforsecurity=False).hexdigest()
                when, number = message.get("createdAt"), str(message["id"])
                likes = [{"user_id": r.get("senderId"), "item_id": f"dm-{number}", "event": "like",
                          "at": r.get("createdAt") or when} for r in _dicts(message.get("reactions"))]  # fmt: skip
                yield {"record_id": f"dm-{number}", "kind": "message", "user_id": message["senderId"],
                       "other_id": message.get("recipientId"), "conversation_id": thread, "text": message.get("text"),
                       "occurred_at": when, "events": likes, ORIGINAL: element}  # fmt: skip


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


_MONTHS = {
    name: place
    for place, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}


def iso_time(text: Any) -> Any:
    """Return Twitter's own time as ISO 8601; any other text as it is.

    >>> iso_time("Fri Dec 09 15:30:00 +0000 2022"), iso_time("2022-12-09T15:30:00.000Z")
    ('2022-12-09T15:30:00+00:00', '2022-12-09T15:30:00.000Z')
    """
    found = (
        re.fullmatch(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) ([\d:]{8}) ([+-]\d\d)(\d\d) (\d{4})", text)
        if isinstance(text, str)
        else None
    )
    if found is None or found.group(1) not in _MONTHS:
        return text
    month, day, clock, hours, minutes, year = found.groups()
    return f"{year}-{_MONTHS[month]:02}-{day}T{clock}{hours}:{minutes}"


def time_of_id(number: Any) -> str | None:
    """When a tweet was written, by its id; None where ids did not tell yet, or for what is no id.

    >>> time_of_id("1050118621198921728"), time_of_id("20")
    ('2018-10-10T20:19:24.211000+00:00', None)
    """
    if not isinstance(number, str) or not re.fullmatch(r"\d{11,19}", number) or int(number) < _FIRST_ID:
        return None
    return (_EPOCH + timedelta(milliseconds=int(number) >> 22)).isoformat()


# -- the silver columns of the records


def _profile(conf: IngestConf) -> dict[str, Column]:
    return {"user_id": F.col("user_id"), "username": F.col("username"), "followers": F.lit(None), "following": F.lit(None),
            "created_at": F.col("occurred_at")}  # fmt: skip


def _item(conf: IngestConf) -> dict[str, Column]:
    given = F.transform("hashtags", F.lower)
    found = F.when(F.size("hashtags") > 0, given).otherwise(hashtags_of(without_entities("text")))
    return item_of({
        "item_id": F.col("item_id"), "kind": F.lit("tweet"), "owner_id": F.col("user_id"), "text": F.col("text"),
        "hashtags": F.coalesce(found, F.array().cast("array<string>")), "created_at": F.col("occurred_at"),
    })  # fmt: skip


def _liked(conf: IngestConf) -> dict[str, Column]:
    """Somebody's tweet that the owner liked, as far as it is known."""
    return _item(conf) | {"owner_id": F.lit(None), "created_at": F.col("observed_at")}


def _text(conf: IngestConf) -> dict[str, Column]:
    return {
        "text_id": F.col("record_id"), "kind": F.col("kind"), "author_id": F.col("user_id"), "item_id": F.col("item_id"),
        "conversation_id": F.col("conversation_id"), "text": F.coalesce("text", F.lit("")), **unlabelled(),
        "created_at": F.col("occurred_at"),
    }  # fmt: skip


def _counts(conf: IngestConf) -> dict[str, Column]:
    return {"item_id": F.col("item_id"), "observed_at": F.coalesce("observed_at", "occurred_at"), "likes": F.col("likes"),
            "comments": F.lit(None), "shares": F.col("shares"), "views": F.lit(None)}  # fmt: skip


def _is_counted() -> Column:
    return F.coalesce("likes", "shares").isNotNull() & F.coalesce("observed_at", "occurred_at").isNotNull()


def _like(conf: IngestConf) -> dict[str, Column]:
    event = F.col("kind")
    return {
        "event_id": event_id_from(SOURCE, event), "user_id": F.col("user_id"), "item_id": F.col("item_id"), "event": event,
        "value": F.lit(None), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def _events(conf: IngestConf) -> Column:
    """The events that a record tells of besides."""

    def row(each: Column) -> Column:
        key = F.md5(F.concat_ws("\u001f", F.lit(SOURCE), each["user_id"], each["item_id"], each["event"], each["at"]))
        return F.struct(
            key.alias("event_id"), each["user_id"].alias("user_id"), each["item_id"].alias("item_id"),
            each["event"].alias("event"), F.lit(None).cast("double").alias("value"),
            each["at"].cast("timestamp").alias("occurred_at"),
        )  # fmt: skip

    known = F.transform(F.from_json("events", f"array<struct<{_EVENT}>>"), row)
    return F.filter(known, lambda each: (F.length(each["user_id"]) > 0) & (F.length(each["item_id"]) > 0))


def _follow(conf: IngestConf) -> dict[str, Column]:
    return {"src_id": F.col("user_id"), "dst_id": F.col("other_id"), "weight": F.lit(1.0), "followed_at": F.col("occurred_at")}


def _block(conf: IngestConf) -> dict[str, Column]:
    return {"user_id": F.col("user_id"), "blocked_id": F.col("other_id"), "occurred_at": F.col("occurred_at")}


def _people(conf: IngestConf) -> Column:
    """The users that a record names, each once; a name where the archive has it."""
    described = F.from_json("people", "array<struct<id_str string, screen_name string>>")
    named = F.transform(described, lambda each: F.struct(each["id_str"].alias("user_id"), each["screen_name"].alias("username")))
    plain = F.transform(
        F.array("user_id", "other_id"), lambda each: F.struct(each.alias("user_id"), F.lit(None).cast("string").alias("username"))
    )
    both = F.concat(F.coalesce(named, F.array().cast("array<struct<user_id:string,username:string>>")), plain)
    known = F.filter(both, lambda each: F.length(each["user_id"]) > 0)
    count = F.lit(None).cast("bigint")
    return F.transform(known, lambda each: F.struct(
        each["user_id"].alias("user_id"), each["username"].alias("username"), count.alias("followers"), count.alias("following"),
        F.lit(None).cast("timestamp").alias("created_at"),
    ))  # fmt: skip


# A name alone does not replace what is known of a user.
_USERS = DerivedTable("silver.users", _people, keeps_newest=False, prefers_complete=True)
_OTHERS = DerivedTable("silver.interactions", _events, keeps_newest=False)
_OF_PERSON: Any = {"depends_on": owner_id_of, "hidden_path": hidden_path, "names_in": owner_names}


def _files(*names: str) -> tuple[str, ...]:
    """Patterns of the files of those names, of their further parts, and of copies with the assignment cut away."""
    return tuple(f"{name}{part}.{ending}" for name in names for part in ("", "-part*") for ending in ("js", "json"))


PARTS = (
    RecordType(
        "account", _BRONZE, "silver.users", FIELDS, _profile, _files("account"), records_of=account_of, **_OF_PERSON,
        is_optional=True, holds_fields=True,
    ),
    RecordType(
        "tweets", _BRONZE, "silver.items", FIELDS, _item, (*_files("tweets", "tweet"), "tweets_*.json"), records_of=tweets_of,
        **_OF_PERSON,
        also=(
            _USERS, _OTHERS, DerivedTable("silver.texts", _text, lambda: F.trim("text") != ""),
            DerivedTable("silver.item_engagement", _counts, _is_counted),
        ),
    ),
    RecordType(
        "likes", _BRONZE, "silver.interactions", FIELDS, _like, _files("like", "likes"), False, records_of=likes_of, **_OF_PERSON,
        also=(_USERS, DerivedTable("silver.items", _liked, keeps_newest=False)),
    ),
    RecordType(
        "follows", _BRONZE, "silver.follows", FIELDS, _follow, _files("follower", "following"), records_of=ties_of, **_OF_PERSON,
        also=(_USERS,),
    ),
    RecordType(
        "blocks", _BRONZE, "silver.blocks", FIELDS, _block, _files("block", "mute"), records_of=ties_of, **_OF_PERSON,
        holds_fields=True,
    ),
    RecordType(
        "messages", _BRONZE, "silver.texts", FIELDS, _text, _files("direct-messages", "direct-messages-group", "direct-message"),
        records_of=messages_of, **_OF_PERSON, also=(_USERS, _OTHERS),
    ),
)  # fmt: skip
