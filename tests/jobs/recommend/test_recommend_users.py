"""Each item's best users who have not met it."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import SparkSession
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.ranking.audiences import rank_users

from jobs.recommend.recommend_users import run


def test_the_best_users_of_an_item_who_have_not_met_it(spark: SparkSession) -> None:
    crowd = [("u", [1.0, 0.0]), ("v", [0.5, 0.5]), ("w", [1.0, 0.0])]
    users = spark.createDataFrame(crowd, "user_id string, features array<float>")
    items = spark.createDataFrame(
        [("a", [2.0, 0.0], "als"), ("b", [0.0, 2.0], "content"), ("all", [1.0, 1.0], "als")],
        "item_id string, features array<float>, source string",
    )
    met = [("u", "a"), ("u", "all"), ("v", "all"), ("w", "all"), ("stranger", "b")]
    rows = rank_users(items, users, spark.createDataFrame(met, "user_id string, item_id string"), 2, 256).collect()
    # a: u has met it, w has 2 and v 1; b: v has 1, u and w nothing, and u is the smaller id. All have met `all`.
    assert sorted(tuple(row) for row in rows) == [
        ("a", 1, "w", 2.0, "als"), ("a", 2, "v", 1.0, "als"), ("b", 1, "v", 1.0, "content"), ("b", 2, "u", 0.0, "content"),
    ]  # fmt: skip


def test_without_events_it_is_skipped(lake: Lake) -> None:
    with pytest.raises(SkippedError, match=r"silver\.interactions does not exist"):
        run(lake, lake.settings.recommend, date(2024, 3, 1))
