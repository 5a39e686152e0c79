"""Follows, blocks and the owner's profile to records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shoal.ingest.formats.documents import ORIGINAL
from shoal.ingest.sources.instagram_export.documents import at, repaired, rows_in, said_in, user_of
from shoal.ingest.sources.instagram_export.owners import owner_of, profiles_in

# What lists of blocked people are called.
_BLOCKED = ("blocked_users", "blocked_accounts", "blocked_profiles")


def ties_of(document: object, path: str) -> Iterator[object]:
    """One record a follower, a followee, or somebody whom the owner has blocked; other lists of connections.json (close friends,
    requests ...) say neither."""
    owner, _ = owner_of(path)
    whole = repaired(document)
    named = whole if isinstance(whole, dict) else {"followers": whole}
    for given, section in named.items():
        name = given.removeprefix("relationships_")
        if name not in ("followers", "following", *_BLOCKED):
            continue
        pairs: list[tuple[Any, Any, Any]] = (
            [(name, when, {name: when}) for name, when in section.items()] if isinstance(section, dict) else []
        )
        for row in [] if isinstance(section, dict) else rows_in(section):
            if not isinstance(row, dict):
                yield row
                continue
            values = said_in(row)
            named = (values.user or values.value) if "label_values" in row else (values.value or values.user)
            pairs.append((named or user_of(values.href), at(values.timestamp), row))
        for other, when, row in pairs:
            users = (other, owner) if name == "followers" else (owner, other)
            kind = "block" if name in _BLOCKED else "follow"
            yield {"kind": kind, "user_id": users[0], "other_id": users[1], "occurred_at": when, ORIGINAL: row}


def profile_of(document: object, path: str) -> Iterator[object]:
    """One record: the owner."""
    return iter(profiles_in(repaired(document)))
