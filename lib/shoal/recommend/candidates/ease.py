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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.linalg import lapack

from shoal.arrays import Floats
from shoal.errors import InputError
from shoal.recommend.candidates.cooccurrence import as_matrix, co_occurrence, products
from shoal.recommend.candidates.histories import Catalogue, Met, catalogue_of, histories, strength
from shoal.recommend.ranking.history_top_k import History, Score, rank_histories


@dataclass(frozen=True)
class EaseSettings:
    """`l2`: added to the diagonal, in users; `window_weight`: 0 is EASE as published; `lengths`: events a window;
    `max_items`: the catalogue's bound, as memory grows with its square; `max_history`: events of a user that count."""

    l2: float
    window_weight: float
    lengths: tuple[int, ...]
    max_items: int
    max_history: int
    min_users: int = 1


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
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    rows = [numbered.select(F.xxhash64("user_id").alias("row"), "item", strength().alias("weight"))]
    if settings.window_weight > 0:
        # Two windows cover every event, one shifted by half a length: the mean over both and over lengths.
        share = (settings.window_weight / (2 * len(settings.lengths))) ** 0.5
        windows = [
            F.struct(F.lit(length).alias("length"), F.lit(shift).alias("shift"),
                     F.floor((F.col("back") + shift) / F.lit(length)).alias("at"))
            for length in settings.lengths for shift in (0, length // 2)
        ]  # fmt: skip
        # Without a time nothing says what was met together.
        each = numbered.where("occurred_at is not null").withColumn("_window", F.explode(F.array(*windows)))
        row = F.xxhash64("user_id", "_window.length", "_window.shift", "_window.at")
        rows.append(each.select(row.alias("row"), "item", (strength() * F.lit(share)).alias("weight")))
    packed = co_occurrence(reduce(DataFrame.unionByName, rows), len(catalogue))
    return np.asarray(as_matrix(packed, len(catalogue)).todense(), np.float32)


def gram_here(met: Met, items: int, settings: EaseSettings) -> Floats:
    """`gram` of histories on the driver."""
    keys, numbers, weights = [met.users], [met.items], [met.strengths]
    if settings.window_weight > 0:
        share = np.float32((settings.window_weight / (2 * len(settings.lengths))) ** 0.5)
        timed = met.only(met.is_timed)
        # No window of a history has a number above its length.
        span = int(met.backs.max(initial=0)) + 2
        users = int(met.users.max(initial=-1)) + 1
        for n, (length, shift) in enumerate((size, shift) for size in settings.lengths for shift in (0, size // 2)):
            keys.append(users + (n * users + timed.users) * span + (timed.backs + shift) // length)
            numbers.append(timed.items)
            weights.append(timed.strengths * share)
    _, row = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.zeros((items, items), np.float32)
    for block, product in products(row, np.concatenate(numbers), np.concatenate(weights), items):
        total[block] = product.toarray()
    return total


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
