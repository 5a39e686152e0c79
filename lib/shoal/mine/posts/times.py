"""The hours at which an author's posts go farther than usual, and those of all authors together."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

# Posts of an hour that its own mean counts as much as that of all authors.
PRIOR_POSTS = 10
ALL = "all"


def posting_times(prepared: DataFrame, hours: int) -> DataFrame:
    """`scope` ("author", "overall"), `author_id` ("all" for overall), `hour` (UTC), `posts`, `mean_lift`, `lift`, `rank`.

    prepared: posts with likes, their authors' past (shoal.mine.posts.features.with_author_history) and time. A post's lift is log1p
    of its likes less the mean of the author's last 20 known before it; a post without one does not count. `lift` is the mean drawn
    to that of the hour overall (of overall: to 0) as by PRIOR_POSTS more posts; ranks are by it, the earlier hour first of equal
    ones. Overall has every hour with a post, an author the best `hours`. Two shuffles, one of at most 24 rows an author.
    """
    lift = F.log1p(F.col("likes").cast("double")) - F.col("likes_mean_20")
    known = prepared.select("author_id", F.hour("created_at").alias("hour"), lift.alias("own")).where("own is not null")
    by_hour = known.groupBy("author_id", "hour").agg(F.count("*").alias("posts"), F.sum("own").alias("total"))
    overall = by_hour.groupBy("hour").agg(F.sum("posts").alias("posts"), F.sum("total").alias("total"))
    overall = overall.select(F.lit(ALL).alias("author_id"), "hour", "posts", "total", F.lit(0.0).alias("usual"))
    usual = overall.select("hour", (F.col("total") / (F.col("posts") + PRIOR_POSTS)).alias("usual"))
    both = by_hour.join(F.broadcast(usual), "hour").select("author_id", "hour", "posts", "total", "usual")
    both = both.withColumn("scope", F.lit("author")).unionByName(overall.withColumn("scope", F.lit("overall")))
    drawn = (F.col("total") + PRIOR_POSTS * F.col("usual")) / (F.col("posts") + PRIOR_POSTS)
    best = Window.partitionBy("scope", "author_id").orderBy(F.desc("lift"), "hour")
    found = both.withColumn("lift", drawn).withColumn("rank", F.row_number().over(best))
    found = found.where((F.col("scope") == "overall") | (F.col("rank") <= hours))
    mean = (F.col("total") / F.col("posts")).alias("mean_lift")
    return found.select("scope", "author_id", "hour", "posts", mean, "lift", "rank")
