"""Partial and final aggregation give the rows back, however they are split into batches and flushes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from shoal.monitor.drift import aggregation
from shoal.monitor.drift.aggregation import (
    PARTIAL_ORDER,
    PARTIAL_SCHEMA,
    ColumnDigests,
    FinalAggregator,
    PartialAggregator,
    values_per_partial,
)
from shoal.monitor.drift.columns import CATEGORY, NUMBER

KINDS = [NUMBER, NUMBER, CATEGORY]
RNG = np.random.default_rng(8)
CONTINUOUS = [None if i % 10 == 0 else float(x) for i, x in enumerate(RNG.normal(size=997))]
REPEATED = [float("nan") if i % 50 == 0 else float("inf") if i % 50 == 1 else float(i % 3) for i in range(997)]
NAMES = [None if i % 7 == 0 else f"n{i % 5}" for i in range(997)]


def batches(size: int) -> Iterable[pa.RecordBatch]:
    columns = [pa.array(CONTINUOUS, pa.float64()), pa.array(REPEATED, pa.float64()), pa.array(NAMES, pa.string())]
    table = pa.Table.from_arrays(columns, names=["x", "y", "s"])
    return table.to_batches(max_chunksize=size)


def collected(made: list[pa.RecordBatch], size: int) -> list[ColumnDigests]:
    table = pa.Table.from_batches(made, PARTIAL_SCHEMA)
    order = table.to_pandas().sort_values(list(PARTIAL_ORDER), na_position="first", kind="stable").index
    together = table.take(pa.array(order)).combine_chunks().to_batches(max_chunksize=size)
    return list(FinalAggregator(KINDS, [2, 2, 2], 100, 1_000).take(together))


@pytest.mark.parametrize("flush", [1, 500, 10**9])
@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_rows_come_back(size: int, flush: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "FLUSH_VALUES", flush)
    monkeypatch.setattr(aggregation, "FLUSH_CATEGORIES", 2 if flush == 1 else 10**9)
    columns = list(enumerate(KINDS))
    made = [batch for window in (0, 1) for batch in PartialAggregator(window, columns, 64)(iter(batches(size)))]
    assert max((len(value.as_py() or b"") for batch in made for value in batch.column(8)), default=0) <= 64 * 8
    x, y, s = collected(made, size)
    for window in (0, 1):
        digest = x.numbers[window]
        assert (digest.rows, digest.nulls, digest.nans, digest.infinities) == (997, 100, 0, 0)
        assert digest.sample().values.tolist() == sorted(v for v in CONTINUOUS if v is not None)
        digest = y.numbers[window]
        sample = digest.sample()
        assert (digest.rows, digest.nulls, digest.nans, digest.infinities) == (997, 0, 20, 20)
        finite = [v for v in REPEATED if np.isfinite(v)]
        assert np.repeat(sample.values, sample.counts()).tolist() == sorted(finite)
    assert s.categories is not None
    assert (s.categories.rows, s.categories.nulls) == ([997, 997], [143, 143])
    expected = {name: (NAMES.count(name), NAMES.count(name)) for name in {*NAMES} - {None}}
    assert s.categories.kept() == expected


def test_repeated_values_travel_as_counts() -> None:
    made = list(PartialAggregator(0, list(enumerate(KINDS)), 64)(iter(batches(10_000))))
    stored = {batch.column(0)[0].as_py(): sum(len(v.as_py() or b"") for v in batch.column(8)) for batch in made[:2]}
    assert stored == {0: 897 * 8, 1: 3 * 8}


def test_no_batch_is_a_window_without_rows() -> None:
    x, y, s = collected(list(PartialAggregator(0, list(enumerate(KINDS)), 64)(iter([]))), 10)
    assert s.categories is not None
    assert (x.numbers[0].rows, y.numbers[0].rows, s.categories.rows) == (0, 0, [0, 0])


def test_a_batch_of_partials_stays_within_its_bytes() -> None:
    assert values_per_partial(10_000) * 8 * 10_000 <= aggregation.BATCH_BYTES
    assert values_per_partial(0) == values_per_partial(10_000)
    assert values_per_partial(10**9) == 64
