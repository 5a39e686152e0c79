"""Strong generalisation: which events are known, and the published metrics, from literal rows."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.errors import UsageError
from shoal.recommend.candidates.als import AlsSettings, fit_als, fold_in
from shoal.recommend.protocol.strong import strong_metrics, with_strong_parts

EVENTS = "user_id string, item_id string, occurred_at timestamp"
PREFERENCES = "user_id string, item_id string, weight double, value double"


def test_users_are_held_out_whole_and_a_share_of_their_events_is_sought(spark: SparkSession) -> None:
    rows = [(f"u{u:02}", f"i{i}", None) for u in range(40) for i in range(10)]
    # One item of its own each: of a held-out user it is dropped, for no training user has it.
    rows += [(f"u{u:02}", f"own{u}", None) for u in range(40)]
    parts = [tuple(row) for row in with_strong_parts(spark.createDataFrame(rows, EVENTS), 0.3, 0.25, 5).collect()]
    users = {name: {user for user, *_, part in parts if part == name} for name in ("train", "fold_in", "test")}
    assert users["fold_in"] == users["test"]
    assert not users["train"] & users["test"]
    assert 5 <= len(users["test"]) <= 20
    counts = Counter((user, part) for user, *_, part in parts)
    # floor(10 x .25) of the ten events that are left; a training user keeps all eleven.
    assert {counts[user, "test"] for user in users["test"]} == {2}
    assert {counts[user, "fold_in"] for user in users["test"]} == {8}
    assert {counts[user, "train"] for user in users["train"]} == {11}
    with pytest.raises(UsageError, match="user_share: 0; expected a number between 0 and 1"):
        with_strong_parts(spark.createDataFrame(rows, EVENTS), 0, 0.25, 5)


def test_recall_divides_by_the_smaller_of_k_and_what_is_relevant(spark: SparkSession) -> None:
    """u: 30 relevant items, of which 10 fill the first places; v: one of two at place 21."""
    lists = [("m", "u", n + 1, f"r{n}") for n in range(10)] + [("m", "v", n + 1, f"x{n}") for n in range(20)]
    lists.append(("m", "v", 21, "a"))
    test = [("u", f"r{n}") for n in range(30)] + [("v", "a"), ("v", "b")]
    found = strong_metrics(
        spark.createDataFrame(lists, "model string, user_id string, rank int, item_id string"),
        spark.createDataFrame(test, "user_id string, item_id string"), ["m", "none"],
    )  # fmt: skip
    gains = [1 / math.log2(n + 2) for n in range(30)]
    ndcg = (sum(gains[:10]) / sum(gains) + (1 / math.log2(22)) / (gains[0] + gains[1])) / 2
    # 10 of min(20, 30) and 0 of 2; 10 of min(50, 30) and 1 of 2.
    assert found["m"] == pytest.approx({"recall@20": (10 / 20 + 0) / 2, "recall@50": (10 / 30 + 1 / 2) / 2, "ndcg@100": ndcg})
    assert found["none"] == {"recall@20": 0.0, "recall@50": 0.0, "ndcg@100": 0.0}
    nobody = strong_metrics(spark.createDataFrame([], "model string, user_id string, rank int, item_id string"),
                            spark.createDataFrame([], "user_id string, item_id string"), ["m"])  # fmt: skip
    assert nobody == {"m": {"recall@20": None, "recall@50": None, "ndcg@100": None}}


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_factors_of_folded_in_users_solve_their_own_system(spark: SparkSession, feedback: str) -> None:
    rows = [(f"u{u}", f"i{i}", 1.0 + (u * i) % 3, 1.0 + (u + i) % 5) for u in range(8) for i in range(6) if (u + i) % 3]
    settings = AlsSettings(feedback, 3, 0.1, 2.0, 4, 42)
    model = fit_als(spark.createDataFrame(rows, PREFERENCES), settings)
    new = [("new", "i1", 2.0, 5.0), ("new", "i4", 1.0, 2.0), ("new", "unknown", 1.0, 1.0), ("empty", "unknown", 1.0, 1.0),
           ("met", "i0", 0.0, None)]  # fmt: skip
    folded = fold_in(model, spark.createDataFrame(new, PREFERENCES)).user_factors
    found = {row["user_id"]: row["features"] for row in folded.collect()}
    assert set(found) == {"new"}
    items = {row["item_id"]: np.array(row["features"], np.float64) for row in model.item_factors.collect()}
    all_of, met = np.array(list(items.values())), np.array([items["i1"], items["i4"]])
    if feedback == "implicit":
        # Hu, Koren and Volinsky's closed form, with as much regularisation as there are ratings.
        confidence = np.array([1 + 2.0 * 2.0, 1 + 2.0 * 1.0])
        system = all_of.T @ all_of + (met.T * (confidence - 1)) @ met + 0.1 * 2 * np.eye(3)
        wanted = np.linalg.solve(system, met.T @ confidence)
    else:
        wanted = np.linalg.solve(met.T @ met + 0.1 * 2 * np.eye(3), met.T @ np.array([5.0, 2.0]))
    assert found["new"] == pytest.approx(wanted, rel=1e-5)
