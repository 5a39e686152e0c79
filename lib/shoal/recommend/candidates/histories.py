"""What each user has met, in order: the input of every model that scores items from a history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.errors import InputError, UsageError
from shoal.recommend.ranking.top_k import MAX_ID_BYTES


@dataclass(frozen=True)
class Catalogue:
    """The items that a model can list: ids in string order; an item's number is its place. `numbers`: item_id, item;
    `users`: how many users each item has."""

    ids: pa.StringArray
    numbers: DataFrame
    users: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


def catalogue_of(preferences: DataFrame, max_items: int, min_users: int = 1) -> Catalogue:
    """The items of at least `min_users` users; above `max_items`, those of most users (ties: the smaller id).

    `preferences`: one row per user and item. Raises UsageError for a bound below 1, InputError where the ids take over
    2 GiB, once they are here. Cost: one shuffle by item; collects at most `max_items` ids, some 500 bytes each beside their
    letters, for which each task sends its best `max_items`.
    """
    if max_items < 1:
        raise UsageError(f"max_items: {max_items}; expected a whole number from 1 on")
    users = preferences.groupBy("item_id").agg(F.count(F.lit(1)).alias("users")).where(F.col("users") >= min_users)
    rows = users.orderBy(F.desc("users"), "item_id").limit(max_items).collect()
    # Python orders text by code point, which is Spark's order of UTF-8 bytes too.
    counts = {row["item_id"]: row["users"] for row in rows}
    ids = sorted(counts)
    if sum(len(name.encode()) for name in ids) > MAX_ID_BYTES:
        raise InputError(f"catalogue: the ids of {len(ids):,} items take over {MAX_ID_BYTES >> 30} GiB")
    spark = preferences.sparkSession
    numbers = spark.createDataFrame(list(zip(ids, range(len(ids)), strict=True)), "item_id string, item int")
    return Catalogue(pa.array(ids, pa.string()), numbers, np.array([counts[name] for name in ids], np.float64))


def with_places(preferences: DataFrame, max_history: int) -> DataFrame:
    """The newest `max_history` preferences of each user: user_id, item_id, weight, occurred_at, and `back`, the place from
    the end: 0 is the newest.

    Order: occurred_at (null is earliest), then item_id. Cost: one shuffle by user and a sort within it.
    """
    newest = Window.partitionBy("user_id").orderBy(F.col("occurred_at").desc_nulls_last(), F.desc("item_id"))
    kept = preferences.select("user_id", "item_id", "weight", "occurred_at")
    return kept.withColumn("back", F.row_number().over(newest) - 1).where(F.col("back") < max_history)


def strength() -> Column:
    """How much a preference counts in a history: log2(1 + weight), so that one event is 1 and a hundred are under 7."""
    return F.log2(F.lit(1.0) + F.col("weight"))


def histories(placed: DataFrame, catalogue: Catalogue) -> DataFrame:
    """One row per user: user_id, `items` (array<int>, ascending), `strengths` (array<float>), `backs` (array<int>).

    Preferences of items outside the catalogue are left out; a user of only such items has no row. `placed`: see
    `with_places`. Cost: a broadcast of the catalogue, one shuffle by user.
    """
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    entry = F.struct("item", strength().cast("float").alias("strength"), "back")
    listed = numbered.groupBy("user_id").agg(F.array_sort(F.collect_list(entry)).alias("_entries"))
    return listed.select(
        "user_id",
        F.col("_entries.item").alias("items"),
        F.col("_entries.strength").alias("strengths"),
        F.col("_entries.back").alias("backs"),
    )
