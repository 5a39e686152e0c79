"""The lake's posts as the frame that features are made of."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.posts.features import POSTS, with_author_history, with_post_features

# Kinds of silver.items that somebody posts; films and products have no author whose level they follow.
POST_KINDS = ("post", "tweet")


def posts_of(items: DataFrame, engagement: DataFrame | None, users: DataFrame | None, end: datetime) -> DataFrame:
    """POSTS (shoal.mine.posts.features) and `item_id` of posts made before `end` that have an owner and a time.

    items, engagement, users: silver.items, silver.item_engagement (null: nobody counted), silver.users (null: nothing is known of
    authors). Likes and comments are the last counts observed before `end`, null where there is none. `position` is a hash of the
    id. A user's followers are as the source last said, whenever that was. Two joins.
    """
    posts = items.where(F.col("kind").isin(*POST_KINDS) & F.col("owner_id").isNotNull() & (F.col("created_at") < F.lit(end)))
    posts = posts.select(
        "item_id", F.col("owner_id").alias("author_id"), "created_at", F.xxhash64("item_id").alias("position"), "text", "is_video",
        F.col("location").isNotNull().alias("has_location"), F.lit(None).cast("boolean").alias("is_verified"),
    )  # fmt: skip
    nothing = {name: F.lit(None).cast("bigint") for name in ("likes", "comments", "followers", "following")}
    if engagement is None:
        posts = posts.withColumns({name: nothing[name] for name in ("likes", "comments")})
    else:
        seen = engagement.where(F.col("observed_at") < F.lit(end)).groupBy("item_id")
        counts = [
            F.max_by(name, F.when(F.col(name).isNotNull(), F.col("observed_at"))).alias(name) for name in ("likes", "comments")
        ]
        posts = posts.join(seen.agg(*counts), "item_id", "left")
    if users is None:
        known = posts.withColumns({name: nothing[name] for name in ("followers", "following")})
        return known.withColumn("author_created_at", F.lit(None).cast("timestamp")).select("item_id", *POSTS)
    authors = users.select(
        F.col("user_id").alias("author_id"), "followers", "following", F.col("created_at").alias("author_created_at")
    )
    return posts.join(authors, "author_id", "left").select("item_id", *POSTS)


def post_features(posts: DataFrame) -> DataFrame:
    """A row a post: `item_id`, `author_id`, `created_at`, `hour`, `weekday` and the features of shoal.mine.posts.features.

    What the post says, when, and what was known of its author strictly before it; nothing of its own counts. One shuffle by author.
    """
    found = with_author_history(with_post_features(posts))
    dropped = [name for name in POSTS if name not in ("author_id", "created_at")]
    return found.withColumns({"hour": F.hour("created_at"), "weekday": F.weekday("created_at")}).drop(*dropped)
