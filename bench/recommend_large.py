"""Recommend, large: the top-k engine on a million users and 100,000 items, by the user-item pair beside itself on a small case.

The small case is that of `bench.recommend`; both are drawn, seeded, and computed in one session.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.recommend.ranking.top_k import rank_top_k

from bench.ingest import seconds
from bench.recommend import ITEMS, RANK, ROUNDS, SEEN, USER_BLOCK, USERS, K, consumed, factor_table, seen_pairs, written

MANY_USERS, MANY_ITEMS, MORE_RANK, MORE_K = 1_000_000, 100_000, 64, 20


def lists(spark: SparkSession, folder: Path, users: int, items: int, rank: int, k: int) -> Callable[[], DataFrame]:
    """A function that gives every user's best unseen k, read from files as a job reads them: it collects the items' factors, which
    is part of the work."""
    where = folder / str(users)
    where.mkdir()
    frames = []
    for name, rows, seed, prefix in (("user", users, 1, "u"), ("item", items, 2, "i")):
        table, _ = factor_table(rows, rank, seed, prefix)
        frames.append(spark.read.parquet(written(where, name, table)).select(F.col("name").alias(f"{name}_id"), "features"))
    owner, met = seen_pairs(users, items, SEEN, 3)
    seen = spark.read.parquet(written(where, "seen", pa.table({"user": owner, "item": met})))
    named = seen.select(*[F.concat(F.lit(name[0]), F.col(name).cast("string")).alias(f"{name}_id") for name in ("user", "item")])
    return lambda: rank_top_k(frames[0], frames[1], named, k, USER_BLOCK)


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row: nanoseconds a user-item pair; the small case is the median of its rounds after one, the large one is run once."""
    with tempfile.TemporaryDirectory() as name:
        small = lists(spark, Path(name), USERS, ITEMS, RANK, K)
        taken = [seconds(lambda: consumed(small())) for _ in range(ROUNDS + 1)][1:]
        peer = 1e9 * float(np.median(taken)) / (USERS * ITEMS)
        large = lists(spark, Path(name), MANY_USERS, MANY_ITEMS, MORE_RANK, MORE_K)
        took = seconds(lambda: consumed(large()))
        ours = 1e9 * took / (MANY_USERS * MANY_ITEMS)
    return [{
        "what": f"top {MORE_K} of {MANY_USERS:,} users x {MANY_ITEMS:,} items, rank {MORE_RANK}, {SEEN} seen, a pair",
        "ours": ours, "peer": peer, "ratio": ours / peer, "unit": "ns", "target": "<= 1.3",
        "note": f"in all {took:.0f} s; peer: ourselves, {USERS:,} x {ITEMS:,}, rank {RANK}, top {K}",
    }]  # fmt: skip
