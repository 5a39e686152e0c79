"""Posts as vectors: words and numbers side by side for a linear model, numbers alone for trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.ml.feature import CountVectorizerModel, ElementwiseProduct, Normalizer, VectorAssembler, VectorSizeHint
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.mine.posts.rules import (
    LEAST_DEVIATION,
    LEVEL_POSTS,
    MAX_DEVIATIONS,
    MAX_TEXT_LENGTH,
    NUMBER_SCALE,
    POST_FEATURES,
    RELATIVE,
    TERM,
)

MAX_TERMS = 50_000
# A term of one post says nothing of others.
LEAST_POSTS_OF_TERM = 2

TERMS, WORDS, NUMBERS, FEATURES, LEVEL = "terms", "word_vector", "number_vector", "feature_vector", "level_vector"


@dataclass(frozen=True)
class Design:
    """How posts become vectors: the terms that are known, each with its inverse document frequency, and the mean and deviation of
    each number, in their order; `level_scale` are those of the author's level, which is in a vector of its own."""

    vocabulary: tuple[str, ...]
    idf: Doubles
    scales: dict[str, tuple[float, float]]
    level_scale: tuple[float, float]

    def stages(self) -> PipelineModel:
        """From terms to `word_vector`: presence, times idf, of length 1. Nothing in it is learned: made without a Spark job."""
        present = CountVectorizerModel.from_vocabulary(list(self.vocabulary), inputCol=TERMS, outputCol="_present").setBinary(True)
        weighted = ElementwiseProduct(scalingVec=Vectors.dense(self.idf), inputCol="_present", outputCol="_weighted")
        return PipelineModel([present, weighted, Normalizer(inputCol="_weighted", outputCol=WORDS)])

    def names(self) -> list[str]:
        """What each place of `feature_vector` stands for: a word, or a number; then what `level_vector` does."""
        return [*(f"word {term}" for term in self.vocabulary), *self.scales, "level"]


def with_terms(posts: DataFrame) -> DataFrame:
    """The posts with `terms`: words in lower case with their #, @ and apostrophes, pairs of neighbours, and a blank, which every
    post has, so that posts without a word have a vector too."""
    text = F.lower(F.substring(F.coalesce("text", F.lit("")), 1, MAX_TEXT_LENGTH))
    words = F.regexp_extract_all(text, F.lit(f"({TERM})"), F.lit(1))
    pairs = F.zip_with(
        F.slice(F.col("_words"), F.lit(1), F.greatest(F.size("_words") - 1, F.lit(0))),
        F.slice(F.col("_words"), F.lit(2), F.greatest(F.size("_words") - 1, F.lit(0))),
        lambda first, second: F.concat_ws(" ", first, second),
    )
    return posts.withColumn("_words", words).withColumn(TERMS, F.concat(F.array(F.lit(" ")), "_words", pairs)).drop("_words")


def author_level(count: str, prior: float) -> Column:
    """The level of an author's count (log1p) before a post: the mean of the last 20 known; of fewer than LEVEL_POSTS, the mean with
    `prior` in place of each one missing."""
    known, mean = F.col(f"{count}_known"), F.col(f"{count}_mean_all")
    filled = (known * mean + (LEVEL_POSTS - known) * prior) / LEVEL_POSTS
    return F.when(known == 0, F.lit(prior)).when(known < LEVEL_POSTS, filled).otherwise(F.col(f"{count}_mean_20"))


def numbers(count: str, level: Column) -> dict[str, Column]:
    """The numbers that a post is predicted from, by name: its features, and its author's past relative to `level`."""
    unseen = F.greatest(F.lit(0.0), (LEVEL_POSTS - F.col(f"{count}_known")) / LEVEL_POSTS)
    past = {name: F.col(f"{count}_{name}") - level for name in RELATIVE}
    return {
        **{name: F.col(name) for name in POST_FEATURES},
        **past,
        "deviation_20": F.col(f"{count}_deviation_20"),
        "days_since_last_log": F.log1p("days_since_last"),
        "unseen_share": unseen,
        # The fewer posts are known, the more an account's followers tell of its level.
        "followers_unseen": unseen * F.col("followers_log"),
    }


def fit_design(posts: DataFrame, columns: Mapping[str, Column], level: Column) -> Design:
    """The design of posts that have `terms`: the MAX_TERMS most frequent terms, idf = ln((posts + 1) / (posts with the term + 1))
    as Spark's IDF has it. Two passes; collects a mean and a deviation for each number, and the terms with their counts."""
    wanted = {**columns, "level": level}
    aggregates = [F.avg(c).alias(f"{n}_mean") for n, c in wanted.items()]
    aggregates += [F.stddev_pop(c).alias(f"{n}_deviation") for n, c in wanted.items()]
    found = posts.agg(F.count("*").alias("_posts"), *aggregates).collect()[0]
    scales = {name: (found[f"{name}_mean"] or 0.0, found[f"{name}_deviation"] or 0.0) for name in wanted}
    terms = posts.select(F.explode(F.array_distinct(TERMS)).alias("term")).groupBy("term").agg(F.count("*").alias("posts"))
    kept = terms.where(F.col("posts") >= LEAST_POSTS_OF_TERM).orderBy(F.desc("posts"), "term").limit(MAX_TERMS).collect()
    counts = np.array([row["posts"] for row in kept], np.float64)
    level_scale = scales.pop("level")
    return Design(tuple(row["term"] for row in kept), np.log((found["_posts"] + 1) / (counts + 1)), scales, level_scale)


def with_vectors(posts: DataFrame, design: Design, columns: Mapping[str, Column], level: Column) -> DataFrame:
    """The posts with `number_vector` (scaled and cut, 0 for a missing one), `feature_vector` (words, then numbers) and
    `level_vector` (the level, scaled and not cut: levels to come may lie beyond those of training). Lazy."""
    scaled = []
    for name, (mean, deviation) in design.scales.items():
        # Before the cut: Spark's least takes the other value in the place of a null, and orders NaN above every number.
        known = F.coalesce(F.nanvl(_scaled(columns[name], mean, deviation), F.lit(0.0)), F.lit(0.0))
        scaled.append(F.greatest(F.lit(-MAX_DEVIATIONS), F.least(F.lit(MAX_DEVIATIONS), known)) * NUMBER_SCALE)
    framed = design.stages().transform(posts).drop("_present", "_weighted").withColumn(NUMBERS, array_to_vector(F.array(*scaled)))
    framed = framed.withColumn(LEVEL, array_to_vector(F.array(_scaled(level, *design.level_scale) * NUMBER_SCALE)))
    # Without their sizes an assembler runs a job to look.
    for name, size in ((WORDS, len(design.vocabulary)), (NUMBERS, len(scaled)), (LEVEL, 1)):
        framed = VectorSizeHint(inputCol=name, size=size, handleInvalid="optimistic").transform(framed)
    return VectorAssembler(inputCols=[WORDS, NUMBERS], outputCol=FEATURES).transform(framed).drop(WORDS)


def _scaled(value: Column, mean: float, deviation: float) -> Column:
    """The value in deviations from the mean; 0 for a number that never varied in training, which says nothing."""
    return (value - mean) / deviation if deviation > LEAST_DEVIATION else F.lit(0.0)
