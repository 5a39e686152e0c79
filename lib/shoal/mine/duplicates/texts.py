"""Pairs of texts that are nearly the same: MinHash and banding find candidates, an exact comparison decides.

A text is the set of its runs of three words (shingles; Broder, On the resemblance and containment of documents, 1997). Two sets
whose Jaccard similarity is J agree in one minimum with probability J, and in all ROWS of one of BANDS bands with 1 - (1 -
J^ROWS)^BANDS (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3): .9996 at J = .8, .046 at .3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.duplicates.pairs import keys_that_meet

SHINGLE, MIN_TOKENS = 3, 5
BANDS, ROWS = 20, 5
# Sets of a task that are hashed at once: their shingles times BANDS x ROWS numbers of 8 bytes are some 10 MB.
CHUNK = 1000
MAX_LENGTH = 20_000


def tokens(text: Column) -> Column:
    """The words of a text in lower case: letters, marks, digits and _ of any script, with # and @ before them; a link is one word
    that all links share. Of the first MAX_LENGTH characters."""
    folded = F.lower(F.regexp_replace(F.substring(text, 1, MAX_LENGTH), r"(?i)\b(https?://|www\.)\S+", " _link "))
    return F.regexp_extract_all(folded, F.lit(r"([#@]?[\p{L}\p{M}\p{N}_']+|\p{So})"), F.lit(1))


def shingle_sets(texts: DataFrame) -> DataFrame:
    """One row per text of MIN_TOKENS words and more: id, key (a hash of its set), shingles (array of hashes, each once, sorted).

    `texts`: id, text. Shorter texts say the same by chance ("thank you so much") and have no row. No shuffle.
    """
    words = texts.select("id", tokens(F.col("text")).alias("words")).where(F.size("words") >= MIN_TOKENS)
    run = F.expr(f"transform(sequence(1, size(words) - {SHINGLE - 1}), i -> xxhash64(slice(words, i, {SHINGLE})))")
    return words.select("id", F.array_sort(F.array_distinct(run)).alias("shingles")).select(
        "id", F.xxhash64("shingles").alias("key"), "shingles"
    )


def similar_sets(sets: DataFrame, threshold: float, max_bucket: int, seed: int) -> DataFrame:
    """Pairs of sets with a Jaccard similarity of `threshold` and more: key < other_key, similarity.

    `sets`: key, shingles; each key once. Of the sets that agree in a band the first `max_bucket` by a hash are compared with each
    other. Cost: two shuffles of the bands, BANDS rows a set, and two joins of the candidates with their sets.
    """
    candidates = keys_that_meet(_bands(sets, seed), max_bucket)
    other = sets.select(F.col("key").alias("other_key"), F.col("shingles").alias("other_shingles"))
    both = candidates.join(sets, "key").join(other, "other_key")
    common = F.size(F.array_intersect("shingles", "other_shingles"))
    found = both.withColumn("similarity", common / (F.size("shingles") + F.size("other_shingles") - common))
    # .8 is no sum of powers of two: 4/5 must not fall below it.
    return found.where(F.col("similarity") >= threshold - 1e-9).select("key", "other_key", "similarity")


def minima(flat: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """The minima of BANDS x ROWS hash functions over sets that lie behind one another in `flat`, each from its start on: a row a
    set.

    Each function multiplies by an odd number, adds, and mixes the upper half in (Dietzfelbinger et al., 1997), modulo 2^64.
    """
    rng = np.random.default_rng(seed)
    factor = rng.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offset = rng.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
    hashed = flat[:, None] * factor + offset
    hashed ^= hashed >> np.uint64(32)
    hashed *= factor[::-1]
    return np.asarray(np.minimum.reduceat(hashed, starts, axis=0))


def _bands(sets: DataFrame, seed: int) -> DataFrame:
    """BANDS rows a set: key, bucket (a hash of the band's number and its minima)."""

    def banded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, CHUNK):
                part = batch.slice(start, CHUNK)
                lists = part.column(1)
                flat = lists.flatten().to_numpy().view(np.uint64)
                ends = np.cumsum(lists.value_lengths().to_numpy())
                found = minima(flat, np.concatenate([[0], ends[:-1]]), seed).reshape(-1, BANDS, ROWS)
                bucket = np.broadcast_to(np.arange(BANDS, dtype=np.uint64), found.shape[:2]).copy()
                for row in range(ROWS):
                    bucket = (bucket ^ found[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
                    bucket ^= bucket >> np.uint64(29)
                keys = np.repeat(part.column(0).to_numpy(), BANDS)
                arrays = [pa.array(keys, pa.int64()), pa.array(bucket.ravel().view(np.int64), pa.int64())]
                yield pa.RecordBatch.from_arrays(arrays, names=["key", "bucket"])

    return sets.select("key", "shingles").mapInArrow(banded, "key bigint, bucket bigint")
