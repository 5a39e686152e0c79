"""Features of posts: what is known when one appears, and nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.mine.posts.features import POSTS, with_author_history, with_post_features
from shoal.mine.posts.rules import POST_FEATURES

Post = tuple[str, str | None, int, str | None, int | None]


def posts_frame(spark: SparkSession, posts: Sequence[Post]) -> DataFrame:
    """author_id, created_at, position, text, likes; the rest unknown."""
    rows = [(a, datetime.fromisoformat(t) if t else None, p, x, n) for a, t, p, x, n in posts]
    frame = spark.createDataFrame(rows, "author_id string, created_at timestamp, position bigint, text string, likes bigint")
    flags = {name: F.lit(None).cast("boolean") for name in ("is_video", "has_location", "is_verified")}
    counts = {name: F.lit(None).cast("bigint") for name in ("comments", "followers", "following")}
    return frame.withColumns({**flags, **counts, "author_created_at": F.lit(None).cast("timestamp")}).select(*POSTS)


def values(frame: DataFrame, *names: str) -> dict[int, tuple[Any, ...]]:
    return {row["position"]: tuple(row[name] for name in names) for row in frame.select("position", *names).collect()}


def test_history_is_what_was_known_strictly_before(spark: SparkSession) -> None:
    posts = posts_frame(
        spark,
        [
            ("a", "2024-01-01 10:00:00", 1, None, 3),
            ("a", "2024-01-01 10:00:00", 2, None, 7),  # the same moment: does not know post 1
            ("a", "2024-01-02 10:00:00", 3, None, None),  # likes hidden
            ("a", "2024-01-04 10:00:00", 4, None, 0),
            ("a", None, 5, None, 9),  # no time: knows all, is known by none
            ("b", "2024-01-03 10:00:00", 6, None, 5),
        ],
    )
    names = ("posts_before", "likes_known", "likes_last", "likes_mean_5", "days_since_last")
    found = values(with_author_history(posts, ("likes",)), *names)
    two = (np.log(4) + np.log(8)) / 2
    assert found[1] == found[2] == found[6] == (0, 0, None, None, None)
    assert found[3] == (2, 2, pytest.approx(np.log(8)), pytest.approx(two), 1.0)
    assert found[4] == (3, 2, pytest.approx(np.log(8)), pytest.approx(two), 2.0)
    assert found[5] == (4, 3, 0.0, pytest.approx(two * 2 / 3), None)


def test_the_last_five_known_count_even_behind_hidden_ones(spark: SparkSession) -> None:
    likes = [100, 1, 2, 3, 4, 5, None, None, None, 50]
    posts = posts_frame(spark, [("a", f"2024-01-{i + 1:02} 00:00:00", i, None, n) for i, n in enumerate(likes)])
    found = values(with_author_history(posts, ("likes",)), "likes_mean_5", "likes_maximum_20", "likes_last")
    assert found[9][0] == pytest.approx(np.mean(np.log1p([1, 2, 3, 4, 5])))
    assert found[9][1:] == (pytest.approx(np.log(101)), pytest.approx(np.log(6)))


def test_neither_a_posts_own_likes_nor_the_future_are_in_its_features(spark: SparkSession) -> None:
    """Change the likes of the third post, and add a fourth: no feature of the first three moves."""
    few = [("a", f"2024-01-0{i} 00:00:00", i, f"text {i}", i * 10) for i in range(1, 4)]
    other = [*few[:2], ("a", "2024-01-03 00:00:00", 3, "text 3", 999_999), ("a", "2024-01-04 00:00:00", 4, "text 4", 5)]
    frames = [with_author_history(with_post_features(posts_frame(spark, rows)), ("likes",)) for rows in (few, other)]
    names = [name for name in frames[0].columns if name not in ("likes", "author_id")]
    before, after = (values(frame, *names) for frame in frames)
    assert before == {position: after[position] for position in before}
    assert "likes_mean_all" in names and set(POST_FEATURES) <= set(names)


def test_features_of_the_text_and_the_moment(spark: SparkSession) -> None:
    posts = posts_frame(spark, [("a", "2024-01-06 06:00:00", 1, "Wow! #Über #b2 @you https://x.y 🎉?", 1), ("a", None, 2, None, 1)])
    names = ("hashtag_count", "mention_count", "emoji_count", "link_count", "exclamation_count", "has_question", "word_count",
             "is_weekend", "hour_sin", "is_quote")  # fmt: skip
    found = values(with_post_features(posts), *names)
    assert found[1] == (2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 6.0, 1.0, 1.0, 0.0)
    assert found[2] == (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, None, 0.0)
