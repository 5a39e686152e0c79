"""Neighbours by vectors: the cosine of what words, pictures or prices say of items.

Small catalogues are ranked exactly, each item against all, by the top-k engine. Above `exact_items` only items that fall into a
bucket together are: random hyperplanes give each vector a code of bits, equal for vectors of angle a with probability 1 - a / pi a
bit (Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC 2002); items meet where all bits of one of `bands`
codes agree. Within a bucket ranking is exact again. Planes are laid through the mean of all vectors: those that all point one way
would otherwise have one code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import InputError
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.top_k import Items, Seen, collect_items, matrix_of, rank_top_k, top_k_of_block

NEIGHBOURS = "item_id string, rank int, similar_item_id string, similarity double"
PAIRS = "item_id string, similar_item_id string, similarity double"
# A vector shorter than this has no direction: it is the mean, or nothing at all.
SHORTEST = 1e-6
# Vectors that a task of the buckets holds.
TASK_BYTES = 64 << 20
# More bits a code separate no items that is left in a bucket.
MAX_BITS = 40


@dataclass(frozen=True)
class VectorSettings:
    """`neighbours`: kept an item; `exact_items`: up to so many items all pairs are looked at; above, `bands` codes of so many bits
    that a bucket has a quarter of `bucket` items in the mean; a bucket of more than `bucket` is cut into parts of that size.
    `user_batch_size`: items ranked at once; `seed`: of the planes."""

    neighbours: int
    exact_items: int
    bands: int
    bucket: int
    user_batch_size: int
    seed: int


def nearest_vectors(vectors: DataFrame, settings: VectorSettings, centred: bool) -> DataFrame:
    """One row per item and rank: item_id, rank (1 is the nearest; ties: the smaller id), similar_item_id, similarity: the cosine,
    ]0, 1].

    `vectors`: item_id, features (array<float>, of one length); `centred`: without the mean of all vectors, so that what they all
    share makes no two alike. Who has no direction, or no neighbour with a cosine above 0, has no row. Exact up to `exact_items`;
    above, a neighbour may be missed, in ways that depend on `seed` and not on partitions. Rows of several lengths raise InputError;
    null, NaN or infinity fail the Spark job with such a line. Cost: a pass for the mean, a row a partition collected; then that of
    `exact_pairs` (items^2) or of `hashed_pairs`. `vectors` is gone through some times: cache it.
    """
    count, mean = mean_vector(vectors)
    if count < 2:
        return vectors.sparkSession.createDataFrame([], NEIGHBOURS)
    units = unit_vectors(vectors, mean if centred else np.zeros_like(mean))
    size = count, len(mean)
    pairs = exact_pairs(units, size, settings) if count <= settings.exact_items else hashed_pairs(units, count, settings)
    near = pairs.where("similarity > 0").withColumn("similarity", F.least(F.lit(1.0), "similarity"))
    order = Window.partitionBy("item_id").orderBy(F.desc("similarity"), "similar_item_id")
    ranked = near.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= settings.neighbours)
    return ranked.select("item_id", "rank", "similar_item_id", "similarity")


def mean_vector(vectors: DataFrame) -> tuple[int, Doubles]:
    """How many rows there are, and the mean of `features`, to six digits behind the point: more would depend on partitions.
    Raises InputError as `nearest_vectors` does. Collects a row a partition."""

    def added(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        count, total = 0, None
        for batch in batches:
            if batch.num_rows:
                rows = _rows_of(batch)
                count, total = count + len(rows), rows.sum(axis=0) + (0.0 if total is None else total)
        if total is not None:
            yield pa.RecordBatch.from_pydict({"count": pa.array([count]), "total": pa.array([total.tolist()])})

    found = _typed(vectors).select("features").mapInArrow(added, "count bigint, total array<double>").collect()
    if len({len(row["total"]) for row in found}) > 1:
        raise InputError("vectors: rows of several lengths; expected one length for all")
    count = sum(row["count"] for row in found)
    total = np.sum([row["total"] for row in found], axis=0) if found else np.zeros(0)
    return count, np.round(total / max(count, 1), 6)


def unit_vectors(vectors: DataFrame, centre: Doubles) -> DataFrame:
    """The rows less `centre`, each of length 1: item_id, features; without those that have no direction. No shuffle."""

    def scaled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            rows = _rows_of(batch) - centre
            lengths = np.linalg.norm(rows, axis=1)
            kept = np.flatnonzero(lengths > SHORTEST)
            units = (rows[kept] / lengths[kept, None]).astype(np.float32)
            names = batch.column("item_id").take(pa.array(kept))
            yield pa.RecordBatch.from_arrays([names, _as_lists(units)], names=["item_id", "features"])

    return _typed(vectors).mapInArrow(scaled, "item_id string, features array<float>")


def directions(vectors: DataFrame, keep: Keep) -> DataFrame:
    """The rows (item_id, features), each of length 1 and less the mean of these, then of length 1 again: what all share makes no
    two alike, and a long vector moves the mean no more than a short one. Who has no direction has no row; a single row stays.
    Cost: two passes, a row a partition collected."""
    units = keep(unit_vectors(vectors, np.zeros(1)))
    count, mean = mean_vector(units)
    return units if count < 2 else unit_vectors(units, mean)


def exact_pairs(units: DataFrame, size: tuple[int, int], settings: VectorSettings) -> DataFrame:
    """Each item's nearest of all others: item_id, similar_item_id, similarity. `size`: at most so many units, of this length. Cost:
    that of `rank_top_k`, items^2 products."""
    asked = units.withColumnRenamed("item_id", "user_id")
    itself = units.select(F.col("item_id").alias("user_id"), "item_id")
    ranked = rank_top_k(asked, collect_items(units, size), itself, settings.neighbours, settings.user_batch_size)
    return ranked.selectExpr("user_id as item_id", "item_id as similar_item_id", "score as similarity")


def hashed_pairs(units: DataFrame, count: int, settings: VectorSettings) -> DataFrame:
    """Each item's nearest of those it shares a bucket with: item_id, similar_item_id, similarity, each pair once.

    `units`: of length 1, `count` of them, roughly. Cost: two passes for the planes and for what is in which bucket; one shuffle of
    items x bands vectors, of which a task holds about TASK_BYTES; n^2 products a bucket of n, and n is at most some `bucket`,
    whatever the skew, since a fuller one is cut (`in_parts`); one shuffle of items x bands x neighbours pairs.
    """
    _, mean = mean_vector(units)
    bits = min(MAX_BITS, max(1, ceil(log2(max(1.0, 4 * count / settings.bucket)))))
    planes = np.random.default_rng(settings.seed).standard_normal((settings.bands * bits, len(mean)))

    def coded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        powers = 1 << np.arange(bits, dtype=np.int64)
        for batch in batches:
            if not batch.num_rows:
                continue
            sides = (_rows_of(batch) - mean) @ planes.T > 0
            codes = sides.reshape(-1, settings.bands, bits) @ powers + (np.arange(settings.bands) << bits)
            yield batch.append_column("buckets", _as_lists(codes))

    each = units.mapInArrow(coded, "item_id string, features array<float>, buckets array<bigint>")
    each = each.select("item_id", "features", F.explode("buckets").alias("bucket"))
    placed = in_parts(each, settings.bucket)
    tasks = max(units.sparkSession.sparkContext.defaultParallelism, count * settings.bands * len(mean) * 4 // TASK_BYTES + 1)
    # An explicit number of partitions: adaptive execution would join some, and a task's memory would be anybody's guess.
    spread = placed.select("item_id", "features", "bucket", "part").repartition(tasks, "bucket", "part")

    def ranked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if batch.num_rows]
        if held:
            table = pa.Table.from_batches(held).sort_by([("bucket", "ascending"), ("part", "ascending"), ("item_id", "ascending")])
            yield from _bucket_pairs(table.combine_chunks(), settings)

    return spread.mapInArrow(ranked, PAIRS).groupBy("item_id", "similar_item_id").agg(F.max("similarity").alias("similarity"))


def in_parts(rows: DataFrame, most: int) -> DataFrame:
    """The rows (item_id, bucket ...) with `part`: 0 where a bucket has at most `most` rows, else drawn, so that a part has some
    `most`. Cost: one shuffle of counts, a broadcast of the full buckets, which are fewer than rows / most."""
    counts = rows.groupBy("bucket").agg(F.count(F.lit(1)).alias("_items")).where(F.col("_items") > most)
    placed = rows.join(F.broadcast(counts), "bucket", "left")
    drawn = F.pmod(F.xxhash64("item_id", "bucket"), F.ceil(F.col("_items") / F.lit(most)))
    return placed.withColumn("part", F.coalesce(drawn, F.lit(0))).drop("_items")


def _bucket_pairs(rows: pa.Table, settings: VectorSettings) -> Iterator[pa.RecordBatch]:
    """Of rows in order of bucket, part and item_id: each item's nearest within its part."""
    vectors = _rows_of(rows).astype(np.float32)
    names = rows.column("item_id").combine_chunks()
    place = np.stack([rows.column(name).to_numpy() for name in ("bucket", "part")])
    starts = np.flatnonzero(np.concatenate([[True], (place[:, 1:] != place[:, :-1]).any(axis=0)]))
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        if end - start < 2:
            continue
        part = np.ascontiguousarray(vectors[start:end])
        items = Items(names.slice(start, end - start), part, np.linalg.norm(part.astype(np.float64), axis=1))
        for first in range(0, len(part), settings.user_batch_size):
            block = part[first : first + settings.user_batch_size]
            own = np.arange(first, first + len(block))
            best, scores = top_k_of_block(block, items, _itself(own), min(settings.neighbours, len(part)))
            asked, listed = np.nonzero(best >= 0)
            yield pa.RecordBatch.from_pydict({
                "item_id": items.ids.take(pa.array(own[asked])), "similar_item_id": items.ids.take(pa.array(best[asked, listed])),
                "similarity": pa.array(scores[asked, listed]),
            })  # fmt: skip


def _itself(own: Ints) -> Seen:
    """So that an item is no neighbour of its own."""
    return Seen(np.arange(len(own) + 1), own, np.ones(len(own)), np.ones(len(own), np.bool_))


def _typed(vectors: DataFrame) -> DataFrame:
    return vectors.select("item_id", F.col("features").cast("array<float>").alias("features"))


def _rows_of(batch: pa.RecordBatch | pa.Table) -> Doubles:
    """The vectors of a batch, as rows."""
    column = batch.column("features")
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rank = int(pc.max(pc.list_value_length(column)).as_py() or 0)
    return matrix_of(column, rank, "vectors").astype(np.float64)


def _as_lists(rows: Floats | Ints) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1) * rows.shape[1], pa.int32()), pa.array(rows.ravel()))
