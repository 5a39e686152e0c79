"""Two literal archives, as Instagram hands them out: the layout of 2020 and that of 2022 and later."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

NO_DATA = ["You have no data in this section"]


def mojibake(text: str) -> str:
    """UTF-8 read as Latin-1, as the new layout writes it."""
    return text.encode().decode("latin-1")


OLD: dict[str, Any] = {
    "profile.json": {"username": "ann", "name": "Ann Müller", "date_joined": "2015-03-01T10:00:00", "email": "ann@mail.test"},
    "messages.json": [
        {
            "participants": ["ann", "bob"],
            "conversation": [
                {
                    "sender": "bob",
                    "created_at": "2020-01-02T10:00:00.123456+00:00",
                    "text": "Grüße 😀",
                    "likes": [{"username": "ann"}],
                },
                {"sender": "ann", "created_at": "2020-01-02T10:01:00+00:00", "link": "https://www.instagram.com/p/Zz-9/"},
                {"sender": "ann", "created_at": "2020-01-02T10:02:00+00:00", "media": "https://cdn.test/1.jpg"},
            ],
        }
    ],
    "media.json": {
        "photos": [
            {"caption": "Sea #Blue", "taken_at": "2019-07-07T12:00:00", "location": "Nice", "path": "photos/201907/a.jpg"},
        ],
        "stories": [{"caption": "", "taken_at": "2019-07-08T12:00:00+00:00", "path": "stories/201907/b.mp4"}],
        "profile": [{"caption": "", "taken_at": "2019-07-09T12:00:00+00:00", "is_active_profile": True, "path": "profile/c.jpg"}],
    },
    "likes.json": {"media_likes": [["2020-01-03T00:00:00+00:00", "cat"]], "comment_likes": []},
    "saved.json": {"saved_media": [["2020-01-04T00:00:00+00:00", "dan"]]},
    "comments.json": {"media_comments": [["2020-01-05T00:00:00+00:00", "Très joli", "cat"]]},
    "connections.json": {
        "blocked_users": {"eve": "2018-01-01T00:00:00"},
        "close_friends": {"bob": "2019-01-01T00:00:00"},
        "followers": {"bob": "2019-02-01T00:00:00"},
        "following": {"cat": "2019-03-01T00:00:00", "dan": "2019-04-01T00:00:00"},
    },
    "searches.json": [{"search_click": "sea", "time": "2020-01-01T00:00:00+00:00", "type": "hashtag"}],
    "seen_content.json": {"posts_seen": [{"timestamp": "2020-01-01T00:00:00+00:00", "author": "cat"}]},
}

NEW: dict[str, Any] = {
    "personal_information/personal_information/personal_information.json": {
        "profile_user": [
            {"title": "", "string_map_data": {
                "Email": {"href": "", "value": "ann@mail.test", "timestamp": 0},
                "Username": {"href": "", "value": "ann", "timestamp": 0},
                "Name": {"href": "", "value": mojibake("Ann Müller"), "timestamp": 0},
            }}
        ]
    },
    "your_instagram_activity/messages/inbox/bob_123/message_1.json": {
        "participants": [{"name": "Bob"}, {"name": mojibake("Ann Müller")}],
        "messages": [
            {"sender_name": "Bob", "timestamp_ms": 1577959200123, "content": mojibake("Grüße 😀"),
             "reactions": [{"reaction": mojibake("❤"), "actor": mojibake("Ann Müller")}]},
            {"sender_name": mojibake("Ann Müller"), "timestamp_ms": 1577959260000,
             "share": {"link": "https://www.instagram.com/reel/Zz-9/", "share_text": "look"}},
            {"sender_name": mojibake("Ann Müller"), "timestamp_ms": 1577959320000,
             "photos": [{"uri": "your_instagram_activity/messages/inbox/bob_123/photos/1.jpg", "creation_timestamp": 1577959320}]},
        ],
        "title": "Bob", "thread_path": "inbox/bob_123",
    },
    "your_instagram_activity/likes/liked_posts.json": {
        "likes_media_likes": [
            {"title": "cat", "string_list_data": [
                {"href": "https://www.instagram.com/p/Cc-1/", "value": mojibake("👍"), "timestamp": 1578009600}]},
        ]
    },
    "your_instagram_activity/saved/saved_posts.json": {
        # The form of late 2025, in the language of the account.
        "": [
            {"timestamp": 1578096000, "media": [], "fbid": "17", "label_values": [
                {"label": "URL", "value": "https://www.instagram.com/p/Dd-1/", "href": "https://www.instagram.com/p/Dd-1/"},
                {"label": "Bildunterschrift", "value": ""},
                {"title": "Inhaber", "dict": [{"title": "", "dict": [
                    {"label": "Name", "value": "Dan"}, {"label": "Benutzername", "value": "dan"}]}]}]},
        ]
    }[""],
    "your_instagram_activity/comments/post_comments_1.json": [
        {"media_list_data": [{"uri": ""}], "string_map_data": {
            "Comment": {"href": "", "value": mojibake("Très joli"), "timestamp": 0},
            "Media Owner": {"href": "", "value": "cat", "timestamp": 0},
            "Time": {"href": "", "value": "", "timestamp": 1578182400}}},
    ],
    "your_instagram_activity/content/posts_1.json": [
        {"media": [{"uri": "media/posts/201907/a.jpg", "creation_timestamp": 1562500800, "title": ""},
                   {"uri": "media/posts/201907/b.jpg", "creation_timestamp": 1562500800, "title": ""}],
         "title": mojibake("Été #Été"), "creation_timestamp": 1562500800},
    ],
    "your_instagram_activity/content/stories.json": {
        "ig_stories": [{"uri": "media/stories/201907/b.mp4", "creation_timestamp": 1562587200, "title": ""}],
    },
    "connections/followers_and_following/followers_1.json": [
        {"title": "", "media_list_data": [], "string_list_data": [
            {"href": "https://www.instagram.com/bob", "value": "bob", "timestamp": 1548979200}]},
    ],
    "connections/followers_and_following/following.json": {
        "relationships_following": [
            {"title": "", "media_list_data": [], "string_list_data": [
                {"href": "https://www.instagram.com/cat", "value": "cat", "timestamp": 1551398400}]},
            # The form of 2025: the name is in the title or the link alone.
            {"title": "dan", "string_list_data": [{"href": "https://www.instagram.com/_u/dan", "timestamp": 1554076800}]},
        ]
    },
    "connections/followers_and_following/blocked_accounts.json": {
        "relationships_blocked_users": [
            {"title": "eve", "media_list_data": [], "string_list_data": [
                {"href": "https://www.instagram.com/eve", "timestamp": 1514764800}]},
        ]
    },
    "your_instagram_activity/messages/inbox/bob_123/photos/1.jpg": None,
}  # fmt: skip


def as_bytes(content: Any) -> bytes:
    """A file's bytes: bytes as they are, a picture for None, else JSON, its non-ASCII escaped as Instagram does."""
    if content is None or isinstance(content, bytes):
        return content or b"\xff\xd8\xff\xd9"
    return json.dumps(content).encode()


def write_folder(files: dict[str, Any], folder: Path) -> Path:
    """The files below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(content))
    return folder


def write_zip(files: dict[str, Any], path: Path) -> Path:
    """The files as a .zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, as_bytes(content))
    return path
