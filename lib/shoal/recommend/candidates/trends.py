"""What rose when a user was there: an item's events, each worth half after so many days, before a moment.

For a user who was there earlier, what was popular in the weeks before the last event is not what is popular at the end of all
data. So events are kept by day and item, and the decayed counts are summed for the moment that is asked for. A day counts once it
is over: what others met later on the user's own day is not known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Floats, Ints

# Days after which an event counts half: the weekly rhythm of a social product, and a season's.
LIVES = (7.0, 60.0)
# Days that count, in lives: at the end 3% are left.
REACH = 5
# Pairs of day and item that are kept, 8 bytes each; the newest days beyond that.
MAX_PAIRS = 4_000_000
MAX_DAYS = 100_000


class DailyEvents(NamedTuple):
    """`days`: since 1970, ascending; `counts`: days x items, float32, the events of each."""

    days: Doubles
    counts: csr_matrix


def daily_here(days: Doubles, items: Ints, width: int) -> DailyEvents:
    """Of events on the driver: `days` since 1970 (NaN without a time), `items`: their numbers among `width`."""
    timed = np.isfinite(days)
    day = np.floor(days[timed])
    known, row = np.unique(day, return_inverse=True)
    counts = csr_matrix((np.ones(len(row), np.float32), (row, items[timed])), shape=(len(known), width), dtype=np.float32)
    counts.sum_duplicates()
    first = first_day_kept(np.diff(counts.indptr))
    return DailyEvents(known[first:], counts[first:])


def first_day_kept(pairs: Ints) -> int:
    """The place of the first day of the newest ones that have at most MAX_PAIRS pairs together; `pairs` of each, ascending by
    day."""
    kept = np.cumsum(pairs[::-1]) <= MAX_PAIRS
    return len(pairs) - int(kept.sum())


def daily_events(numbered: DataFrame, width: int) -> DailyEvents:
    """`daily_here` of rows with `item` and `day` (double, since 1970; null without a time). Cost: two shuffles, by day and item and
    by day; collects a row a day, MAX_DAYS at most, and MAX_PAIRS pairs."""
    rows = numbered.where("day is not null").select(F.floor("day").cast("double").alias("day"), "item")
    pairs = rows.groupBy("day", "item").agg(F.count(F.lit(1)).cast("float").alias("count")).persist()
    try:
        sizes = pairs.groupBy("day").agg(F.count(F.lit(1)).alias("pairs")).orderBy(F.desc("day")).limit(MAX_DAYS)
        known = sorted((row["day"], row["pairs"]) for row in sizes.collect())
        first = first_day_kept(np.array([size for _, size in known], np.int64))
        days = np.array([day for day, _ in known[first:]], np.float64)
        if not len(days):
            return DailyEvents(days, csr_matrix((0, width), dtype=np.float32))
        found = pairs.where(F.col("day") >= F.lit(float(days[0])))._collect_as_arrow()
    finally:
        pairs.unpersist()
    table = pa.Table.from_batches(found)
    row = np.searchsorted(days, table.column("day").to_numpy())
    item, count = table.column("item").to_numpy(), table.column("count").to_numpy()
    return DailyEvents(days, csr_matrix((count, (row, item)), shape=(len(days), width), dtype=np.float32))


def trends_at(events: DailyEvents, moment: float) -> Floats:
    """LIVES x items: log(1 + the events of days that were over at `moment`, each halved for every life since its day). `moment`:
    days since 1970; for NaN, and before the first day that is kept, 0. Cost: a pass over the pairs of REACH of the longest life."""
    found = np.zeros((len(LIVES), events.counts.shape[1]), np.float32)
    if not np.isfinite(moment):
        return found
    end = np.floor(moment)
    until = int(np.searchsorted(events.days, end))
    for row, life in enumerate(LIVES):
        start = int(np.searchsorted(events.days, end - REACH * life))
        here = slice(events.counts.indptr[start], events.counts.indptr[until])
        worth = 2.0 ** ((events.days[start:until] + 1 - end) / life)
        each = np.repeat(worth, np.diff(events.counts.indptr[start : until + 1])) * events.counts.data[here]
        found[row] = np.log1p(np.bincount(events.counts.indices[here], each, minlength=found.shape[1]))
    return found
