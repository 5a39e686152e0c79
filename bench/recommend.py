"""Recommend: the top-k engine, the fit and the evaluation beside MLlib and the `implicit` package.

Factors and histories are drawn, seeded; what is compared is time on equal inputs, and that the answers are equal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.evaluation import RankingEvaluator
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from shoal.conf.loading import load
from shoal.recommend.candidates.als import AlsSettings, fit_als, with_numbers
from shoal.recommend.protocol.metrics import USER_METRICS, mean_metrics, user_metrics
from shoal.recommend.ranking.top_k import rank_top_k

from bench.ingest import seconds

USERS, ITEMS, RANK, SEEN, K, ROUNDS = 50_000, 20_000, 32, 30, 10, 5
USER_BLOCK = 256
CURVE = load().evaluate_recommender.curve


def written(folder: Path, name: str, table: pa.Table) -> str:
    """The path of the table as Parquet, in four row groups, so that both cores read it."""
    path = folder / f"{name}.parquet"
    pq.write_table(table, path, row_group_size=max(1, table.num_rows // 4 + 1))
    return str(path)


def factor_table(rows: int, rank: int, seed: int, prefix: str) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """Ids, numbers and normal factors of that many rows."""
    factors = np.random.default_rng(seed).normal(0, 0.3, (rows, rank)).astype(np.float32)
    lists = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * rank, pa.int32()), pa.array(factors.ravel()))
    ids = pa.array([f"{prefix}{n}" for n in range(rows)])
    return pa.table({"name": ids, "id": pa.array(np.arange(rows), pa.int32()), "features": lists}), factors


def seen_pairs(users: int, items: int, each: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """`each` items of every user, popular ones more often; numbers."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(users), each)
    # One number a pair: of rows of two, `unique` makes a sort by fields, which takes minutes at 30 million.
    pairs = np.unique(owner * items + (rng.random(users * each) ** 2 * items).astype(np.int64))
    return pairs // items, pairs % items


def consumed(rows: DataFrame) -> None:
    """Compute every row and column, keep none."""
    rows.write.format("noop").mode("overwrite").save()


def in_turn(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median seconds of each call, called in turn after one warm-up each."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    return {name: float(np.median(times)) for name, times in taken.items()}


def top_k_rows(spark: SparkSession, folder: Path) -> list[dict[str, Any]]:
    """Every user's best unseen ten: ours, MLlib with an anti-join, `implicit`."""
    from implicit.als import AlternatingLeastSquares

    user_table, users = factor_table(USERS, RANK, 1, "u")
    item_table, items = factor_table(ITEMS, RANK, 2, "i")
    owner, met = seen_pairs(USERS, ITEMS, SEEN, 3)
    seen_table = pa.table({
        "user_id": pa.array([f"u{n}" for n in owner]), "item_id": pa.array([f"i{n}" for n in met]),
        "user": pa.array(owner, pa.int32()), "item": pa.array(met, pa.int32()),
    })  # fmt: skip
    frames = {name: spark.read.parquet(written(folder, name, table)).persist()
              for name, table in (("users", user_table), ("items", item_table), ("seen", seen_table))}  # fmt: skip
    for frame in frames.values():
        frame.count()

    def ours() -> DataFrame:
        known = frames["users"].select(F.col("name").alias("user_id"), "features")
        catalogue = frames["items"].select(F.col("name").alias("item_id"), "features")
        return rank_top_k(known, catalogue, frames["seen"].select("user_id", "item_id"), K, USER_BLOCK)

    model = ALSModel(spark._jvm.org.apache.spark.ml.recommendation.ALSModel(
        "bench", RANK, frames["users"].select("id", "features")._jdf, frames["items"].select("id", "features")._jdf
    ))  # fmt: skip
    model._call_java("setUserCol", "user")
    model._call_java("setItemCol", "item")

    def mllib() -> DataFrame:
        # It cannot leave out what was seen: ask for as many more as anybody has seen.
        listed = model.recommendForAllUsers(K + SEEN).select("user", F.explode("recommendations").alias("_r"))
        listed = listed.select("user", F.col("_r.item").alias("item"), F.col("_r.rating").alias("score"))
        unseen = listed.join(frames["seen"].select("user", "item"), ["user", "item"], "left_anti")
        order = Window.partitionBy("user").orderBy(F.desc("score"), "item")
        return unseen.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= K)

    peer = AlternatingLeastSquares(factors=RANK)
    peer.user_factors, peer.item_factors = users, items
    history = csr_matrix((np.ones(len(met), np.float32), (owner, met)), (USERS, ITEMS))
    every = np.arange(USERS)
    took = in_turn({
        "ours": lambda: consumed(ours()), "mllib": lambda: consumed(mllib()),
        "implicit": lambda: peer.recommend(every, history, N=K, filter_already_liked_items=True),
    }, ROUNDS)  # fmt: skip
    faults = 0
    asked = [f"u{n}" for n in range(0, USERS, USERS // 200)]
    found: dict[str, list[str]] = {}
    for row in ours().where(F.col("user_id").isin(asked)).orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append(row["item_id"])
    for name in asked:
        number = int(name[1:])
        scores = items.astype(np.float64) @ users[number].astype(np.float64)
        scores[met[owner == number]] = -np.inf
        best = sorted(range(ITEMS), key=lambda i: (-scores[i], f"i{i}"))[:K]
        faults += found[name] != [f"i{i}" for i in best]
    for frame in frames.values():
        frame.unpersist()
    what = f"top {K} of {USERS:,} users x {ITEMS:,} items, rank {RANK}, {SEEN} seen"
    return [
        {"what": what, "ours": took["ours"], "peer": took["mllib"], "ratio": took["mllib"] / took["ours"], "unit": "s",
         "target": ">= 5", "note": "peer: MLlib recommendForAllUsers and an anti-join; ratio: times as fast"},
        {"what": what, "ours": took["ours"], "peer": took["implicit"], "ratio": took["ours"] / took["implicit"], "unit": "s",
         "target": "<= 2.5", "note": "peer: implicit, factors in memory, no ids"},
        {"what": f"{what}: lists unlike brute force", "ours": faults, "unit": f"of {len(asked)} users", "target": "0"},
    ]  # fmt: skip


def fit_rows(spark: SparkSession, folder: Path) -> list[dict[str, Any]]:
    """ALS fit beside plain MLlib; the evaluation of 100,000 users beside RankingEvaluator, metric by metric."""
    owner, met = seen_pairs(6_000, 4_000, 50, 5)
    events = pa.table({
        "user_id": pa.array([f"u{n}" for n in owner]), "item_id": pa.array([f"i{n}" for n in met]),
        "weight": np.ones(len(met)), "value": pa.nulls(len(met), pa.float64()),
    })  # fmt: skip
    numbered = with_numbers(spark.read.parquet(written(folder, "events", events))).persist()
    numbered.count()
    settings = AlsSettings("implicit", 64, 0.1, 0.5, 10, 42)
    plain = ALS(rank=64, maxIter=10, regParam=0.1, alpha=0.5, implicitPrefs=True, seed=42, userCol="user", itemCol="item",
                ratingCol="weight")  # fmt: skip

    def ours_fit() -> None:
        model = fit_als(numbered, settings)
        consumed(model.user_factors)
        consumed(model.item_factors)

    def mllib_fit() -> None:
        model = plain.fit(numbered)
        consumed(model.userFactors)
        consumed(model.itemFactors)

    fits = in_turn({"ours": ours_fit, "mllib": mllib_fit}, ROUNDS)
    numbered.unpersist()
    rng = np.random.default_rng(7)
    users, length = 100_000, 20
    listed = pa.table({
        "model": pa.array(["m"] * users * length), "user_id": pa.array(np.repeat([f"u{n}" for n in range(users)], length)),
        "rank": pa.array(np.tile(np.arange(1, length + 1), users), pa.int32()),
        "item_id": pa.array([f"i{n}" for n in np.concatenate([rng.permutation(500)[:length] for _ in range(users)])]),
    })  # fmt: skip
    sought = pa.table({
        "user_id": pa.array(np.repeat([f"u{n}" for n in range(users)], 5)),
        "item_id": pa.array([f"i{n}" for n in rng.integers(0, 500, users * 5)]),
    })  # fmt: skip
    lists = spark.read.parquet(written(folder, "lists", listed)).persist()
    test = spark.read.parquet(written(folder, "test", sought)).persist()
    # What the evaluator wants: arrays of doubles. It reads its input anew for each metric: from rows it groups them each time,
    # unless somebody keeps the arrays, which takes memory; both are measured.
    number = F.substring("item_id", 2, 9).cast("double")
    predictions = lists.groupBy("user_id").agg(F.array_sort(F.collect_list(F.struct("rank", number.alias("n")))).alias("_l"))
    grouped = predictions.select("user_id", F.col("_l.n").alias("prediction")).join(
        test.groupBy("user_id").agg(F.collect_set(number).alias("label")), "user_id"
    )
    # Another plan than `grouped`, or Spark would take the kept rows for both.
    arrays = grouped.withColumn("is_kept", F.lit(True)).persist()
    for frame in (lists, test, arrays):
        frame.count()
    names = ("ndcgAtK", "meanAveragePrecisionAtK", "precisionAtK", "recallAtK")

    def mllib_judge(frame: DataFrame, ks: list[int]) -> None:
        for k in ks:
            for name in names:
                RankingEvaluator(predictionCol="prediction", labelCol="label", metricName=name, k=k).evaluate(frame)

    def our_judge(ks: list[int]) -> None:
        mean_metrics(user_metrics(lists, test, ks, ["m"])).collect()

    judged = in_turn({
        "curve": lambda: our_judge(CURVE), "curve rows": lambda: mllib_judge(grouped, CURVE),
        "ours": lambda: our_judge([length]), "rows": lambda: mllib_judge(grouped, [length]),
        "arrays": lambda: mllib_judge(arrays, [length]),
    }, ROUNDS)  # fmt: skip
    for frame in (lists, test, arrays):
        frame.unpersist()
    return [
        {"what": f"ALS fit, {len(met):,} events, rank 64, ten rounds", "ours": fits["ours"], "peer": fits["mllib"],
         "ratio": fits["ours"] / fits["mllib"], "unit": "s", "target": "<= 1.1",
         "note": "peer: MLlib on numbers; ours has the ids' factors too"},
        {"what": f"evaluation of {users:,} users x {length} at k {CURVE}, as `evaluate recommender` has it",
         "ours": judged["curve"], "peer": judged["curve rows"], "ratio": judged["curve"] / judged["curve rows"], "unit": "s",
         "target": "<= 0.25",
         "note": f"from rows; ours: {len(USER_METRICS)} metrics; peer: RankingEvaluator, {len(names)} metrics one by one"},
        {"what": f"the same at k {length} only", "ours": judged["ours"], "peer": judged["rows"],
         "ratio": judged["ours"] / judged["rows"], "unit": "s", "target": "<= 0.25", "note": "from rows"},
        {"what": f"the same at k {length} only, the peer's arrays ready and in memory", "ours": judged["ours"],
         "peer": judged["arrays"], "ratio": judged["ours"] / judged["arrays"], "unit": "s", "target": "<= 0.25",
         "note": "ours from rows all the same"},
    ]  # fmt: skip


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """All rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*top_k_rows(spark, folder), *fit_rows(spark, folder)]
