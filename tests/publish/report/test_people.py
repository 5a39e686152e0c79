"""The part about people and posts: classes by hand, and every table as it is shown."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession
from shoal.publish.report.blocks import Bars, Figure, Missing, Table
from shoal.publish.report.people import PeopleTables, people_part

from tests.publish.report.literal import rows


def test_every_table_is_shown(spark: SparkSession, absent: Callable[[str], Missing]) -> None:
    posts = spark.createDataFrame(
        [(1, 0, 0, "video"), (3, 1, 2, "picture"), (100, 30, 12, "picture"), (None, None, 1, "video")],
        "likes bigint, comments bigint, hashtag_count int, content_type string",
    )
    authors = [{"author_id": f"u{i}", "followers": 10**i, "engagement_rate": 0.1 / (i + 1)} for i in range(3)]
    leaders = [{"user_id": f"u{i}", "influence_score": i / 3, "probability": None if i else 0.25} for i in range(3)]
    viral = [{"item_id": "p1", "author_id": "u1", "probability": 0.75}, {"item_id": "p2", "probability": 0.5}]
    why = [{"task": "viral", "entity_id": "p1", "rank": i, "feature": f, "contribution": c}
           for i, (f, c) in enumerate((("base", -2.0), ("word: sale", 1.5), ("hour", -0.5)))]  # fmt: skip
    counts = [{"task": "viral", "kind": "permutation", "feature": "hour", "importance": 0.125}]
    times = [
        {"scope": "overall", "author_id": "all", "hour": h, "posts": 4, "lift": x, "rank": r}
        for r, h, x in ((1, 18, 0.3), (2, 9, -0.1))
    ]
    rising = [{"kind": "hashtag", "topic": "snow", "users_recent": 40, "expected": 8.0, "rate_ratio": 5.0, "q_value": 0.001}]
    names = ("features.authors", "gold.influencers", "gold.viral_posts", "gold.explanations", "gold.feature_importances",
             "gold.posting_times", "gold.trends")  # fmt: skip
    given = (authors, leaders, viral, why, counts, times, rising)
    made = [rows(spark, name, *values) for name, values in zip(names, given, strict=True)]
    part = people_part(PeopleTables(posts, *made), absent)
    assert part.finding == "snow rises most."
    figures = [b.caption.split(":")[0] for b in part.blocks if isinstance(b, Figure)]
    assert figures == ["Authors by followers", "Engagement rate by followers", "Posts by likes", "Comments by likes"]
    bars = {b.title: [(bar.label, bar.text) for bar in b.bars] for b in part.blocks if isinstance(b, Bars)}
    assert bars["Likes and comments of a post by number of hashtags"] == [("0", "1"), ("2", "4"), ("10", "130")]
    assert bars["Likes and comments of a post by kind of content"] == [("picture", "67"), ("video", "1")]
    assert bars["Best hours of the day"] == [("18:00", "+0.30"), ("09:00", "-0.10")]
    assert bars["Viral posts: what counts (permutation)"] == [("hour", "0.1250")]
    tables = {b.caption: [[cell.text for cell in row] for row in b.rows] for b in part.blocks if isinstance(b, Table)}
    assert [row[0] for row in tables["Most influential authors"]] == ["u2", "u1", "u0"]
    assert tables["Most influential authors"][2][5] == "0.2500"
    assert tables["Posts of the last days that will go far"][0] == ["p1", "75.0%", "100.0%", "+ word: sale, − hour"]
    assert tables["What rises"] == [["snow", "40", "8", "×5", "0.001"]]


def test_what_is_missing_says_so(absent: Callable[[str], Missing]) -> None:
    part = people_part(PeopleTables(*([None] * 8)), absent)
    assert [b.what for b in part.blocks if isinstance(b, Missing)] == [
        "gold.influencers", "gold.viral_posts", "gold.feature_importances", "gold.posting_times", "gold.trends",
    ]  # fmt: skip
    assert part.finding == ""
    assert len(part.blocks) == 5
