"""One column of categories over all its windows: counts of the largest by name, the rest as one, exact totals.

Categories arrive one after the other with their rows in every window, so that no more than `keep` are ever held, however
many there are. Kept are those with the largest share of rows in any window, ties to the smaller name. What is counted over
all of them before the rest is folded: distinct categories, rows in categories new to a reference, categories seen once or
twice.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from shoal.arrays import Ints
from shoal.monitor.drift.bins import ROWS_PER_BIN

# The name of all categories that are not kept by name. A real category of that name is counted with them.
OTHER = "(other)"
_EXAMPLES = 5


@dataclass(order=True)
class _Kept:
    share: float
    name: _Reversed
    counts: tuple[int, ...] = field(compare=False)


class _Reversed(str):
    """A name that sorts backwards: of two equal shares the larger name is dropped first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


@dataclass
class NewCategories:
    """Categories of the current window that a reference lacks, and how often the reference's own categories occur."""

    rows: int = 0
    count: int = 0
    examples: list[str] = field(default_factory=list)
    once: int = 0
    twice: int = 0


class CategoryCounts:
    """Counts of one column; windows are numbered, number 0 is the current one."""

    def __init__(self, windows: int, keep: int) -> None:
        self.rows = [0] * windows
        self.nulls = [0] * windows
        self.distinct = [0] * windows
        self.new = [NewCategories() for _ in range(windows)]
        self._keep = keep
        self._heap: list[_Kept] = []

    def count(self, window: int, rows: int, nulls: int) -> None:
        """Add to the totals of a window: all rows, and the nulls among them. All totals come before the first category."""
        self.rows[window] += rows
        self.nulls[window] += nulls

    def add(self, name: str, counts: tuple[int, ...]) -> None:
        """Take one category with its rows in every window; each category once."""
        for window, seen in enumerate(counts):
            self.distinct[window] += seen > 0
            new = self.new[window]
            new.once += seen == 1
            new.twice += seen == 2
            if counts[0] and not seen:
                new.rows += counts[0]
                new.count += 1
                new.examples = sorted([*new.examples, name])[:_EXAMPLES]
        share = max(seen / max(1, self.rows[w] - self.nulls[w]) for w, seen in enumerate(counts))
        if name != OTHER:
            heapq.heappush(self._heap, _Kept(share, _Reversed(name), counts))
        if len(self._heap) > self._keep:
            heapq.heappop(self._heap)

    def kept(self) -> dict[str, tuple[int, ...]]:
        """The categories kept by name, with their rows in every window."""
        return {str(kept.name): kept.counts for kept in self._heap}

    def present(self, window: int) -> int:
        """Rows of a window that are not null."""
        return self.rows[window] - self.nulls[window]

    def table(self, reference: int) -> tuple[Ints, Ints]:
        """Rows of the reference and of the current window in the same categories, by name, the others last.

        A category is among the others where it is not kept, or where fewer than five rows are expected in the smaller of
        both windows (Cochran 1954): chance makes noise of it, not drift.
        """
        names = sorted(self.kept())
        counts = np.array([self.kept()[name] for name in names], dtype=np.int64).reshape(len(names), len(self.rows))
        pair = counts[:, [reference, 0]]
        totals = np.array([self.present(reference), self.present(0)], dtype=np.int64)
        expected = pair.sum(axis=1) * (totals.min() / max(1, totals.sum()))
        pair = pair[expected >= ROWS_PER_BIN]
        pair = np.concatenate([pair, [totals - pair.sum(axis=0)]])
        return pair[:, 0], pair[:, 1]
