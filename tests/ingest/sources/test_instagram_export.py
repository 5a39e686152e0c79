"""The documents of an archive: any JSON gives records or the error of a wrong shape; texts are repaired; the owner is found."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shoal.ingest.formats import archives, listing
from shoal.ingest.formats.archives import LABEL
from shoal.ingest.formats.documents import ORIGINAL, WRONG_SHAPE
from shoal.ingest.sources import instagram_influencers, twitter_activity
from shoal.ingest.sources.instagram_export import documents
from shoal.ingest.sources.instagram_export.documents import at, repaired, said_in, shortcode_of, user_of
from shoal.ingest.sources.instagram_export.labels import GONE, NAMES, USERNAMES
from shoal.ingest.sources.instagram_export.marks import comments_of, likes_of, saved_of
from shoal.ingest.sources.instagram_export.messages import messages_of
from shoal.ingest.sources.instagram_export.owners import owner_of, root_of
from shoal.ingest.sources.instagram_export.parts import PARTS
from shoal.ingest.sources.instagram_export.people import profile_of, ties_of
from shoal.ingest.sources.instagram_influencers import posts_of

from tests.ingest.sources.instagram_archives import NEW, OLD, mojibake, write_folder

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(sorted({
    "participants", "messages", "conversation", "name", "sender_name", "timestamp_ms", "content", "reactions", "share", "photos",
    "string_list_data", "string_map_data", "href", "value", "timestamp", "title", "media", "uri", "path", "followers",
    "following", "profile_user", "username", "sender", "created_at", "text", "likes", "likes_media_likes", "Comment",
    "label_values", "label", "dict", "vec", "timestamp_value",
}))  # fmt: skip
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25)


@settings(deadline=None)
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


@pytest.mark.parametrize("module", [archives, documents, instagram_influencers, listing, twitter_activity])
def test_doctests(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@given(st.dictionaries(st.sampled_from(["node", "owner", "likes", "caption", "text", "note_tweet", "public_metrics"]), ANYTHING))
def test_any_object_is_shaped(value: dict[str, object]) -> None:
    for shaped in (instagram_influencers.post_shaped, twitter_activity.tweet_shaped):
        assert isinstance(shaped(value), dict)


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


def test_the_owner_of_a_part_of_a_split_archive_is_told_by_its_name_and_by_the_part_with_the_profile(tmp_path: Path) -> None:
    landing = tmp_path / ".landing"
    for part in (1, 2):
        (landing / str(part)).mkdir(parents=True)
        (landing / str(part) / LABEL).write_text(json.dumps({"archive": f"instagram-ann-2024-01-01-part{part}.zip"}))
    message = str(landing / "2/your_instagram_activity/messages/inbox/bob_123/message_1.json")
    assert owner_of(message) == ("ann", None)
    write_folder({name: value for name, value in NEW.items() if "personal" in name}, landing / "1" / "instagram-ann-2024-01-01-xY1")
    (landing / "3").mkdir()  # a new archive: what is beside is looked at again
    assert owner_of(message) == ("ann", "Ann Müller")
    (landing / "2" / LABEL).write_text("7")
    assert owner_of(message)[0].startswith("archive-")


def test_the_owner_is_named_in_the_language_of_the_account() -> None:
    said = {"Correo electrónico": "a@mail.test", "Nombre de usuario": "ann_es", "Nombre": "Ána"}
    document = {"profile_user": [{"string_map_data": {mojibake(name): {"value": mojibake(value)} for name, value in said.items()}}]}
    assert list(profile_of(document, "/x/personal_information.json")) == [
        {"kind": "user", "user_id": "ann_es", "name": "Ána", "occurred_at": None}
    ]


def test_who_wrote_a_comment_that_was_liked_does_not_own_the_post() -> None:
    row = {"title": "cat", "string_list_data": [{"href": "https://www.instagram.com/p/Cc-1/", "timestamp": 0}]}
    (post,) = likes_of({"likes_media_likes": [row]}, "/x/instagram-ann-2024-01-01/likes/liked_posts.json")
    (comment,) = likes_of({"likes_comment_likes": [row]}, "/x/instagram-ann-2024-01-01/likes/liked_comments.json")
    assert isinstance(post, dict)
    assert isinstance(comment, dict)
    assert (post["item_id"], post["other_id"], post.get("people")) == ("Cc-1", "cat", None)
    assert (comment["item_id"], comment.get("other_id"), comment["people"]) == ("Cc-1", None, ["cat"])


def test_accounts_that_are_gone_are_not_one_person() -> None:
    said = {"sender_name": "Instagram User", "timestamp_ms": 0, "content": "x", "reactions": [{"actor": "Instagram User"}]}
    talk = {"participants": [{"name": "Instagram User"}, {"name": "Bob"}], "messages": [said, {**said, "sender_name": ""}]}
    for message in messages_of(talk, "/x/messages/inbox/a/message_1.json"):
        assert isinstance(message, dict)
        assert (message["user_id"], message["people"], message["events"][0]["user_id"]) == (None, ["Bob"], None)


def test_settings_of_comments_are_no_comments() -> None:
    (part,) = (part for part in PARTS if part.name == "comments")
    assert part.claims("/x/comments/post_comments_1.json")
    assert not part.claims("/x/comments/comments_allowed_from.json")


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


def labels(
    link: str, words: str, name: str, *, url: str = "URL", caption: str = "Caption", user: str = "Username"
) -> list[dict[str, Any]]:
    """label_values of late 2025, in the language of the account."""
    owner = [{"label": url, "value": ""}, {"label": "Name", "value": "Somebody"}, {"label": user, "value": name}]
    return [
        {"label": url, "value": link, "href": link}, {"label": caption, "value": mojibake(words)},
        {"dict": [{"dict": owner, "title": ""}], "title": "Owner"},
    ]  # fmt: skip


def test_likes_and_saves_of_late_2025_in_any_language() -> None:
    link = "https://www.instagram.com/p/DAa1_-x/"
    rows = [
        {"timestamp": 1760000000, "media": [], "label_values": labels(link, "Grüße 😀", "bob"), "fbid": "1"},
        {"timestamp": 1760000001, "label_values": labels(link, "Lauf", "b.o_b", url="Link", caption="Bildunterschrift", user="?")},
        {"timestamp": 1760000002, "label_values": [{"label": "New", "value": "not known"}], "fbid": "3"},
        {"timestamp": 1760000003, "label_values": [{"label": "URL", "href": link}, {"title": "Owner", "vec": [
            {"label": "Page", "href": "https://www.instagram.com/_u/cat"}]}]},
    ]  # fmt: skip
    path = "/x/instagram-ann-2025-12-01/your_instagram_activity/likes/liked_posts.json"
    for records_of, event in ((likes_of, "like"), (saved_of, "save")):
        found = [record for record in records_of(rows, path) if isinstance(record, dict)]
        assert [tuple(record.get(n) for n in ("kind", "user_id", "item_id", "other_id", "text")) for record in found] == [
            (event, "ann", "DAa1_-x", "bob", "Grüße 😀"), (event, "ann", "DAa1_-x", "b.o_b", "Lauf"),
            (event, "ann", None, None, "not known"), (event, "ann", "DAa1_-x", "cat", None),
        ]  # fmt: skip
        assert found[0]["occurred_at"] == "2025-10-09T08:53:20+00:00"
        # Whatever is not understood stays whole.
        assert found[2][ORIGINAL] == rows[2]
    (comment,) = likes_of(rows[:1], path.replace("liked_posts", "liked_comments"))
    assert isinstance(comment, dict)
    assert (comment["people"], comment.get("other_id"), comment["item_id"]) == (["bob"], None, "DAa1_-x")


def test_other_lists_of_late_2025() -> None:
    base = "/x/instagram-ann-2025-12-01"
    said = [{"label": "Kommentar", "value": "Schön"}, {"label": "Besitzer", "value": "cat"}]
    (comment,) = comments_of([{"timestamp": 1760000000, "label_values": said}], f"{base}/comments/post_comments_1.json")
    assert isinstance(comment, dict)
    assert (comment["text"], comment["other_id"], comment["occurred_at"]) == ("Schön", "cat", "2025-10-09T08:53:20+00:00")
    who = [{"label": "Username", "value": "eve"}]
    blocked = {"relationships_blocked_users": [{"timestamp": 1, "label_values": who}]}
    (tie,) = ties_of(blocked, f"{base}/followers_and_following/blocked_accounts.json")
    assert isinstance(tie, dict)
    assert (tie["kind"], tie["user_id"], tie["other_id"]) == ("block", "ann", "eve")
    profile = [{"label": "Nome utente", "value": "ann_it"}, {"label": "Nome", "value": "Anna"}]
    (user,) = profile_of({"profile_user": [{"label_values": profile}]}, "/x/personal_information.json")
    assert user == {"kind": "user", "user_id": "ann_it", "name": "Anna", "occurred_at": None}


def test_labels_are_lower_case_and_each_once() -> None:
    for words in (USERNAMES, NAMES):
        assert len(words) == len(set(words)) >= 25
        assert all(word == word.lower() for word in words)
    assert "" in GONE
    assert said_in({"title": "bob", "string_list_data": []}).user == "bob"
    saved = {
        "title": "dan",
        "string_map_data": {"Saved on": {"href": "https://www.instagram.com/p/Dd-1/", "timestamp": 1578096000}},
    }
    (record,) = saved_of({"saved_saved_media": [saved]}, "/x/instagram-ann-2023-12-01/saved/saved_posts.json")
    assert isinstance(record, dict)
    assert (record["item_id"], record["other_id"], record["occurred_at"]) == ("Dd-1", "dan", "2020-01-04T00:00:00+00:00")
