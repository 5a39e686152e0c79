"""Partial and final aggregation of columns; both run inside Spark's Python tasks.

`PartialAggregator` turns one window's rows into partials: for a number column some of its finite values, as float64 bytes
(with counts where values repeat); for a category column a category with its count. The partials of one column then meet in
one task, in the order of PARTIAL_ORDER, where `FinalAggregator` adds them to digests. Partial aggregation holds at most
FLUSH_VALUES numbers and FLUSH_CATEGORIES categories, final aggregation one column's digests and one Arrow batch of partials
(BATCH_BYTES).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.arrays import Doubles, Ints
from shoal.monitor.drift.categories import CategoryCounts
from shoal.monitor.drift.columns import NUMBER
from shoal.monitor.drift.digest import NumberDigest

PARTIAL_TYPE = (
    "column_number int, window_number int, category string, is_weighted boolean, "
    "row_count bigint, null_count bigint, nan_count bigint, infinite_count bigint, number_values binary, weights binary"
)
# Nulls first: a category column's totals come before its categories. One window's equal kinds of partials lie side by side.
PARTIAL_ORDER = ("column_number", "category", "window_number", "is_weighted")
PARTIAL_SCHEMA = pa.schema(
    [
        ("column_number", pa.int32()), ("window_number", pa.int32()), ("category", pa.string()), ("is_weighted", pa.bool_()),
        ("row_count", pa.int64()), ("null_count", pa.int64()), ("nan_count", pa.int64()), ("infinite_count", pa.int64()),
        ("number_values", pa.binary()), ("weights", pa.binary()),
    ]
)  # fmt: skip
# 64 MiB of float64 over all columns of one task.
FLUSH_VALUES = 8 * 1024 * 1024
FLUSH_CATEGORIES = 200_000
BATCH_BYTES = 64 * 1024 * 1024
# Numbers looked at to see whether a column repeats itself, so that counts are shorter than the values.
_PROBE = 1024


def values_per_partial(batch_rows: int) -> int:
    """Numbers in a partial so that an Arrow batch of `batch_rows` partials (Spark's maxRecordsPerBatch) stays within BATCH_BYTES.

    Spark 3.5 bounds batches by rows only. Where the session has no bound (0 or less) a batch is a task's whole share.
    """
    return max(64, BATCH_BYTES // 8 // (batch_rows if batch_rows > 0 else 10_000))


@dataclass(frozen=True)
class PartialAggregator:
    """Partial aggregation of one window's rows: its columns in order, each with its number and kind."""

    window_number: int
    columns: Sequence[tuple[int, str]]
    partial_values: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Partials of all columns of the rows in `batches`; one pass."""
        numbers = {i: _Numbers() for i, (_, kind) in enumerate(self.columns) if kind == NUMBER}
        categories: dict[int, Counter[str]] = {i: Counter() for i in range(len(self.columns)) if i not in numbers}
        counts = np.zeros((len(self.columns), 4), dtype=np.int64)
        held = 0
        for batch in batches:
            for i, column in enumerate(batch.columns):
                counts[i, :2] += len(column), column.null_count
                if i in numbers:
                    counts[i, 2:] += numbers[i].take(column)
                else:
                    _tally(column, categories[i])
            held += batch.num_rows * len(numbers)
            if held >= FLUSH_VALUES:
                for i, pending in numbers.items():
                    yield from self._numbers(i, pending.drain(), counts)
                held = 0
            for i, seen in categories.items():
                if len(seen) >= FLUSH_CATEGORIES:
                    yield self._categories(i, seen)
                    seen.clear()
        for i, pending in numbers.items():
            yield from self._numbers(i, pending.drain(), counts)
        for i, seen in categories.items():
            yield self._batch(i, [0], None, None, [None], counts)
            if seen:
                yield self._categories(i, seen)

    def _numbers(self, i: int, values: Doubles, counts: Ints) -> Iterator[pa.RecordBatch]:
        """The values of one column in partials; the first one carries the counters, which start again from zero."""
        weights = None
        probe = values[:: max(1, len(values) // _PROBE)]
        if len(probe) and len(np.unique(probe)) * 2 < len(probe):
            values, weights = np.unique(values, return_counts=True)
        bounds = np.append(np.arange(0, max(1, len(values)), self.partial_values), len(values))
        yield self._batch(i, bounds, values, weights, [None] * (len(bounds) - 1), counts)

    def _categories(self, i: int, seen: Counter[str]) -> pa.RecordBatch:
        """The counts of one column's categories; row_count is the category's."""
        counts = np.zeros((len(self.columns), 4), dtype=np.int64)
        batch = self._batch(i, np.zeros(len(seen) + 1, dtype=np.int64), None, None, list(seen), counts)
        at = PARTIAL_SCHEMA.get_field_index("row_count")
        return batch.set_column(at, PARTIAL_SCHEMA.field(at), pa.array(list(seen.values()), pa.int64()))

    def _batch(
        self, i: int, bounds: Sequence[int] | Ints, values: Doubles | None, weights: Ints | None,
        names: Sequence[str | None], counts: Ints,
    ) -> pa.RecordBatch:  # fmt: skip
        partials = len(names)
        first = np.zeros((4, partials), dtype=np.int64)
        first[:, 0], counts[i] = counts[i], 0
        return pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(partials, self.columns[i][0], dtype=np.int32)),
                pa.array(np.full(partials, self.window_number, dtype=np.int32)),
                pa.array(names, pa.string()),
                pa.array(np.full(partials, weights is not None)),
                *(pa.array(one) for one in first),
                _binary(values, bounds, partials),
                _binary(weights, bounds, partials),
            ],
            schema=PARTIAL_SCHEMA,
        )


class _Numbers:
    """Finite values of a column that wait for the next flush."""

    def __init__(self) -> None:
        self._parts: list[Doubles] = []

    def take(self, column: pa.Array) -> tuple[int, int]:
        """Keep the finite values; returns how many were NaN and how many infinite."""
        values = (column.drop_null() if column.null_count else column).to_numpy(zero_copy_only=False)
        finite = np.isfinite(values)
        if finite.all():
            self._parts.append(values)
            return 0, 0
        nans = int(np.isnan(values).sum())
        self._parts.append(values[finite])
        return nans, int(len(values) - finite.sum() - nans)

    def drain(self) -> Doubles:
        """The values kept, once."""
        parts, self._parts = self._parts, []
        return np.concatenate(parts) if parts else np.empty(0)


def _tally(column: pa.Array, seen: Counter[str]) -> None:
    """Add the strings of a batch to their counts."""
    for entry in pc.value_counts(column.drop_null()).to_pylist():
        seen[entry["values"]] += entry["counts"]


def _binary(numbers: Doubles | Ints | None, bounds: Sequence[int] | Ints, partials: int) -> pa.Array:
    """Slices of an array as bytes, without a copy; nulls where there is no array."""
    if numbers is None:
        return pa.nulls(partials, pa.binary())
    offsets = (np.asarray(bounds) * 8).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(numbers))]
    return pa.Array.from_buffers(pa.binary(), partials, buffers)


@dataclass
class ColumnDigests:
    """What one column is in all its windows: `numbers` by window, or `categories` over all of them."""

    number: int
    numbers: list[NumberDigest]
    categories: CategoryCounts | None


class FinalAggregator:
    """Feeds sorted partials into digests, one column after the other."""

    def __init__(self, kinds: Sequence[str], windows: Sequence[int], keep: int, exact_values: int) -> None:
        """kinds and numbers of windows by column number; how many categories to keep; the digests' bound."""
        self._kinds, self._windows, self._keep, self._exact = kinds, windows, keep, exact_values
        self._open: ColumnDigests | None = None
        self._category: str | None = None
        self._counts: list[int] = []

    def take(self, batches: Iterable[pa.RecordBatch]) -> Iterator[ColumnDigests]:
        """Each column after its last partial; at most one is open."""
        for batch in batches:
            columns = batch.column(0).to_numpy()
            if not len(columns):
                continue
            starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
            for start, end in zip(starts, [*starts[1:], len(columns)], strict=True):
                if self._open is None or self._open.number != columns[start]:
                    yield from self._close()
                    self._open = self._begin(int(columns[start]))
                self._feed(self._open, batch.slice(start, end - start))
        yield from self._close()

    def _begin(self, number: int) -> ColumnDigests:
        windows = self._windows[number]
        if self._kinds[number] == NUMBER:
            return ColumnDigests(number, [NumberDigest(self._exact) for _ in range(windows)], None)
        self._category, self._counts = None, [0] * windows
        return ColumnDigests(number, [], CategoryCounts(windows, self._keep))

    def _close(self) -> Iterator[ColumnDigests]:
        if self._open is not None:
            if self._open.categories is not None:
                self._end_category(self._open.categories)
            yield self._open
        self._open = None

    def _feed(self, column: ColumnDigests, partials: pa.RecordBatch) -> None:
        if column.categories is not None:
            self._feed_categories(column.categories, partials)
            return
        window, weighted = partials.column(1).to_numpy(), partials.column(3).to_numpy(zero_copy_only=False)
        counters = np.stack([partials.column(k).to_numpy() for k in range(4, 8)])
        same = window * 2 + weighted
        starts = np.flatnonzero(np.diff(same, prepend=same[0] - 1))
        for start, end in zip(starts, [*starts[1:], len(same)], strict=True):
            digest = column.numbers[window[start]]
            digest.count(*(int(n) for n in counters[:, start:end].sum(axis=1)))
            values = _joined(partials.column(8), start, end, np.float64)
            digest.add(values, _joined(partials.column(9), start, end, np.int64) if weighted[start] else None)

    def _feed_categories(self, counts: CategoryCounts, partials: pa.RecordBatch) -> None:
        windows, names = partials.column(1).to_pylist(), partials.column(2).to_pylist()
        for window, name, rows, nulls in zip(
            windows, names, partials.column(4).to_pylist(), partials.column(5).to_pylist(), strict=True
        ):
            if name is None:
                counts.count(window, rows, nulls)
                continue
            if name != self._category:
                self._end_category(counts)
                self._category = name
            self._counts[window] += rows

    def _end_category(self, counts: CategoryCounts) -> None:
        if self._category is not None:
            counts.add(self._category, tuple(self._counts))
        self._category, self._counts = None, [0] * len(self._counts)


def _joined(partials: pa.Array, start: int, end: int, kind: type[np.generic]) -> np.ndarray:
    """The bytes of neighbouring partials as one array: a view, which keeps its batch in memory until the digest merges it."""
    offsets = np.frombuffer(partials.buffers()[1], dtype=np.int32)[partials.offset :]
    data = partials.buffers()[2]
    if data is None or offsets[end] == offsets[start]:
        return np.empty(0, dtype=kind)
    low, high = int(offsets[start]), int(offsets[end])
    return np.frombuffer(data, dtype=kind, count=(high - low) // 8, offset=low)
