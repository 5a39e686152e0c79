"""Exposure: how often items stand in the lists of all users, a limit to it, and whose items get the places.

A limit is met by deferred acceptance (Gale and Shapley, American Mathematical Monthly 69, 1962; college admissions with quotas):
users ask for their best k candidates; an item that more users ask for than it may have lists keeps those in whose candidates it
stands highest; the others ask for their next candidate, until no item is asked for too often. That assignment is stable: no
user and item prefer each other to what they have. Rounds are bounded; rows over the limit after the last one are dropped.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.spark.checkpoints import cut_lineage, release

ROUNDS = 8
# Owners by the number of their items, up to and with each.
SIZES = (1, 5, 20, 100)


def limit_exposure(candidates: DataFrame, k: int, most: int, rounds: int = ROUNDS) -> DataFrame:
    """The candidates (user_id, rank, item_id ...) with at most k rows a user, new ranks, and no item in more than `most` rows.

    An item's places go to the users in whose candidates it has the better rank, ties by a hash of both ids, so that it is not
    always the same users who do without. A user whose candidates run out has a shorter list. Cost: a round, of `rounds` at most,
    is three shuffles and three actions; rounds end when no item is asked for too often. The result is computed, and held by Spark
    until nothing refers to it.
    """
    left = cut_lineage(candidates.withColumn("_tie", F.xxhash64("user_id", "item_id")))
    for _ in range(rounds):
        refused = cut_lineage(_asked(left, k).where(F.col("_turn") > most).select("user_id", "item_id"))
        if refused.isEmpty():
            release(refused)
            break
        rest = cut_lineage(left.join(refused, ["user_id", "item_id"], "left_anti"))
        release(left)
        release(refused)
        left = rest
    granted = cut_lineage(_ranked_again(_asked(left, k).where(F.col("_turn") <= most)).select(*candidates.columns))
    release(left)
    return granted


def drop_overexposed(lists: DataFrame, most: int, is_last: Column) -> DataFrame:
    """The lists (user_id, rank, item_id ...) without the rows of an item beyond its `most`, and new ranks; rows for which `is_last`
    is true go first, then those with the larger rank. Cost: two shuffles."""
    order = Window.partitionBy("item_id").orderBy(is_last, "rank", F.xxhash64("user_id", "item_id"), "user_id")
    kept = lists.withColumn("_turn", F.row_number().over(order)).where(F.col("_turn") <= most)
    return _ranked_again(kept).select(*lists.columns)


def most_lists(users: int, max_item_share: float) -> int:
    """How many of `users` lists an item may stand in: one at least."""
    return max(1, int(users * max_item_share))


def _asked(rows: DataFrame, k: int) -> DataFrame:
    """Each user's best k rows, with `_turn`, the row's place among those who ask for the item."""
    own = Window.partitionBy("user_id").orderBy("rank", "item_id")
    asked = rows.withColumn("_place", F.row_number().over(own)).where(F.col("_place") <= k)
    return asked.withColumn("_turn", F.row_number().over(Window.partitionBy("item_id").orderBy("rank", "_tie", "user_id")))


def _ranked_again(rows: DataFrame) -> DataFrame:
    own = Window.partitionBy("user_id").orderBy("rank", "item_id")
    return rows.withColumn("rank", F.row_number().over(own))


def exposure_by_owner_size(lists: DataFrame, items: DataFrame, events: DataFrame) -> list[dict[str, Any]]:
    """What the owners of each size get: size (`1`, `2 to 5` ... by the number of the owner's items), owners, items, listed_items,
    and shares of all items, of all events, and of exposure; smallest owners first; at most len(SIZES) + 1 rows are collected.

    Exposure of a place is 1 / log2(rank + 1), as in NDCG. `lists`: user_id, rank, item_id; `items`: item_id, owner_id; `events`:
    item_id. Items without an owner count in no share. Empty without an owner. Cost: three shuffles by item, one by owner.
    """
    owned = items.where("owner_id is not null").select("item_id", "owner_id").distinct()
    met = events.groupBy("item_id").agg(F.count(F.lit(1)).alias("events"))
    shown = lists.groupBy("item_id").agg(F.sum(F.lit(1.0) / F.log2(F.col("rank") + 1)).alias("exposure"))
    rows = owned.join(met, "item_id", "left").join(shown, "item_id", "left")
    by_owner = rows.groupBy("owner_id").agg(
        F.count(F.lit(1)).alias("items"), F.count("exposure").alias("listed_items"),
        F.coalesce(F.sum("events"), F.lit(0)).alias("events"), F.coalesce(F.sum("exposure"), F.lit(0.0)).alias("exposure"),
    )  # fmt: skip
    group = sum(((F.col("items") > size).cast("int") for size in SIZES), F.lit(0))
    sums = by_owner.groupBy(group.alias("group")).agg(
        F.count(F.lit(1)).alias("owners"), *[F.sum(name).alias(name) for name in ("items", "listed_items", "events", "exposure")]
    )
    found = [row.asDict() for row in sums.orderBy("group").collect()]
    totals = {name: sum(row[name] for row in found) for name in ("items", "events", "exposure")}
    return [
        {"size": _size(row["group"]), "owners": row["owners"], "items": row["items"], "listed_items": row["listed_items"]}
        | {f"{name}_share": row[name] / totals[name] if totals[name] else 0.0 for name in totals}
        for row in found
    ]


def _size(group: int) -> str:
    low = 1 if group == 0 else SIZES[group - 1] + 1
    if group == len(SIZES):
        return f"over {SIZES[-1]}"
    return str(low) if low == SIZES[group] else f"{low} to {SIZES[group]}"


def largest_share(lists: DataFrame) -> float:
    """The share of all lists that the most listed item stands in; 0 without a list. One row is collected."""
    counts = lists.groupBy("item_id").agg(F.count(F.lit(1)).alias("rows")).agg(F.max("rows").alias("most"))
    found = counts.crossJoin(lists.agg(F.count_distinct("user_id").alias("users"))).collect()[0]
    return float(found["most"] / found["users"]) if found["users"] else 0.0
