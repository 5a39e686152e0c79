"""The silver columns of an archive's records."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.record_type import event_id_from, hashtags_of, status_of, unlabelled
from shoal.ingest.sources.instagram_export.fields import SOURCE


def texts(conf: IngestConf) -> dict[str, Column]:
    """A message or comment as a text; one without words is an empty text."""
    return {
        "text_id": F.col("record_id"), "kind": F.col("kind"), "author_id": F.col("user_id"), "item_id": F.col("item_id"),
        "conversation_id": F.col("conversation_id"), "text": F.coalesce("text", F.lit("")), **unlabelled(),
        "created_at": F.col("occurred_at"),
    }  # fmt: skip


def captions(conf: IngestConf) -> dict[str, Column]:
    """The caption of a post as a text."""
    caption = {"text_id": F.concat(F.lit("caption-"), "item_id"), "kind": F.lit("caption"), "text": F.col("text")}
    return texts(conf) | caption


def events(conf: IngestConf) -> dict[str, Column]:
    """A like, save or comment as an event with a post."""
    event = F.col("kind")
    return {
        "event_id": event_id_from(SOURCE, event), "user_id": F.col("user_id"), "item_id": F.col("item_id"), "event": event,
        "value": F.lit(None), "occurred_at": F.col("occurred_at"),
    }  # fmt: skip


def events_of_message(conf: IngestConf) -> Column:
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


def items(conf: IngestConf) -> dict[str, Column]:
    """A post, story or reel of the owner."""
    return item_of_other(conf) | {
        "kind": F.col("kind"), "owner_id": F.col("user_id"), "text": F.col("text"),
        "hashtags": F.coalesce(hashtags_of(F.col("text")), F.array().cast("array<string>")), "is_video": F.col("is_video"),
        "image_count": F.when(
            F.col("media").isNotNull(), F.size(F.filter("media", lambda path: ~path.rlike(r"(?i)\.(mp4|mov|webm)$")))
        ),
        "image_path": F.col("media")[0], "location": F.col("location"), "created_at": F.col("occurred_at"),
    }  # fmt: skip


def item_of_mark(conf: IngestConf) -> dict[str, Column]:
    """Somebody's post that the owner liked or saved, with its caption where the archive has it."""
    words = F.when(F.trim("text") != "", F.col("text"))
    return item_of_other(conf) | {"text": words, "hashtags": F.coalesce(hashtags_of(words), F.array().cast("array<string>"))}


def item_of_other(conf: IngestConf) -> dict[str, Column]:
    """Somebody's post, of which no more is known than its owner."""
    nothing = F.lit(None)
    return {
        "item_id": F.col("item_id"), "kind": F.lit("post"), "owner_id": F.col("other_id"), "title": nothing, "text": nothing,
        "hashtags": F.array().cast("array<string>"), "categories": F.array().cast("array<string>"), "is_video": nothing,
        "image_count": nothing, "image_path": nothing, "location": nothing, "price_usd": nothing, "created_at": nothing,
    }  # fmt: skip


def images(conf: IngestConf) -> Column:
    """The files of a post, one row each."""
    return F.transform("media", lambda path: F.struct(
        F.md5(F.concat_ws("\u001f", "item_id", path)).alias("image_id"), F.col("item_id").alias("item_id"), path.alias("path"),
        F.lit(None).cast("int").alias("width_px"), F.lit(None).cast("int").alias("height_px"), status_of(path).alias("status"),
    ))  # fmt: skip


def follows(conf: IngestConf) -> dict[str, Column]:
    """A follow, from who follows to who is followed."""
    return {"src_id": F.col("user_id"), "dst_id": F.col("other_id"), "weight": F.lit(1.0), "followed_at": F.col("occurred_at")}


def blocks(conf: IngestConf) -> dict[str, Column]:
    """A block, from the owner to whom the owner blocked."""
    return {"user_id": F.col("user_id"), "blocked_id": F.col("other_id"), "occurred_at": F.col("occurred_at")}


def is_block() -> Column:
    """Whether a record is a block; false for one that cannot be read."""
    return F.coalesce(F.col("kind") == "block", F.lit(False))


def is_no_block() -> Column:
    """Whatever is no block: also a record that cannot be read."""
    return ~is_block()


def profile(conf: IngestConf) -> dict[str, Column]:
    """The owner as a user."""
    return {"user_id": F.col("user_id"), "username": F.col("user_id"), "followers": F.lit(None), "following": F.lit(None),
            "created_at": F.col("occurred_at")}  # fmt: skip


def people(conf: IngestConf) -> Column:
    """The people that a record names, each once."""
    named = F.array_union(F.array("user_id", "other_id"), F.coalesce("people", F.array().cast("array<string>")))
    known = F.filter(named, lambda name: F.length(name) > 0)
    return F.transform(known, lambda name: F.struct(
        name.alias("user_id"), name.alias("username"), F.lit(None).cast("bigint").alias("followers"),
        F.lit(None).cast("bigint").alias("following"), F.lit(None).cast("timestamp").alias("created_at"),
    ))  # fmt: skip


def describes_item() -> Column:
    """Whether a record says more of a post than its id: of a comment that was liked the post below it is known by its id alone."""
    return F.col("item_id").isNotNull() & F.coalesce("other_id", "text").isNotNull()


def names_item() -> Column:
    """Whether a record names a post."""
    return F.col("item_id").isNotNull()
