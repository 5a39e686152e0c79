"""What every document of an archive needs: repaired texts, rows of its three layouts, times, links, ids."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from shoal.ingest.sources.instagram_export.labels import USERNAMES

NO_DATA = "You have no data in this section"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_USERNAME = re.compile(r"[\w.]{1,30}")
# Where a row of late 2025 holds further rows of itself.
_INNER = ("label_values", "dict", "vec", "values")


def repaired(value: Any) -> Any:
    """A JSON value whose texts are UTF-8 again where they were UTF-8 read as Latin-1: "Ã©" is "é"; others stay as they are.

    >>> repaired({"Ã©tÃ©": ["ð\\x9f\\x98\\x80", "déjà", "plain", 7]})
    {'été': ['😀', 'déjà', 'plain', 7]}
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            return value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return value
    if isinstance(value, list):
        return [repaired(each) for each in value]
    if isinstance(value, dict):
        return {repaired(name): repaired(each) for name, each in value.items()}
    return value


def rows_in(value: Any) -> list[Any]:
    """The elements of a list; none of one that only says that there is no data. TypeError for what is no list."""
    if not isinstance(value, list):
        raise TypeError(f"found a JSON {type(value).__name__}, expected an array")
    return [] if len(value) == 1 and isinstance(value[0], str) and value[0].startswith(NO_DATA) else value


def sections(document: Any) -> dict[str, Any]:
    """The named lists of a document: an object's, or a bare list's under ""; nothing where it says that there is no data."""
    if isinstance(document, dict):
        return document
    rows = rows_in(document)
    return {"": rows} if rows else {}


def at(seconds: Any, unit: float = 1) -> Any:
    """A unix time as ISO 8601 in UTC, whatever the settings say of numbers; what is no such time as it is, to be rejected."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return seconds
    try:
        return (_EPOCH + timedelta(seconds=seconds / unit)).isoformat()
    except (OverflowError, ValueError):
        return f"{seconds} (unix time)"


@dataclass(frozen=True)
class Said:
    """What a row names, whatever its layout: a link, a value, a time (unix seconds), a user, and words."""

    href: Any = None
    value: Any = None
    timestamp: Any = None
    user: Any = None
    words: Any = None


def said_in(row: dict[str, Any]) -> Said:
    """What a row of the layouts of 2022 and of late 2025 names.

    2022: the first string_list_data, or the first string_map_data with a time; the user is the title. Late 2025: label_values, a
    tree of {label, value, href} and {title, dict: [...]}, its labels in the language of the account: the link is the first to a
    post, the words the first value of the row itself that is no link, the user that of the first title that names one.
    """
    if isinstance(row.get("label_values"), list):
        return _said_in_labels(row)
    listed = row.get("string_list_data")
    mapped = [value for value in (row.get("string_map_data") or {}).values() if isinstance(value, dict)]
    first_value = dict(listed[0]) if listed else next((value for value in mapped if value.get("timestamp")), {})
    return Said(first_value.get("href"), first_value.get("value"), first_value.get("timestamp"), row.get("title") or None)


def _said_in_labels(row: dict[str, Any]) -> Said:
    """`said_in` of a row with label_values."""
    own = [each for each in row["label_values"] if isinstance(each, dict)]
    leaves = list(leaves_in(row))
    links = [link for leaf in leaves for link in (leaf.get("href"), leaf.get("value")) if shortcode_of(link)]
    plain = [leaf["value"] for leaf in own if leaf.get("value") and not _is_link(leaf["value"]) and not leaf.get("href")]
    times = (row.get("timestamp"), row.get("creation_timestamp"), *(leaf.get("timestamp_value") for leaf in leaves))
    titled = [_user_in(each) for each in own if _inner(each)]
    user = next((name for name in titled if name), None) or _user_in(
        {"dict": [leaf for leaf in own if not _inner(leaf)]}, strict=True
    )
    value = plain[0] if plain else None
    return Said(
        links[0] if links else None, value, next((time for time in times if time), None), user or row.get("title") or None, value
    )


def leaves_in(value: Any) -> Iterator[dict[str, Any]]:
    """The objects with a label in a row of late 2025, at any depth, in their order."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            if "label" in each:
                yield each
            for name in _INNER:
                yield from leaves_in(each.get(name))


def _inner(each: dict[str, Any]) -> bool:
    return any(isinstance(each.get(name), list) for name in _INNER)


def _user_in(each: dict[str, Any], strict: bool = False) -> str | None:
    """The user that an object of labels describes: by the label, else by a link to the user's page, else (not `strict`) by the last
    value that may be a username."""
    leaves = [(str(leaf["label"]).lower(), leaf.get("value"), leaf.get("href")) for leaf in leaves_in(each.get("dict") or each)]
    labelled = (value for label, value, _ in leaves if label in USERNAMES and value)
    linked = (user_of(link) for _, value, href in leaves for link in (href, value) if user_of(link))
    spelled = (value for _, value, _ in reversed(leaves) if isinstance(value, str) and _USERNAME.fullmatch(value))
    return next(labelled, None) or next(linked, None) or (None if strict else next(spelled, None))


def _is_link(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def shortcode_of(link: Any) -> str | None:
    """The post that a link leads to: https://www.instagram.com/p/CODE/; None for another link."""
    found = re.search(r"instagram\.com/(?:[\w.]+/)?(?:p|reel|reels|tv)/([\w-]+)", link) if isinstance(link, str) else None
    return found.group(1) if found else None


def user_of(link: Any) -> str | None:
    """The user whose page a link leads to: https://www.instagram.com/NAME or .../_u/NAME; None for another link."""
    found = re.search(r"instagram\.com/(?:_u/)?([\w.]+)/?$", link) if isinstance(link, str) else None
    return found.group(1) if found else None


def made_id(*parts: Any) -> str:
    """32 hex digits that the parts determine."""
    return hashlib.md5(json.dumps(parts).encode(), usedforsecurity=False).hexdigest()


def post_of(link: Any, owner: Any, when: Any) -> str | None:
    """The item of an event: the post that a link names; without one, as in 2020, an id made from the post's owner and the time.

    A digest: an item's id is not personal, a name is.
    """
    code = shortcode_of(link)
    return code or (made_id("post", owner, when) if isinstance(owner, str) and owner and when else None)
