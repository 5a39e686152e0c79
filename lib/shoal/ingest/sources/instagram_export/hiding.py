"""What a pseudonymised lake keeps of an archive's paths, pictures and events."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from shoal.ingest.fields import Hide
from shoal.ingest.formats.listing import shown_path
from shoal.ingest.sources.instagram_export.documents import shortcode_of
from shoal.ingest.sources.instagram_export.owners import THREADS, root_of

# Words that Instagram's own names of files and folders consist of; anything else may be a person's.
_WORDS = {
    "message", "messages", "like", "likes", "liked", "post", "posts", "comment", "comments", "saved", "media", "archived", "your",
    "stories", "reels", "igtv", "videos", "profile", "photos", "connections", "followers", "following", "personal", "information",
    "hashtag", "other", "direct", "audio", "gifs", "files", "inbox", "threads", "requests", "content", "instagram", "activity",
    "and", "blocked", "accounts", "profiles",
}  # fmt: skip
# Pictures are called by numbers or long hexadecimal digits.
_DIGITS = re.compile(r"\d+(?:_\d+)*(?:_n)?|[0-9a-f]{16,}")
_TIME = re.compile(r"[\dT:+.-]+")
_MADE = re.compile("[0-9a-f]{32}")
_WITHHELD_LINK = "https://www.instagram.com/"


def hidden_item(value: str, hide: Hide) -> str:
    """An item's id: its shortcode, or the pseudonym of an id that was made here: a digest of a person's name and a time, on which
    a list of names could be tried."""
    return hide(value) if _MADE.fullmatch(value) else value


def hidden_path(path: str, hide: Hide) -> str:
    """What a file of an archive is called: folders and names that are in every archive as they are, a pseudonym for any other, as a
    conversation's folder, and one for the place where the archive lies."""
    root = root_of(path)
    return f"{hide(shown_path(str(root)))}/{_hidden_parts(Path(path).relative_to(root).parts, hide)}"


def _hidden_parts(parts: tuple[str, ...], hide: Hide) -> str:
    """The parts of a path, joined by slashes; after the folder of all conversations comes one that is called after a person."""
    shown, is_thread = [], False
    for part in parts:
        stem, dot, suffix = part.partition(".")
        words = stem.lower().split("_")
        known = all(word in _WORDS or word.isdecimal() for word in words) or _DIGITS.fullmatch(stem)
        kept = known and not is_thread and re.fullmatch(r"(\.\w{2,4})*", f"{dot}{suffix}")
        ending = "".join(re.findall(r"(?i)\.(?:json|gz|jpe?g|png|webp|heic|mp4|mov|webm)(?=\.|$)", part))
        shown.append(part if kept else hide(part) + ending)
        is_thread = part.lower() in THREADS
    return "/".join(shown)


def hidden_media(value: str, hide: Hide) -> str:
    """Paths of pictures and videos, a JSON list: see `hidden_path`; of a link no more than the post that it leads to."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = [value]

    def shown(path: str) -> str:
        if "://" in path:
            code = shortcode_of(path)
            return f"{_WITHHELD_LINK}p/{code}/" if code else _WITHHELD_LINK
        return _hidden_parts(PurePosixPath(path).parts, hide)

    rows = found if isinstance(found, list) else [found]
    return json.dumps([shown(each) if isinstance(each, str) else None for each in rows])


def hidden_events(value: str, hide: Hide) -> str:
    """Events of others with a message, a JSON list, with pseudonyms; nothing but the fields that are made here."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = []

    def shown(each: dict[str, Any]) -> dict[str, Any]:
        user, item, when = each.get("user_id"), each.get("item_id"), each.get("at")
        id_text = user if isinstance(user, str) or user is None else json.dumps(user, ensure_ascii=False)
        return {
            "user_id": hide(id_text) if id_text and id_text.strip() else id_text,
            "item_id": hidden_item(item, hide) if isinstance(item, str) else None,
            "event": each.get("event") if each.get("event") in ("like", "share") else None,
            "at": when if isinstance(when, str) and _TIME.fullmatch(when) else None,
        }  # fmt: skip

    return json.dumps([shown(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else [])
