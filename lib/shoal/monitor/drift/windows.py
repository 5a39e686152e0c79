"""Which days are compared with which: windows of events, and snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.monitor.drift.compare import CURRENT

PREVIOUS, BASELINE = "previous", "baseline"


@dataclass(frozen=True)
class Span:
    """The first and the last day of a window, both included, and its names."""

    names: tuple[str, ...]
    start: date
    end: date


def event_spans(first: date, as_of: date, window_days: int, baseline: date | None) -> list[Span]:
    """The windows of a history of events that begins on `first`: current, previous, baseline.

    current: the `window_days` days up to as_of. previous: as many days before it. baseline: as many days from `first` on, or
    up to the day `baseline`. No window begins before `first` or reaches into the current one. A window without a day is
    omitted. A baseline that equals the previous window is one window with both names.
    """
    length, one_day = timedelta(days=window_days), timedelta(days=1)
    begin = as_of - length + one_day
    last = begin - one_day
    previous = max(first, begin - length), last
    if baseline is None:
        reference = first, min(last, first + length - one_day)
    else:
        reference = max(first, baseline - length + one_day), min(last, baseline)
    if previous == reference:
        named = [Span((PREVIOUS, BASELINE), *previous)]
    else:
        named = [Span((PREVIOUS,), *previous), Span((BASELINE,), *reference)]
    return [Span((CURRENT,), begin, as_of), *(span for span in named if span.start <= span.end)]


def snapshot_spans(oldest: date | None, previous: date | None, fixed: date | None, as_of: date) -> list[Span]:
    """The snapshot of as_of and those it is compared with; `fixed` is the latest one up to the configured baseline."""
    spans = [Span((CURRENT,), as_of, as_of)]
    reference = fixed or oldest
    if previous is not None and previous == reference:
        return [*spans, Span((PREVIOUS, BASELINE), previous, previous)]
    spans += [Span((PREVIOUS,), previous, previous)] if previous else []
    return spans + ([Span((BASELINE,), reference, reference)] if reference else [])


def known_days(days: Sequence[DataFrame], as_of: date, baseline: date | None) -> DataFrame:
    """One row per table and part: first, oldest, previous, fixed and whether as_of is there. `days`: table_name, part, day, in
    any number of rows.

    first: the first day. oldest and previous: the first and the last day before as_of. fixed: the last one up to `baseline`.
    Null without one. One shuffle of a row per task, table and part.
    """
    day, today = F.col("day"), F.lit(as_of)
    earlier = F.when(day < today, day)
    fixed = F.max(F.when(day <= F.lit(baseline), earlier)) if baseline else F.lit(None).cast("date")
    return reduce(DataFrame.unionAll, days).groupBy("table_name", "part").agg(
        F.min(day).alias("first"), F.min(earlier).alias("oldest"), F.max(earlier).alias("previous"),
        fixed.alias("fixed"), F.max(day == today).alias("has_as_of"),
    )  # fmt: skip
