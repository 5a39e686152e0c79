"""What each user has met, in order: the input of every model that scores items from a history."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from shoal.arrays import Floats, Ints
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.collected import collect_up_to
from shoal.recommend.ranking.top_k import MAX_ID_BYTES

# Up to so many preferences are counted on the driver, 200 MB at the most: seconds, where Spark's shuffles and workers cost more.
LOCAL_PREFERENCES = 1_000_000
MICROS_A_DAY = 86_400e6


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


@dataclass(frozen=True)
class Met:
    """What users have met, as arrays on the driver, a place each: number of the user, number of the item (of the catalogue, or,
    before there is one, of all items), strength, place from the end, rating (NaN without one), days since 1970 (NaN without a
    time)."""

    users: Ints
    items: Ints
    strengths: Floats
    backs: Ints
    ratings: Floats
    days: npt.NDArray[np.float64]

    @property
    def is_timed(self) -> npt.NDArray[np.bool_]:
        """Whether there is a time."""
        return np.isfinite(self.days)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Met:
        """The places that are chosen."""
        return Met(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.users)


def collect_met(preferences: DataFrame, max_history: int) -> tuple[Met, pa.StringArray] | None:
    """The newest `max_history` preferences of each user in the order of `with_places`, on the driver, and the ids of the items in
    string order; None where there are more than LOCAL_PREFERENCES.

    Cost: one collect, of at most LOCAL_PREFERENCES + 1 rows; some 100 bytes a row besides the letters of its ids.
    """
    micros = F.unix_micros("occurred_at").alias("at")
    rating = rating_of(preferences).alias("rating")
    rows = preferences.select("user_id", "item_id", F.col("weight").cast("double").alias("weight"), rating, micros)
    numbers = [("weight", pa.float64()), ("rating", pa.float64()), ("at", pa.int64())]
    schema = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), *numbers])
    table = collect_up_to(rows, LOCAL_PREFERENCES, schema)
    if table is None:
        return None
    users = table.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    encoded = table.column("item_id").combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    items = place[encoded.indices.to_numpy()]
    is_timed = table.column("at").combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    at = table.column("at").combine_chunks().fill_null(-(2**62)).to_numpy()
    days = np.where(is_timed, at / MICROS_A_DAY, np.nan)
    ratings = table.column("rating").combine_chunks().to_numpy(zero_copy_only=False).astype(np.float32)
    newest = np.lexsort((-items, -at, users))
    first = np.searchsorted(users[newest], users[newest], side="left")
    backs = np.arange(len(newest)) - first
    strengths = np.log2(1.0 + table.column("weight").to_numpy()).astype(np.float32)
    met = Met(users[newest], items[newest], strengths[newest], backs, ratings[newest], days[newest])
    return met.only(met.backs < max_history), encoded.dictionary.take(order)


def catalogue_here(spark: SparkSession, met: Met, ids: pa.StringArray, max_items: int, min_users: int = 1) -> tuple[Catalogue, Met]:
    """`catalogue_of` on the driver: the catalogue, and `met` of its items, by their numbers in it."""
    counts = np.bincount(met.items, minlength=len(ids))
    order = np.lexsort((np.arange(len(ids)), -counts))
    chosen = np.sort(order[counts[order] >= max(min_users, 1)][:max_items])
    number = np.full(len(ids), -1, np.int64)
    number[chosen] = np.arange(len(chosen))
    names = ids.take(pa.array(chosen))
    numbers = catalogue_numbers(spark, names)
    kept = met.only(number[met.items] >= 0)
    placed = replace(kept, items=number[kept.items])
    return Catalogue(names, numbers, counts[chosen].astype(np.float64)), placed


def catalogue_from(spark: SparkSession, ids: pa.StringArray) -> Catalogue:
    """The catalogue of a saved model, whose numbers of users it does not need."""
    return Catalogue(ids, catalogue_numbers(spark, ids), np.zeros(len(ids)))


def catalogue_numbers(spark: SparkSession, ids: pa.StringArray) -> DataFrame:
    """One row per id: item_id and item, its place."""
    rows = pd.DataFrame({"item_id": ids.to_pandas().astype(object), "item": np.arange(len(ids), dtype=np.int32)})
    return spark.createDataFrame(rows, "item_id string, item int")


def with_places(preferences: DataFrame, max_history: int) -> DataFrame:
    """The newest `max_history` preferences of each user: user_id, item_id, weight, occurred_at, `rating` (null without one), and
    `back`, the place from the end: 0 is the newest.

    Order: occurred_at (null is earliest), then item_id. Cost: one shuffle by user and a sort within it.
    """
    newest = Window.partitionBy("user_id").orderBy(F.col("occurred_at").desc_nulls_last(), F.desc("item_id"))
    kept = preferences.select("user_id", "item_id", "weight", "occurred_at", rating_of(preferences).alias("rating"))
    return kept.withColumn("back", F.row_number().over(newest) - 1).where(F.col("back") < max_history)


def rating_of(preferences: DataFrame) -> Column:
    """The column `value` as a rating; null where the preferences have none."""
    return F.col("value").cast("double") if "value" in preferences.columns else F.lit(None).cast("double")


def days_of(at: str) -> Column:
    """Days since 1970 of a timestamp; null without one."""
    return F.unix_micros(at) / F.lit(MICROS_A_DAY)


def strength() -> Column:
    """How much a preference counts in a history: log2(1 + weight), so that one event is 1 and a hundred are under 7."""
    return F.log2(F.lit(1.0) + F.col("weight"))


def histories(placed: DataFrame, catalogue: Catalogue) -> DataFrame:
    """One row per user: user_id, `items` (array<int>, ascending), `strengths` (array<float>), `backs` (array<int>), `ratings`
    (array<float>) and `days` (array<double>, since 1970), NaN where there is none.

    Preferences of items outside the catalogue are excluded; a user of only such items has no row. `placed`: see
    `with_places`. Cost: a broadcast of the catalogue, one shuffle by user.
    """
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    none = F.lit(float("nan"))
    rating, day = F.coalesce("rating", none).cast("float"), F.coalesce(days_of("occurred_at"), none)
    entry = F.struct("item", strength().cast("float").alias("strength"), "back", rating.alias("rating"), day.alias("day"))
    listed = numbered.groupBy("user_id").agg(F.array_sort(F.collect_list(entry)).alias("_entries"))
    return listed.select(
        "user_id",
        F.col("_entries.item").alias("items"),
        F.col("_entries.strength").alias("strengths"),
        F.col("_entries.back").alias("backs"),
        F.col("_entries.rating").alias("ratings"),
        F.col("_entries.day").alias("days"),
    )
