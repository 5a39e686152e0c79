"""Neighbours: the 50 nearest of each item beside a plain self-join of the events in SQL.

Events are drawn, seeded. One round each: the peer takes twelve minutes on two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.candidates.neighbours import NeighbourSettings, as_pairs, item_neighbours

from bench.ingest import seconds
from bench.recommend import consumed, seen_pairs, written

EVENTS, MEMBERS, CATALOGUE = 10_000_000, 250_000, 50_000


def neighbour_rows(spark: SparkSession, folder: Path) -> list[dict[str, Any]]:
    """Ours and the self-join, each once."""
    owner, met = seen_pairs(MEMBERS, CATALOGUE, EVENTS // MEMBERS, 9)
    events = pa.table({
        "user_id": pa.array(owner).cast(pa.string()), "item_id": pa.array(met).cast(pa.string()), "weight": np.ones(len(met)),
        "occurred_at": pa.nulls(len(met), pa.timestamp("us", "UTC")),
    })  # fmt: skip
    known = spark.read.parquet(written(folder, "met", events)).persist()
    known.count()
    settings = NeighbourSettings("cosine", 0.0, 0.0, 50)

    def ours() -> DataFrame:
        placed = with_places(known, 1000)
        catalogue = catalogue_of(placed, 100_000)
        return as_pairs(item_neighbours(placed, catalogue, settings), catalogue)

    def plain() -> DataFrame:
        pairs = known.select("user_id", "item_id")
        counts = pairs.groupBy("item_id").agg(F.count(F.lit(1)).alias("n"))
        both = pairs.join(pairs.withColumnRenamed("item_id", "other"), "user_id").where("item_id != other")
        shared = both.groupBy("item_id", "other").agg(F.count(F.lit(1)).alias("c"))
        named = shared.join(counts, "item_id").join(counts.selectExpr("item_id as other", "n as m"), "other")
        scored = named.withColumn("similarity", F.col("c") / F.sqrt(F.col("n") * F.col("m")))
        order = Window.partitionBy("item_id").orderBy(F.desc("similarity"), "other")
        return scored.withColumn("rank", F.row_number().over(order)).where("rank <= 50")

    # Within the time: `ours` finds the catalogue before there is a frame to compute.
    mine, theirs = seconds(lambda: consumed(ours())), seconds(lambda: consumed(plain()))
    known.unpersist()
    return [
        {"what": f"50 neighbours of {CATALOGUE:,} items from {len(met):,} events", "ours": mine, "peer": theirs,
         "ratio": theirs / mine, "unit": "s", "target": ">= 3",
         "note": "peer: the plain self-join in SQL; ratio: times as fast; one round"},
    ]  # fmt: skip


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """The one row, with files in a folder that goes with it."""
    with tempfile.TemporaryDirectory() as name:
        return neighbour_rows(spark, Path(name))
