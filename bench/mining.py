"""People and posts: seconds of hashtag edges, Louvain, posts' features, isolation forest and series, each at two sizes, beside a
peer where one machine's library does the same on what fits it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import igraph
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.mine.anomalies.isolation_forest import score_rows
from shoal.mine.anomalies.seasonal import AlarmRule
from shoal.mine.anomalies.series import score_moments
from shoal.mine.graph.distributed_louvain import louvain
from shoal.mine.graph.modularity import modularity
from shoal.mine.graph.relations import shared_edges
from shoal.mine.posts.features import with_author_history, with_post_features
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

# The larger size is four times the smaller: n log n would be some 4.5 times the seconds.
GROWTH = 4
POSTS, EDGES, ROWS, COLUMNS, SERIES, DAYS = 500_000, 250_000, 250_000, 20, 2_500, 730


def seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """How long `action` takes, and what it gives."""
    start = time.perf_counter()
    given = action()
    return time.perf_counter() - start, given


def written(rows: DataFrame) -> float:
    """Seconds of computing every column of every row, kept nowhere."""
    return seconds(lambda: rows.write.format("noop").mode("overwrite").save())[0]


def uniform(seed: int) -> Any:
    """A number from 0 to 1 that is a row's own, the same in every run."""
    return F.pmod(F.xxhash64("id", F.lit(seed)), F.lit(1_000_003)) / 1_000_003


def grown(what: str, small: float, large: float, **more: Any) -> dict[str, Any]:
    """The row of a measure at two sizes; the ratio is that of its seconds, which go to standard error too."""
    sys.stderr.write(f"mining: {what}: {small:.1f} s, {large:.1f} s\n")
    return {
        "what": what,
        "ours": large,
        "ratio": large / small,
        "unit": "s; ratio: to a quarter of the size",
        "target": "n log n: about 4.5",
        **more,
    }


def hashtag_edges(spark: SparkSession) -> dict[str, Any]:
    """Users by the tags that they use: three uses a user, of tags whose frequencies fall as one over the rank."""
    conf, found = load().graph, []
    for size in (POSTS, POSTS * GROWTH):
        tags = size // 10
        tag = F.floor(F.exp(uniform(1) * math.log(tags))).cast("bigint")
        uses = spark.range(size).select(
            (F.col("id") % (size // 3)).cast("string").alias("user_id"), F.concat(F.lit("#"), tag.cast("string")).alias("thing")
        )
        rows = uses.distinct().persist()
        rows.count()
        found.append(written(shared_edges(rows, conf.edges_per_node)))
        rows.unpersist()
    return grown(f"hashtag edges of {POSTS * GROWTH:,} posts", *found)


def communities(spark: SparkSession) -> list[dict[str, Any]]:
    """A graph of planted groups of 50, four of five edges inside: ours from index to the last level, igraph's from arrays."""
    found, rows = [], []
    for size in (EDGES, EDGES * GROWTH):
        nodes = size // 10
        src = F.floor(uniform(1) * nodes).cast("bigint")
        near = src - src % 50 + F.floor(uniform(3) * 50)
        far = F.floor(uniform(4) * nodes).cast("bigint")
        pairs = spark.range(size).select(src.alias("s"), F.when(uniform(2) < 0.8, near).otherwise(far).alias("d")).where("s <> d")
        edges = pairs.select(
            F.col("s").cast("string").alias("src"), F.col("d").cast("string").alias("dst"), F.lit(1.0).alias("weight")
        )
        edges = edges.persist()
        edges.count()
        ours, communities_found = seconds(lambda edges=edges: louvain(edges, 42))
        found.append(ours)
    quality = modularity(edges, communities_found)
    arrays: Any = pairs.toPandas()
    theirs, parts = seconds(
        lambda: igraph.Graph(n=nodes, edges=arrays.to_numpy()).simplify(combine_edges="sum").community_multilevel()
    )
    title = f"Louvain in Spark, {EDGES * GROWTH:,} edges"
    rows.append(grown(title, *found, peer=theirs, note="peer: igraph's on one core, seconds; it holds the graph in memory"))
    rows.append(
        {
            "what": f"{title}: modularity",
            "ours": quality,
            "peer": parts.modularity,
            "ratio": (quality or 0.0) / parts.modularity,
            "unit": "modularity",
            "target": "within .02",
        }
    )
    edges.unpersist()
    return rows


def post_features(spark: SparkSession) -> dict[str, Any]:
    """Features and past of posts, of authors with 50 posts each."""
    found = []
    for size in (POSTS, POSTS * GROWTH):
        posts = spark.range(size).select(
            F.col("id").alias("position"),
            (F.col("id") % (size // 50)).cast("string").alias("author_id"),
            F.timestamp_seconds(F.lit(1_500_000_000) + F.floor(uniform(1) * 100_000_000)).alias("created_at"),
            F.concat(F.lit("Morning run #lisbon with @ann "), F.col("id").cast("string"), F.lit(" 😀 https://t.test/x")).alias(
                "text"
            ),
            F.floor(F.exp(uniform(2) * 8)).cast("bigint").alias("likes"),
            F.floor(F.exp(uniform(3) * 4)).cast("bigint").alias("comments"),
            F.lit(None).cast("timestamp").alias("author_created_at"),
            F.lit(1000).cast("bigint").alias("followers"),
            F.lit(100).cast("bigint").alias("following"),
            F.lit(False).alias("is_video"),
            F.lit(False).alias("has_location"),
            F.lit(False).alias("is_verified"),
        )
        found.append(written(with_author_history(with_post_features(posts))))
    return grown(f"features.posts of {POSTS * GROWTH:,} posts", *found)


def isolation(spark: SparkSession) -> list[dict[str, Any]]:
    """Rows of normal numbers, one in a thousand of twice the spread, ours beside scikit-learn's of as many trees."""
    names, found = [f"x{i}" for i in range(COLUMNS)], []
    for size in (ROWS, ROWS * GROWTH):
        spread = F.when(F.col("id") % 1000 == 0, 2.0).otherwise(1.0)
        rows = spark.range(size).select(
            F.col("id").alias("position"), *[(F.randn(i) * spread).alias(n) for i, n in enumerate(names)]
        )
        rows = rows.persist()
        rows.count()
        found.append(written(score_rows(rows, names, 0.001, 42)))
        if size == ROWS:
            ours: Any = score_rows(rows, names, 0.001, 42).orderBy("position").toPandas()
            truth, given = ours["position"].to_numpy() % 1000 == 0, rows.orderBy("position").select(*names).toPandas().to_numpy()
            peer = IsolationForest(n_estimators=100, random_state=42, n_jobs=2)
            theirs, score = seconds(lambda given=given, peer=peer: -peer.fit(given).score_samples(given))
        rows.unpersist()
    auc = roc_auc_score(truth, ours["anomaly_score"])
    return [
        grown(f"isolation forest, {ROWS * GROWTH:,} rows x {COLUMNS}", *found),
        {
            "what": f"isolation forest, {ROWS:,} rows x {COLUMNS}",
            "ours": found[0],
            "peer": theirs,
            "ratio": found[0] / theirs,
            "unit": "s",
            "note": "peer: scikit-learn's on two cores, from memory",
        },
        {
            "what": "the same: ROC-AUC of planted rows",
            "ours": auc,
            "peer": roc_auc_score(truth, score),
            "ratio": auc / roc_auc_score(truth, score),
            "unit": "ROC-AUC",
            "target": "within .01",
        },
    ]


def series(spark: SparkSession) -> dict[str, Any]:
    """Daily series of two years with a weekly rhythm."""
    conf, found = load().anomalies, []
    for size in (SERIES, SERIES * GROWTH):
        day = F.floor(F.col("id") / size)
        value = 100.0 + 20.0 * F.sin(day * (2 * math.pi / 7)) + F.randn(1) * 5.0
        rows = spark.range(size * DAYS).select(
            F.col("id").alias("position"),
            (F.col("id") % size).cast("string").alias("series"),
            F.timestamp_seconds(F.lit(1_500_000_000) + day * 86_400).alias("measured_at"),
            value.alias("value"),
        )
        found.append(written(score_moments(rows, AlarmRule(conf.alarm_share, conf.least_alarms))))
    return grown(f"{SERIES * GROWTH:,} daily series of {DAYS} days", *found)


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """All of them."""
    return [hashtag_edges(spark), *communities(spark), post_features(spark), *isolation(spark), series(spark)]
