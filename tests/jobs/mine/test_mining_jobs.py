"""Features of posts, segments and anomalies from a lake of a few literal rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import SkippedError
from shoal.lake.lake import Lake, Run
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)
CONF = load()


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two posts of a, one of tomorrow, one film; 40 users of two kinds, and one odd day of the platform and of u0."""
    made = Lake(spark, Path(tmp_path_factory.mktemp("mining")) / "lake", CONF, Run("run-1", "test"))
    items = [
        ("p1", "post", "a", "Hello #one", datetime(2024, 2, 5, 10)), ("p2", "tweet", "a", "again?", datetime(2024, 2, 6, 22)),
        ("p3", "post", "a", "tomorrow", datetime(2024, 3, 2, 0)), ("f1", "film", "a", "a film", datetime(2024, 2, 5)),
        ("p4", "post", "b", None, None),
    ]  # fmt: skip
    frame = spark.createDataFrame(items, "item_id string, kind string, owner_id string, text string, created_at timestamp")
    nothing = {n: F.lit(None).cast("string") for n in ("title", "image_path", "location")}
    lists = {n: F.array().cast("array<string>") for n in ("hashtags", "categories")}
    numbers = {
        "is_video": F.lit(None).cast("boolean"),
        "image_count": F.lit(None).cast("int"),
        "price_usd": F.lit(None).cast("double"),
    }
    made.upsert("silver.items", frame.withColumns({**nothing, **lists, **numbers, "source": F.lit("test")}))
    seen = [("p1", datetime(2024, 2, 7), 9, 1), ("p1", datetime(2024, 3, 5), 99, 1), ("p2", datetime(2024, 2, 8), 3, None)]
    counts = spark.createDataFrame(seen, "item_id string, observed_at timestamp, likes bigint, comments bigint")
    unknown = F.lit(None).cast("bigint")
    made.upsert("silver.item_engagement", counts.withColumns({"shares": unknown, "views": unknown, "source": F.lit("test")}))
    made.upsert("silver.interactions", events(spark))
    return made


def events(spark: SparkSession) -> DataFrame:
    """120 days up to DAY: u0 to u3 five views a day, 36 others one like a week; on day 100 u0 has 200 views."""
    rows = []
    for day in range(120):
        when = datetime(2024, 3, 1, 12) - timedelta(days=119 - day)
        for user in range(4):
            rows += [(f"u{user}", "view", when + timedelta(minutes=i)) for i in range(200 if (day, user) == (100, 0) else 5)]
        rows += [(f"u{user}", "like", when) for user in range(4, 40) if day % 7 == user % 7]
    named = [(f"e{i}", u, f"i{i % 9}", event, None, at, "test") for i, (u, event, at) in enumerate(rows)]
    fields = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
    return spark.createDataFrame(named, fields)


def test_features_of_posts_know_the_past_only(lake: Lake) -> None:
    job = find_job("build_posts")
    job.run(lake, CONF.features, DAY)
    found = {row["item_id"]: row for row in lake.read("features.posts", on=DAY).collect()}
    assert set(found) == {"p1", "p2"}
    first, second = found["p1"], found["p2"]
    assert (first["hour"], first["weekday"], first["hashtag_count"], first["posts_before"], first["likes_mean_5"]) == (
        10,
        0,
        1.0,
        0,
        None,
    )
    # The 99 likes of p1 were seen after the day.
    assert (second["likes_known"], second["likes_last"], second["comments_last"]) == (
        1,
        pytest.approx(np.log(10)),
        pytest.approx(np.log(2)),
    )
    assert (second["has_question"], second["posts_before"], second["days_since_last"]) == (1.0, 1, 1.5)
    job.run(lake, CONF.features, DAY)
    assert lake.read("features.posts", on=DAY).count() == 2
    with pytest.raises(SkippedError, match="no post or tweet with an owner"):
        job.run(lake, CONF.features, date(2024, 1, 1))


def test_segments_of_users(lake: Lake) -> None:
    find_job("build_users").run(lake, CONF.features, DAY)
    find_job("find_segments").run(lake, CONF.posts, DAY)
    found = {row["user_id"]: row for row in lake.read("gold.segments", on=DAY).collect()}
    assert len(found) == 40
    assert found["u1"]["segment_id"] == found["u2"]["segment_id"] != found["u20"]["segment_id"] == found["u30"]["segment_id"] == 0
    assert "high" in found["u1"]["segment_name"]
    assert lake.read("gold.segment_changes", on=DAY).count() == 0
    with pytest.raises(SkippedError, match=r"features.users of 2020-01-01"):
        find_job("find_segments").run(lake, CONF.posts, date(2020, 1, 1))


def test_segments_keep_their_numbers_and_movers_are_written(spark: SparkSession, lake: Lake) -> None:
    """The day before had the same two segments under other numbers, and u2 with the many."""
    earlier = Lake(spark, lake.root, CONF, Run("run-2", "test"))
    users = [(f"u{i}", 5, "few") if i in (0, 1, 3) else (f"u{i}", 2, "many") for i in range(40)]
    frame = spark.createDataFrame(users, "user_id string, segment_id int, segment_name string")
    earlier.replace("gold.segments", frame, on=DAY - timedelta(days=3))
    later = Lake(spark, lake.root, CONF, Run("run-3", "test"))
    find_job("find_segments").run(later, CONF.posts, DAY)
    found = {row["user_id"]: row["segment_id"] for row in later.read_current("gold.segments").where(f"as_of = '{DAY}'").collect()}
    assert found == {f"u{i}": 5 if i < 4 else 2 for i in range(40)}
    rows = later.read_current("gold.segment_changes").where(f"as_of = '{DAY}'").collect()
    assert [(r["user_id"], r["segment_id_before"], r["segment_id"], r["since"]) for r in rows] == [
        ("u2", 2, 5, DAY - timedelta(days=3))
    ]
    assert later.run.tags["moved"] == "1"


def test_the_odd_day_is_found_for_the_platform_and_the_user(lake: Lake) -> None:
    job = find_job("find_anomalies")
    job.run(lake, CONF.anomalies, DAY)
    odd = DAY - timedelta(days=19)
    key = ("entity_kind", "entity_id", "metric", "measured_on")
    found = {tuple(row[name] for name in key): row for row in lake.read("gold.anomalies", on=DAY).collect()}
    assert set(found) == {("platform", "all", "view", odd), ("user", "u0", "events", odd)}
    user = found["user", "u0", "events", odd]
    assert (user["value"], user["expected"]) == (200.0, pytest.approx(5.0))
    assert user["expected_high"] < 200 and user["anomaly_score"] > 4
    with pytest.raises(SkippedError, match="has no event up to this day"):
        job.run(lake, CONF.anomalies, date(2020, 1, 1))
