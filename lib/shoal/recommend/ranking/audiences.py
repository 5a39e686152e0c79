"""The users of an item: the top-k engine with items and users in each other's role, and the reason for each pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.recommend.ranking.top_k import Reason, collect_items, rank_top_k, seen_lists, seen_of_users


def rank_users(item_factors: DataFrame, user_factors: DataFrame, unlisted: DataFrame, n: int, user_batch_size: int) -> DataFrame:
    """item_id, rank, user_id, score, source: each item's best n users without the pairs of `unlisted` (user_id, item_id).

    `item_factors`: item_id, features, source; `user_factors`: user_id, features. Exact, ties by user_id. Cost: that of
    `rank_top_k`; the users' factors are collected, up to 2 GiB.
    """
    asked = item_factors.select(F.col("item_id").alias("user_id"), "features")
    crowd = user_factors.select(F.col("user_id").alias("item_id"), "features")
    met = unlisted.select(F.col("item_id").alias("user_id"), F.col("user_id").alias("item_id"))
    found = rank_top_k(asked, crowd, met, n, user_batch_size)
    rows = found.select(F.col("user_id").alias("item_id"), "rank", F.col("item_id").alias("user_id"), "score")
    return rows.join(item_factors.select("item_id", "source"), "item_id")


def because_items(pairs: DataFrame, item_factors: DataFrame, seen: DataFrame, reason: Reason) -> DataFrame:
    """user_id, item_id, because_item_id of the `pairs` (user_id, item_id) for which a seen item speaks.

    `item_factors`: item_id, features, of all items that the model was fitted on; `seen`: user_id, item_id, weight, is_liked. A pair
    of an item without factors or of a user without seen items has no row. Cost: collects and broadcasts the factors
    (`collect_items`); a shuffle of each frame by user; that of `reason`.
    """
    schema = "user_id string, item_id string, because_item_id string"
    items = collect_items(item_factors)
    if not len(items):
        return pairs.sparkSession.createDataFrame([], schema)
    shared = pairs.sparkSession.sparkContext.broadcast(items)
    listed = pairs.groupBy("user_id").agg(F.collect_set("item_id").alias("_listed"))

    def explained(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = batch.column("_listed")
            lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
            rows = np.repeat(np.arange(batch.num_rows), lengths)
            places = np.concatenate([np.arange(n) for n in lengths]) if len(lengths) else np.empty(0, np.int64)
            numbers = pc.fill_null(pc.index_in(lists.flatten(), value_set=shared.value.ids), -1).to_numpy()
            asked = np.full((batch.num_rows, int(lengths.max(initial=0))), -1, np.int64)
            asked[rows, places] = numbers
            no_factors = np.empty((batch.num_rows, 0), np.float32)
            owed = reason(shared.value, no_factors, seen_of_users(batch, shared.value), asked)[rows, places]
            kept = owed >= 0
            yield pa.RecordBatch.from_pydict({
                "user_id": batch.column("user_id").take(pa.array(rows[kept])),
                "item_id": lists.flatten().filter(pa.array(kept)),
                "because_item_id": shared.value.ids.take(pa.array(owed[kept])),
            })  # fmt: skip

    return listed.join(seen_lists(seen), "user_id").mapInArrow(explained, schema)
