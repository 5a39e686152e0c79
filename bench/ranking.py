"""Ranking: ALS beside popularity and beside the `implicit` package's ALS, on MovieLens latest-small, k = 10.

The last fifth of each user's events by time is held out; all settings are chosen on the same validation part of the rest. The
peer searches its own regularisation and confidence at the rank that our search chose; its lists are judged by our metrics.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.cli.evaluate import read_events
from shoal.conf.loading import load
from shoal.recommend.candidates.als import with_numbers
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.search import SearchSpace
from shoal.recommend.evaluation.evaluate import EvaluationProtocol, evaluate_lists, evaluate_models
from shoal.recommend.protocol.metrics import mean_metrics, user_metrics
from shoal.recommend.protocol.split import test_part, training_part, with_time_split, with_validation_split

RATINGS = Path(__file__).resolve().parents[2] / "shared" / "data" / "movielens_latest_small" / "ratings.csv"
K = 10
# Ordinary values of the package, whose regularisation is not scaled by the number of events.
REGULARISATIONS, ALPHAS = (1.0, 5.0, 20.0, 50.0), (1.0, 4.0, 10.0)
SHOWN = ("ndcg", "recall", "precision", "map", "coverage")


@dataclass(frozen=True)
class Matrix:
    """Training pairs as the peer wants them: a sparse matrix and the ids of its rows and columns."""

    pairs: Any
    users: list[str]
    items: list[str]


def matrix(rows: DataFrame) -> Matrix:
    """One 1 per user and item."""
    from scipy.sparse import csr_matrix

    frame = rows.select("user_id", "item_id").toPandas()
    users, items = sorted(set(frame["user_id"])), sorted(set(frame["item_id"]))
    at_user, at_item = {u: n for n, u in enumerate(users)}, {i: n for n, i in enumerate(items)}
    places = (frame["user_id"].map(at_user), frame["item_id"].map(at_item))
    ones = np.ones(len(frame), np.float32)
    return Matrix(csr_matrix((ones, places), (len(users), len(items))), users, items)


def peer_lists(spark: SparkSession, known: Matrix, rank: int, regularisation: float, alpha: float, rounds: int) -> DataFrame:
    """Lists of the package's ALS."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=rank, regularization=regularisation, alpha=alpha, iterations=rounds, random_state=42, num_threads=0
    )
    model.fit(known.pairs, show_progress=False)
    index, _ = model.recommend(np.arange(len(known.users)), known.pairs, N=K, filter_already_liked_items=True)
    rows = [("implicit", known.users[u], n, known.items[i]) for u, listed in enumerate(index) for n, i in enumerate(listed, 1)]
    return spark.createDataFrame(rows, "model string, user_id string, rank int, item_id string")


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row a metric and peer, one for the seconds of search and fit together. Raises where the ratings are not there."""
    settings = load()
    conf = settings.evaluate_recommender
    space = SearchSpace(conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed)
    split = with_time_split(with_numbers(preferences(read_events(spark, RATINGS))), 0.2).persist()
    train, test = training_part(split).persist(), test_part(split).persist()
    test.count()

    clock = time.monotonic()
    protocol = EvaluationProtocol(K, space, conf.validation_ratio, settings.recommend.user_batch_size)
    ours = evaluate_models(train, test, ["popularity", "als"], protocol)
    our_seconds = time.monotonic() - clock
    chosen = ours.als

    clock = time.monotonic()
    part = with_validation_split(train, conf.validation_ratio, conf.seed).persist()
    known, held_out = matrix(training_part(part)), test_part(part)

    def validated(regularisation: float, alpha: float) -> float:
        lists = peer_lists(spark, known, chosen.rank, regularisation, alpha, 15)
        return float(mean_metrics(user_metrics(lists, held_out, [K], ["implicit"])).first()[f"ndcg@{K}"])

    grid = {pair: validated(*pair) for pair in product(REGULARISATIONS, ALPHAS)}
    best = max(grid, key=lambda pair: grid[pair])
    lists = peer_lists(spark, matrix(train), chosen.rank, *best, rounds=15).withColumn("score", F.lit(0.0))
    peer = evaluate_lists(lists, test, train, ["implicit"], K)["implicit"]["all"]
    peer_seconds = time.monotonic() - clock

    rows = []
    for other, values in (("popularity", ours.metrics["popularity"]["all"]), ("implicit's ALS", peer)):
        for metric in SHOWN:
            mine, theirs = ours.metrics["als"]["all"][f"{metric}@{K}"], values[f"{metric}@{K}"]
            target = "at least .122" if metric == "ndcg" and other != "popularity" else None
            rows.append({
                "what": f"{metric}@{K}: ALS beside {other}", "ours": mine, "peer": theirs, "unit": "0..1",
                "ratio": mine / theirs if mine is not None and theirs else None, "target": target,
                "note": f"rank {chosen.rank}, reg {chosen.reg_param:g}, alpha {chosen.alpha:g}; "
                + (f"peer reg {best[0]:g}, alpha {best[1]:g}" if other != "popularity" else "seen items excluded from both"),
            })  # fmt: skip
    rows.append({
        "what": "search, fit and evaluation", "ours": our_seconds, "peer": peer_seconds, "ratio": our_seconds / peer_seconds,
        "unit": "s", "target": None, "note": f"ours {len(ours.trials)} trials in Spark; peer {len(grid)} in C++ in one process",
    })  # fmt: skip
    for frame in (ours.lists, part, train, test, split):
        frame.unpersist()
    return rows
