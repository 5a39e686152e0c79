"""The terms of all training texts as one sparse matrix on the driver, and what a linear model needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Ints
from shoal.mine.text.terms import TERMS

_BATCH = "vocabulary array<string>, codes binary, sizes binary, target binary, is_test binary, is_valid binary, place binary"


@dataclass(frozen=True)
class TermMatrix:
    """`presence`: a row per text, a column per term of `vocabulary`, 1 where the text has the term; `target`: the place of the
    text's label; `is_test`, `is_valid`: whether the text is for testing, for choosing settings."""

    presence: csr_matrix
    vocabulary: np.ndarray
    target: Ints
    is_test: np.ndarray
    is_valid: np.ndarray


@dataclass(frozen=True)
class Weighting:
    """The terms that a model knows (`kept`, columns of a TermMatrix) and their inverse document frequencies."""

    kept: Ints
    idf: Doubles

    def vectors(self, presence: csr_matrix) -> csr_matrix:
        """Presence x idf, each row scaled to length 1; a row without a known term is all zero."""
        weighted = presence[:, self.kept]
        weighted.data = self.idf[weighted.indices]
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        lengths[lengths == 0] = 1.0
        weighted.data /= np.repeat(lengths, np.diff(weighted.indptr))
        return weighted


def collect_terms(rows: DataFrame, target: Column) -> TermMatrix:
    """Collect columns terms (array of different strings), is_test and is_valid of every row, and `target` (int).

    The caller bounds the rows and terms. The order of texts and terms does not depend on partitions. One Spark job: workers replace
    terms by codes, a batch at a time.
    """
    named = rows.select(target.alias("target"), "is_test", "is_valid", F.xxhash64(TERMS).alias("place"), TERMS)
    batches = named.mapInArrow(_encoded, _BATCH).collect()
    known: dict[str, int] = {}
    codes = []
    for batch in batches:
        numbers = np.array([known.setdefault(term, len(known)) for term in batch["vocabulary"]], dtype=np.int64)
        codes.append(numbers[np.frombuffer(batch["codes"], np.int32)])

    def joined(name: str, kind: type) -> np.ndarray:
        return np.concatenate([np.frombuffer(batch[name], kind) for batch in batches])

    # Terms in their own order, texts by a hash of their terms.
    terms = np.array(list(known), dtype=object)
    by_term = np.argsort(terms, kind="stable")
    column = np.empty(len(terms), dtype=np.int64)
    column[by_term] = np.arange(len(terms))
    starts = np.concatenate([[0], np.cumsum(joined("sizes", np.int32))])
    columns = column[np.concatenate(codes)]
    presence = csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(starts) - 1, len(terms)))
    labels = joined("target", np.int32)
    order = np.lexsort((labels, joined("place", np.int64)))
    presence = presence[order]
    presence.sort_indices()
    return TermMatrix(
        presence, terms[by_term], labels[order].astype(np.int64),
        joined("is_test", np.bool_)[order], joined("is_valid", np.bool_)[order],
    )  # fmt: skip


def weight_terms(matrix: TermMatrix, rows: np.ndarray, min_document_count: int, max_features: int) -> Weighting:
    """The terms that at least `min_document_count` of `rows` (boolean, a text each) have, the most frequent ones and of equal ones
    the first in order, with idf = ln((rows + 1) / (rows that have it + 1)), as Spark's IDF has it."""
    counts = np.bincount(matrix.presence[rows].indices, minlength=len(matrix.vocabulary))
    kept = np.flatnonzero(counts >= max(1, min_document_count))
    if len(kept) > max_features:
        kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:max_features]])
    return Weighting(kept, np.log((int(rows.sum()) + 1) / (counts[kept] + 1)))


def _encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row a batch: its different terms, and of each text the codes of its terms."""
    for batch in batches:
        terms = batch.column("terms")
        encoded = terms.flatten().dictionary_encode()
        numbers = {
            "codes": encoded.indices.to_numpy().astype(np.int32),
            "sizes": pc.list_value_length(terms).to_numpy().astype(np.int32),
            "target": batch.column("target").to_numpy().astype(np.int32),
            "is_test": batch.column("is_test").to_numpy(zero_copy_only=False),
            "is_valid": batch.column("is_valid").to_numpy(zero_copy_only=False),
            "place": batch.column("place").to_numpy(),
        }
        columns = [pa.array([encoded.dictionary], pa.list_(pa.string()))]
        columns += [pa.array([values.tobytes()], pa.binary()) for values in numbers.values()]
        yield pa.RecordBatch.from_arrays(columns, names=["vocabulary", *numbers])
