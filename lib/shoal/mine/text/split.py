"""Which rows are held out: by a hash of a key, so that the answer depends on the row alone."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

_BUCKETS = 1_000_000


def is_held_out(key: Column, ratio: float, seed: int, purpose: str) -> Column:
    """True for about `ratio` of all keys, false for the others and for null; the same key always has the same answer.

    Rows that share a key stay together. Another `purpose` ("test", "validation") draws independently of the first.
    """
    bucket = F.pmod(F.xxhash64(key, F.lit(f"{purpose}:{seed}")), F.lit(_BUCKETS))
    return F.coalesce((bucket < round(ratio * _BUCKETS)) & key.isNotNull(), F.lit(False))
