"""Neighbours by vectors: the exact engine beside faiss, on the blocks that a worker holds.

Both sides run in one process with the same number of threads, so that the work inside an Arrow batch is compared and not Spark.
Vectors are drawn, seeded: 200 centres with noise, of length 1.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.ranking.top_k import Items, Seen, top_k_of_block

VECTORS, LENGTH, NEIGHBOURS, BATCH = 20_000, 100, 50, 256
ROUNDS = 3


def drawn() -> Floats:
    """VECTORS x LENGTH, float32, each of length 1."""
    rng = np.random.default_rng(11)
    centres = rng.standard_normal((200, LENGTH))
    rows = centres[rng.integers(0, len(centres), VECTORS)] + 0.7 * rng.standard_normal((VECTORS, LENGTH))
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def ours(vectors: Floats) -> tuple[Ints, Doubles]:
    """The nearest of each vector without itself, as a task of `exact_pairs` finds them."""
    names = pa.array([f"{n:05}" for n in range(len(vectors))], pa.string())
    items = Items(names, vectors, np.linalg.norm(vectors.astype(np.float64), axis=1))
    found = []
    for first in range(0, len(vectors), BATCH):
        block = vectors[first : first + BATCH]
        own = np.arange(first, first + len(block))
        itself = Seen(np.arange(len(block) + 1), own, np.ones(len(block)), np.ones(len(block), np.bool_))
        found.append(top_k_of_block(block, items, itself, NEIGHBOURS))
    return np.concatenate([index for index, _ in found]), np.concatenate([scores for _, scores in found])


def with_faiss(index: Any, vectors: Floats) -> tuple[Ints, Doubles]:
    """The same from an index of faiss: one neighbour more is asked for, and the vector itself removed."""
    scores, numbers = index.search(vectors, NEIGHBOURS + 1)
    itself = numbers == np.arange(len(vectors))[:, None]
    # Where a vector is not among its own neighbours, the last one goes.
    itself[~itself.any(axis=1), -1] = True
    shape = (len(vectors), NEIGHBOURS)
    return numbers[~itself].reshape(shape), scores[~itself].reshape(shape).astype(np.float64)


def flat(vectors: Floats) -> tuple[Ints, Doubles]:
    """Exact, by inner product."""
    index = faiss.IndexFlatIP(LENGTH)
    index.add(vectors)
    return with_faiss(index, vectors)


def hnsw(vectors: Floats) -> tuple[Ints, Doubles]:
    """Approximate: a graph of 32 links a vector, 128 candidates a search."""
    index = faiss.IndexHNSWFlat(LENGTH, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 100, 128
    index.add(vectors)
    return with_faiss(index, vectors)


def timed(search: Callable[[Floats], tuple[Ints, Doubles]], vectors: Floats, rounds: int) -> tuple[float, Ints, Doubles]:
    """The shortest of some rounds in seconds, and what was found."""
    best, found = float("inf"), None
    for _ in range(rounds):
        start = time.perf_counter()
        found = search(vectors)
        best = min(best, time.perf_counter() - start)
    assert found is not None
    return best, *found


def shared(found: Ints, exact: Ints) -> float:
    """The share of the exact neighbours that were found."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """Ours beside faiss, exact and approximate."""
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    vectors = drawn()
    mine, exact, _ = timed(ours, vectors, ROUNDS)
    what = f"{NEIGHBOURS} nearest of {VECTORS:,} vectors of {LENGTH} numbers, in one process"
    rows = []
    for name, search, rounds in (("IndexFlatIP, exact", flat, ROUNDS), ("IndexHNSWFlat 32, efSearch 128", hnsw, 1)):
        theirs, found, _ = timed(search, vectors, rounds)
        # The same places in the same order: equal ids are equal ties too.
        same = float((found == exact).mean())
        note = f"peer: faiss {name}; it finds {shared(found, exact):.4f} of the exact neighbours, {same:.4f} in the same place"
        rows.append({"what": what, "ours": mine, "peer": theirs, "ratio": theirs / mine, "unit": "s", "target": "", "note": note})
    return rows
