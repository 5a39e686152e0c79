"""Posts of Instagram influencers, a table with the post's counts and its owner's: CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import NOTHING, Field
from shoal.ingest.formats.documents import listed_in
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.record_type import DerivedTable, RecordType, hashtags_of, id_from, status_of, unlabelled

FIELDS = (
    Field("shortcode", "id", True, ("code", "post_id")),
    Field("owner_id", "id", True, ("user_id",)),
    Field("owner_username", "text"),
    Field("username", "text"),
    Field("followers", "count", False, ("followers_count", "follower_count")),
    Field("following", "count", False, ("following_count", "followees")),
    Field("is_video", "flag"),
    Field("multiple_images", "flag"),
    # What kind of post it is, where that is one word: Image, Video, Sidecar; GraphSidecar; 1, 2, 8.
    Field("media_type", "word", False, ("type", "__typename", "typename"), people="none"),
    Field("caption", "text", False, ("text", "description")),
    Field("comments", "count", False, ("comments_count", "comment_count", "num_comments")),
    Field("likes", "count", False, ("likes_count", "like_count", "num_likes")),
    Field("location", "text", False, ("location_name",)),
    Field("image_url", "text", False, ("image_path", "display_url", "image")),
    Field("created_at", "time", False, ("taken_at", "taken_at_timestamp", "timestamp", "date")),
    Field("observed_at", "time", False, ("scraped_at", "fetched_at", "crawled_at")),
)


def posts_of(document: object, path: str) -> Iterator[object]:
    """The posts of a JSON document: an array, an object that is one post, or one that holds the array."""
    names = ("data", "posts", "items", "GraphImages", "edges", "results")
    return listed_in(document, names, frozenset({"shortcode", "code"}))


# Where the web's own form of a post has what tables have in a column; the first place with a value counts.
_PLACES: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "owner_id": (("owner", "id"), ("owner", "pk"), ("user", "pk"), ("user", "id")),
    "owner_username": (("owner", "username"), ("user", "username")),
    "followers": (("owner", "edge_followed_by", "count"), ("user", "follower_count")),
    "following": (("owner", "edge_follow", "count"), ("user", "following_count")),
    "caption": (("edge_media_to_caption", "edges", 0, "node", "text"), ("caption", "text")),
    "comments": (("edge_media_to_comment", "count"), ("edge_media_to_parent_comment", "count"), ("comments", "count")),
    "likes": (("edge_media_preview_like", "count"), ("edge_liked_by", "count"), ("likes", "count")),
    "image_url": (("image_versions2", "candidates", 0, "url"),),
}


def post_shaped(post: dict[str, Any]) -> dict[str, Any]:
    """A post with the values of the web's nested form under the names of tables; one that has these names keeps its own.

    >>> post_shaped({"node": {"code": "C1", "owner": {"id": "7"}, "likes": {"count": 3}, "comments": 2}})
    {'code': 'C1', 'owner': {'id': '7'}, 'likes': 3, 'comments': 2, 'owner_id': '7'}
    """
    whole = {**post["node"], **{n: v for n, v in post.items() if n != "node"}} if isinstance(post.get("node"), dict) else dict(post)
    there = by_plain(whole)
    for ours, places in _PLACES.items():
        name = there.get(plain(ours), ours)
        if whole.get(name) is not None and not isinstance(whole[name], dict):
            continue
        found = next((value for value in (_at(whole, place) for place in places) if value is not None), None)
        if found is not None:
            whole[name] = found
    return whole


def _at(value: Any, place: tuple[str | int, ...]) -> Any:
    """What lies at a place of nested objects and arrays; None where there is nothing, or an object."""
    for step in place:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return None if isinstance(value, (dict, list)) else value


_VIDEO = ("video", "graphvideo", "xdtgraphvideo", "reel", "igtv", "2")
_PICTURE = ("image", "graphimage", "xdtgraphimage", "photo", "1")
_SEVERAL = ("sidecar", "graphsidecar", "xdtgraphsidecar", "carousel", "carousel_album", "album", "8")
# Where a place is an object: the web's own JSON, or as Python prints it.
_PRINTED_NAME = r"""'name': (?:'([^']*)'|"([^"]*)")"""


def _items(conf: IngestConf) -> dict[str, Column]:
    """A post. The number of pictures of a carousel is unknown."""
    # Another type is unknown.
    kind = F.col("media_type")
    known = F.when(kind.isin(*_VIDEO), F.lit(True)).when(kind.isin(*_PICTURE), F.lit(False))
    is_video = F.coalesce("is_video", known)
    several = F.coalesce("multiple_images", kind.isin(*_SEVERAL), F.lit(False))
    video = F.coalesce(is_video, F.lit(False))
    nothing = F.lit(None)
    return {
        "item_id": F.col("shortcode"), "kind": F.lit("post"), "owner_id": F.col("owner_id"), "title": nothing,
        "text": F.col("caption"), "hashtags": F.coalesce(hashtags_of(F.col("caption")), F.array().cast("array<string>")),
        "categories": F.array().cast("array<string>"), "is_video": is_video,
        "image_count": F.when(~several, F.when(video, 0).when(F.col("image_url").isNotNull(), 1)),
        "image_path": F.col("image_url"),
        "location": _location(),
        "price_usd": nothing, "created_at": F.col("created_at"),
    }  # fmt: skip


def _location() -> Column:
    """The name of a place; null for a word that means no place."""
    text = F.col("location")
    printed = F.concat(*[F.regexp_extract(text, _PRINTED_NAME, group) for group in (1, 2)])
    named = F.coalesce(F.get_json_object(text, "$.name"), F.nullif(printed, F.lit("")))
    written = F.when(~F.lower(F.trim(text)).isin(*NOTHING), text)
    return F.when(text.startswith("{"), named).otherwise(written)


def _users(conf: IngestConf) -> dict[str, Column]:
    return {
        "user_id": F.col("owner_id"), "username": F.coalesce("owner_username", "username"), "followers": F.col("followers"),
        "following": F.col("following"), "created_at": F.lit(None),
    }  # fmt: skip


def _is_described() -> Column:
    """Whether a record says more of its owner than the id: an id alone would go over what is known."""
    return F.coalesce("owner_username", "username", "followers", "following").isNotNull()


def _counts(conf: IngestConf) -> dict[str, Column]:
    return {
        "item_id": F.col("shortcode"), "observed_at": F.coalesce("observed_at", "created_at"), "likes": F.col("likes"),
        "comments": F.col("comments"), "shares": F.lit(None), "views": F.lit(None),
    }  # fmt: skip


def _is_counted() -> Column:
    """Whether a record has a count, and a time for it."""
    return F.coalesce("likes", "comments").isNotNull() & F.coalesce("observed_at", "created_at").isNotNull()


def _texts(conf: IngestConf) -> dict[str, Column]:
    return {
        "text_id": F.concat(F.lit("caption-"), "shortcode"), "kind": F.lit("caption"), "author_id": F.col("owner_id"),
        "item_id": F.col("shortcode"), "conversation_id": F.lit(None), "text": F.col("caption"), **unlabelled(),
        "created_at": F.col("created_at"),
    }  # fmt: skip


def _images(conf: IngestConf) -> dict[str, Column]:
    return {
        "image_id": id_from("shortcode", "image_url"), "item_id": F.col("shortcode"), "path": F.col("image_url"),
        "width_px": F.lit(None), "height_px": F.lit(None), "status": status_of(F.col("image_url")),
    }  # fmt: skip


PARTS = (
    RecordType(
        "posts",
        "bronze.instagram_posts",
        "silver.items",
        FIELDS,
        _items,
        also=(
            DerivedTable("silver.users", _users, _is_described),
            DerivedTable("silver.item_engagement", _counts, _is_counted),
            DerivedTable("silver.texts", _texts, lambda: F.trim("caption") != ""),
            DerivedTable("silver.images", _images, lambda: F.col("image_url").isNotNull()),
        ),
        records_of=posts_of,
        shaped=post_shaped,
    ),
)
