"""Neighbours by vectors: the cosine of what words, pictures or prices say of items.

Small catalogues are ranked exactly, each item against all, by the top-k engine. Above `exact_items` each item is in the list of
its nearest centre, and is compared with the items in the `probes` lists whose centres are nearest to it: an inverted file (Sivic
and Zisserman, Video Google, ICCV 2003; IVFFlat of faiss). Centres are those of k-means on a drawn sample. Within a list ranking is
exact again. docs/adr/0161 has recall beside faiss and beside hashing by random hyperplanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import InputError
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.top_k import Items, Seen, collect_items, matrix_of, rank_top_k, top_k_of_block

NEIGHBOURS = "item_id string, rank int, similar_item_id string, similarity double"
PAIRS = "item_id string, similar_item_id string, similarity double"
# A vector shorter than this has no direction: it is the mean, or nothing at all.
SHORTEST = 1e-6
# Vectors that a task of the lists holds.
TASK_BYTES = 64 << 20
# So many lists, times the root of the number of items, as faiss advises: to find the nearest centres costs what a list costs then.
LISTS_A_ROOT = 4
# Vectors a list that k-means learns from, and its rounds: more of either move the centres little.
SAMPLED_A_LIST, ROUNDS = 32, 8


@dataclass(frozen=True)
class VectorSettings:
    """`neighbours`: kept an item; `exact_items`: up to so many items all pairs are looked at; above, an item is compared with those
    of the `probes` lists that are nearest to it; a list of more than `most` items is cut into parts of that size.
    `user_batch_size`: items ranked at once; `seed`: of the centres."""

    neighbours: int
    exact_items: int
    probes: int
    most: int
    user_batch_size: int
    seed: int


def nearest_vectors(vectors: DataFrame, settings: VectorSettings, centred: bool) -> DataFrame:
    """One row per item and rank: item_id, rank (1 is the nearest; ties: the smaller id), similar_item_id, similarity: the cosine,
    ]0, 1].

    `vectors`: item_id, features (array<float>, of one length); `centred`: without the mean of all vectors, so that what they all
    share makes no two alike. Who has no direction, or no neighbour with a cosine above 0, has no row. Exact up to `exact_items`;
    above, a neighbour may be missed, in ways that depend on `seed` and not on partitions. Rows of several lengths raise InputError;
    null, NaN or infinity fail the Spark job with such a line. Cost: a pass for the mean, a row a partition collected; then that of
    `exact_pairs` (items^2) or of `listed_pairs`. `vectors` is gone through some times: cache it.
    """
    count, mean = mean_vector(vectors)
    if count < 2:
        return vectors.sparkSession.createDataFrame([], NEIGHBOURS)
    units = unit_vectors(vectors, mean if centred else np.zeros_like(mean))
    size = count, len(mean)
    pairs = exact_pairs(units, size, settings) if count <= settings.exact_items else listed_pairs(units, size, settings)
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


def listed_pairs(units: DataFrame, size: tuple[int, int], settings: VectorSettings) -> DataFrame:
    """Each item's nearest of those in the `probes` lists nearest to it: item_id, similar_item_id, similarity, each pair once.

    `units`: of length 1; `size`: how many, roughly, and their length. Cost: that of `list_centres`; a pass for the nearest lists,
    items x lists products; one shuffle of items x probes vectors, of which a task holds about TASK_BYTES; in a list each asking
    item times each item that is in it, `most` at most, whatever the skew, since a fuller one is cut (`in_parts`).
    """
    count, length = size
    centres = list_centres(units, size, settings)
    probes = min(settings.probes, len(centres))

    def asking(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            near = _rows_of(batch) @ centres.T
            # Equal centres are one; what is left of ties is decided by number, whatever batch a row is in.
            lists = np.argsort(-near, axis=1, kind="stable")[:, :probes].astype(np.int64)
            yield batch.append_column("lists", _as_lists(lists))

    each = units.mapInArrow(asking, "item_id string, features array<float>, lists array<bigint>")
    each = each.select("item_id", "features", F.posexplode("lists").alias("_place", "list"))
    placed = in_parts(each.select("item_id", "features", "list", (F.col("_place") == 0).alias("is_in")), settings.most)
    tasks = max(units.sparkSession.sparkContext.defaultParallelism, count * probes * length * 4 // TASK_BYTES + 1)
    # An explicit number of partitions: adaptive execution would join some, and a task's memory would be anybody's guess.
    spread = placed.select("item_id", "features", "is_in", "list", "part").repartition(tasks, "list", "part")

    def ranked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if batch.num_rows]
        if held:
            table = pa.Table.from_batches(held).sort_by([("list", "ascending"), ("part", "ascending"), ("item_id", "ascending")])
            yield from _list_pairs(table.combine_chunks(), settings)

    return spread.mapInArrow(ranked, PAIRS)


def list_centres(units: DataFrame, size: tuple[int, int], settings: VectorSettings) -> Doubles:
    """The centres of the lists, each of length 1 and unlike the others: LISTS_A_ROOT times the root of the number of items, or
    fewer; one of zeros where there is no unit. `size`: how many units, roughly, and their length.

    K-means on SAMPLED_A_LIST items a list, drawn by a hash of the id and in order of the ids, in one thread: the same from any
    partitions. Cost: one pass; collects the sample, 128 times the root of `count` vectors in the mean (128,000 of a million items),
    and goes through it lists times in each of ROUNDS rounds.
    """
    count, length = size
    lists = max(1, round(LISTS_A_ROOT * count**0.5))
    share = min(1.0, SAMPLED_A_LIST * lists / count)
    drawn = F.pmod(F.xxhash64(F.lit(settings.seed), "item_id"), F.lit(1 << 30)) < F.lit(int(share * (1 << 30)))
    found = units.where(drawn | F.lit(share == 1.0))._collect_as_arrow()
    if not found:
        return np.zeros((1, length))
    rows = np.unique(_rows_of(pa.Table.from_batches(found).sort_by("item_id").combine_chunks()).round(6), axis=0)
    if len(rows) > lists:
        with threadpool_limits(1):
            fitted = KMeans(lists, init="random", n_init=1, max_iter=ROUNDS, random_state=settings.seed, copy_x=False).fit(rows)
        rows = fitted.cluster_centers_
    lengths = np.linalg.norm(rows, axis=1)
    kept = lengths > SHORTEST
    return np.unique((rows[kept] / lengths[kept, None]).round(6), axis=0)


def in_parts(rows: DataFrame, most: int) -> DataFrame:
    """The rows (item_id, list, is_in ...) with `part`: 0 where at most `most` rows of a list are in it, else drawn, so that so many
    are in a part. Cost: one shuffle of counts, a broadcast of the full lists, which are fewer than rows / most."""
    counts = rows.where("is_in").groupBy("list").agg(F.count(F.lit(1)).alias("_items")).where(F.col("_items") > most)
    placed = rows.join(F.broadcast(counts), "list", "left")
    drawn = F.pmod(F.xxhash64("item_id", "list"), F.ceil(F.col("_items") / F.lit(most)))
    return placed.withColumn("part", F.coalesce(drawn, F.lit(0))).drop("_items")


def _list_pairs(rows: pa.Table, settings: VectorSettings) -> Iterator[pa.RecordBatch]:
    """Of rows in order of list, part and item_id: each one's nearest of those that are in its part."""
    vectors, is_in = _rows_of(rows).astype(np.float32), rows.column("is_in").to_numpy()
    names = rows.column("item_id").combine_chunks()
    place = np.stack([rows.column(name).to_numpy() for name in ("list", "part")])
    starts = np.flatnonzero(np.concatenate([[True], (place[:, 1:] != place[:, :-1]).any(axis=0)]))
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        asked, held = vectors[start:end], is_in[start:end]
        if not held.any():
            continue
        part = np.ascontiguousarray(asked[held])
        items = Items(names.slice(start, end - start).filter(pa.array(held)), part, np.linalg.norm(part.astype(np.float64), axis=1))
        for first in range(0, len(asked), settings.user_batch_size):
            here = slice(first, first + settings.user_batch_size)
            # An item that is in the part is no neighbour of its own.
            own = (np.cumsum(held) - 1)[here][held[here]]
            seen = Seen(np.append(0, np.cumsum(held[here])), own, np.ones(len(own)), np.ones(len(own), np.bool_))
            best, scores = top_k_of_block(np.ascontiguousarray(asked[here]), items, seen, min(settings.neighbours, len(part)))
            row, listed = np.nonzero(best >= 0)
            yield pa.RecordBatch.from_pydict({
                "item_id": names.take(pa.array(start + first + row)),
                "similar_item_id": items.ids.take(pa.array(best[row, listed])), "similarity": pa.array(scores[row, listed]),
            })  # fmt: skip


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
