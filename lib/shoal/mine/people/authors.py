"""What an author is like: how often and when they post, what about, how people answer; and how much influence that is."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RECENT_DAYS = 28
# Numbers of an author that followers are in: no feature of a model of followers.
OF_FOLLOWERS = ("followers", "engagement_rate", "follower_ratio")
# What the model of influencers reads, all of behaviour and network.
INFLUENCER_FEATURES = (
    "post_count", "post_count_28d", "mean_likes", "mean_comments", "likes_trend", "video_share", "place_share", "mean_text_length",
    "mean_hashtags", "mean_mentions", "mean_links", "following", "mutual_follows", "engaging_users", "median_gap_days",
    "gap_variation", "hour_entropy", "weekend_share", "account_age_days",
)  # fmt: skip
_LEAST_GAPS = 2


def author_features(posts: DataFrame, follows: DataFrame | None, engagers: DataFrame | None, end: datetime) -> DataFrame:
    """A row an author: `author_id` and numbers of their posts (doubles but for counts), null where nothing is known.

    posts: shoal.mine.posts.from_tables.posts_of with shoal.mine.posts.features.with_post_features. follows: src_id, dst_id, a pair
    once, or None. engagers: `author_id`, `engaging_users`, or None. Means of likes and comments are of counts, over the posts where
    they are known; `likes_trend` is the slope of log1p likes over the author's posts in their order, from the first (0) to the last
    (1); `gap_variation` the gaps' deviation over their mean; `hour_entropy` of the hours (UTC) of the posts, in bits, 0 to log2 24.
    Two shuffles by author, and two of the follows.
    """
    start = F.lit(end - timedelta(days=RECENT_DAYS))
    order = Window.partitionBy("author_id").orderBy("created_at", "position")
    gap = (F.unix_timestamp("created_at") - F.unix_timestamp(F.lag("created_at").over(order))) / 86_400.0
    place = F.row_number().over(order) - 1
    likes = F.log1p(F.col("likes").cast("double"))
    framed = posts.withColumns({"gap": gap, "place": place.cast("double"), "hour": F.hour("created_at"), "likes_log": likes})
    by_hour = framed.groupBy("author_id", "hour").agg(*_sums(start))
    # The hours' counts give the entropy, their sums all else: one shuffle more than the posts', of at most 24 rows an author.
    posted = F.col("posts")
    total = F.sum(posted)
    entropy = F.log2(total) - F.sum(posted * F.log2(posted)) / total
    found = by_hour.groupBy("author_id").agg(
        total.alias("post_count"), entropy.alias("hour_entropy"), *_totals(),
        F.expr("flatten(collect_list(gaps))").alias("gaps"), F.min("account_age_days").alias("account_age_days"),
        *[F.max(name).alias(name) for name in ("followers", "following")],
    ).withColumns(_from_gaps())  # fmt: skip
    found = found.withColumn("follower_ratio", (F.col("followers") + 1) / (F.col("following") + 1))
    rate = (F.coalesce("mean_likes", F.lit(0.0)) + F.coalesce("mean_comments", F.lit(0.0))) / F.col("followers")
    found = found.withColumn("engagement_rate", F.when((F.col("followers") > 0) & F.col("mean_likes").isNotNull(), rate))
    found = _with_follows(found, follows)
    if engagers is None:
        return found.withColumn("engaging_users", F.lit(None).cast("bigint"))
    return found.join(engagers, "author_id", "left").withColumn("engaging_users", F.coalesce("engaging_users", F.lit(0)))


def _sums(start: Column) -> list[Column]:
    """Sums over an author's posts of one hour of the day."""
    known = F.col("likes_log").isNotNull()
    means = {
        "video": "is_video_post", "place_given": "has_place", "length": "text_length", "tags": "hashtag_count",
        "mentions": "mention_count", "links": "link_count", "weekend": "is_weekend", "like": "likes", "comment": "comments",
    }  # fmt: skip
    of = [(F.sum(column).alias(f"{name}_sum"), F.count(column).alias(f"{name}_known")) for name, column in means.items()]
    x, y = F.when(known, F.col("place")), F.col("likes_log")
    line = {"x": x, "y": y, "xx": x * x, "xy": x * y}
    return [
        F.count("*").alias("posts"), F.count_if(F.col("created_at") >= start).alias("recent"),
        *[column for pair in of for column in pair], *[F.sum(value).alias(f"line_{name}") for name, value in line.items()],
        F.collect_list("gap").alias("gaps"), F.max("place").alias("last_place"),
        F.min(F.expm1("account_age_log")).alias("account_age_days"), F.max("followers").alias("followers"),
        F.max("following").alias("following"),
    ]  # fmt: skip


def _totals() -> list[Column]:
    """An author's means, from the sums."""
    names = {
        "mean_likes": "like", "mean_comments": "comment", "video_share": "video", "place_share": "place_given",
        "mean_text_length": "length", "mean_hashtags": "tags", "mean_mentions": "mentions", "mean_links": "links",
        "weekend_share": "weekend",
    }  # fmt: skip
    means = [_ratio(F.sum(f"{part}_sum"), F.sum(f"{part}_known")).alias(name) for name, part in names.items()]
    n, x, y, xx, xy = (F.sum(name) for name in ("like_known", "line_x", "line_y", "line_xx", "line_xy"))
    spread = n * xx - x * x
    slope = F.when(spread > 0, (n * xy - x * y) / spread * F.max("last_place"))
    return [F.sum("recent").alias("post_count_28d"), *means, slope.alias("likes_trend")]


def _ratio(part: Column, whole: Column) -> Column:
    """Null where there is no whole."""
    return F.when(whole > 0, part / whole)


def _from_gaps() -> dict[str, Column]:
    """The middle and the variation of an author's gaps in days; null for fewer than two gaps."""
    ordered, count = F.array_sort("gaps"), F.size("gaps")
    middle = (ordered[((count - 1) / 2).cast("int")] + ordered[(count / 2).cast("int")]) / 2
    mean = F.aggregate("gaps", F.lit(0.0), lambda total, gap: total + gap) / count
    square = F.aggregate("gaps", F.lit(0.0), lambda total, gap: total + gap * gap) / count
    variation = F.when(mean > 0, F.sqrt(F.greatest(square - mean * mean, F.lit(0.0))) / mean)
    return {
        "median_gap_days": F.when(count >= _LEAST_GAPS, middle), "gap_variation": F.when(count >= _LEAST_GAPS, variation),
    }  # fmt: skip


def _with_follows(authors: DataFrame, follows: DataFrame | None) -> DataFrame:
    """With `mutual_follows`: how many of those whom the author follows follow back; null without follows."""
    authors = authors.drop("gaps")
    if follows is None:
        return authors.withColumn("mutual_follows", F.lit(None).cast("bigint"))
    pairs = follows.select(F.least("src_id", "dst_id").alias("a"), F.greatest("src_id", "dst_id").alias("b"))
    both = pairs.where("a <> b").groupBy("a", "b").count().where("count > 1")
    mutual = both.select(F.explode(F.array("a", "b")).alias("author_id")).groupBy("author_id")
    found = authors.join(mutual.agg(F.count("*").alias("mutual_follows")), "author_id", "left")
    return found.withColumn("mutual_follows", F.coalesce("mutual_follows", F.lit(0)))


def with_influence(authors: DataFrame, ranks: DataFrame | None) -> DataFrame:
    """`user_id`, `followers`, `mean_engagement`, `page_rank`, their parts `reach`, `engagement`, `authority` (0 to 1) and
    `influence_score`, the mean of the three.

    authors: features.authors of a day. ranks: gold.node_ranks of the day, or None: PageRank on follows is null. A part is log1p of
    the number over log1p of the largest (PageRank as a multiple of the mean), 0 where the number is not known: the largest account
    has 1, and one with a tenth of its followers loses ln 10 / ln of them. One pass for the largest values, one join.
    """
    mean = F.coalesce("mean_likes", F.lit(0.0)) + F.coalesce("mean_comments", F.lit(0.0))
    rows = authors.select(
        F.col("author_id").alias("user_id"), "followers", F.when(F.col("mean_likes").isNotNull(), mean).alias("mean_engagement")
    )
    if ranks is None:
        rows = rows.withColumn("page_rank", F.lit(None).cast("double")).withColumn("_multiple", F.col("page_rank"))
    else:
        follows = ranks.where("kind = 'follows'").select(F.col("node_id").alias("user_id"), F.col("score").alias("page_rank"))
        nodes = F.broadcast(follows.agg(F.count("*").alias("_nodes")))
        rows = rows.join(follows, "user_id", "left").crossJoin(nodes)
        rows = rows.withColumn("_multiple", F.col("page_rank") * F.col("_nodes")).drop("_nodes")
    parts = {"reach": "followers", "engagement": "mean_engagement", "authority": "_multiple"}
    largest = F.broadcast(rows.agg(*[F.max(column).alias(f"_{name}") for name, column in parts.items()]))
    scaled = {
        name: F.coalesce(_ratio(F.log1p(column), F.log1p(f"_{name}")), F.lit(0.0)) for name, column in parts.items()
    }
    found = rows.crossJoin(largest).withColumns(scaled)
    found = found.withColumn("influence_score", (F.col("reach") + F.col("engagement") + F.col("authority")) / 3.0)
    return found.drop("_multiple", *(f"_{name}" for name in parts))
