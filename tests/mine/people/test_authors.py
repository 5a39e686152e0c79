"""Authors' numbers and influence, and where a post's counts come from, worked by hand."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from pyspark.sql import SparkSession
from shoal.mine.people.authors import author_features, with_influence
from shoal.mine.posts.features import with_post_features
from shoal.mine.posts.from_tables import PostTables, engaging_users, posts_of

END = datetime(2024, 1, 30)
ITEMS = "item_id string, kind string, owner_id string, text string, is_video boolean, location string, created_at timestamp"
EVENTS = "item_id string, user_id string, event string, occurred_at timestamp"


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> PostTables:
    """Three posts of a: the first counted, the second met by nobody, the third by two users; b is followed by two."""
    times = [datetime(2024, 1, 1, 10), datetime(2024, 1, 3, 10), datetime(2024, 1, 7, 22)]
    texts, videos = ["hi #x", "@b y", "see https://x"], [True, False, None]
    posts = [(f"p{i}", "post", "a", texts[i], videos[i], None, times[i]) for i in range(3)]
    posts += [("q", "tweet", "b", "", None, "Lisbon", times[0]), ("late", "post", "a", "", None, None, END)]
    counts = [("p0", datetime(2024, 1, 2), 9, 1), ("p0", END, 1_000, 1_000)]
    events = [("p2", "u", "like", times[2]), ("p2", "v", "like", None), ("p2", "v", "comment", times[2]),
              ("p2", "v", "like", END), ("p0", "u", "like", times[0]), ("p0", "a", "view", times[0])]  # fmt: skip
    follows = [("a", "b", None), ("b", "a", None), ("a", "c", times[0]), ("c", "b", times[0]), ("d", "b", END)]
    users = [("a", 100, 9, None), ("b", None, None, None)]
    return PostTables(
        spark.createDataFrame(posts, ITEMS),
        spark.createDataFrame(counts, "item_id string, observed_at timestamp, likes bigint, comments bigint"),
        spark.createDataFrame(users, "user_id string, followers bigint, following bigint, created_at timestamp"),
        spark.createDataFrame(events, EVENTS),
        spark.createDataFrame(follows, "src_id string, dst_id string, followed_at timestamp"),
    )


def test_counts_are_observed_else_counted_else_unknown(tables: PostTables) -> None:
    found = {r["item_id"]: r for r in posts_of(tables, END).collect()}
    assert {name: (r["likes"], r["comments"]) for name, r in found.items()} == {
        "p0": (9, 1), "p1": (None, None), "p2": (2, 1), "q": (None, None),
    }  # fmt: skip
    assert {r["author_id"]: (r["followers"], r["following"]) for r in found.values()} == {"a": (100, 9), "b": (2, 1)}


def test_an_author_by_hand(spark: SparkSession, tables: PostTables) -> None:
    posts = with_post_features(posts_of(tables, END))
    engagers = engaging_users(tables.events, tables.items, END)
    found = author_features(posts, tables.follows, engagers, END)
    rows = {r["author_id"]: r for r in found.collect()}
    a, b = rows["a"], rows["b"]
    expected = {
        "post_count": 3, "post_count_28d": 2, "mean_likes": 5.5, "mean_comments": 1.0, "engagement_rate": 0.065, "video_share": 0.5,
        "weekend_share": 1 / 3, "place_share": 0.0, "mean_hashtags": 1 / 3, "mean_mentions": 1 / 3, "mean_links": 1 / 3,
        "median_gap_days": 3.25, "gap_variation": 1.25 / 3.25, "follower_ratio": 10.1, "mutual_follows": 1, "engaging_users": 2,
        "hour_entropy": math.log2(3) - 2 / 3,
        # From the first place to the last, through ln 10 at 0 and ln 3 at 2.
        "likes_trend": math.log(3) - math.log(10),
    }  # fmt: skip
    assert {name: a[name] for name in expected} == pytest.approx(expected)
    assert (b["mean_likes"], b["likes_trend"], b["median_gap_days"], b["engaging_users"], b["place_share"]) == (
        None, None, None, 0, 1.0,
    )  # fmt: skip
    ranks = spark.createDataFrame([("follows", "a", 0.2), ("follows", "b", 0.8), ("engagement_user", "a", 0.9)],
                                  "kind string, node_id string, score double")  # fmt: skip
    people = {r["user_id"]: r for r in with_influence(found, ranks).collect()}
    assert people["a"]["reach"] == people["a"]["engagement"] == 1.0
    assert people["a"]["authority"] == pytest.approx(math.log1p(0.4) / math.log1p(1.6))
    assert people["b"]["influence_score"] == pytest.approx((math.log(3) / math.log(101) + 0 + 1) / 3)
    assert people["b"]["mean_engagement"] is None
