"""Lists chosen by hand: limits, diversity, novelty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.recommend.ranking.diversity import RerankSettings, choose, rerank

PLAIN = RerankSettings(None, None, 0.0, 0.0)


def marks(*names: str) -> list[frozenset[str]]:
    return [frozenset(name.split()) for name in names]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (PLAIN, [0, 1, 2]),
        # The second item of owner x is one too many.
        (RerankSettings(1, None, 0.0, 0.0), [0, 2, 3]),
        # a stands twice at the most: item 2 is the third.
        (RerankSettings(None, 2, 0.0, 0.0), [0, 1, 3]),
        # Relevance is 1, 2/3, 1/3, 0. After 0, likeness to it is 1, 1/3, 0: .5 x 2/3 - .5 < .5 x 1/3 - .5/3 = 0 = item 3's;
        # of equals the better rank; then 3 (0 - .5 x 0) before 1 (1/3 - 1/2).
        (RerankSettings(None, None, 0.5, 0.0), [0, 2, 3]),
        # Shares 1, 1/2, 1/4, 1/16 are 0, 1, 2, 4 bits, over 4: 1, 2/3 + 1/4, 1/3 + 1/2, 0 + 1.
        (RerankSettings(None, None, 0.0, 1.0), [0, 3, 1]),
    ],
)
def test_choices_by_hand(settings: RerankSettings, expected: list[int]) -> None:
    shares = np.array([1.0, 0.5, 0.25, 0.0625])
    assert choose(marks("o:x c:a", "o:x c:a", "o:y c:a", "c:b"), shares, 3, settings) == expected


def test_lists_keep_their_columns_and_get_new_ranks(spark: SparkSession) -> None:
    lists = spark.createDataFrame(
        [("u", n, item, 5.0 - n, f"why {item}") for n, item in enumerate("abcd", 1)] + [("v", 1, "b", 1.0, "why b")],
        "user_id string, rank int, item_id string, score double, reason string",
    )
    about = spark.createDataFrame([("a", "x", None, None), ("b", "x", ["k"], 0.5), ("c", "y", ["k", "k"], 0.1)],
                                  "item_id string, owner_id string, categories array<string>, share double")  # fmt: skip
    found = rerank(lists, about, 2, RerankSettings(1, None, 0.0, 0.0))
    assert found.columns == lists.columns
    rows = [tuple(row) for row in found.orderBy("user_id", "rank").collect()]
    assert rows == [("u", 1, "a", 4.0, "why a"), ("u", 2, "c", 2.0, "why c"), ("v", 1, "b", 1.0, "why b")]


def test_a_later_source_stays_below_an_earlier_one(spark: SparkSession) -> None:
    """Probabilities of a blend (ranks 1 to 3), then predicted preferences of ALS, which are larger numbers for worse items."""
    scored = [("a", 0.03), ("b", 0.02), ("c", 0.01), ("d", 0.9), ("e", 0.8)]
    lists = spark.createDataFrame([("u", n, item, score) for n, (item, score) in enumerate(scored, 1)],
                                  "user_id string, rank int, item_id string, score double")  # fmt: skip
    described = [("a", "x", "k"), ("b", "x", "k"), ("c", "y", "k"), ("d", "y", "m"), ("e", "x", "m")]
    about = spark.createDataFrame([(item, owner, [category], 0.5) for item, owner, category in described],
                                  "item_id string, owner_id string, categories array<string>, share double")  # fmt: skip

    def chosen(**rules: float) -> list[str]:
        settings = replace(RerankSettings(2, None, 0.0, 0.0), **rules)  # type: ignore[arg-type]
        return [row["item_id"] for row in rerank(lists, about, 5, settings).orderBy("rank").collect()]

    # Owner x has a place twice: the limit removes e and changes no order.
    assert chosen() == ["a", "b", "c", "d"]
    # Diversity may move d up: after a, b is worth .5 x .75 - .5 x 1 and d .5 x .25 - 0.
    assert chosen(diversity=0.5)[:2] == ["a", "d"]
