"""Items by what their words mean: the mean of their terms' vectors, which Word2Vec learns from which terms stand together (Mikolov
et al., Efficient Estimation of Word Representations in Vector Space, 2013), rare terms weighing more (Arora, Liang and Ma, A Simple
but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017; TF-IDF weights here, and the mean of all items is taken away later).

TF-IDF asks whether two items have the same terms; this whether they have terms that are used alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.ml.feature import Word2Vec
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Floats
from shoal.recommend.candidates.content import ContentSettings, as_content, as_factors, kept_terms


@dataclass(frozen=True)
class WordSettings:
    """`size`: numbers a vector; `window`: terms on each side; `iterations`: over the sentences; `items`: at most so many items,
    drawn, are learned from; `seed`: of the drawing and the learning."""

    size: int
    window: int
    iterations: int
    items: int
    seed: int


def word_vectors(
    terms: DataFrame, words: WordSettings, content: ContentSettings, described: tuple[list[str], DataFrame] | None = None
) -> DataFrame:
    """One row per item with a term that counts: item_id, features (array<float>): the mean of its terms' vectors by TF-IDF weight.

    `terms`: item_id, terms, in their order (`content.content_terms`); those that count are those of `as_content`. `described`: what
    `kept_terms` and `as_content` gave for them, where the caller has both.
    The same for the same terms, however they lie in partitions. Cost: that of `as_content`, and Word2Vec in one partition and
    thread, which is what makes it the same each time: `items` x `iterations` x their terms; max_terms x size numbers on the driver.
    """
    if described is None:
        kept = kept_terms(terms, content)
        described = kept, as_content(terms, content, kept)
    kept, weighted = described
    total = F.aggregate("weights", F.lit(0.0), lambda sum_, w: sum_ + w.cast("double"))
    shares = F.transform("weights", lambda w: (w / total).cast("float"))
    mapping = fit_words(terms, kept, words)
    # The last row is what every item has: nothing.
    mapping = np.vstack([mapping, np.zeros((1, mapping.shape[1]), np.float32)])
    return as_factors(weighted.withColumn("weights", shares), mapping)


def fit_words(terms: DataFrame, kept: list[str], words: WordSettings) -> Floats:
    """len(kept) x size: the vector of each term; zeros for one that is in no sentence of those learned from, and for all where
    there is no sentence of two terms."""
    numbers = terms.sparkSession.createDataFrame([(term,) for term in kept], "term string")
    drawn = F.xxhash64(F.lit(words.seed), "item_id")
    chosen = terms.where(F.size("terms") > 0).orderBy(drawn, "item_id").limit(words.items)
    each = chosen.select("item_id", F.posexplode("terms").alias("place", "term")).join(F.broadcast(numbers), "term")
    sentences = each.groupBy("item_id").agg(F.array_sort(F.collect_list(F.struct("place", "term"))).alias("_entries"))
    sentences = sentences.select("item_id", F.col("_entries.term").alias("terms")).where(F.size("terms") > 1)
    # One partition in one order: counts, draws and sums are then the same each time.
    ordered = sentences.repartition(1).sortWithinPartitions(drawn, "item_id").select("terms").persist()
    found = np.zeros((len(kept), words.size), np.float32)
    try:
        if ordered.isEmpty():
            return found
        model = Word2Vec(
            vectorSize=words.size, windowSize=words.window, maxIter=words.iterations, minCount=1, numPartitions=1, seed=words.seed,
            inputCol="terms", outputCol="features",
        ).fit(ordered)  # fmt: skip
    finally:
        ordered.unpersist()
    place = {term: n for n, term in enumerate(kept)}
    for row in model.getVectors().collect():
        found[place[row["word"]]] = row["vector"].toArray()
    return found
