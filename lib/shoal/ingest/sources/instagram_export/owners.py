"""Whose archive a file is of."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from shoal.ingest.formats.archives import LABEL, label_of, owner_in
from shoal.ingest.sources.instagram_export.documents import leaves_in, repaired, rows_in
from shoal.ingest.sources.instagram_export.labels import NAMES, USERNAMES

# Folders of the layout; what they lie in is the archive.
_FOLDERS = {
    "your_instagram_activity", "messages", "inbox", "message_requests", "archived_threads", "likes", "comments", "content", "media",
    "saved", "connections", "followers_and_following", "personal_information",
}  # fmt: skip
_PROFILE_FILES = ("personal_information/personal_information/personal_information.json",
                  "personal_information/personal_information.json", "profile.json")  # fmt: skip
THREADS = {"inbox", "message_requests", "archived_threads"}
_PROFILE_BYTES = 1 << 20


def root_of(path: str) -> Path:
    """The folder of the archive that a file of it lies in."""
    folder = Path(path).parent
    if folder.parent.name.lower() in THREADS:
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
    values = _profile_in(root)
    if values:
        return values
    user = owner_in(root.name) or owner_in(label_of(root))
    if user:
        return user, _name_beside(root, user)
    return f"archive-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}", None


def _profile_in(root: Path) -> tuple[str, str | None] | None:
    """(username, display name) as the profile in an archive's folder says; None without a readable one."""
    for name in _PROFILE_FILES:
        try:
            with (root / name).open("rb") as file:
                profile = next(iter(profiles_in(repaired(json.loads(file.read(_PROFILE_BYTES))))), None)
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


def profiles_in(whole: Any) -> list[dict[str, Any]]:
    """The owner's record in profile.json, or the records in personal_information.json."""
    if isinstance(whole, dict) and "profile_user" in whole:
        return [_new_profile(row) for row in rows_in(whole["profile_user"])]
    if isinstance(whole, dict):
        return [{"kind": "user", "user_id": whole["username"], "name": whole.get("name"), "occurred_at": whole.get("date_joined")}]
    if any(isinstance(row, dict) and "label_values" in row for row in rows_in(whole)):
        return [_new_profile(row) for row in whole]
    if rows_in(whole):
        raise TypeError("found an array, expected an object with the owner's name")
    return []


def _new_profile(row: dict[str, Any]) -> dict[str, Any]:
    """The names of the fields are in the language of the account."""
    values = row["string_map_data"] if "label_values" not in row else {str(leaf["label"]): leaf for leaf in leaves_in(row)}
    found = {name.lower(): value.get("value") for name, value in values.items() if isinstance(value, dict)}
    user, name = (next((found[n] for n in names if found.get(n)), None) for names in (USERNAMES, NAMES))
    return {"kind": "user", "user_id": user, "name": name, "occurred_at": None}
