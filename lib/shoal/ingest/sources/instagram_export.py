"""The archive that Instagram gives a person who asks for their data, a folder or the .zip, in the layouts of 2020 and of 2022+.

All its files are JSON documents; the functions here take them apart into records of one flat form, FIELDS: all parts share a
bronze table. The archive is of one person, the owner: who liked, wrote and posted is told by personal_information or
profile.json, not by the file itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, Hide
from shoal.ingest.formats.archives import LABEL, label_of, owner_in
from shoal.ingest.record_type import DerivedTable, RecordType, event_id_from, hashtags_of
from shoal.ingest.sources.instagram_influencers import status_of

SOURCE = "instagram_export"
NO_DATA = "You have no data in this section"
# Folders of the layout; what they lie in is the archive.
_FOLDERS = {
    "your_instagram_activity", "messages", "inbox", "message_requests", "archived_threads", "likes", "comments", "content", "media",
    "saved", "connections", "followers_and_following", "personal_information",
}  # fmt: skip
_PROFILE_FILES = ("personal_information/personal_information/personal_information.json",
                  "personal_information/personal_information.json", "profile.json")  # fmt: skip
_THREADS = {"inbox", "message_requests", "archived_threads"}
_PROFILE_BYTES = 1 << 20
# Words that Instagram's own names of files and folders are made of; anything else may be a person's.
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
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# -- what a pseudonymised lake keeps


def made_id(value: str, hide: Hide) -> str:
    """An item's id: its shortcode, or the pseudonym of an id that was made here: a digest of a person's name and a time, on which
    a list of names could be tried."""
    return hide(value) if _MADE.fullmatch(value) else value


def hidden_path(path: str, hide: Hide) -> str:
    """What a file of an archive is called: folders and names that are in every archive as they are, a pseudonym for any other, as a
    conversation's folder, and one for the place where the archive lies."""
    root = root_of(path)
    return f"{hide(str(root))}/{_hidden_parts(Path(path).relative_to(root).parts, hide)}"


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
        is_thread = part.lower() in _THREADS
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
        told = user if isinstance(user, str) or user is None else json.dumps(user, ensure_ascii=False)
        return {
            "user_id": hide(told) if told and told.strip() else told,
            "item_id": made_id(item, hide) if isinstance(item, str) else None,
            "event": each.get("event") if each.get("event") in ("like", "share") else None,
            "at": when if isinstance(when, str) and _TIME.fullmatch(when) else None,
        }  # fmt: skip

    return json.dumps([shown(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else [])


FIELDS = (
    Field("record_id", "id"),
    Field("kind", "word"),
    Field("user_id", "id"),
    Field("other_id", "id"),
    Field("item_id", "id", people=made_id),
    Field("conversation_id", "id"),
    Field("name", "text", people="id"),
    Field("text", "text"),
    Field("location", "text"),
    Field("is_video", "flag"),
    Field("occurred_at", "time"),
    # JSON arrays: paths of pictures and videos, people of a conversation, events of others with a message.
    Field("media", "list", people=hidden_media),
    Field("people", "list"),
    Field("events", "text", people=hidden_events),
)


# -- what every document needs


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


def root_of(path: str) -> Path:
    """The folder of the archive that a file of it lies in."""
    folder = Path(path).parent
    if folder.parent.name.lower() in _THREADS:
        folder = folder.parent
    while folder.name.lower() in _FOLDERS:
        folder = folder.parent
    return folder


def owner_of(path: str) -> tuple[str, str | None]:
    """(username, display name) of the person whose archive a file is of.

    From profile.json or personal_information.json; else from the archive's folder or .zip, where it is called as Instagram calls
    it (instagram-NAME-2023-11-05-...), then with the display name that another part of the archive beside it says;
    else an id made from the folder's path, for an archive whose profile is missing or broken.
    """
    root = root_of(path)
    said = _profile_in(root)
    if said:
        return said
    user = owner_in(root.name) or owner_in(label_of(root))
    if user:
        return user, _name_beside(root, user)
    return f"archive-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}", None


def _profile_in(root: Path) -> tuple[str, str | None] | None:
    """(username, display name) as the profile in an archive's folder says; None where there is none that can be read."""
    for name in _PROFILE_FILES:
        try:
            with (root / name).open("rb") as file:
                profile = next(iter(_profiles(repaired(json.loads(file.read(_PROFILE_BYTES))))), None)
        except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # Told where the profile itself is read; here the next place is asked.
            profile = None
        if profile and isinstance(profile["user_id"], str) and profile["user_id"].strip():
            return profile["user_id"].strip(), profile["name"]
    return None


def _name_beside(root: Path, user: str) -> str | None:
    """The display name of `user`, as the profile in another part of a split archive says: in a folder beside `root` that was
    unpacked from an archive or is called as Instagram calls it."""
    # The folder of a .zip may hold the archive's own.
    places = [root.parent, root.parent.parent] if root.parent.parent.name == ".landing" else [root.parent]
    for place in places:
        try:
            names = _names_in(str(place), place.stat().st_mtime_ns)
        except OSError:
            # What lies beside the input need not be ours to read: then it says nothing.
            continue
        if user in names:
            return names[user]
    return None


@lru_cache(8)
def _names_in(place: str, changed: int) -> dict[str, str]:
    """Username to display name of the archives that lie in the folders in `place`; of a folder as it was when it `changed`."""
    found: dict[str, str] = {}
    for folder in sorted(Path(place).iterdir()):
        if not folder.is_dir() or not ((folder / LABEL).exists() or folder.name.startswith("instagram-")):
            continue
        for root in (folder, *sorted(folder.glob("instagram-*"))):
            user, name = _profile_in(root) or ("", None)
            if user and isinstance(name, str):
                found.setdefault(user, name)
    return found


def owner_id_of(path: str) -> str:
    """The username of the person whose archive a file is of; two people may have files of the same bytes."""
    return owner_of(path)[0]


def owner_names(path: str) -> dict[str, str]:
    """The display name of the person whose archive a file is of, with the username; nothing where it is not known."""
    owner, name = owner_of(path)
    return {name: owner} if isinstance(name, str) and name.strip() else {}


def shortcode_of(link: Any) -> str | None:
    """The post that a link leads to: https://www.instagram.com/p/CODE/; None for another link."""
    found = re.search(r"instagram\.com/(?:[\w.]+/)?(?:p|reel|reels|tv)/([\w-]+)", link) if isinstance(link, str) else None
    return found.group(1) if found else None


def user_of(link: Any) -> str | None:
    """The user whose page a link leads to: https://www.instagram.com/NAME or .../_u/NAME; None for another link."""
    found = re.search(r"instagram\.com/(?:_u/)?([\w.]+)/?$", link) if isinstance(link, str) else None
    return found.group(1) if found else None


def _id(*parts: Any) -> str:
    """32 hex digits that the parts determine."""
    return hashlib.md5(json.dumps(parts).encode(), usedforsecurity=False).hexdigest()


def _post_of(link: Any, owner: Any, when: Any) -> str | None:
    """The item of an event: the post that a link names; without one, as in 2020, an id made from the post's owner and the time.

    A digest: an item's id is not personal, a name is.
    """
    code = shortcode_of(link)
    return code or (_id("post", owner, when) if isinstance(owner, str) and owner and when else None)


# -- messages


def messages_of(document: object, path: str) -> Iterator[object]:
    """One record a message. A message without words (a picture) is an empty text, so that a conversation's turns are whole."""
    whole = repaired(document)
    owner, name = owner_of(path)
    if isinstance(whole, dict):
        people = [_person(p["name"], owner, name) for p in whole["participants"]]
        # The folder of a thread is called after a person: a digest of it.
        thread = _id(PurePosixPath(str(whole.get("thread_path") or Path(path).parent.name)).name)
        for message in rows_in(whole["messages"]):
            yield _new_message(message, thread, people, owner, name) if isinstance(message, dict) else message
        return
    for talk in rows_in(whole):
        people = [_person(p, owner, name) for p in talk["participants"]]
        thread = _id(sorted(people, key=str))
        for message in rows_in(talk["conversation"]):
            yield _old_message(message, thread, people) if isinstance(message, dict) else message


# Of one name, they would all be one person.
_GONE = ("", "Instagram User", "Instagram user", "Instagrammer", "Instagram-Nutzer", "Utilisateur Instagram",
         "Usuario de Instagram", "Utente Instagram", "Usuário do Instagram")  # fmt: skip


def _person(found: Any, owner: str, name: str | None) -> Any:
    """A person's id from a display name: only the owner's username is known. None for the name of all accounts that are gone."""
    if found in _GONE:
        return None
    return owner if name is not None and found == name else found


def _new_message(message: dict[str, Any], thread: str, people: list[Any], owner: str, name: str | None) -> dict[str, Any]:
    share = message.get("share") if isinstance(message.get("share"), dict) else {}
    media = [m["uri"] for kind in ("photos", "videos") for m in message.get(kind) or [] if isinstance(m, dict) and m.get("uri")]
    sender, when = _person(message.get("sender_name"), owner, name), at(message.get("timestamp_ms"), 1000)
    words = message.get("content") or share.get("share_text") or share.get("link")
    key = _id(thread, sender, when, words, media)
    events = [
        {"user_id": _person(r.get("actor"), owner, name), "item_id": key, "event": "like", "at": at(r.get("timestamp")) or when}
        for r in message.get("reactions") or [] if isinstance(r, dict)
    ]  # fmt: skip
    return _message(key, sender, thread, words, when, people, media, [*events, *_shares(sender, share.get("link"), when)])


def _old_message(message: dict[str, Any], thread: str, people: list[Any]) -> dict[str, Any]:
    sender, when = message.get("sender"), message.get("created_at")
    words = message.get("text") or message.get("media_share_caption") or message.get("link")
    media = [m for m in (message.get("media"), message.get("media_url"), message.get("media_share_url")) if isinstance(m, str)]
    key = _id(thread, sender, when, words, media)
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


# -- likes, saved, comments


def likes_of(document: object, path: str) -> Iterator[object]:
    """One record a like."""
    return _marks(document, path, "like")


def saved_of(document: object, path: str) -> Iterator[object]:
    """One record a saved post."""
    return _marks(document, path, "save")


def _marks(document: object, path: str, event: str) -> Iterator[object]:
    owner, _ = owner_of(path)
    for name, section in sections(repaired(document)).items():
        # Of a comment that is liked, the title is who wrote it, the link the post that it is below: nobody's, as far as we know.
        of_comment = "comment" in name
        for row in rows_in(section):
            if isinstance(row, list):
                # 2020: time and owner of the post, not the post.
                when, other, link = row[0], row[1], None
            elif isinstance(row, dict):
                said = _said(row)
                when, other, link = at(said.get("timestamp")), row.get("title") or None, said.get("href")
            else:
                yield row
                continue
            record = {"kind": event, "user_id": owner, "item_id": _post_of(link, other, when), "occurred_at": when}
            yield record | ({"people": [other] if other else []} if of_comment else {"other_id": other})


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """{href, value, timestamp} of a row of the new layout: its first string_list_data or the first string_map_data with a time."""
    listed = row.get("string_list_data")
    if listed:
        return dict(listed[0])
    mapped = [value for value in (row.get("string_map_data") or {}).values() if isinstance(value, dict)]
    return next((value for value in mapped if value.get("timestamp")), {})


def comments_of(document: object, path: str) -> Iterator[object]:
    """One record a comment. The archive names the owner of the post, not the post."""
    owner, _ = owner_of(path)
    for section in sections(repaired(document)).values():
        for row in rows_in(section):
            if isinstance(row, list):
                when, words, other = row[0], row[1], row[2]
            elif isinstance(row, dict):
                # The names in string_map_data are in the language of the account; their order is the same in all.
                mapped = row.get("string_map_data") or {}
                values = [v.get("value") for v in mapped.values() if isinstance(v, dict) and v.get("value")]
                values += [v.get("value") for v in row.get("string_list_data") or []]
                words = mapped["Comment"].get("value") if "Comment" in mapped else next(iter(values), None)
                other = mapped["Media Owner"].get("value") if "Media Owner" in mapped else next(iter(values[1:]), None)
                when = at(_said(row).get("timestamp"))
            else:
                yield row
                continue
            yield {"record_id": _id(owner, when, words, other), "kind": "comment", "user_id": owner, "other_id": other,
                   "item_id": _post_of(None, other, when), "text": words, "occurred_at": when}  # fmt: skip


# -- posts, follows, blocks, profile

# What lists of blocked people are called.
_BLOCKED = ("blocked_users", "blocked_accounts", "blocked_profiles")

_KINDS = {"stories": "story", "ig_stories": "story", "profile": "profile_photo", "ig_profile_picture": "profile_photo",
          "ig_reels_media": "reel", "ig_igtv_media": "video", "videos": "video", "direct": "message_media"}  # fmt: skip


def posts_of(document: object, path: str) -> Iterator[object]:
    """One record a post, story, reel or profile photo; its id is that of its first file."""
    owner, _ = owner_of(path)
    for name, section in sections(repaired(document)).items():
        for row in rows_in(section):
            if not isinstance(row, dict):
                yield row
                continue
            media = [m for m in row.get("media") or [row] if isinstance(m, dict)]
            paths = [m.get("uri") or m.get("path") for m in media]
            first = media[0] if media else row
            times = (row.get("taken_at"), row.get("creation_timestamp"), first.get("creation_timestamp"))
            when = next((at(time) for time in times if time), None)
            words = row.get("title") or row.get("caption") or first.get("title")
            yield {
                "item_id": _id(owner, paths[0]) if paths and paths[0] else None, "kind": _KINDS.get(name, "post"), "user_id": owner,
                "text": words, "location": row.get("location"), "occurred_at": when, "media": paths,
                "is_video": bool(paths) and all(str(p).lower().endswith((".mp4", ".mov", ".webm")) for p in paths),
            }  # fmt: skip


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
        pairs: list[tuple[Any, Any]] = list(section.items()) if isinstance(section, dict) else []
        for row in [] if isinstance(section, dict) else rows_in(section):
            if not isinstance(row, dict):
                yield row
                continue
            said = _said(row)
            pairs.append((said.get("value") or row.get("title") or user_of(said.get("href")), at(said.get("timestamp"))))
        for other, when in pairs:
            users = (other, owner) if name == "followers" else (owner, other)
            kind = "block" if name in _BLOCKED else "follow"
            yield {"kind": kind, "user_id": users[0], "other_id": users[1], "occurred_at": when}


def profile_of(document: object, path: str) -> Iterator[object]:
    """One record: the owner."""
    return iter(_profiles(repaired(document)))


def _profiles(whole: Any) -> list[dict[str, Any]]:
    """The owner's record in profile.json, or the records in personal_information.json."""
    if isinstance(whole, dict) and "profile_user" in whole:
        return [_new_profile(row["string_map_data"]) for row in rows_in(whole["profile_user"])]
    if isinstance(whole, dict):
        return [{"kind": "user", "user_id": whole["username"], "name": whole.get("name"), "occurred_at": whole.get("date_joined")}]
    if rows_in(whole):
        raise TypeError("found an array, expected an object with the owner's name")
    return []


_USERNAMES = ("username", "user name", "benutzername", "nutzername", "nom d’utilisateur", "nom d'utilisateur", "nom de profil",
              "nombre de usuario", "nome utente", "nome de usuário", "nome de utilizador", "gebruikersnaam", "nazwa użytkownika",
              "användarnamn", "brukernavn", "brugernavn", "käyttäjätunnus", "käyttäjänimi", "uživatelské jméno", "felhasználónév",
              "nume de utilizator", "kullanıcı adı", "kullanici adi", "имя пользователя", "ім’я користувача", "όνομα χρήστη",
              "nama pengguna", "tên người dùng", "ชื่อผู้ใช้", "اسم المستخدم", "שם משתמש", "उपयोगकर्ता नाम", "यूज़रनेम", "用户名", "帐号",
              "使用者名稱", "用戶名稱", "ユーザーネーム", "사용자 이름")  # fmt: skip
_NAMES = ("name", "nom", "nombre", "nome", "naam", "imię i nazwisko", "namn", "navn", "nimi", "jméno", "név", "nume", "ad", "adı",
          "isim", "имя", "ім’я", "όνομα", "nama", "tên", "ชื่อ", "الاسم", "שם", "नाम", "姓名", "名字", "名前", "이름")  # fmt: skip


def _new_profile(said: dict[str, Any]) -> dict[str, Any]:
    """The names of the fields are in the language of the account."""
    found = {name.lower(): value.get("value") for name, value in said.items() if isinstance(value, dict)}
    user, name = (next((found[n] for n in names if found.get(n)), None) for names in (_USERNAMES, _NAMES))
    return {"kind": "user", "user_id": user, "name": name, "occurred_at": None}


# -- the silver columns of the records


def _texts(conf: IngestConf) -> dict[str, Column]:
    return {
        "text_id": F.col("record_id"), "kind": F.col("kind"), "author_id": F.col("user_id"), "item_id": F.col("item_id"),
        "conversation_id": F.col("conversation_id"), "text": F.coalesce("text", F.lit("")), "label": F.lit(None),
        "created_at": F.col("occurred_at"),
    }  # fmt: skip


def _captions(conf: IngestConf) -> dict[str, Column]:
    caption = {"text_id": F.concat(F.lit("caption-"), "item_id"), "kind": F.lit("caption"), "text": F.col("text")}
    return _texts(conf) | caption


def _events(conf: IngestConf) -> dict[str, Column]:
    event = F.col("kind")
    return {
        "event_id": event_id_from(SOURCE, event), "user_id": F.col("user_id"), "item_id": F.col("item_id"), "event": event,
        "value": F.lit(None), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def _events_of_message(conf: IngestConf) -> Column:
    """Likes of a message by others, and the post that it shares."""
    found = F.from_json("events", "array<struct<user_id string, item_id string, event string, at string>>")

    def row(each: Column) -> Column:
        when = each["at"].cast("timestamp")
        key = F.md5(F.concat_ws("\u001f", F.lit(SOURCE), each["user_id"], each["item_id"], each["event"], when.cast("string")))
        return F.struct(
            key.alias("event_id"), each["user_id"].alias("user_id"), each["item_id"].alias("item_id"),
            each["event"].alias("event"), F.lit(None).cast("double").alias("value"), when.alias("occurred_at"),
        )  # fmt: skip

    # Of an account that is gone there is no name.
    return F.filter(F.transform(found, row), lambda each: F.length(each["user_id"]) > 0)


def _items(conf: IngestConf) -> dict[str, Column]:
    return _item_of_other(conf) | {
        "kind": F.col("kind"), "owner_id": F.col("user_id"), "text": F.col("text"),
        "hashtags": F.coalesce(hashtags_of(F.col("text")), F.array().cast("array<string>")), "is_video": F.col("is_video"),
        "image_count": F.when(
            F.col("media").isNotNull(), F.size(F.filter("media", lambda path: ~path.rlike(r"(?i)\.(mp4|mov|webm)$")))
        ),
        "image_path": F.col("media")[0], "location": F.col("location"), "created_at": F.col("occurred_at"),
    }  # fmt: skip


def _item_of_other(conf: IngestConf) -> dict[str, Column]:
    """Somebody's post, of which no more is known than its owner."""
    nothing = F.lit(None)
    return {
        "item_id": F.col("item_id"), "kind": F.lit("post"), "owner_id": F.col("other_id"), "title": nothing, "text": nothing,
        "hashtags": F.array().cast("array<string>"), "categories": F.array().cast("array<string>"), "is_video": nothing,
        "image_count": nothing, "image_path": nothing, "location": nothing, "price_usd": nothing, "created_at": nothing,
    }  # fmt: skip


def _images(conf: IngestConf) -> Column:
    return F.transform("media", lambda path: F.struct(
        F.md5(F.concat_ws("\u001f", "item_id", path)).alias("image_id"), F.col("item_id").alias("item_id"), path.alias("path"),
        F.lit(None).cast("int").alias("width_px"), F.lit(None).cast("int").alias("height_px"), status_of(path).alias("status"),
    ))  # fmt: skip


def _follows(conf: IngestConf) -> dict[str, Column]:
    return {"src_id": F.col("user_id"), "dst_id": F.col("other_id"), "weight": F.lit(1.0), "followed_at": F.col("occurred_at")}


def _blocks(conf: IngestConf) -> dict[str, Column]:
    return {"user_id": F.col("user_id"), "blocked_id": F.col("other_id"), "occurred_at": F.col("occurred_at")}


def _is_block() -> Column:
    return F.coalesce(F.col("kind") == "block", F.lit(False))


def _is_no_block() -> Column:
    """Whatever is no block: also a record that cannot be read."""
    return ~_is_block()


def _profile(conf: IngestConf) -> dict[str, Column]:
    return {"user_id": F.col("user_id"), "username": F.col("user_id"), "followers": F.lit(None), "following": F.lit(None),
            "created_at": F.col("occurred_at")}  # fmt: skip


def _people(conf: IngestConf) -> Column:
    """The people that a record names, each once."""
    named = F.array_union(F.array("user_id", "other_id"), F.coalesce("people", F.array().cast("array<string>")))
    known = F.filter(named, lambda name: F.length(name) > 0)
    return F.transform(known, lambda name: F.struct(
        name.alias("user_id"), name.alias("username"), F.lit(None).cast("bigint").alias("followers"),
        F.lit(None).cast("bigint").alias("following"), F.lit(None).cast("timestamp").alias("created_at"),
    ))  # fmt: skip


def _names_item() -> Column:
    return F.col("item_id").isNotNull()


# A name alone does not go over what is known of a user or an item.
_USERS = DerivedTable("silver.users", _people, keeps_newest=False)
_OTHERS = DerivedTable("silver.items", _item_of_other, _names_item, keeps_newest=False)
_BRONZE = "bronze.instagram_export"
_CONTENT = ("posts_*.json", "archived_posts.json", "stories.json", "reels.json", "igtv_videos.json", "profile_photos.json",
            "other_content.json")  # fmt: skip
# Lists of people of whom some may be blocked.
_TIES = ("connections.json", "followers_and_following/blocked_accounts.json", "followers_and_following/blocked_profiles.json")

# What each part says of whose archive its files are.
_OF_PERSON: Any = {"depends_on": owner_id_of, "hidden_path": hidden_path, "names_in": owner_names}

PARTS = (
    RecordType(
        "profile", _BRONZE, "silver.users", FIELDS, _profile, ("profile.json", "personal_information.json"),
        records_of=profile_of, **_OF_PERSON, is_optional=True, holds_fields=True,
    ),
    RecordType(
        "messages", _BRONZE, "silver.texts", FIELDS, _texts,
        ("messages.json", *(f"messages/{folder}/*/message_*.json" for folder in sorted(_THREADS))),
        records_of=messages_of, **_OF_PERSON,
        also=(_USERS, DerivedTable("silver.interactions", _events_of_message, keeps_newest=False)),
    ),
    RecordType(
        "likes", _BRONZE, "silver.interactions", FIELDS, _events, ("likes.json", "likes/liked_*.json"), False,
        records_of=likes_of, **_OF_PERSON, also=(_USERS, _OTHERS),
    ),
    RecordType(
        "saved", _BRONZE, "silver.interactions", FIELDS, _events, ("saved.json", "saved/saved_posts.json"), False,
        records_of=saved_of, **_OF_PERSON, also=(_USERS, _OTHERS),
    ),
    RecordType(
        "comments", _BRONZE, "silver.texts", FIELDS, _texts, ("comments.json", "comments/*comments*.json"),
        records_of=comments_of, **_OF_PERSON, excluding=("comments_allowed*",),
        also=(_USERS, _OTHERS, DerivedTable("silver.interactions", _events, _names_item, keeps_newest=False)),
    ),
    RecordType(
        "posts", _BRONZE, "silver.items", FIELDS, _items,
        ("media.json", *(f"{folder}/{name}" for folder in ("content", "media") for name in _CONTENT)),
        records_of=posts_of, **_OF_PERSON,
        also=(_USERS, DerivedTable("silver.texts", _captions, lambda: F.trim("text") != ""), DerivedTable("silver.images",
        _images)),
    ),
    RecordType(
        "follows", _BRONZE, "silver.follows", FIELDS, _follows,
        (*_TIES, "followers_and_following/followers*.json", "followers_and_following/following.json"),
        records_of=ties_of, **_OF_PERSON, also=(_USERS,), takes=_is_no_block,
    ),
    # The same files, the other records.
    RecordType(
        "blocks", _BRONZE, "silver.blocks", FIELDS, _blocks, _TIES,
        records_of=ties_of, **_OF_PERSON, holds_fields=True, takes=_is_block,
    ),
)  # fmt: skip
