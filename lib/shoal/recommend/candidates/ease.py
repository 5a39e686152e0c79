"""EASE: item-item weights in closed form (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019), and its
extension to windows of a history.

With G the Gram matrix of users by items and P = (G + l2 I)^-1, the weight of item i for item j is -P_ij / P_jj, 0 on the
diagonal (equation 8). A user's scores are the history times the weights.

Windows. People meet items in sittings: what was met close together belongs together more than what one person met years
apart. So besides each user's whole history, every window of `lengths` neighbouring events is a row of its own, weighted. The
Gram matrix is then that of histories plus `window_weight` times the mean over lengths of that of half-overlapping windows.
docs/adr/0041 has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.linalg import LinAlgError, lapack, solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import InputError
from shoal.recommend.candidates.cooccurrence import Keep, as_matrix, co_occurrence, kept_matrix, products
from shoal.recommend.candidates.histories import Catalogue, Met, catalogue_of, histories, strength
from shoal.recommend.ranking.history_top_k import History, Score, rank_histories

# Of a row of a sparse Gram matrix: 100,000 items are 800 MB at the most, with an entry for each column's row.
MOST_SUMS = 500


@dataclass(frozen=True)
class EaseSettings:
    """`l2`: added to the diagonal, in users; `window_weight`: 0 is EASE as published; `lengths`: events a window;
    `max_items`: the catalogue's bound, as memory grows with its square; `max_history`: events of a user that count;
    `max_sparse_items`: the bound where `neighbour_weights` may stand for the closed form; `neighbours`: of these, of each item."""

    l2: float
    window_weight: float
    lengths: tuple[int, ...]
    max_items: int
    max_history: int
    min_users: int = 1
    max_sparse_items: int = 0
    neighbours: int = 100

    @property
    def most_items(self) -> int:
        """The items of a catalogue whose weights may be sparse."""
        return max(self.max_items, self.max_sparse_items)


@dataclass(frozen=True)
class EaseModel:
    """`weights`: items x items, float32, row: what was met, column: what it speaks for."""

    catalogue: Catalogue
    weights: Floats


def fit_ease(placed: DataFrame, settings: EaseSettings, refuse: bool = True) -> EaseModel:
    """EASE over the preferences `placed` (see `with_places`).

    Where more items occur than `max_items`, those of at least two users count; where these are too many, raises InputError; with
    `refuse` off it takes those of most users. Raises
    InputError where there is no preference. Cost: `co_occurrence`, then items^3 operations and 8 x items^2 bytes on the driver.
    """
    return next(fit_each_l2(placed, settings, [settings.l2], refuse))


def fit_each_l2(placed: DataFrame, settings: EaseSettings, l2s: Sequence[float], refuse: bool = True) -> Iterator[EaseModel]:
    """`fit_ease` for each of `l2s` in turn, with one Gram matrix for all."""
    asked = settings.max_items + 1 if refuse else settings.max_items
    catalogue = catalogue_of(placed, asked, settings.min_users)
    if len(catalogue) > settings.max_items and settings.min_users < 2:
        # An item of one user has no weight that another user's history could use.
        catalogue = catalogue_of(placed, asked, 2)
    if len(catalogue) > settings.max_items:
        raise InputError(
            f"EASE: more than max_items={settings.max_items:,} items of two users or more; its memory grows with their square: "
            "raise it with --set max_items=N, or leave out rare items"
        )
    if not len(catalogue):
        raise InputError("nothing to fit EASE on: there is no preference, or no item of two users")
    counted = gram(placed, catalogue, settings)
    for at, l2 in enumerate(l2s):
        # The closed form overwrites its matrix; the last may.
        yield EaseModel(catalogue, ease_weights(counted if at + 1 == len(l2s) else counted.copy(), l2))


def gram(placed: DataFrame, catalogue: Catalogue, settings: EaseSettings) -> Floats:
    """The Gram matrix of the catalogue over histories and windows: items x items, float32."""
    packed = _multiplied(_rows_of(placed, catalogue), catalogue, settings)
    return np.asarray(as_matrix(packed, len(catalogue)).todense(), np.float32)


def sparse_gram(placed: DataFrame, catalogue: Catalogue, settings: EaseSettings) -> csr_matrix:
    """`gram` as a sparse matrix: of each row its diagonal and the MOST_SUMS entries of the largest cosine, or of an entry's column.
    Cost: that of `co_occurrence`, and one aggregate by item, which is collected."""
    rows = _rows_of(placed, catalogue)
    # Each event with a time is in two windows of each length, which weigh window_weight together.
    windows = F.lit(1.0) + F.when(F.col("is_timed"), F.lit(settings.window_weight)).otherwise(0.0)
    sums = rows.groupBy("item").agg(F.sum(F.col("weight") * F.col("weight") * windows).alias("sum"))._collect_as_arrow()
    own = np.zeros(len(catalogue))
    for batch in sums:
        own[batch.column("item").to_numpy()] = batch.column("sum").to_numpy()
    keep = _keep_largest_cosines(np.round(own, 4))
    return _symmetric(as_matrix(_multiplied(rows, catalogue, settings, keep), len(catalogue)))


def _rows_of(placed: DataFrame, catalogue: Catalogue) -> DataFrame:
    """Histories: row, item, weight, back, is_timed."""
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    return numbered.select(
        F.xxhash64("user_id").alias("row"), "item", strength().alias("weight"), F.col("back").cast("bigint").alias("back"),
        F.col("occurred_at").isNotNull().alias("is_timed"),
    )  # fmt: skip


def _multiplied(rows: DataFrame, catalogue: Catalogue, settings: EaseSettings, keep: Keep | None = None) -> DataFrame:
    """`co_occurrence` of histories and their windows, which are made in the tasks: several rows of one event are not shuffled."""

    def expanded(table: pa.Table) -> tuple[Ints, Ints, Floats]:
        _, users = np.unique(table.column("row").to_numpy(), return_inverse=True)
        is_timed = table.column("is_timed").to_numpy().astype(np.bool_)
        strengths = table.column("weight").to_numpy().astype(np.float32)
        return with_windows(users, table.column("item").to_numpy(), strengths, table.column("back").to_numpy(), is_timed, settings)

    size = catalogue.users.sum() * (1 + (2 * len(settings.lengths) if settings.window_weight > 0 else 0))
    return co_occurrence(rows, len(catalogue), keep, in_order=keep is not None, size=size, expand=expanded)


def gram_here(met: Met, items: int, settings: EaseSettings) -> Floats:
    """`gram` of histories on the driver."""
    total = np.zeros((items, items), np.float32)
    for block, product in products(*_rows_here(met, settings), items):
        total[block] = product.toarray()
    return total


def sparse_gram_here(met: Met, items: int, settings: EaseSettings) -> csr_matrix:
    """`sparse_gram` of histories on the driver."""
    row, item, weight = _rows_here(met, settings)
    own = np.bincount(item, weight.astype(np.float64) ** 2, minlength=items)
    keep = _keep_largest_cosines(np.round(own, 4))
    return _symmetric(kept_matrix(products(row, item, weight, items), items, keep))


def _rows_here(met: Met, settings: EaseSettings) -> tuple[Ints, Ints, Floats]:
    return with_windows(met.users, met.items, met.strengths, met.backs, met.is_timed, settings)


def with_windows(
    users: Ints, items: Ints, strengths: Floats, backs: Ints, is_timed: npt.NDArray[np.bool_], settings: EaseSettings
) -> tuple[Ints, Ints, Floats]:
    """Rows (numbers from 0), items and weights of histories and windows, from the events of users (numbers from 0). Without a time
    nothing says what was met together."""
    keys, numbers, weights = [users], [items], [strengths]
    if settings.window_weight > 0:
        # Two windows cover every event, one shifted by half a length: the mean over both and over lengths.
        share = np.float32((settings.window_weight / (2 * len(settings.lengths))) ** 0.5)
        timed_users, timed_items, timed_backs = users[is_timed], items[is_timed], backs[is_timed]
        timed_weights = strengths[is_timed] * share
        # No window of a history has a number above its length.
        span = int(backs.max(initial=0)) + 2
        count = int(users.max(initial=-1)) + 1
        for n, (length, shift) in enumerate((size, shift) for size in settings.lengths for shift in (0, size // 2)):
            keys.append(count + (n * count + timed_users) * span + (timed_backs + shift) // length)
            numbers.append(timed_items)
            weights.append(timed_weights)
    _, row = np.unique(np.concatenate(keys), return_inverse=True)
    return row, np.concatenate(numbers), np.concatenate(weights)


def _keep_largest_cosines(own: Doubles) -> Keep:
    """A row of the Gram matrix to its diagonal and its MOST_SUMS entries of the largest cosine; `own`: the diagonal."""

    def keep(item: int, sums: Floats) -> tuple[Ints, Floats]:
        others = np.flatnonzero(sums)
        if len(others) > MOST_SUMS:
            cosine = sums[others] / np.sqrt(own[others])
            cosine[others == item] = np.inf
            others = np.sort(others[np.lexsort((others, -cosine))[:MOST_SUMS]])
        return others, sums[others]

    return keep


def _symmetric(kept: csr_matrix) -> csr_matrix:
    """An entry that one of its two rows has kept is in both."""
    return csr_matrix(kept.maximum(kept.T), dtype=np.float32)


def neighbour_weights(gram: csr_matrix, l2: float, neighbours: int) -> csr_matrix:
    """EASE's weights where each item is explained by its `neighbours` nearest others alone, by cosine, of those that share a user:
    the ridge regression of the item's column on theirs, (G_SS + l2 I)^-1 G_Sj. items x items, float32, as `ease_weights` has them.

    With all items as neighbours it is the closed form: Steck's equation 8 is that regression (Steck, WWW 2019). docs/adr/0055 has
    what 50 to 400 neighbours lose. Ties go to the smaller number. Cost: a thread, `neighbours`^3 / 3 operations and a cut of the
    Gram matrix an item: with 100 of them .3 ms (20,000 items, 660 entries a row) to 2 ms.
    """
    # Threads of BLAS take longer to meet than a system of a hundred unknowns takes one of them.
    with threadpool_limits(1, "blas"):
        return _neighbour_weights(gram, l2, neighbours)


def _neighbour_weights(gram: csr_matrix, l2: float, neighbours: int) -> csr_matrix:
    items = gram.shape[0]
    own = np.sqrt(np.maximum(gram.diagonal(), 1e-12))
    rows, columns, values = [], [], []
    for item in range(items):
        here = slice(gram.indptr[item], gram.indptr[item + 1])
        others, sums = gram.indices[here], gram.data[here]
        is_other = (others != item) & (sums > 0)
        others, sums = others[is_other], sums[is_other]
        nearest = np.sort(np.lexsort((others, -sums / own[others]))[:neighbours])
        if not len(nearest):
            continue
        chosen = others[nearest]
        block = gram[chosen][:, chosen].toarray().astype(np.float64)
        found = _ridge(block, sums[nearest].astype(np.float64), l2)
        rows.append(chosen.astype(np.int32))
        columns.append(np.full(len(chosen), item, np.int32))
        values.append(found.astype(np.float32))
    if not rows:
        return csr_matrix((items, items), dtype=np.float32)
    return csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(items, items))


def _ridge(block: Doubles, sums: Doubles, l2: float) -> Doubles:
    """(block + l2 I)^-1 sums. A block that was cut from a Gram matrix of kept entries need not be positive definite: l2 then grows
    until it is."""
    while True:
        try:
            return np.asarray(solve(block + l2 * np.eye(len(block)), sums, assume_a="pos", check_finite=False))
        except LinAlgError:
            l2 = max(2 * l2, 1e-6)


def catalogue_weights(
    items: int, settings: EaseSettings, dense: Callable[[], Floats], sparse: Callable[[], csr_matrix]
) -> Floats | csr_matrix:
    """The weights of a catalogue of so many items: the closed form of the `dense` Gram matrix up to `max_items`, above it
    `neighbour_weights` of the `sparse` one."""
    if items > settings.max_items:
        return neighbour_weights(sparse(), settings.l2, settings.neighbours)
    return ease_weights(dense(), settings.l2)


def ease_weights(gram: Floats, l2: float) -> Floats:
    """The closed form for a Gram matrix, which is overwritten. Raises InputError where G + l2 I is not positive definite."""
    gram[np.diag_indices_from(gram)] += np.float32(l2)
    # A symmetric matrix needs a third of the operations of a general one: Cholesky, then the inverse from its factor.
    factor, fault = lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    inverse, again = lapack.spotri(factor, lower=1, overwrite_c=1) if not fault else (factor, 1)
    if fault or again:
        raise InputError(f"EASE: the Gram matrix with l2={l2:g} is not positive definite; raise l2")
    lower = np.tril(inverse)
    full = lower + np.tril(inverse, -1).T
    weights = full / -np.diag(full)
    np.fill_diagonal(weights, 0)
    return np.ascontiguousarray(weights, np.float32)


def list_ease(placed: DataFrame, users: DataFrame, model: EaseModel, k: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score. A user without a preference in the catalogue has no row."""
    rows = histories(placed.join(users.select("user_id").distinct(), "user_id", "left_semi"), model.catalogue)
    shared = placed.sparkSession.sparkContext.broadcast(model.weights)

    def load() -> Score:
        weights = shared.value
        return lambda one: weighted_rows(weights, one, [one.strengths])[0]

    return rank_histories(rows, model.catalogue.ids, load, k)


def weighted_rows(weights: Floats, one: History, counts: Sequence[Floats]) -> Floats:
    """len(counts) x items: for each way of counting a history's items, the sum of their rows of `weights`, so counted."""
    stacked = np.stack(counts)
    total = np.zeros((len(counts), weights.shape[1]), np.float32)
    # Some rows at a time: a history of thousands of items would copy a large part of the weights.
    for start in range(0, len(one.items), 256):
        total += stacked[:, start : start + 256] @ weights[one.items[start : start + 256]]
    return total
