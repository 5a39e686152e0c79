"""Texts at scale, at a share of the sizes that are asked for (10 million texts, 1 million to learn from), which each row names.

- sentiment of short texts by the lexicon in Spark, beside vaderSentiment in one process: rows a second and core
- training of a text classifier: rows a second
- near-duplicates among texts of twelve words, one in fifty a copy with another last word: rows a second and core, and how many of
  the planted pairs are found
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.mine.duplicates.texts import shingle_sets, similar_sets
from shoal.mine.text.classifier import train_classifier
from shoal.mine.text.lexicon import with_lexicon_sentiment
from shoal.models.text_classifiers import plan_of
from shoal.simulate import tables
from shoal.simulate.world import WorldConf
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from bench.ingest import seconds

VADER = Path(__file__).resolve().parents[2] / "shared" / "data" / "vader" / "tweets_GroundTruth.txt"
# A twentieth, a twentieth and a fiftieth of what is asked for.
TEXTS, LABELLED, UNIQUE = 500_000, 50_000, 200_000
PEER_TEXTS = 20_000
WORDS, VOCABULARY, COPIES = 12, 20_000, 50


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a task."""
    return [sentiment(spark), training(spark), near_duplicates(spark)]


def sentiment(spark: SparkSession) -> dict[str, Any]:
    """vader's tweets, each many times, with a number behind it so that none is seen twice."""
    tweets = [line.split("\t", 2)[2] for line in VADER.read_text(encoding="utf-8").splitlines() if line.strip()]
    cores = spark.sparkContext.defaultParallelism
    pool = spark.createDataFrame(list(enumerate(tweets)), "at long, tweet string")
    numbered = spark.range(0, TEXTS, 1, 4 * cores).join(F.broadcast(pool), F.col("id") % len(tweets) == F.col("at"))
    texts = numbered.select(F.concat_ws(" ", "tweet", "id").alias("text")).persist()
    texts.count()

    def ours() -> None:
        with_lexicon_sentiment(texts, F.col("text"), 20_000).write.format("noop").mode("overwrite").save()

    spent = seconds(ours)
    sample = [row["text"] for row in texts.limit(PEER_TEXTS).collect()]
    texts.unpersist()
    judge = SentimentIntensityAnalyzer()
    peer = seconds(lambda: [judge.polarity_scores(text) for text in sample])
    rate, theirs = TEXTS / spent / cores, PEER_TEXTS / peer
    note = f"{spent:.1f} s on {cores} cores; the peer is timed on {PEER_TEXTS:,}"
    return {
        "what": f"sentiment of {TEXTS:,} short texts (of 10 million), vaderSentiment in one process", "ours": rate, "peer": theirs,
        "ratio": rate / theirs, "unit": "rows/s/core", "target": "20,000", "note": note,
    }  # fmt: skip


def training(spark: SparkSession) -> dict[str, Any]:
    """The classifier of sentiments on texts of the simulated world, as train_sentiment trains it."""
    world = WorldConf(users=5_000, items=5_000, events=0, texts=round(LABELLED / 0.7))
    written = tables.texts_with_truth(spark, world).where("label is not null")
    texts = written.select("text", "label", F.lit(None).cast("string").alias("group")).persist()
    count, found = texts.count(), []
    spent = seconds(lambda: found.append(train_classifier(texts, plan_of(load().train_sentiment))))
    texts.unpersist()
    return {
        "what": f"training of a text classifier on {count:,} texts (of 1 million)", "ours": count / spent, "peer": None,
        "ratio": None, "unit": "rows/s", "target": "", "note": f"{spent:.1f} s; macro-F1 {found[0].quality.macro_f1:.3f}",
    }  # fmt: skip


def near_duplicates(spark: SparkSession) -> dict[str, Any]:
    """Pairs among drawn texts."""
    conf, cores = load().near_duplicates, spark.sparkContext.defaultParallelism
    texts = drawn(spark, 4 * cores).persist()
    texts.count()
    found: list[DataFrame] = []

    def pairs() -> None:
        sets = shingle_sets(texts).dropDuplicates(["key"]).persist()
        found.append(similar_sets(sets.select("key", "shingles"), conf.text_similarity, conf.max_bucket, conf.seed).persist())
        found[0].count()

    spent = seconds(pairs)
    keys = shingle_sets(texts).select("id", "key")
    first, second = keys.selectExpr("id as a", "key"), keys.selectExpr("id as b", "key as other_key")
    named = found[0].join(first, "key").join(second, "other_key")
    planted = named.where(F.abs(F.col("a") - F.col("b")) == 1).where(F.greatest("a", "b") % COPIES == 1)
    total, right = found[0].count(), planted.count()
    spark.catalog.clearCache()
    return {
        "what": f"near-duplicates of {UNIQUE:,} texts of {WORDS} words (of 10 million)", "ours": UNIQUE / spent / cores,
        "peer": None, "ratio": None, "unit": "rows/s/core", "target": "",
        "note": f"{spent:.1f} s on {cores} cores; {right:,} of {UNIQUE // COPIES:,} planted pairs, {total - right:,} others",
    }  # fmt: skip


def drawn(spark: SparkSession, partitions: int) -> DataFrame:
    """id, text: WORDS words each; number COPIES n + 1 is number COPIES n with another last word."""
    is_copy = F.col("id") % COPIES == 1
    source = F.when(is_copy, F.col("id") - 1).otherwise(F.col("id"))
    words = F.transform(F.sequence(F.lit(1), F.lit(WORDS - 1)), lambda n: _word(source, n))
    last = _word(F.col("id"), F.lit(WORDS))
    return spark.range(0, UNIQUE, 1, partitions).select("id", F.concat_ws(" ", words, last).alias("text"))


def _word(number: Any, place: Any) -> Any:
    return F.concat(F.lit("w"), F.pmod(F.xxhash64(number, place), F.lit(VOCABULARY)).cast("string"))
