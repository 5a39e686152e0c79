"""The best unseen items of every user for models that score a whole catalogue from one user's history.

A user's scores depend on that user's row alone, not on the block it comes in: lists are the same however users lie in
partitions. Ties go to the smaller item id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import UsageError


@dataclass(frozen=True)
class History:
    """One user's row: item numbers (ascending, each once), how much each counts, its place from the end, and, where the model has
    them, the user's factors, each item's rating (NaN without one) and time in days since 1970 (NaN without one), what the people
    whom the user follows like: item numbers (each once) and how much, and the numbers of the user's groups. `asked`: the time that
    the list is for, in days since 1970; None: right after the last event."""

    items: Ints
    strengths: Floats
    backs: Ints
    factors: Floats | None = None
    ratings: Floats | None = None
    days: Doubles | None = None
    followed: tuple[Ints, Floats] | None = None
    groups: Ints | None = None
    asked: float | None = None

    @property
    def last_day(self) -> float:
        """The time of the last event; NaN without any time."""
        return float("nan") if self.days is None or not np.isfinite(self.days).any() else float(np.nanmax(self.days))


# A model on a worker: a history to one float32 score an item of the catalogue.
Score = Callable[[History], Floats]


class Best(NamedTuple):
    """A user's list: item numbers, best first, and scores; where it is explained, the item of the history that speaks for each (-1:
    none), and each one's parts, as rows."""

    items: Ints
    scores: Floats
    because: Ints | None = None
    parts: Floats | None = None


# A model on a worker that makes lists itself: histories to one list each, in their order, made as they are asked for.
Rank = Callable[[Iterable[History]], Iterator[Best]]
LIST = "user_id string, rank int, item_id string, score double"


def rank_histories(histories: DataFrame, ids: pa.StringArray, load: Callable[[], Score], k: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score (double), best first.

    `histories`: see candidates.histories; those items are never listed. `load` makes the model on the worker, once a task. NaN
    scores are never listed. Raises UsageError for k below 1. Cost: no shuffle; a task holds the model, a batch of histories and
    one user's scores.
    """

    def ranking() -> Rank:
        score = load()
        return lambda many: (Best(*_best(score(one), one.items, k)) for one in many)

    return list_histories(histories, ids, ranking, k)


def list_histories(
    histories: DataFrame, ids: pa.StringArray, load: Callable[[], Rank], k: int, is_explained: bool = False
) -> DataFrame:
    """`rank_histories` by a model that makes lists itself; with `is_explained` because_item_id and parts (array<double>) too."""
    if k < 1:
        raise UsageError(f"k {k}; expected a whole number from 1 on")
    shared = histories.sparkSession.sparkContext.broadcast(ids)

    def listed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names, rank = shared.value, load()
        for batch in batches:
            found = list(rank(rows_of(batch)))
            lengths = [len(one.items) for one in found]
            if not sum(lengths):
                continue
            columns = {
                "user_id": batch.column("user_id").take(pa.array(np.repeat(np.arange(len(found)), lengths))),
                "rank": pa.array(np.concatenate([np.arange(1, n + 1) for n in lengths]), pa.int32()),
                "item_id": names.take(pa.array(np.concatenate([one.items for one in found]))),
                "score": pa.array(np.concatenate([one.scores for one in found]).astype(np.float64)),
            }
            if is_explained:
                because = np.concatenate([one.because for one in found if one.because is not None])
                parts = np.concatenate([one.parts for one in found if one.parts is not None and len(one.items)]).astype(np.float64)
                offsets = pa.array(np.arange(len(parts) + 1) * parts.shape[1], pa.int32())
                columns["because_item_id"] = names.take(pa.array(because, pa.int64(), mask=because < 0))
                columns["parts"] = pa.ListArray.from_arrays(offsets, pa.array(parts.ravel()))
            yield pa.RecordBatch.from_pydict(columns)

    return histories.mapInArrow(listed, LIST + (", because_item_id string, parts array<double>" if is_explained else ""))


def rows_of(batch: pa.RecordBatch) -> Iterator[History]:
    """The histories of a batch, one by one."""
    arrays = [batch.column(name) for name in ("items", "strengths", "backs")]
    flat = [column.flatten().to_numpy(zero_copy_only=False) for column in arrays]
    offsets = np.concatenate([[0], np.cumsum(arrays[0].value_lengths().to_numpy(zero_copy_only=False))])
    factors = batch.column("factors") if "factors" in batch.schema.names else None
    others = [
        batch.column(name).flatten().to_numpy(zero_copy_only=False) if name in batch.schema.names else None
        for name in ("ratings", "days")
    ]
    for row in range(batch.num_rows):
        here = slice(int(offsets[row]), int(offsets[row + 1]))
        items, strengths, backs = flat[0][here].astype(np.int64), flat[1][here].astype(np.float32), flat[2][here].astype(np.int64)
        own = None if factors is None or not factors[row].is_valid else np.asarray(factors[row].values, np.float32)
        ratings, days = (None if column is None else column[here] for column in others)
        yield History(items, strengths, backs, own, ratings, days, _followed(batch, row), _groups(batch, row))


def _followed(batch: pa.RecordBatch, row: int) -> tuple[Ints, Floats] | None:
    """The columns followed_items and followed_scores of a row; None without them, or where they are null."""
    if "followed_items" not in batch.schema.names or not batch.column("followed_items")[row].is_valid:
        return None
    items, scores = (batch.column(f"followed_{name}")[row].values for name in ("items", "scores"))
    return items.to_numpy(zero_copy_only=False).astype(np.int64), scores.to_numpy(zero_copy_only=False).astype(np.float32)


def _groups(batch: pa.RecordBatch, row: int) -> Ints | None:
    """The column groups of a row; None without it, or where it is null."""
    if "groups" not in batch.schema.names or not batch.column("groups")[row].is_valid:
        return None
    return np.asarray(batch.column("groups")[row].values.to_numpy(zero_copy_only=False), np.int64)


def best_unseen(scores: Floats, seen: Ints, n: int) -> Ints:
    """The numbers of the n best items that are not `seen`, best first, ties by number; fewer where there are no more."""
    masked = scores.astype(np.float32, copy=True)
    masked[seen] = -np.inf
    masked[np.isnan(masked)] = -np.inf
    if n < len(masked):
        limit = np.partition(masked, len(masked) - n)[len(masked) - n]
        near = np.flatnonzero(masked >= limit)
    else:
        near = np.arange(len(masked))
    near = near[np.isfinite(masked[near])]
    return near[np.lexsort((near, -masked[near]))[:n]]


def _best(scores: Floats, seen: Ints, k: int) -> tuple[Ints, Floats]:
    best = best_unseen(scores, seen, k)
    return best, scores[best]
