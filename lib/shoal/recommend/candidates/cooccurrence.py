"""How often items occur together: the product of the rows-by-items matrix with its own transpose, made by Spark.

Rows are users, sessions or windows of a history; "items" may as well be users that share items. Each task multiplies its
rows as sparse matrices and sends packed pieces of the product's rows; a second round adds the pieces. What is shuffled is
one number a pair and task, not one a pair and user, as a self-join has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Floats, Ints
from shoal.errors import InputError

# Rows of the product that are made at once: 256 x 50,000 items x 8 bytes are 100 MB at the most.
BLOCK_ITEMS = 256
# Pairs of one piece: an Arrow batch of 10,000 pieces is then 80 MB.
PIECE = 1024
# One task of the second round holds so many numbers as a dense block: 128 MB.
DENSE_NUMBERS = 32 << 20
# A dense row of float32 a task: beyond it the second round would need a sparse sum.
MAX_ITEMS = 1_000_000

# A task of the first round multiplies so many rows: some 2 GB while they are sorted.
TASK_ROWS = 32 << 20

COLUMNS = {"row": "bigint", "item": "int", "weight": "double"}
PIECES = "item int, others binary, weights binary"
# For some rows of the product, given their items: what to keep of each row as (columns, values).
Keep = Callable[[int, Floats], "tuple[Ints, Floats]"]
# For the rows of a task: the numbers of the rows of the matrix (from 0), items and weights.
Expand = Callable[[pa.Table], "tuple[Ints, Ints, Floats]"]


def co_occurrence(
    rows: DataFrame, items: int, keep: Keep | None = None, in_order: bool = False, size: float = 0, expand: Expand | None = None
) -> DataFrame:
    """One row per item that occurs: `item`, `others` (int32, packed, ascending) and `weights` (float32, packed): the sums of
    weight x weight over the rows in which both occur, the item itself included.

    `rows`: row (bigint), item (int from 0 to `items` - 1), weight (double); an item twice in a row counts with both weights.
    `keep(item, sums)` chooses columns and values of a full row of sums; without it all that are not 0 are kept. `in_order`: sums of
    weights that are no whole numbers have the same last digits every time, for a sort of the pieces. `size`: how many rows are
    multiplied, where the caller knows it. `expand` makes these in the task, of rows with other columns too: those of one `row`
    are in one task.

    Raises InputError for more than MAX_ITEMS items. Cost: two shuffles, of the rows and of the pieces; a task of the first
    holds its rows, some TASK_ROWS by `size`, and BLOCK_ITEMS rows of the product, one of the second DENSE_NUMBERS sums.
    """
    if items > MAX_ITEMS:
        raise InputError(f"co-occurrence of {items:,} items; at most {MAX_ITEMS:,}: leave out rare items")
    context = rows.sparkSession.sparkContext
    width = max(items, 1)

    def multiplied(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [batch for batch in batches if batch.num_rows]
        if not held:
            return
        table = pa.Table.from_batches(held)
        held.clear()
        for block, product in products(*(expand or _as_they_are)(table), width):
            yield pieces(block, product)

    typed = rows.withColumns({name: F.col(name).cast(kind) for name, kind in COLUMNS.items()})
    # Explicit numbers of partitions: adaptive execution would join small ones, and a task's memory would be anybody's guess.
    tasks = max(context.defaultParallelism, int(size / TASK_ROWS) + 1)
    first = typed.repartition(tasks, "row").mapInArrow(multiplied, PIECES)
    return added_pieces(first, width, keep, in_order)


def _as_they_are(table: pa.Table) -> tuple[Ints, Ints, Floats]:
    _, row = np.unique(table.column("row").to_numpy(), return_inverse=True)
    return row, table.column("item").to_numpy(), table.column("weight").to_numpy().astype(np.float32)


def products(row: Ints, item: Ints, weight: Floats, width: int) -> Iterator[tuple[Ints, csr_matrix]]:
    """The product of the matrix of rows (numbers from 0) by items with its own transpose, BLOCK_ITEMS of its rows at a time: the
    items of each block, and their rows. Items that do not occur are in no block."""
    # The order of a sum is the order of the rows: sorted, it does not depend on how they came.
    order = np.lexsort((weight, item, row))
    matrix = csr_matrix((weight[order], (row[order], item[order])), shape=(int(row.max(initial=-1)) + 1, width))
    by_item = matrix.T.tocsr()
    here = np.flatnonzero(np.diff(by_item.indptr))
    for start in range(0, len(here), BLOCK_ITEMS):
        block = here[start : start + BLOCK_ITEMS]
        product = (by_item[block] @ matrix).tocsr()
        product.sort_indices()
        yield block, product


def kept_matrix(blocks: Iterable[tuple[Ints, csr_matrix]], width: int, keep: Keep) -> csr_matrix:
    """What `keep` chooses of each row of the blocks (see `products`), as one sparse matrix, float32. What `as_matrix` makes of
    `co_occurrence`, on the driver alone."""
    indptr, indices, data = np.zeros(width + 1, np.int64), [], []
    for block, product in blocks:
        for place, item in enumerate(block):
            sums = np.zeros(width, np.float32)
            here = slice(product.indptr[place], product.indptr[place + 1])
            sums[product.indices[here]] = product.data[here]
            columns, values = keep(int(item), sums)
            indices.append(columns.astype(np.int32))
            data.append(values.astype(np.float32))
            indptr[item + 1] = len(columns)
    arrays = [np.concatenate(a) if a else np.empty(0, kind) for a, kind in ((data, np.float32), (indices, np.int32))]
    return csr_matrix((arrays[0], arrays[1], np.cumsum(indptr)), shape=(width, width))


def added_pieces(made: DataFrame, width: int, keep: Keep | None = None, in_order: bool = False) -> DataFrame:
    """The rows of `co_occurrence` from their `pieces`, any number of them a row; a row has `width` numbers.

    Cost: one shuffle of the pieces; a task holds DENSE_NUMBERS sums.
    """

    def added(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sums: dict[int, Floats] = {}
        for batch in batches:
            for number, others, weights in packed_rows(batch):
                if number not in sums:
                    sums[number] = np.zeros(width, np.float32)
                sums[number][others] += weights
        for number in sorted(sums):
            columns, values = (keep or _all)(number, sums.pop(number))
            packed = [pa.array([a.tobytes()], pa.binary()) for a in (columns.astype(np.int32), values.astype(np.float32))]
            yield pa.RecordBatch.from_arrays([pa.array([number], pa.int32()), *packed], names=["item", "others", "weights"])

    tasks = max(made.sparkSession.sparkContext.defaultParallelism, width * width // DENSE_NUMBERS + 1)
    shuffled = made.repartition(tasks, "item")
    if in_order:
        # Pieces come from the shuffle in any order, and a sum of fractions depends on it.
        shuffled = shuffled.sortWithinPartitions("item", "others", "weights")
    return shuffled.mapInArrow(added, PIECES)


def packed_rows(packed: pa.RecordBatch | pa.Table) -> Iterator[tuple[int, Ints, Floats]]:
    """Each row's item, others (int32) and weights (float32), read in place."""
    columns = (packed.column("item").to_pylist(), packed.column("others"), packed.column("weights"))
    for item, others, weights in zip(*columns, strict=True):
        yield item, np.frombuffer(others.as_buffer(), np.int32), np.frombuffer(weights.as_buffer(), np.float32)


def _all(item: int, sums: Floats) -> tuple[Ints, Floats]:
    columns = np.flatnonzero(sums)
    return columns, sums[columns]


def pieces(block: npt.NDArray[np.int64], product: csr_matrix) -> pa.RecordBatch:
    """The rows of a product in pieces of at most PIECE numbers."""
    numbers, others, weights = [], [], []
    for place, item in enumerate(block):
        start, end = product.indptr[place], product.indptr[place + 1]
        for at in range(start, end, PIECE):
            stop = min(at + PIECE, end)
            numbers.append(int(item))
            others.append(product.indices[at:stop].astype(np.int32).tobytes())
            weights.append(product.data[at:stop].astype(np.float32).tobytes())
    arrays = [pa.array(numbers, pa.int32()), pa.array(others, pa.binary()), pa.array(weights, pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, names=["item", "others", "weights"])


def as_matrix(packed: DataFrame, items: int) -> csr_matrix:
    """The rows of `co_occurrence` as one sparse matrix on the driver, items x items, float32.

    Raises InputError where it takes more than 2 GiB. Cost: collects the rows; the size is asked for before.
    """
    held = packed.persist()
    try:
        total = held.agg(F.sum(F.octet_length("others"))).first()
        size = int((total[0] if total is not None else None) or 0) * 2
        if size > 2 << 30:
            raise InputError(f"co-occurrence: {size >> 20} MiB for the driver; at most 2048: keep fewer items or neighbours")
        batches = held._collect_as_arrow()
    finally:
        held.unpersist()
    indptr, indices, data = np.zeros(items + 1, np.int64), [], []
    if batches:
        for item, others, weights in packed_rows(pa.Table.from_batches(batches).sort_by("item")):
            indices.append(others)
            data.append(weights)
            indptr[item + 1] = len(others)
    arrays = [np.concatenate(a) if a else np.empty(0, kind) for a, kind in ((data, np.float32), (indices, np.int32))]
    return csr_matrix((arrays[0], arrays[1], np.cumsum(indptr)), shape=(items, items))
