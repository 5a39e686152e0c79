"""Random items: the floor under every other model."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Ints
from shoal.errors import InputError, UsageError
from shoal.recommend.ranking.top_k import MAX_ITEM_BYTES, Items, seen_lists, seen_of_users


def list_random(items: DataFrame, users: DataFrame, seen: DataFrame, k: int, seed: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: k unseen items, each equally likely, in random
    order.

    score is 1 / rank, for form only. A user's list depends on seed, user_id, the catalogue and what the user has seen,
    not on partitions. Fewer than k unseen items give a shorter list. `items`: item_id (repeated rows count once);
    `users`: user_id, unique. Raises UsageError for k below 1; InputError for a catalogue whose ids are over 2 GiB.
    Cost: collects and broadcasts the ids, as Arrow: 4 bytes beside an id's own; one shuffle of `seen`.
    """
    if k < 1:
        raise UsageError(f"k {k}; expected a whole number from 1 on")
    distinct = items.select("item_id").where("item_id is not null").distinct()
    total = distinct.agg(F.sum(F.octet_length("item_id"))).first()
    size = (total[0] if total is not None else None) or 0
    if size > MAX_ITEM_BYTES:
        raise InputError(f"catalogue: its ids take {size >> 20} MiB; at most {MAX_ITEM_BYTES >> 20} fit a worker")
    found = pa.chunked_array([batch.column(0) for batch in distinct._collect_as_arrow()], pa.string())
    # Arrow orders text by its UTF-8 bytes, as Spark does.
    names = found.take(pc.sort_indices(found)).combine_chunks()
    catalogue = Items(names, np.empty((len(names), 0), np.float32), np.empty(0))
    shared = users.sparkSession.sparkContext.broadcast(catalogue)

    def draw(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        everything = shared.value
        for batch in batches:
            known = seen_of_users(batch, everything)
            for row, user in enumerate(batch.column("user_id").to_pylist()):
                rng = np.random.default_rng([seed, zlib.crc32(user.encode())])
                chosen = _draw_unseen(rng, len(everything), known.index[known.of(row)], k)
                ranks = np.arange(1, len(chosen) + 1)
                yield pa.RecordBatch.from_pydict(
                    {
                        "user_id": pa.array([user] * len(chosen), pa.string()),
                        "rank": pa.array(ranks, pa.int32()),
                        "item_id": everything.ids.take(pa.array(chosen)),
                        "score": pa.array(1.0 / ranks),
                    }
                )

    listed = users.select("user_id").join(seen_lists(seen), "user_id", "left")
    return listed.mapInArrow(draw, "user_id string, rank int, item_id string, score double")


def _draw_unseen(rng: np.random.Generator, size: int, seen: Ints, k: int) -> Ints:
    """k of the numbers below `size` that are not in `seen`, without repetition; all of them where there are fewer."""
    drawn = np.empty(0, np.int64)
    if size <= 2 * (len(seen) + k):
        free = np.setdiff1d(np.arange(size), seen)
        return rng.permutation(free)[:k]
    while len(drawn) < k:  # more than half are free: each round keeps half of what it draws, in expectation
        fresh = rng.integers(size, size=2 * k)
        both = np.concatenate([drawn, fresh[~np.isin(fresh, seen)]])
        drawn = both[np.sort(np.unique(both, return_index=True)[1])]
    return drawn[:k]
