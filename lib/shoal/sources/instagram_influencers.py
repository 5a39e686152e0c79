"""Posts of Instagram influencers, a table with the post's counts and its owner's: CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf import IngestConf
from shoal.sources.fields import Field
from shoal.sources.parts import Also, Part, hashtags_of, id_from

FIELDS = (
    Field("shortcode", "id", True, ("code", "post_id")),
    Field("owner_id", "id", True, ("user_id",)),
    Field("owner_username", "text"),
    Field("username", "text"),
    Field("followers", "count", False, ("followers_count", "follower_count")),
    Field("following", "count", False, ("following_count", "followees")),
    Field("is_video", "flag"),
    Field("multiple_images", "flag"),
    Field("caption", "text", False, ("text", "description")),
    Field("comments", "count", False, ("comments_count", "comment_count")),
    Field("likes", "count", False, ("likes_count", "like_count")),
    Field("location", "text"),
    Field("image_url", "text", False, ("image_path", "display_url", "image")),
    Field("created_at", "time", False, ("taken_at", "timestamp", "date")),
    Field("observed_at", "time", False, ("scraped_at", "fetched_at", "crawled_at")),
)


def posts_of(document: object, path: str) -> Iterator[object]:
    """The posts of a JSON document: an array, or an object that is one post."""
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict):
        yield document
    else:
        raise TypeError(f"found a JSON {type(document).__name__}, expected an array of posts")


def _items(conf: IngestConf) -> dict[str, Column]:
    """A post. How many pictures one of several has is not said."""
    several, video = F.coalesce("multiple_images", F.lit(False)), F.coalesce("is_video", F.lit(False))
    nothing = F.lit(None)
    return {
        "item_id": F.col("shortcode"), "kind": F.lit("post"), "owner_id": F.col("owner_id"), "title": nothing,
        "text": F.col("caption"), "hashtags": F.coalesce(hashtags_of(F.col("caption")), F.array().cast("array<string>")),
        "categories": F.array().cast("array<string>"), "is_video": F.col("is_video"),
        "image_count": F.when(~several, F.when(video, 0).when(F.col("image_url").isNotNull(), 1)),
        "image_path": F.col("image_url"),
        # The web's own form of a place is an object.
        "location": F.when(F.col("location").startswith("{"), F.get_json_object("location", "$.name")).otherwise(
            F.col("location")
        ),
        "price_usd": nothing, "created_at": F.col("created_at"),
    }  # fmt: skip


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
        "item_id": F.col("shortcode"), "conversation_id": F.lit(None), "text": F.col("caption"), "label": F.lit(None),
        "created_at": F.col("created_at"),
    }  # fmt: skip


def _images(conf: IngestConf) -> dict[str, Column]:
    return {
        "image_id": id_from("shortcode", "image_url"), "item_id": F.col("shortcode"), "path": F.col("image_url"),
        "width_px": F.lit(None), "height_px": F.lit(None), "status": status_of(F.col("image_url")),
    }  # fmt: skip


def status_of(path: Column) -> Column:
    """A picture's status before anybody looked at it: remote where its path is a URL, else listed."""
    return F.when(path.rlike("(?i)^https?://"), "remote").otherwise("listed")


PARTS = (
    Part(
        "posts",
        "bronze.instagram_posts",
        "silver.items",
        FIELDS,
        _items,
        also=(
            Also("silver.users", _users, _is_described),
            Also("silver.item_counts", _counts, _is_counted),
            Also("silver.texts", _texts, lambda: F.trim("caption") != ""),
            Also("silver.images", _images, lambda: F.col("image_url").isNotNull()),
        ),
        records_of=posts_of,
    ),
)
