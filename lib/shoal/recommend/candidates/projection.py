"""Vectors of any length as vectors of a few numbers, by names: nothing is learned, nothing is kept.

Each place of a vector has a name (a word, a user, the number of a pixel's feature) and a row of signs drawn by a hash of it; the
short vector is the sum of the rows, each times its number. Products of vectors stay what they were but for noise of about
1 / sqrt(size) (Achlioptas, Database-friendly random projections, 2003). The same name has the same signs on every day, in every
version and in every partition, so that vectors of two days compare, and a vector of a day cannot know of later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Floats
from shoal.errors import InputError

# Bits of a digest.
MAX_SIZE = 512


def signs(names: Sequence[str], size: int, seed: int) -> Floats:
    """len(names) x size: 1 or -1 by the bits of a hash of the name and of `seed`. `size`: at most MAX_SIZE, a multiple of 8."""
    salt = seed.to_bytes(8, "little", signed=True)
    digests = b"".join(blake2b(name.encode(), digest_size=size // 8, salt=salt).digest() for name in names)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8)).reshape(len(names), size)
    return (bits.astype(np.float32) * 2 - 1).astype(np.float32)


def projected(parts: DataFrame, names: Sequence[str] | None, size: int, seed: int) -> DataFrame:
    """One row per part: item_id, features (array<float>, `size` numbers), the projection of its vector.

    `parts`: item_id, indices, values. Sparse ones (`indices` not null) need the `names` of their places; places of others are named
    by their number. No shuffle; the names' signs, names x size x 4 bytes, go to every task.
    """
    rows = None if names is None else signs(names, size, seed)

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        dense = np.zeros((0, size), np.float32)
        for batch in batches:
            found = np.zeros((batch.num_rows, size), np.float64)
            places, values = batch.column("indices").to_pylist(), batch.column("values").to_pylist()
            for n, (at, numbers) in enumerate(zip(places, values, strict=True)):
                if not numbers:
                    continue
                if at is not None:
                    if rows is None:
                        raise InputError("sparse vectors without the names of their places: run build_texts again")
                    found[n] = np.asarray(numbers, np.float64) @ rows[at]
                    continue
                if len(dense) != len(numbers):
                    dense = signs([str(place) for place in range(len(numbers))], size, seed)
                found[n] = np.asarray(numbers, np.float64) @ dense
            features = pa.array(list(found.astype(np.float32)), pa.list_(pa.float32()))
            yield pa.RecordBatch.from_arrays([batch.column("item_id"), features], names=["item_id", "features"])

    wanted = parts.select("item_id", "indices", F.col("values").cast("array<float>").alias("values"))
    return wanted.mapInArrow(made, "item_id string, features array<float>")


def mean_by(rows: DataFrame, key: str) -> DataFrame:
    """One row per `key`: the key and features, the mean of its rows' to six digits. Cost: one shuffle, of a vector a key and
    partition."""
    mean = Summarizer.mean(array_to_vector(F.col("features").cast("array<double>")))
    found = rows.groupBy(key).agg(vector_to_array(mean).alias("_mean"))
    return found.select(key, F.transform("_mean", lambda value: F.round(value, 6).cast("float")).alias("features"))
