"""Frames that are used several times: cached until a block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from pyspark.sql import DataFrame

# Caches a frame until the block ends, and returns it.
Keep = Callable[[DataFrame], DataFrame]


@contextmanager
def caching() -> Iterator[Keep]:
    """Yield a `Keep`; what it cached is freed when the block ends, in reverse order."""
    with ExitStack() as stack:

        def keep(rows: DataFrame) -> DataFrame:
            stack.callback(rows.persist().unpersist)
            return rows

        yield keep
