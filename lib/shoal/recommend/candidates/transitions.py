"""What people meet after an item: for each pair of items how often, and how soon, one followed the other.

A user's events in order; event b follows a at distance d where d - 1 events lie between them. Such a pair counts
exp(-d / life), up to a distance of three lives, where a twentieth is left. The sum over users is divided by
(n_a + 5) sqrt(n_b + 5), n being the users of an item: the first factor makes of a count what is expected after a, the second
keeps items that follow everything from following most. The constant 5 is for items of few users. Unlike the weights of EASE
these have a direction: what came before is not what comes next. docs/adr/0041 has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Floats, Ints
from shoal.recommend.candidates.cooccurrence import BLOCK_ITEMS, PIECES, Keep, added_pieces, as_matrix, kept_matrix, pieces
from shoal.recommend.candidates.histories import Catalogue, Met

SHRINKAGE = 5.0
# Distances that count, in lives.
REACH = 3
# Pairs are counted in whole thousandths: such sums are the same in any order up to 2^24.
UNIT = 1000.0
# Pairs that are made at once: 50 MB.
CHUNK = 1 << 20
# More sums than this, 32 MB, are a sparse matrix while they are added.
BLOCK_SUMS = 4 << 20


@dataclass(frozen=True)
class TransitionSettings:
    """`life`: events after which a pair counts 1/e; `kept`: transitions kept an item."""

    life: float
    kept: int


def transitions(placed: DataFrame, catalogue: Catalogue, settings: TransitionSettings) -> csr_matrix:
    """Items x items, float32, row: what was met, column: what follows it; the `kept` largest of each row (ties: the smaller
    number).

    `placed`: see `with_places`; events without a time, or of items outside the catalogue, are ignored. Empty
    without times. Cost: two shuffles, of the events and of pieces of sums; a task holds its events and BLOCK_ITEMS rows
    of sums; collects at most `kept` numbers an item.
    """
    width, kernel = len(catalogue), kernel_of(settings)

    def paired(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if batch.num_rows]
        if not held:
            return
        table = pa.Table.from_batches(held)
        user, back = table.column("row").to_numpy(), table.column("back").to_numpy()
        order = np.lexsort((-back, user))
        for block, sums in followed(table.column("item").to_numpy()[order], ends_of(user[order]), kernel, width):
            yield pieces(block, sums)

    timed = placed.where("occurred_at is not null").join(F.broadcast(catalogue.numbers), "item_id")
    rows = timed.select(F.xxhash64("user_id").alias("row"), "item", F.col("back").cast("int").alias("back"))
    tasks = placed.sparkSession.sparkContext.defaultParallelism
    made = rows.repartition(tasks, "row").mapInArrow(paired, PIECES)
    return as_matrix(added_pieces(made, width, keep_transitions(catalogue.users, settings)), width)


def transitions_here(met: Met, catalogue: Catalogue, settings: TransitionSettings) -> csr_matrix:
    """`transitions` of histories on the driver."""
    timed = met.only(met.is_timed)
    order = np.lexsort((-timed.backs, timed.users))
    blocks = followed(timed.items[order], ends_of(timed.users[order]), kernel_of(settings), len(catalogue))
    return kept_matrix(blocks, len(catalogue), keep_transitions(catalogue.users, settings))


def kernel_of(settings: TransitionSettings) -> npt.NDArray[np.float64]:
    """What a pair at distance 1, 2, ... counts, in whole UNITs."""
    reach = max(1, int(REACH * settings.life))
    return np.round(UNIT * np.exp(-np.arange(1, reach + 1) / settings.life))


def keep_transitions(users: npt.NDArray[np.float64], settings: TransitionSettings) -> Keep:
    """Sums of a row to the weights of its `kept` largest columns, ascending. `users`: those of each item."""
    divisors, kept = np.sqrt(users + SHRINKAGE), settings.kept

    def keep(item: int, sums: Floats) -> tuple[Ints, Floats]:
        weights = (sums / np.float32(UNIT) / (divisors * divisors[item] ** 2)).astype(np.float32)
        columns = np.flatnonzero(weights)
        best = columns[np.lexsort((columns, -weights[columns]))[:kept]]
        best.sort()
        return best, weights[best]

    return keep


def ends_of(users: npt.NDArray[np.int64]) -> Ints:
    """For each event, sorted by user, the place after its user's last one."""
    last = np.flatnonzero(np.append(users[1:] != users[:-1], True)) + 1
    return np.repeat(last, np.diff(np.concatenate([[0], last])))


def followed(
    items: Ints, ends: Ints, kernel: npt.NDArray[np.float64], width: int, chunk: int = CHUNK
) -> Iterator[tuple[Ints, csr_matrix]]:
    """The sums, BLOCK_ITEMS rows at a time: kernel[d - 1] for every event and the one d places after it, before its user's end;
    `chunk` pairs are made at once."""
    by_item = np.argsort(items, kind="stable")
    names, starts = np.unique(items[by_item], return_index=True)
    starts = np.append(starts, len(items))
    ahead = np.arange(1, len(kernel) + 1)
    step = max(1, chunk // len(kernel))
    for first in range(0, len(names), BLOCK_ITEMS):
        block = names[first : first + BLOCK_ITEMS]
        events = by_item[starts[first] : starts[first + len(block)]]
        shape = len(block), width
        # Few pairs of a large catalogue: zeros between them would take most of the time.
        is_sparse = len(block) * width > BLOCK_SUMS
        sums = csr_matrix(shape) if is_sparse else np.zeros(len(block) * width)
        for at in range(0, len(events), step):
            some = events[at : at + step]
            places = some[:, None] + ahead
            is_own = places < ends[some][:, None]
            rows = np.broadcast_to(np.searchsorted(block, items[some])[:, None], is_own.shape)[is_own]
            columns, counts = items[places[is_own]], np.broadcast_to(kernel, is_own.shape)[is_own]
            if is_sparse:
                sums = sums + csr_matrix((counts, (rows, columns)), shape=shape)
            else:
                sums += np.bincount(rows.astype(np.int64) * width + columns, counts, minlength=len(sums))
        yield block, sums if is_sparse else csr_matrix(sums.reshape(shape))
