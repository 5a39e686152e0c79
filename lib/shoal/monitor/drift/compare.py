"""Windows in, profiles and drift out: one pass over each window, all columns of all tables together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType, _parse_datatype_string

from shoal.monitor.drift import profiles, severity
from shoal.monitor.drift.aggregation import (
    PARTIAL_ORDER,
    PARTIAL_TYPE,
    ColumnDigests,
    FinalAggregator,
    PartialAggregator,
    values_per_partial,
)
from shoal.monitor.drift.columns import NUMBER, column_kinds, select_comparable
from shoal.monitor.drift.thresholds import Rules

CURRENT = "current"
# Tasks for each core: columns differ in size, and a task holds one column at a time.
_TASKS_PER_CORE = 8


@dataclass(frozen=True)
class Window:
    """Rows of a table in a span of days.

    names: `("current",)`, or the comparisons that this window is the reference of: `("baseline",)`, `("previous",)`, or both
    where they are the same rows. rows: its comparable columns and no others. start, end: first and last day, for the record.
    part: tells the windows of one table apart where its rows are of several sorts that must not be mixed; their columns
    then need different names. relative: number columns that are divided by their mean over the window (PageRank sums to one: with
    more nodes all ranks shrink, which is growth, not drift).
    """

    table: str
    names: tuple[str, ...]
    rows: DataFrame
    start: date | None = None
    end: date | None = None
    part: str = ""
    relative: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Column:
    """One column of one table: its kind and the windows of its table, the current one first; has_column by window."""

    key: tuple[str, str]
    table: str
    name: str
    kind: str
    windows: tuple[tuple[tuple[str, ...], date | None, date | None], ...]
    has_column: tuple[bool, ...]
    is_relative: bool = False


def measure_windows(windows: Sequence[Window], rules: Rules) -> DataFrame:
    """One row per table and column with its `profiles` (one per window name) and `results` (one per comparison and metric).

    Columns: table_name, column_name, kind (`number`, `category`), profiles, results. All windows of a table (and part) are
    compared with its current one; without another one there are profiles and no results. A column that one window lacks has
    the metric `missing_column` only. A window may be empty. Raises ValueError where a table has no or two current windows,
    where two parts have a column of one name, and for a column that is a number in one window and a category in another.

    Cost: each window is read once, its columns pass through Python once and are shuffled once, by column; all windows of one
    column meet in one task, with at most 2 x rules.exact_values numbers (or rules.max_categories categories) a window held.
    The result is small (rows: columns): persist it before taking both `profile_rows` and `drift_rows` of it.
    """
    tables = _by_table(windows)
    columns = _columns(tables)
    spark = windows[0].rows.sparkSession
    partial_values = values_per_partial(int(spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch", "10000") or 0))
    # A partial of no rows for each column, so that a column whose windows are all empty is there too.
    seeds = [(number, 0, None, False, 0, 0, 0, 0, b"", None) for number in range(len(columns))]
    partials = [spark.createDataFrame(seeds, PARTIAL_TYPE).coalesce(1)]
    for key, its_windows in tables.items():
        for number, window in enumerate(its_windows):
            mine = {c.name: (i, c.kind) for i, c in enumerate(columns) if c.key == key and c.has_column[number]}
            if mine:
                rows = select_comparable(window.rows, {name: kind for name, (_, kind) in mine.items()})
                partials.append(rows.mapInArrow(PartialAggregator(number, list(mine.values()), partial_values), PARTIAL_TYPE))
    tasks = max(1, min(len(columns), _TASKS_PER_CORE * spark.sparkContext.defaultParallelism))
    together = reduce(DataFrame.unionAll, partials).repartition(tasks, "column_number").sortWithinPartitions(*PARTIAL_ORDER)
    return together.mapInArrow(_Measurer(tuple(columns), rules), MEASURED_TYPE)


def profile_rows(measured: DataFrame) -> DataFrame:
    """One row per table, column and window name: the columns of ops.profiles, without as_of and run_id. No shuffle."""
    named = measured.select("table_name", "column_name", "kind", F.explode("profiles").alias("p"))
    return named.select("table_name", "column_name", "kind", "p.*")


def drift_rows(measured: DataFrame) -> DataFrame:
    """One row per table, column, comparison and metric: the columns of ops.drift, without as_of and run_id. No shuffle."""
    named = measured.select("table_name", "column_name", "kind", F.explode("results").alias("r"))
    return named.select("table_name", "column_name", "kind", "r.*")


MEASURED_TYPE = (
    "table_name string, column_name string, kind string, "
    f"profiles array<{profiles.PROFILE_TYPE}>, results array<{severity.RESULT_TYPE}>"
)


class _Measurer:
    """From sorted partials to measured columns, inside a task."""

    def __init__(self, columns: tuple[_Column, ...], rules: Rules) -> None:
        self._columns, self._rules = columns, rules
        schema = _parse_datatype_string(MEASURED_TYPE)
        assert isinstance(schema, StructType)  # noqa: S101 - for the type checker
        self._schema = to_arrow_schema(schema)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        aggregator = FinalAggregator(
            [c.kind for c in self._columns], [len(c.windows) for c in self._columns],
            self._rules.max_categories, self._rules.exact_values,
        )  # fmt: skip
        for digests in aggregator.take(batches):
            measured = measure_column(self._columns[digests.number], digests, self._rules)
            yield pa.RecordBatch.from_pylist([measured], schema=self._schema)


def measure_column(column: _Column, digests: ColumnDigests, rules: Rules) -> dict[str, Any]:
    """The measured row of one column."""
    figures: list[dict[str, Any]] = []
    if digests.categories is not None:
        counts = digests.categories
        figures = [profiles.profile_category(counts, w) for w in range(len(column.windows))]
        rows = counts.rows

        def compared(window: int) -> list[dict[str, Any]]:
            return severity.compare_categories(counts, window, rules)
    else:
        samples = [digest.over_mean() if column.is_relative else (digest, digest.sample()) for digest in digests.numbers]
        edges = profiles.common_edges([digest for digest, _ in samples])
        figures = [profiles.profile_number(digest, sample, edges) for digest, sample in samples]
        rows = [digest.rows for digest in digests.numbers]

        def compared(window: int) -> list[dict[str, Any]]:
            return severity.compare_numbers(samples[window], samples[0], rules)

    shown, results = [], []
    for window, (names, start, end) in enumerate(column.windows):
        if column.has_column[window]:
            shown += [profiles.labelled(figures[window], name, start, end) for name in names]
        if window == 0:
            continue
        has = column.has_column[0], column.has_column[window]
        if not any(has):
            continue  # only another reference of the table has it
        rated = compared(window) if all(has) else [severity.missing_column("reference" if has[0] else CURRENT)]
        header = {"reference_start": start, "reference_end": end, "reference_rows": rows[window], "current_rows": rows[0]}
        results += [{"comparison": name, **header, **one} for name in names for one in rated]
    return {
        "table_name": column.table, "column_name": column.name, "kind": column.kind, "profiles": shown, "results": results,
    }  # fmt: skip


def _by_table(windows: Sequence[Window]) -> dict[tuple[str, str], list[Window]]:
    """The windows of each table and part, the current one first."""
    tables: dict[tuple[str, str], list[Window]] = {}
    for window in windows:
        tables.setdefault((window.table, window.part), []).append(window)
    if not tables:
        raise ValueError("no windows to compare")
    for (table, _), mine in tables.items():
        mine.sort(key=lambda window: window.names != (CURRENT,))
        names = [name for window in mine for name in window.names]
        if mine[0].names != (CURRENT,) or len(set(names)) != len(names):
            raise ValueError(f"{table}: windows {names}; expected one current one, and each name once")
    return tables


def _columns(tables: dict[tuple[str, str], list[Window]]) -> list[_Column]:
    """Every column of every table; its place in the list is its number."""
    columns: list[_Column] = []
    for key, windows in tables.items():
        table = key[0]
        by_window = [column_kinds(window.rows.schema) for window in windows]
        spans = tuple((window.names, window.start, window.end) for window in windows)
        for name in dict.fromkeys(name for kinds in by_window for name in kinds):
            kinds = {mine[name] for mine in by_window if name in mine}
            if len(kinds) > 1:
                raise ValueError(f"{table}.{name} is a {NUMBER} in one window and a category in another")
            if any((c.table, c.name) == (table, name) for c in columns):
                raise ValueError(f"two parts of {table} have a column {name}")
            columns.append(_Column(key, table, name, kinds.pop(), spans, tuple(name in mine for mine in by_window),
                                   name in windows[0].relative))  # fmt: skip
    if not columns:
        raise ValueError(f"no comparable column in {', '.join(table for table, _ in tables)}")
    return columns
