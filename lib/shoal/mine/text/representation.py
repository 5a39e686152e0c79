"""Texts as vectors, learned from the texts themselves: one interface, three representations.

- tfidf      how often each of the commonest words stands in the text, rare words weighing more; length 1 (scikit-learn's smoothed
             idf, ln((1 + n) / (1 + texts with it)) + 1)
- word2vec   the mean of its words' vectors (Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013)
- sif        that mean with frequent words weighing less, and without the direction that all texts share (Arora, Liang and Ma, A
             Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017): what others use Doc2Vec for

All are a sum over the known words of a text, so that a term's row (`Terms`) is all that scoring needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.feature import Word2Vec
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats
from shoal.mine.text.rules import Preprocessing
from shoal.mine.text.terms import TEXT, WORDS, shortened, with_words

TFIDF, WORD2VEC, SIF = REPRESENTATIONS = ("tfidf", "word2vec", "sif")
# The paper's a: a word of one in a thousand weighs half.
SIF_WEIGHT = 1e-3
# Texts whose vectors the driver holds to find the direction that all share: 4 MB of 100 numbers each.
COMMON_TEXTS = 10_000
_PLAIN = Preprocessing(1, (0, 0), "none", "none")
_VECTOR = "size int, indices array<int>, values array<float>"


@dataclass(frozen=True)
class RepresentationSettings:
    """`max_terms`: words that count, those that most texts have, each in `min_texts` texts at least; `vector_size`, `window`,
    `iterations` and `max_learning_texts` are Word2Vec's; `max_text_length`: code points of a text that are read; `seed`: of drawing
    and learning."""

    representation: str
    max_terms: int
    min_texts: int
    vector_size: int
    window: int
    iterations: int
    max_learning_texts: int
    max_text_length: int
    seed: int


@dataclass(frozen=True)
class Terms:
    """What a representation has learned: `names` in order, of each the texts with it, its weight, and (word2vec, sif) a row of
    `vectors`, which has the weight in it."""

    representation: str
    names: tuple[str, ...]
    texts: tuple[int, ...]
    weights: Doubles
    vectors: Floats | None

    @property
    def size(self) -> int:
        """Numbers of a vector."""
        return len(self.names) if self.vectors is None else int(self.vectors.shape[1])


def words_of(texts: DataFrame, max_text_length: int) -> DataFrame:
    """The columns of `texts` but text, and `words` in their order (shoal.mine.text.terms). Lazy, no shuffle."""
    rows = texts.withColumn(TEXT, shortened(F.col("text"), max_text_length))
    return with_words(rows, _PLAIN).drop(TEXT)


def learn_terms(texts: DataFrame, count: int, settings: RepresentationSettings) -> Terms | None:
    """Learn a representation from `count` rows of `texts` (text_id, text); None where no word is in `min_texts` texts.

    The same for the same texts, however they lie in partitions: ties of frequency go to the smaller word. Cost: two shuffles by
    word; word2vec and sif also Word2Vec on `max_learning_texts` texts in one partition and thread. Collects `max_terms` rows; sif
    also the vectors of COMMON_TEXTS texts.
    """
    words = words_of(texts, settings.max_text_length).persist()
    try:
        one = F.count(F.lit(1))
        each = words.select("text_id", F.explode(WORDS).alias("term")).groupBy("text_id", "term").agg(one.alias("n"))
        counted = each.groupBy("term").agg(one.alias("texts"), F.sum("n").alias("n"))
        common = counted.where(F.col("texts") >= settings.min_texts).orderBy(F.desc("texts"), "term").limit(settings.max_terms)
        rows = sorted(common.collect(), key=lambda row: str(row["term"]))
        if not rows:
            return None
        names, found = tuple(row["term"] for row in rows), tuple(int(row["texts"]) for row in rows)
        if settings.representation == TFIDF:
            idf = np.log((1 + count) / (1 + np.array(found, np.float64))) + 1
            return Terms(TFIDF, names, found, idf, None)
        drawn = F.xxhash64(F.lit(settings.seed), "text_id")
        chosen = words.where(F.size(WORDS) > 1).orderBy(drawn, "text_id").limit(settings.max_learning_texts)
        # One partition in one order: counts, draws and sums are then the same each time.
        ordered = chosen.repartition(1).sortWithinPartitions(drawn, "text_id").select("text_id", WORDS).persist()
        try:
            vectors = _word_vectors(ordered, names, settings)
            plain = Terms(WORD2VEC, names, found, np.ones(len(names)), vectors)
            if settings.representation == WORD2VEC:
                return plain
            occurrences = np.array([row["n"] for row in rows], np.float64)
            weights = SIF_WEIGHT / (SIF_WEIGHT + occurrences / occurrences.sum())
            weighted = replace(plain, representation=SIF, weights=weights, vectors=(vectors * weights[:, None]).astype(np.float32))
            sample: Any = with_vectors(ordered.limit(COMMON_TEXTS), weighted).select("values").toPandas()
            return without_common(weighted, np.array(sample["values"].tolist(), np.float64).reshape(-1, weighted.size))
        finally:
            ordered.unpersist()
    finally:
        words.unpersist()


def without_common(terms: Terms, sample: Doubles) -> Terms:
    """The terms without the first right singular vector of `sample`, a row a text: as a text's vector is a mean of its terms',
    none of them has that direction then. Without a row that is not zero, the terms as they are."""
    if terms.vectors is None or not np.any(sample):
        return terms
    _, found = np.linalg.eigh(sample.T @ sample)
    common = found[:, -1]
    given = terms.vectors.astype(np.float64)
    return replace(terms, vectors=(given - np.outer(given @ common, common)).astype(np.float32))


def with_vectors(rows: DataFrame, terms: Terms) -> DataFrame:
    """The columns of `rows` but `words`, and size, indices, values: the vector of `words`. tfidf is sparse: `indices` ascending,
    from 0; the others have all numbers, and null indices. A text without a known word has no values, or zeros. Lazy, one pass, no
    shuffle; the terms go to every task."""
    kept = [field for field in rows.schema.fields if field.name != WORDS]
    place = {name: n for n, name in enumerate(terms.names)}
    vector = _sparse(terms.weights) if terms.vectors is None else _dense(terms.vectors)
    size = terms.size

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = [vector([place[w] for w in words or [] if w in place]) for words in batch.column(WORDS).to_pylist()]
            columns = [
                *[batch.column(field.name) for field in kept], pa.array([size] * batch.num_rows, pa.int32()),
                pa.array([places for places, _ in found], pa.list_(pa.int32())),
                pa.array([values for _, values in found], pa.list_(pa.float32())),
            ]  # fmt: skip
            yield pa.RecordBatch.from_arrays(columns, names=[*[field.name for field in kept], "size", "indices", "values"])

    schema = ", ".join([*[f"`{field.name}` {field.dataType.simpleString()}" for field in kept], _VECTOR])
    return rows.mapInArrow(made, schema)


_Vector = Callable[[list[int]], tuple[list[int] | None, list[float]]]


def _sparse(weights: Doubles) -> _Vector:
    def vector(places: list[int]) -> tuple[list[int] | None, list[float]]:
        counts = sorted(Counter(places).items())
        values = np.array([n * weights[at] for at, n in counts], np.float64)
        length = float(np.sqrt((values**2).sum())) or 1.0
        return [at for at, _ in counts], (values / length).tolist()

    return vector


def _dense(vectors: Floats) -> _Vector:
    def vector(places: list[int]) -> tuple[list[int] | None, list[float]]:
        found = vectors[places].astype(np.float64).mean(axis=0) if places else np.zeros(vectors.shape[1])
        return None, found.tolist()

    return vector


def _word_vectors(ordered: DataFrame, names: tuple[str, ...], settings: RepresentationSettings) -> Floats:
    """A row a name; zeros for one that no learned text has, and for all where there is no text of two words."""
    found = np.zeros((len(names), settings.vector_size), np.float32)
    if ordered.isEmpty():
        return found
    model = Word2Vec(
        vectorSize=settings.vector_size, windowSize=settings.window, maxIter=settings.iterations, minCount=1, numPartitions=1,
        seed=settings.seed, inputCol=WORDS, outputCol="features",
    ).fit(ordered)  # fmt: skip
    known = ordered.sparkSession.createDataFrame([(name,) for name in names], "word string")
    place = {name: n for n, name in enumerate(names)}
    for row in model.getVectors().join(F.broadcast(known), "word").collect():
        found[place[row["word"]]] = row["vector"].toArray()
    return found
