"""features.shoppers from a lake of a few literal rows."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

from tests.publish.report.literal import rows

DAY = date(2024, 3, 1)


def test_shoppers_of_a_day_and_none(spark: SparkSession, lake: Lake, settings: Settings) -> None:
    noon, late = datetime(2024, 2, 28, 12), datetime(2024, 3, 2)
    bought = {"event": "purchase", "item_id": "shoe", "value": 30.0}
    events = [
        {"event_id": "1", "user_id": "a", "occurred_at": noon, **bought},
        {"event_id": "2", "user_id": "a", "occurred_at": late, **bought},
        {"event_id": "3", "user_id": "b", "occurred_at": late, **bought},
    ]
    lake.upsert("silver.interactions", rows(spark, "silver.interactions", *events))
    shoe = {"item_id": "shoe", "kind": "product", "categories": ["shoes"], "price_usd": 40.0}
    lake.upsert("silver.items", rows(spark, "silver.items", shoe))
    job = find_job("build_shoppers")
    job.run(lake, settings.features, DAY)
    (row,) = lake.read("features.shoppers", on=DAY).collect()
    assert (row["user_id"], row["purchase_count"], row["recency_days"], row["spent_usd"]) == ("a", 1, 2.5, 30.0)
    assert (row["discount_share"], row["price_level"], row["category_shares"]) == (1.0, 1.0, {"shoes": 1.0})
    with pytest.raises(SkippedError, match="silver.interactions has no purchase and no view of a product up to"):
        job.run(lake, settings.features, date(2020, 1, 1))
