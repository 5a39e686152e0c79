"""The top-k engine: the best unseen items of every user, from factors.

A block of users against a block of items is one float32 matrix product; seen items are masked, `numpy.argpartition`
picks the candidates, and only these are scored again in float64, in a fixed order of summation. A list is therefore
exact (the top k by the float64 product of the given factors, ties by item id) and does not depend on how users lie in
blocks and partitions, which the float32 product alone would not give: its last bits change with the shape of the block.

Memory of a worker: the item factors once, what the users of one Arrow batch have seen, and a block of `user_batch_size` x
ITEM_BLOCK scores, whatever the catalogue's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import InputError, UsageError

# Items scored at once: 256 users x 32,768 items x 4 bytes are 32 MiB. Half of it is a tenth slower: more candidates are looked for.
ITEM_BLOCK = 32_768
# Candidates taken beyond k: room for the float32 error at the k-th place, so that the slow exact path stays rare.
MARGIN = 8
# Columns whose maximum is looked at first: see _largest. Of 8, 16, 32 and 64 the fastest, by a third, at 20,000 and 100,000 items.
GROUP = 16
# Item factors come to the driver and go to every worker: 2 GiB are 8 million items at rank 64.
MAX_ITEM_BYTES = 2 << 30
# Ids pass through the driver: 2 GiB are some hundred million of them.
MAX_ID_BYTES = 2 << 30
# What `seen_lists` makes and `seen_of_users` takes.
SEEN_COLUMNS = ("_seen_ids", "_seen_weights", "_seen_liked")
# Products of larger numbers overflow float32.
MAX_FACTOR = 1e15


@dataclass(frozen=True)
class Items:
    """The catalogue on a worker: ids in string order, one float32 row of factors each, and the rows' Euclidean lengths."""

    ids: pa.StringArray
    factors: Floats
    norms: Doubles

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def gram(self) -> Doubles:
        """The product of the factors with themselves, rank x rank; computed once a worker."""
        exact = self.factors.astype(np.float64)
        return np.asarray(exact.T @ exact)


@dataclass(frozen=True)
class Seen:
    """What each of some users has seen: item indices `index[start[u]:start[u + 1]]`, with a weight and whether it is liked."""

    start: Ints
    index: Ints
    weight: Doubles
    liked: npt.NDArray[np.bool_]

    def of(self, user: int) -> slice:
        """Where user number `user` stands in `index` and `weight`."""
        return slice(int(self.start[user]), int(self.start[user + 1]))

    def part(self, first: int, end: int) -> Seen:
        """The same of the users from number `first` up to `end`, which is not among them."""
        start = self.start[first : end + 1]
        part = slice(int(start[0]), int(start[-1]))
        return Seen(start - start[0], self.index[part], self.weight[part], self.liked[part])


# For one block: user factors, what was seen, and the listed items (-1 where a list is shorter) give the seen item, as an index,
# to which each listed item is owed (-1: to none).
Reason = Callable[[Items, Floats, Seen, Ints], Ints]


def rank_top_k(
    user_factors: DataFrame,
    item_factors: DataFrame | Items,
    seen: DataFrame | None,
    k: int,
    user_batch_size: int,
    reason: Reason | None = None,
) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank (int), item_id, score (double), best first; `because_item_id` with
    a `reason`.

    `user_factors`: user_id, features (array<float>); `item_factors`: item_id, features of the same length,
    or what `collect_items` made of that; ids unique
    in each. `seen`: user_id, item_id and, for a reason, weight (double) and is_liked (true where absent); those items are never
    listed; rows of unknown users or items change nothing. score is the float64 dot product of the float32 factors, unitless. Ties
    go to the smaller item_id in string order. A user with fewer than k unseen items has a shorter list, one without any has no
    row; so do empty frames.

    Raises UsageError for k or user_batch_size below 1; InputError where the item factors are over 2 GiB, of different
    lengths, or hold null, NaN, infinity or numbers beyond 1e15; the same fault in the users' fails the Spark job that
    computes the result. Cost: collects the item factors (bound enforced) and broadcasts them; one shuffle of `seen`,
    one of the user factors; 2 x users x items x rank float32 operations.
    """
    if k < 1 or user_batch_size < 1:
        raise UsageError(f"k {k}, user_batch_size {user_batch_size}; expected whole numbers from 1 on")
    schema = "user_id string, rank int, item_id string, score double" + (", because_item_id string" if reason else "")
    items = item_factors if isinstance(item_factors, Items) else collect_items(item_factors)
    spark = user_factors.sparkSession
    if not len(items):
        return spark.createDataFrame([], schema)
    users = user_factors.select("user_id", F.col("features").cast("array<float>").alias("features"))
    users = users.join(seen_lists(seen), "user_id", "left") if seen is not None else users.withColumns(_nothing_seen())
    shared = spark.sparkContext.broadcast(items)

    def list_items(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            # For the whole batch: each call makes an index of the catalogue's ids.
            seen = seen_of_users(batch, shared.value)
            for start in range(0, batch.num_rows, user_batch_size):
                block = batch.slice(start, user_batch_size)
                yield _block_lists(block, seen.part(start, start + block.num_rows), shared.value, k, reason)

    return users.select("user_id", "features", *SEEN_COLUMNS).mapInArrow(list_items, schema)


def collect_items(item_factors: DataFrame, size: tuple[int, int] | None = None) -> Items:
    """The catalogue on the driver, ids in string order, factors as one float32 matrix; empty for an empty frame.

    `size`: an upper bound of the rows, and the length of each, where the caller knows both. Raises InputError where the factors
    take more than 2 GiB, where rows differ in length, or hold null, NaN, infinity or numbers beyond 1e15. Cost: collects the
    factors; an action for the size before that, unless it is given.
    """
    typed = item_factors.select("item_id", F.col("features").cast("array<float>").alias("features"))
    if size is None:
        found = typed.agg(F.count(F.lit(1)), F.max(F.size("features")), F.min(F.size("features"))).first()
        count, widest, narrowest = (int(value) if value is not None else 0 for value in found)
    else:
        count, widest, narrowest = *size, size[1]
    if not count:
        return Items(pa.array([], pa.string()), np.empty((0, 0), np.float32), np.empty(0))
    if widest != narrowest:
        raise InputError(f"item factors: {narrowest} to {widest} numbers an item; expected the same rank for all")
    if count * widest * 4 > MAX_ITEM_BYTES:
        raise InputError(
            f"item factors: {count} items at rank {widest} take {count * widest * 4 >> 20} MiB; at most "
            f"{MAX_ITEM_BYTES >> 20} fit a worker: train with a lower rank or leave out rare items"
        )
    batches = typed._collect_as_arrow()
    table = pa.Table.from_batches(batches) if batches else None
    count = len(table) if table is not None else 0
    if table is None or not count:
        return Items(pa.array([], pa.string()), np.empty((0, 0), np.float32), np.empty(0))
    # Python orders text by code point, which is Spark's order of UTF-8 bytes too.
    names = table.column("item_id").to_pylist()
    order = np.array(sorted(range(count), key=names.__getitem__))
    factors = matrix_of(table.column("features").combine_chunks(), widest, "item factors")[order]
    return Items(pa.array([names[i] for i in order], pa.string()), factors, np.linalg.norm(factors.astype(np.float64), axis=1))


def top_k_of_block(users: Floats, items: Items, seen: Seen, k: int) -> tuple[Ints, Doubles]:
    """The best k items of each user of a block: indices (-1 where a list is shorter) and float64 scores, both users x
    k.

    Exact: by float64 product, ties to the smaller index. Cost: one float32 product a block of items; beyond that the
    work on candidates only, of which there are k + MARGIN a user, more where so many scores lie within the float32
    error of the k-th.
    """
    rows = len(users)
    best, scores = np.full((rows, k), -1, np.int64), np.full((rows, k), -np.inf)
    seen_rows = np.repeat(np.arange(rows), np.diff(seen.start))
    # Blocks of one size: a short last one costs nearly as much as a whole one.
    width = math.ceil(len(items) / max(1, math.ceil(len(items) / ITEM_BLOCK))) or 1
    for first in range(0, len(items), width):
        part = items.factors[first : first + width]
        block = users @ part.T
        here = (seen.index >= first) & (seen.index < first + len(part))
        block[seen_rows[here], seen.index[here] - first] = -np.inf
        error = _float32_error(users, items.norms[first : first + width].max())
        found, exact = _best_of_part(block, users, part, error, k)
        found = np.concatenate([best, np.where(found < 0, -1, found + first)], axis=1)
        best, scores = _sorted_best(found, np.concatenate([scores, exact], axis=1), k)
    return best, scores


def _float32_error(users: Floats, longest: float) -> Doubles:
    """How far a user's float32 score may be from the exact one: r * eps * |u||v| (Higham, Accuracy and Stability, 2002,
    3.5), doubled for the order in which a kernel may sum.
    """
    lengths = np.linalg.norm(users.astype(np.float64), axis=1)
    return np.asarray(2 * users.shape[1] * float(np.finfo(np.float32).eps) * lengths * longest)


def _best_of_part(block: Floats, users: Floats, part: Floats, error: Doubles, k: int) -> tuple[Ints, Doubles]:
    """The exact best k of one block of items from their float32 scores, each off by `error` of its user at most."""
    rows, width = block.shape
    taken = min(k + MARGIN, width)
    candidates = _largest(block, taken) if taken < width else np.broadcast_to(np.arange(width), (rows, width))
    rough = np.take_along_axis(block, candidates, axis=1)
    exact = np.where(np.isfinite(rough), _exact_scores(users, part, candidates), -np.inf)
    found, scores = _sorted_best(candidates, exact, k)
    if taken == width:
        return found, scores
    # An item that was excluded can belong inside only where its rough score is within both errors of the k-th rough score.
    at_least = -np.partition(-rough, k - 1, axis=1)[:, k - 1] - 2 * error
    for row in np.flatnonzero((rough.min(axis=1) >= at_least) & np.isfinite(at_least)):
        near = np.flatnonzero(block[row] >= at_least[row])[None, :]
        one = users[row : row + 1]
        found[row : row + 1], scores[row : row + 1] = _sorted_best(near, _exact_scores(one, part, near), k)
    return found, scores


def _largest(block: Floats, n: int) -> Ints:
    """The places of the n largest numbers of each row, in no order; of equals at the last place any.

    numpy.argpartition over whole rows is five times as dear as all the rest. The n largest stand in the n groups of columns with
    the largest maxima, so only these are partitioned.
    """
    rows, width = block.shape
    groups = width // GROUP
    if groups < 2 * n:
        return np.argpartition(block, width - n, axis=1)[:, width - n :]
    whole = groups * GROUP
    # Column c is of group c % groups: the maxima are then those of whole rows of numbers, which numpy takes many at a time.
    grouped = block[:, :whole].reshape(rows, GROUP, groups)
    best = np.argpartition(grouped.max(axis=1), groups - n, axis=1)[:, groups - n :]
    near = np.take_along_axis(grouped, best[:, None, :], axis=2).reshape(rows, n * GROUP)
    if whole < width:
        near = np.concatenate([near, block[:, whole:]], axis=1)
    chosen = np.argpartition(near, near.shape[1] - n, axis=1)[:, near.shape[1] - n :]
    # Of the columns in `near` the first n * GROUP are GROUP rows of n groups, the others those beyond the last group.
    of_group = np.take_along_axis(best, chosen % n, axis=1) + groups * (chosen // n)
    return np.where(chosen < n * GROUP, of_group, chosen + (whole - n * GROUP))


def _exact_scores(users: Floats, items: Floats, candidates: Ints) -> Doubles:
    """Float64 products of each user with its candidates, summed in an order that depends on the rank only."""
    products: Doubles = items[candidates].astype(np.float64) * users[:, None, :].astype(np.float64)
    return np.asarray(products.sum(axis=2))


def _sorted_best(index: Ints, scores: Doubles, k: int) -> tuple[Ints, Doubles]:
    """The first k by falling score, then rising index, padded with -1 and -inf to k columns."""
    order = np.lexsort((index, -scores), axis=1)[:, :k]
    index, scores = np.take_along_axis(index, order, axis=1), np.take_along_axis(scores, order, axis=1)
    pad = ((0, 0), (0, k - index.shape[1]))
    index = np.pad(np.where(np.isfinite(scores), index, -1), pad, constant_values=-1)
    return index, np.pad(scores, pad, constant_values=-np.inf)


def seen_lists(seen: DataFrame) -> DataFrame:
    """One row per user: the seen item ids, their weights and whether they are liked, as three arrays of the same order."""
    weight = F.col("weight").cast("double") if "weight" in seen.columns else F.lit(1.0)
    liked = F.col("is_liked") if "is_liked" in seen.columns else F.lit(True)
    entry = F.struct("item_id", weight.alias("weight"), liked.alias("liked"))
    lists = seen.groupBy("user_id").agg(F.collect_list(entry).alias("_seen"))
    fields = zip(SEEN_COLUMNS, ("item_id", "weight", "liked"), strict=True)
    return lists.select("user_id", *[F.col(f"_seen.{field}").alias(name) for name, field in fields])


def _nothing_seen() -> dict[str, Column]:
    types = ("array<string>", "array<double>", "array<boolean>")
    return {name: F.lit(None).cast(kind) for name, kind in zip(SEEN_COLUMNS, types, strict=True)}


def _block_lists(batch: pa.RecordBatch, seen: Seen, items: Items, k: int, reason: Reason | None) -> pa.RecordBatch:
    """The lists of one block of users, as rows."""
    users = matrix_of(batch.column("features"), items.factors.shape[1], "user factors")
    best, scores = top_k_of_block(users, items, seen, min(k, len(items)))
    rows, places = np.nonzero(best >= 0)
    index = best[rows, places]
    columns = {
        "user_id": batch.column("user_id").take(pa.array(rows)),
        "rank": pa.array(places + 1, pa.int32()),
        "item_id": items.ids.take(pa.array(index)),
        "score": pa.array(scores[rows, places]),
    }
    if reason is not None:
        owed = reason(items, users, seen, best)[rows, places]
        columns["because_item_id"] = items.ids.take(pa.array(owed, pa.int64(), mask=owed < 0))
    return pa.RecordBatch.from_pydict(columns)


def seen_of_users(batch: pa.RecordBatch, items: Items) -> Seen:
    """What each user of a batch with SEEN_COLUMNS has seen, by index; ascending within a user, without ids outside the
    catalogue."""
    ids, weights, liked = (batch.column(name) for name in SEEN_COLUMNS)
    lengths = pc.fill_null(pc.list_value_length(ids), 0).to_numpy()
    owner = np.repeat(np.arange(len(ids)), lengths)
    index = pc.fill_null(pc.index_in(ids.flatten(), value_set=items.ids), -1).to_numpy().astype(np.int64)
    weight = weights.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    likes = liked.flatten().to_numpy(zero_copy_only=False).astype(np.bool_)
    known = index >= 0
    owner, index, weight, likes = owner[known], index[known], weight[known], likes[known]
    order = np.lexsort((index, owner))
    start = np.searchsorted(owner, np.arange(len(ids) + 1)).astype(np.int64)
    return Seen(start, index[order], weight[order], likes[order])


def matrix_of(column: pa.ListArray, rank: int, name: str) -> Floats:
    """The rows of an array column as one float32 matrix. Raises InputError for a null, another length, NaN or infinity."""
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
    if (lengths != rank).any():
        raise InputError(f"{name}: {int(lengths[lengths != rank][0])} numbers in a row; expected {rank} (-1: a null row)")
    numbers = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    # The comparison is false for NaN (which a null becomes) too.
    if not (np.abs(numbers) <= MAX_FACTOR).all():
        raise InputError(
            f"{name}: a null, NaN, infinity or a number beyond {MAX_FACTOR:g}; the model that made them did not converge"
        )
    return numbers.reshape(len(column), rank)
