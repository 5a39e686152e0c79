"""The record types of an archive."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from shoal.ingest.record_type import DerivedTable, RecordType
from shoal.ingest.sources.instagram_export import silver
from shoal.ingest.sources.instagram_export.fields import FIELDS
from shoal.ingest.sources.instagram_export.hiding import hidden_path
from shoal.ingest.sources.instagram_export.marks import comments_of, likes_of, saved_of
from shoal.ingest.sources.instagram_export.messages import messages_of
from shoal.ingest.sources.instagram_export.owners import THREADS, owner_id_of, owner_names
from shoal.ingest.sources.instagram_export.people import profile_of, ties_of
from shoal.ingest.sources.instagram_export.posts import posts_of

# A name alone does not go over what is known of a user or an item.
_USERS = DerivedTable("silver.users", silver.people, keeps_newest=False)
_OTHERS = DerivedTable("silver.items", silver.item_of_other, silver.names_item, keeps_newest=False)
_MARKED = DerivedTable("silver.items", silver.item_of_mark, silver.describes_item, keeps_newest=False)
_BRONZE = "bronze.instagram_export"
_CONTENT = ("posts_*.json", "archived_posts.json", "stories.json", "reels.json", "igtv_videos.json", "profile_photos.json",
            "other_content.json")  # fmt: skip
# Lists of people of whom some may be blocked.
_TIES = ("connections.json", "followers_and_following/blocked_accounts.json", "followers_and_following/blocked_profiles.json")

# What each part says of whose archive its files are.
_OF_PERSON: Any = {"depends_on": owner_id_of, "hidden_path": hidden_path, "names_in": owner_names}

PARTS = (
    RecordType(
        "profile", _BRONZE, "silver.users", FIELDS, silver.profile, ("profile.json", "personal_information.json"),
        records_of=profile_of, **_OF_PERSON, is_optional=True, holds_fields=True,
    ),
    RecordType(
        "messages", _BRONZE, "silver.texts", FIELDS, silver.texts,
        ("messages.json", *(f"messages/{folder}/*/message_*.json" for folder in sorted(THREADS))),
        records_of=messages_of, **_OF_PERSON,
        also=(_USERS, DerivedTable("silver.interactions", silver.events_of_message, keeps_newest=False)),
    ),
    RecordType(
        "likes", _BRONZE, "silver.interactions", FIELDS, silver.events, ("likes.json", "likes/liked_*.json"), False,
        records_of=likes_of, **_OF_PERSON, also=(_USERS, _MARKED),
    ),
    RecordType(
        "saved", _BRONZE, "silver.interactions", FIELDS, silver.events, ("saved.json", "saved/saved_posts.json"), False,
        records_of=saved_of, **_OF_PERSON, also=(_USERS, _MARKED),
    ),
    RecordType(
        "comments", _BRONZE, "silver.texts", FIELDS, silver.texts, ("comments.json", "comments/*comments*.json"),
        records_of=comments_of, **_OF_PERSON, excluding=("comments_allowed*",),
        also=(_USERS, _OTHERS, DerivedTable("silver.interactions", silver.events, silver.names_item, keeps_newest=False)),
    ),
    RecordType(
        "posts", _BRONZE, "silver.items", FIELDS, silver.items,
        ("media.json", *(f"{folder}/{name}" for folder in ("content", "media") for name in _CONTENT)),
        records_of=posts_of, **_OF_PERSON,
        also=(_USERS, DerivedTable("silver.texts", silver.captions, lambda: F.trim("text") != ""), DerivedTable("silver.images",
        silver.images)),
    ),
    RecordType(
        "follows", _BRONZE, "silver.follows", FIELDS, silver.follows,
        (*_TIES, "followers_and_following/followers*.json", "followers_and_following/following.json"),
        records_of=ties_of, **_OF_PERSON, also=(_USERS,), takes=silver.is_no_block,
    ),
    # The same files, the other records.
    RecordType(
        "blocks", _BRONZE, "silver.blocks", FIELDS, silver.blocks, _TIES,
        records_of=ties_of, **_OF_PERSON, holds_fields=True, takes=silver.is_block,
    ),
)  # fmt: skip
