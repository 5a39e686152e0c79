"""Texts: the lexicon's sentiment in Spark beside vaderSentiment in one process, training beside scikit-learn's pipeline, and the
near-duplicates of planted campaigns at two sizes. BENCH_SCALE=.01 makes all sizes a hundredth, to see that it works.

Texts are vader's 4,200 tweets, each again and again with a number of its own, which changes no sentiment.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import NearDuplicatesConf
from shoal.mine.duplicates.pairs import pairs_of_members
from shoal.mine.duplicates.texts import shingle_sets, similar_sets
from shoal.mine.text.classifier import train_classifier
from shoal.mine.text.lexicon import with_lexicon_sentiment
from shoal.models.text_classifiers import plan_of
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from bench.mining import grown, seconds, written
from bench.sentiment import read_sentences

TWEETS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vader" / "tweets_GroundTruth.txt"
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
SCORED, SCORED_BY_PEER, TRAINED, COMPARED = (int(n * SCALE) for n in (2_000_000, 100_000, 50_000, 400_000))
# A campaign: a text said by so many, each with one word of its own at the end.
CAMPAIGN = 4


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """The rows of the page."""
    tweets = [(row["text"], row["label"]) for row in read_sentences(spark, TWEETS).collect()]
    return [score(spark, tweets), train(spark, tweets), duplicates(spark)]


def many(spark: SparkSession, tweets: list[tuple[str, str]], count: int) -> DataFrame:
    """`count` rows of id, text, label, group: tweet after tweet, with the row's number behind it."""
    known = spark.createDataFrame([(n, *tweet) for n, tweet in enumerate(tweets)], "n int, tweet string, label string")
    rows = spark.range(0, count, 1, 16).withColumn("n", (F.col("id") % len(tweets)).cast("int"))
    text = F.concat_ws(" ", "tweet", "id")
    return rows.join(F.broadcast(known), "n").select("id", text.alias("text"), "label", F.lit(None).cast("string").alias("group"))


def score(spark: SparkSession, tweets: list[tuple[str, str]]) -> dict[str, Any]:
    """Texts a second of both; the peer reads a part, as its speed does not depend on their number."""
    rows = many(spark, tweets, SCORED)
    with_lexicon_sentiment(many(spark, tweets, 1000), F.col("text"), 20_000).write.format("noop").mode("overwrite").save()
    ours = SCORED / written(with_lexicon_sentiment(rows, F.col("text"), 20_000))
    texts = [f"{tweets[n % len(tweets)][0]} {n}" for n in range(SCORED_BY_PEER)]
    analyser = SentimentIntensityAnalyzer()
    spent, _ = seconds(lambda: [analyser.polarity_scores(text) for text in texts])
    peer, cores = SCORED_BY_PEER / spent, spark.sparkContext.defaultParallelism
    return {
        "what": f"the lexicon's sentiment of {SCORED:,} tweets, texts a second", "ours": ours, "peer": peer, "ratio": ours / peer,
        "unit": "texts/s", "target": ">= 20,000 a core",
        "note": f"{ours / cores:,.0f} a core; peer: vaderSentiment in one process, {SCORED_BY_PEER:,} texts",
    }  # fmt: skip


def train(spark: SparkSession, tweets: list[tuple[str, str]]) -> dict[str, Any]:
    """Seconds of the whole training, search and calibration included, beside one fit of scikit-learn's pipeline."""
    rows = many(spark, tweets, TRAINED).persist()
    texts = [(row["text"], row["label"]) for row in rows.select("text", "label").collect()]
    start = time.perf_counter()
    training = train_classifier(rows, plan_of(load().train_sentiment))
    ours = time.perf_counter() - start
    rows.unpersist()
    start = time.perf_counter()
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, max_features=100_000, binary=True)
    LinearSVC().fit(vectors.fit_transform([text for text, _ in texts]), np.array([label for _, label in texts]))
    peer = time.perf_counter() - start
    return {
        "what": f"training on {TRAINED:,} tweets", "ours": ours, "peer": peer, "ratio": ours / peer, "unit": "s", "target": None,
        "note": f"{training.rows / ours:,.0f} texts a second with search, calibration, held-out metrics; peer: one fit of "
                "TfidfVectorizer (characters in words) and LinearSVC, one process",
    }  # fmt: skip


def duplicates(spark: SparkSession) -> dict[str, Any]:
    """Seconds of all pairs at two sizes; every planted pair must be found, and no other."""
    conf = load().section(NearDuplicatesConf)

    def pairs(count: int) -> float:
        # Twenty words of a campaign's own, and one of the text's own: 17 of 19 shingles of three are equal.
        words = F.transform(
            F.sequence(F.lit(0), F.lit(19)), lambda i: F.concat(F.lit("w"), F.pmod(F.xxhash64("campaign", i), F.lit(5000)))
        )
        rows = spark.range(0, count, 1, 16).withColumn("campaign", F.floor(F.col("id") / CAMPAIGN))
        text = F.concat_ws(" ", F.array_join(words, " "), "id")
        texts = rows.select(F.col("id").cast("string").alias("id"), text.alias("text"))
        start = time.perf_counter()
        sets = shingle_sets(texts).persist()
        distinct = sets.dropDuplicates(["key"]).select("key", "shingles")
        alike = similar_sets(distinct, conf.text_similarity, conf.max_bucket, conf.seed)
        found = pairs_of_members(sets.select("id", "key"), alike, conf.max_copies)
        wrong = F.floor(F.col("id").cast("long") / CAMPAIGN) != F.floor(F.col("other_id").cast("long") / CAMPAIGN)
        counted, false = found.agg(F.count(F.lit(1)), F.count_if(wrong)).collect()[0]
        sets.unpersist()
        expected = count // CAMPAIGN * CAMPAIGN * (CAMPAIGN - 1) // 2
        assert counted >= 0.99 * expected and not false, (counted, expected, false)
        return time.perf_counter() - start

    small, large = pairs(COMPARED // 4), pairs(COMPARED)
    note = f"{COMPARED / large:,.0f} texts a second; 99% of the planted pairs and no false one"
    return grown(f"near-duplicates of {COMPARED:,} texts of 21 words", small, large, note=note)
