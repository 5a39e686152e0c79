"""The documents of an archive: any JSON gives records or the error of a wrong shape; texts are repaired; the owner is found."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shoal.sources import instagram_export
from shoal.sources.documents import WRONG_SHAPE
from shoal.sources.instagram_export import PARTS, at, owner_of, repaired, root_of, shortcode_of, user_of
from shoal.sources.instagram_influencers import posts_of

from tests.sources.instagram_archives import NEW, OLD, mojibake, write_folder

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(sorted({
    "participants", "messages", "conversation", "name", "sender_name", "timestamp_ms", "content", "reactions", "share", "photos",
    "string_list_data", "string_map_data", "href", "value", "timestamp", "title", "media", "uri", "path", "followers",
    "following", "profile_user", "username", "sender", "created_at", "text", "likes", "likes_media_likes", "Comment",
}))  # fmt: skip
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=25)


@given(ANYTHING)
def test_any_document_is_records_or_of_a_wrong_shape(document: object) -> None:
    for records_of in (*(part.records_of for part in PARTS), posts_of):
        assert records_of is not None
        try:
            for record in records_of(document, "/nowhere/messages/inbox/a/message_1.json"):
                json.dumps(record)
        except WRONG_SHAPE:
            continue


@given(st.text())
def test_what_was_read_as_latin_1_is_repaired_and_sound_text_stays(text: str) -> None:
    try:
        broken = text.encode().decode("latin-1")
    except UnicodeEncodeError:
        return  # half a surrogate pair
    assert repaired(broken) == text
    if any(ord(letter) > 255 for letter in text):
        assert repaired(text) == text


def test_doctests() -> None:
    assert doctest.testmod(instagram_export).failed == 0


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/x/me/likes.json", "/x/me"),
        ("/x/me/your_instagram_activity/messages/inbox/likes/message_1.json", "/x/me"),
        ("/x/me/messages/inbox/bob_1/message_1.json", "/x/me"),
        ("/x/media/me/media.json", "/x/media/me"),
        ("/x/me/connections/followers_and_following/following.json", "/x/me"),
    ],
)
def test_the_archive_that_a_file_is_of(path: str, root: str) -> None:
    assert root_of(path) == Path(root)


def test_the_owner_is_told_by_the_profile_then_the_folder_then_by_an_id(tmp_path: Path) -> None:
    old, new = write_folder(OLD, tmp_path / "a"), write_folder(NEW, tmp_path / "b")
    assert owner_of(str(old / "likes.json")) == ("ann", "Ann Müller")
    assert owner_of(str(new / "your_instagram_activity/messages/inbox/bob_123/message_1.json")) == ("ann", "Ann Müller")
    named = tmp_path / "instagram-a.b_c-2024-01-31-xY12"
    assert owner_of(str(named / "likes.json")) == ("a.b_c", None)
    one, other = (owner_of(str(tmp_path / name / "likes.json"))[0] for name in ("c", "d"))
    assert one.startswith("archive-")
    assert one != other
    (old / "profile.json").write_text('{"username": 7}')
    assert owner_of(str(old / "likes.json"))[0].startswith("archive-")


def test_times_and_links() -> None:
    assert at(1577959200123, 1000) == "2020-01-02T10:00:00.123000+00:00"
    assert at("2020-01-02") == "2020-01-02"
    assert at(10**30) == f"{10**30} (unix time)"
    assert at(float("nan")) == "nan (unix time)"
    assert at(True) is True
    assert shortcode_of("https://www.instagram.com/ann/reel/A-b_9/?x=1") == "A-b_9"
    assert shortcode_of("https://www.instagram.com/ann") is None
    assert user_of("https://www.instagram.com/_u/a.b") == "a.b"
    assert user_of(mojibake("é")) is None
