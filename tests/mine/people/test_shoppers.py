"""A shopper by hand."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from pyspark.sql import SparkSession
from shoal.mine.people.shoppers import shopper_features

END = datetime(2024, 3, 2, tzinfo=timezone.utc)
EVENTS = "user_id string, item_id string, event string, value double, occurred_at timestamp"
ITEMS = "item_id string, kind string, categories array<string>, price_usd double"


def test_a_shopper_by_hand(spark: SparkSession) -> None:
    late, early = datetime(2024, 3, 1), datetime(2024, 1, 1)
    items = [
        ("shoe", "product", ["shoes", "casual"], 40.0), ("boot", "product", ["shoes"], 160.0), ("clog", "product", ["shoes"], 80.0),
        ("hat", "product", ["hats"], 10.0), ("film", "film", ["drama"], None), ("gift", "post", None, None),
    ]  # fmt: skip
    events = [
        # a: a boot at half the price, twice; a hat at its price; looks at a shoe and the hat; the film is no product.
        ("a", "boot", "purchase", 80.0, early), ("a", "boot", "purchase", 80.0, late), ("a", "hat", "purchase", 9.95, late),
        ("a", "shoe", "view", None, early), ("a", "hat", "click", None, early), ("a", "film", "view", None, late),
        # b: an item that is not known, at no known price, at no known time; looks at what only a purchase makes a product.
        ("b", "unknown", "purchase", None, None), ("b", "gift", "view", None, late), ("c", "gift", "purchase", 5.0, late),
        # d: the list price stands for an amount that is not known. e has liked only.
        ("d", "clog", "purchase", None, datetime(2024, 2, 3)), ("e", "shoe", "like", None, late),
    ]  # fmt: skip
    found = shopper_features(spark.createDataFrame(events, EVENTS), spark.createDataFrame(items, ITEMS), END)
    rows = {row["user_id"]: row.asDict() for row in found.collect()}
    assert set(rows) == set("abcd")
    a = rows["a"]
    assert (a["purchase_count"], a["purchase_count_28d"], a["view_count"], a["recency_days"]) == (3, 2, 2, 1.0)
    assert (a["spent_usd"], a["mean_order_usd"]) == (pytest.approx(169.95), pytest.approx(56.65))
    # Of the two products looked at the hat was bought; the boots cost twice the middle of shoes, the hat is the middle of hats.
    assert (a["view_to_buy"], a["price_level"]) == (0.5, pytest.approx(2 ** (2 / 3)))
    # Five cents off are none.
    assert a["discount_share"] == pytest.approx(2 / 3)
    assert (a["top_category"], a["category_shares"]) == ("shoes", {"shoes": pytest.approx(2 / 3), "hats": pytest.approx(1 / 3)})
    assert a["category_entropy"] == pytest.approx(math.log2(3) - 2 / 3)
    b = rows["b"]
    assert (b["purchase_count"], b["view_count"], b["view_to_buy"]) == (1, 1, 0.0)
    nulls = ("recency_days", "spent_usd", "mean_order_usd", "price_level", "discount_share", "top_category", "category_shares")
    assert {b[name] for name in nulls} == {None}
    d = rows["d"]
    assert (d["spent_usd"], d["price_level"], d["discount_share"], d["purchase_count_28d"]) == (80.0, 1.0, None, 1)
    assert (d["category_entropy"], d["view_to_buy"]) == (0.0, None)
