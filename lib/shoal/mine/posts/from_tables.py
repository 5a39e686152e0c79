"""The lake's posts as the frame that features are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.posts.features import POSTS, with_author_history, with_post_features

# Kinds of silver.items that somebody posts; films and products have no author whose level they follow.
POST_KINDS = ("post", "tweet")
COUNTED = ("likes", "comments")


@dataclass(frozen=True)
class PostTables:
    """Silver tables that posts are made from; None where there is no such table."""

    items: DataFrame
    engagement: DataFrame | None = None
    users: DataFrame | None = None
    events: DataFrame | None = None
    follows: DataFrame | None = None


def posts_of(tables: PostTables, end: datetime) -> DataFrame:
    """POSTS (shoal.mine.posts.features) and `item_id` of posts made before `end` that have an owner and a time.

    Likes and comments are the last counts observed before `end` (silver.item_engagement); of a post that no source counts, those
    of silver.interactions, where it has any event; else null. Followers and following are as the source last said, whenever that
    was; of an author of whom no source says it, the pairs of silver.follows before `end`, where there are any. `position` is a hash
    of the id. Up to six joins, on keys.
    """
    items = tables.items.where(
        F.col("kind").isin(*POST_KINDS) & F.col("owner_id").isNotNull() & (F.col("created_at") < F.lit(end))
    )
    posts = items.select(
        "item_id", F.col("owner_id").alias("author_id"), "created_at", F.xxhash64("item_id").alias("position"), "text", "is_video",
        F.col("location").isNotNull().alias("has_location"), F.lit(None).cast("boolean").alias("is_verified"),
    )  # fmt: skip
    posts = _with_counts(posts, _observed_counts(tables.engagement, end), _event_counts(tables.events, end), "item_id", COUNTED)
    stated = None
    if tables.users is not None:
        stated = tables.users.select(
            F.col("user_id").alias("author_id"), "followers", "following", F.col("created_at").alias("author_created_at")
        )
    posts = _with_counts(posts, stated, _follow_counts(tables.follows, end), "author_id", ("followers", "following"))
    if tables.users is None:
        posts = posts.withColumn("author_created_at", F.lit(None).cast("timestamp"))
    return posts.select("item_id", *POSTS)


def _observed_counts(engagement: DataFrame | None, end: datetime) -> DataFrame | None:
    if engagement is None:
        return None
    known = [F.max_by(name, F.when(F.col(name).isNotNull(), F.col("observed_at"))).alias(name) for name in COUNTED]
    return engagement.where(F.col("observed_at") < F.lit(end)).groupBy("item_id").agg(*known)


def _event_counts(events: DataFrame | None, end: datetime) -> DataFrame | None:
    """Likes and comments of each item that has any event."""
    if events is None:
        return None
    before = events.where(F.col("occurred_at").isNull() | (F.col("occurred_at") < F.lit(end)))
    return before.groupBy("item_id").agg(
        F.count_if(F.col("event") == "like").alias("likes"), F.count_if(F.col("event") == "comment").alias("comments")
    )


def _follow_counts(follows: DataFrame | None, end: datetime) -> DataFrame | None:
    """Followers and following of each user in a pair."""
    if follows is None:
        return None
    pairs = follows.where(F.col("followed_at").isNull() | (F.col("followed_at") < F.lit(end)))
    ends = pairs.select(F.col("dst_id").alias("author_id"), F.lit(1).alias("is_in")).unionAll(
        pairs.select(F.col("src_id").alias("author_id"), F.lit(0).alias("is_in"))
    )
    return ends.groupBy("author_id").agg(F.sum("is_in").alias("followers"), F.sum(1 - F.col("is_in")).alias("following"))


def _with_counts(
    posts: DataFrame, stated: DataFrame | None, counted: DataFrame | None, key: str, names: tuple[str, ...]
) -> DataFrame:
    """The posts with `names` by `key`: as stated, else as counted, else null."""
    columns: dict[str, list[Column]] = {name: [] for name in names}
    for frame, prefix in ((stated, ""), (counted, "_")):
        if frame is not None:
            posts = posts.join(frame.withColumnsRenamed({name: f"{prefix}{name}" for name in names}), key, "left")
            for name in names:
                columns[name].append(F.col(f"{prefix}{name}"))
    nothing = F.lit(None).cast("bigint")
    found = posts.withColumns({name: F.coalesce(*columns[name], nothing).cast("bigint") for name in names})
    return found.drop(*(f"_{name}" for name in names))


def engaging_users(events: DataFrame | None, items: DataFrame, end: datetime) -> DataFrame | None:
    """`author_id`, `engaging_users`: how many other users have an event with something of theirs before `end`; None without
    events. One join, two shuffles."""
    if events is None:
        return None
    before = events.where(F.col("occurred_at").isNull() | (F.col("occurred_at") < F.lit(end)))
    owned = items.where(F.col("owner_id").isNotNull()).select("item_id", F.col("owner_id").alias("author_id"))
    met = before.select("item_id", "user_id").join(owned, "item_id").where("user_id <> author_id")
    return met.select("author_id", "user_id").distinct().groupBy("author_id").agg(F.count("*").alias("engaging_users"))


def post_features(posts: DataFrame) -> DataFrame:
    """A row a post: `item_id`, `author_id`, `created_at`, `hour`, `weekday` and the features of shoal.mine.posts.features.

    What the post says, when, and what was known of its author strictly before it; nothing of its own counts. One shuffle by author.
    """
    found = with_author_history(with_post_features(posts))
    dropped = [name for name in POSTS if name not in ("author_id", "created_at")]
    return found.withColumns({"hour": F.hour("created_at"), "weekday": F.weekday("created_at")}).drop(*dropped)
