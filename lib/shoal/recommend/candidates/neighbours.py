"""Neighbours: the items (users) most like an item (user) by what they share, and lists made from them.

Similarities of i and j from c, the users they share, and n_i, n_j, their users each, out of N:
cosine c / sqrt(n_i n_j); jaccard c / (n_i + n_j - c); lift c N / (n_i n_j); each times c / (c + shrink), so that what rests on few
users counts little (Bell and Koren, KDD Cup Workshop 2007, section 2). bm25 takes the users of i as a query and j as a document:
the sum over shared users of idf(u) = ln(1 + (M - m_u + .5) / (m_u + .5)), m_u of M items being u's, times
(k1 + 1) / (1 + k1 (1 - b + b n_j / mean n)) (Robertson and Zaragoza, Found. and Trends in IR 3(4), 2009); it grows with what is
shared, so it is not shrunk. `walk` is the probability of a random walk item,
user, item, over n_j ** beta: RP3beta (Paudel et al., ACM TIST 7(1), 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import UsageError
from shoal.recommend.candidates.cooccurrence import MAX_ITEMS, Keep, as_matrix, co_occurrence, kept_matrix, packed_rows, products
from shoal.recommend.candidates.histories import Catalogue, Met, catalogue_of, histories, with_places
from shoal.recommend.ranking.history_top_k import History, Score, rank_histories
from shoal.recommend.ranking.sums import stable_sum

KINDS = ("cosine", "jaccard", "lift", "bm25", "walk")
# Robertson and Zaragoza's usual values; a user meets an item or not, so k1 only says how much an item's length counts.
BM25_K1, BM25_B = 1.2, 0.75


@dataclass(frozen=True)
class NeighbourSettings:
    """`kind`: see KINDS; `shrink`: users that a similarity must rest on to count half; `beta`: how popular items are held
    back by `walk`; `neighbours`: kept a row."""

    kind: str = "cosine"
    shrink: float = 10.0
    beta: float = 0.6
    neighbours: int = 200


def item_neighbours(placed: DataFrame, catalogue: Catalogue, settings: NeighbourSettings) -> DataFrame:
    """One row per item: `item`, `others`, `weights`, packed as in `co_occurrence`: its nearest items, by number.

    `placed`: one row per user and item, the rows `catalogue` was made of. Similarities are above 0; ties at the last place go
    to the smaller number. Raises UsageError for an unknown kind. Cost: `co_occurrence`; for `walk` and `bm25` one
    shuffle by user before it, for the lengths of histories.
    """
    numbered = placed.select("user_id", "item_id").join(F.broadcast(catalogue.numbers), "item_id")
    weight = F.lit(1.0)
    if settings.kind == "walk":
        length = F.count(F.lit(1)).over(Window.partitionBy("user_id"))
        weight = F.lit(1.0) / F.sqrt(length)
    elif settings.kind == "bm25":
        length = F.count(F.lit(1)).over(Window.partitionBy("user_id"))
        # A product of two entries of a user is the user's idf.
        weight = F.sqrt(F.log1p((F.lit(len(catalogue)) - length + 0.5) / (length + 0.5)))
    rows = numbered.select(F.xxhash64("user_id").alias("row"), "item", weight.alias("weight"))
    total = numbered.select("user_id").distinct().count() if settings.kind == "lift" else 0
    keep = keep_nearest(catalogue.users, total, settings)
    return co_occurrence(rows, len(catalogue), keep, in_order=settings.kind in ("walk", "bm25"), size=catalogue.users.sum())


def walks_here(met: Met, catalogue: Catalogue, settings: NeighbourSettings) -> csr_matrix:
    """`item_neighbours` of the kind walk as a matrix, of histories on the driver."""
    lengths = np.bincount(met.users)
    weights = (1.0 / np.sqrt(lengths[met.users])).astype(np.float32)
    keep = keep_nearest(catalogue.users, 0, settings)
    return kept_matrix(products(met.users, met.items, weights, len(catalogue)), len(catalogue), keep)


def keep_nearest(counts: Doubles, total: int, settings: NeighbourSettings) -> Keep:
    """For `co_occurrence`: a row of sums to its nearest columns, ascending, and their similarities."""
    if settings.kind not in KINDS or settings.neighbours < 1:
        raise UsageError(f"neighbours: kind {settings.kind!r}, {settings.neighbours}; expected {', '.join(KINDS)}, and 1 or more")

    mean = float(counts.mean()) if len(counts) else 0.0

    def keep(item: int, sums: Floats) -> tuple[Ints, Floats]:
        others = np.flatnonzero(sums)
        others = others[others != item]
        shared = sums[others].astype(np.float64)
        return _nearest(others, similarity(settings, shared, counts[item], counts[others], total, mean), settings.neighbours)

    return keep


def keep_nearest_sums(neighbours: int) -> Keep:
    """For `co_occurrence` of rows whose sums are similarities already: a row to its nearest columns, ascending."""

    def keep(item: int, sums: Floats) -> tuple[Ints, Floats]:
        others = np.flatnonzero(sums > 0)
        others = others[others != item]
        return _nearest(others, sums[others], neighbours)

    return keep


def _nearest(others: Ints, found: Doubles | Floats, neighbours: int) -> tuple[Ints, Floats]:
    """The `neighbours` columns with the largest values, ties to the smaller number, in ascending order."""
    best = np.sort(np.lexsort((others, -found))[:neighbours])
    return others[best], found[best].astype(np.float32)


def similarity(settings: NeighbourSettings, shared: Doubles, own: float, theirs: Doubles, total: int, mean: float) -> Doubles:
    """How alike: `shared` users of an item with `own` users and others with `theirs`, of `total`; for `walk`, shared paths; for
    `bm25`, the sum of shared users' idf, `mean` being the mean number of users of an item."""
    if settings.kind == "bm25":
        return np.asarray(shared * (BM25_K1 + 1) / (1 + BM25_K1 * (1 - BM25_B + BM25_B * theirs / mean)))
    if settings.kind == "walk":
        return np.asarray(shared / own / theirs**settings.beta)
    trust = shared / (shared + settings.shrink)
    if settings.kind == "cosine":
        return np.asarray(trust * shared / np.sqrt(own * theirs))
    if settings.kind == "jaccard":
        return np.asarray(trust * shared / (own + theirs - shared))
    return np.asarray(trust * shared * total / (own * theirs))


def as_pairs(packed: DataFrame, catalogue: Catalogue) -> DataFrame:
    """One row per item and rank: item_id, rank (1 is the nearest; ties: the smaller id), similar_item_id, similarity."""
    ids = packed.sparkSession.sparkContext.broadcast(catalogue.ids)

    def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = ids.value
        for batch in batches:
            for item, columns, values in packed_rows(batch):
                order = np.lexsort((columns, -values))
                yield pa.RecordBatch.from_pydict({
                    "item_id": names.take(pa.array(np.full(len(order), item))),
                    "rank": pa.array(np.arange(1, len(order) + 1), pa.int32()),
                    "similar_item_id": names.take(pa.array(columns[order].astype(np.int64))),
                    "similarity": pa.array(values[order].astype(np.float64)),
                })  # fmt: skip

    return packed.mapInArrow(unpacked, "item_id string, rank int, similar_item_id string, similarity double")


def list_item_neighbours(
    placed: DataFrame, users: DataFrame, catalogue: Catalogue, settings: NeighbourSettings, k: int, met: DataFrame | None = None
) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the sum of the similarities to what the user has met.

    Neighbours are those of `placed`, and so are the histories of `users`, unless `met`, of the same columns, has these.
    Items that no neighbour speaks for are not listed. Cost: `item_neighbours`, collected (bounded by `as_matrix`), one pass
    over the users.
    """
    matrix = as_matrix(item_neighbours(placed, catalogue, settings), len(catalogue))
    shared = placed.sparkSession.sparkContext.broadcast(matrix)

    def load() -> Score:
        similar: csr_matrix = shared.value

        def score(one: History) -> Floats:
            total = np.asarray(one.strengths @ similar[one.items], np.float32)
            total[total <= 0] = np.nan
            return total

        return score

    wanted = (placed if met is None else met).join(users.select("user_id").distinct(), "user_id", "left_semi")
    return rank_histories(histories(wanted, catalogue), catalogue.ids, load, k)


def swap_roles(preferences: DataFrame) -> DataFrame:
    """Preferences with users as items and items as users: neighbours are then users with items in common."""
    return preferences.select(F.col("item_id").alias("user_id"), F.col("user_id").alias("item_id"), "weight", "occurred_at")


def list_user_neighbours(
    preferences: DataFrame, users: DataFrame, settings: NeighbourSettings, max_users_an_item: int, k: int
) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the sum of the similarities of the nearest users who met
    the item.

    Of an item with more than `max_users_an_item` users the newest count for nearness. Raises InputError for more users than
    `co_occurrence` has room for. Cost: `item_neighbours` of users, then one shuffle of neighbours x their histories:
    `neighbours` times the events.
    """
    swapped = with_places(swap_roles(preferences), max_users_an_item)
    people = catalogue_of(swapped, MAX_ITEMS + 1)
    pairs = as_pairs(item_neighbours(swapped, people, settings), people)
    near = pairs.select(F.col("item_id").alias("for_user"), F.col("similar_item_id").alias("user_id"), "similarity")
    asked = users.select(F.col("user_id").alias("for_user")).distinct()
    met = preferences.select("user_id", "item_id")
    spoken_for = near.join(asked, "for_user", "left_semi").join(met, "user_id")
    scored = spoken_for.groupBy("for_user", "item_id").agg(stable_sum("similarity").alias("score"))
    seen = met.withColumnRenamed("user_id", "for_user")
    order = Window.partitionBy("for_user").orderBy(F.desc("score"), "item_id")
    ranked = scored.join(seen, ["for_user", "item_id"], "left_anti").withColumn("rank", F.row_number().over(order))
    return ranked.where(F.col("rank") <= k).select(F.col("for_user").alias("user_id"), "rank", "item_id", "score")
