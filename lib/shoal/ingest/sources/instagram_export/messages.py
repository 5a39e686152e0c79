"""Conversations to records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from shoal.ingest.formats.documents import ORIGINAL
from shoal.ingest.sources.instagram_export.documents import at, made_id, repaired, rows_in, shortcode_of
from shoal.ingest.sources.instagram_export.labels import GONE
from shoal.ingest.sources.instagram_export.owners import owner_of


def messages_of(document: object, path: str) -> Iterator[object]:
    """One record a message. A message without words (a picture) is an empty text, so that a conversation's turns are whole."""
    whole = repaired(document)
    owner, name = owner_of(path)
    if isinstance(whole, dict):
        people = [_person(p["name"], owner, name) for p in whole["participants"]]
        # The folder of a thread is called after a person: a digest of it.
        thread = made_id(PurePosixPath(str(whole.get("thread_path") or Path(path).parent.name)).name)
        for message in rows_in(whole["messages"]):
            yield _new_message(message, thread, people, owner, name) | {ORIGINAL: message} if isinstance(message, dict) else message
        return
    for talk in rows_in(whole):
        people = [_person(p, owner, name) for p in talk["participants"]]
        thread = made_id(sorted(people, key=str))
        for message in rows_in(talk["conversation"]):
            yield _old_message(message, thread, people) | {ORIGINAL: message} if isinstance(message, dict) else message


def _person(found: Any, owner: str, name: str | None) -> Any:
    """A person's id from a display name: only the owner's username is known. None for the name of all accounts that are gone."""
    if found in GONE:
        return None
    return owner if name is not None and found == name else found


def _new_message(message: dict[str, Any], thread: str, people: list[Any], owner: str, name: str | None) -> dict[str, Any]:
    share = message.get("share") if isinstance(message.get("share"), dict) else {}
    media = [m["uri"] for kind in ("photos", "videos") for m in message.get(kind) or [] if isinstance(m, dict) and m.get("uri")]
    sender, when = _person(message.get("sender_name"), owner, name), at(message.get("timestamp_ms"), 1000)
    words = message.get("content") or share.get("share_text") or share.get("link")
    key = made_id(thread, sender, when, words, media)
    events = [
        {"user_id": _person(r.get("actor"), owner, name), "item_id": key, "event": "like", "at": at(r.get("timestamp")) or when}
        for r in message.get("reactions") or [] if isinstance(r, dict)
    ]  # fmt: skip
    return _message(key, sender, thread, words, when, people, media, [*events, *_shares(sender, share.get("link"), when)])


def _old_message(message: dict[str, Any], thread: str, people: list[Any]) -> dict[str, Any]:
    sender, when = message.get("sender"), message.get("created_at")
    words = message.get("text") or message.get("media_share_caption") or message.get("link")
    media = [m for m in (message.get("media"), message.get("media_url"), message.get("media_share_url")) if isinstance(m, str)]
    key = made_id(thread, sender, when, words, media)
    events = [{"user_id": r.get("username"), "item_id": key, "event": "like", "at": when}
              for r in message.get("likes") or [] if isinstance(r, dict)]  # fmt: skip
    return _message(key, sender, thread, words, when, people, media, [*events, *_shares(sender, message.get("link"), when)])


def _shares(sender: Any, link: Any, when: Any) -> list[dict[str, Any]]:
    """The event of a post sent to somebody."""
    code = shortcode_of(link)
    return [{"user_id": sender, "item_id": code, "event": "share", "at": when}] if code else []


def _message(
    key: str, sender: Any, thread: str, words: Any, when: Any, people: list[Any], media: list[str], events: list[dict[str, Any]]
) -> dict[str, Any]:
    return {"record_id": key, "kind": "message", "user_id": sender, "conversation_id": thread, "text": words, "occurred_at": when,
            "people": [p for p in people if p is not None], "media": media, "events": events}  # fmt: skip
