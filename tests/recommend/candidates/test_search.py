"""Settings are chosen on validation data, the same way every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.als import with_numbers
from shoal.recommend.candidates.search import SearchSpace, Trial, search_als
from shoal.recommend.evaluation.evaluate import EvaluationProtocol, evaluate_models

SPACE = SearchSpace("auto", [4, 1], [0.1], [1.0], search_iter=3, max_iter=6, seed=42)
COLUMNS = "user_id string, item_id string, weight double, value double, occurred_at timestamp"


def tastes(spark: SparkSession, rated: bool) -> DataFrame:
    """Three groups of 15 users and 15 items; each user takes ten items of its own group, in random order and time."""
    rng = np.random.default_rng(11)
    rows = []
    for user in range(45):
        for n, item in enumerate(rng.permutation(15)[:10]):
            when = datetime(2024, 1, 1) + timedelta(hours=int(n * 10 + user))
            rows.append((f"u{user}", f"{user % 3}-{item}", 1.0, float(rng.integers(1, 6)) if rated else None, when))
    return with_numbers(spark.createDataFrame(rows, COLUMNS))


def test_search_prefers_settings_that_rank_and_hears_every_trial(spark: SparkSession) -> None:
    heard: list[Trial] = []
    best, trials = search_als(tastes(spark, rated=True), SPACE, 5, 0.2, 256, heard.append)
    # Ratings are noise here: explicit ALS cannot find the groups. One factor cannot hold three of them.
    assert [(t.settings.feedback, t.settings.rank) for t in trials] == [("implicit", 4), ("explicit", 4), ("implicit", 1)]
    assert heard == trials
    assert best == replace(trials[0].settings, max_iter=6)
    scores = [t.metrics["ndcg@5"] for t in trials]
    assert scores[0] > 1.2 * max(scores[1:])


def test_a_trial_on_the_driver_is_the_trial_by_spark(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rated = tastes(spark, rated=True).persist()
    here = search_als(rated, SPACE, 5, 0.2, 256)
    monkeypatch.setattr("shoal.recommend.candidates.search.collect_split", lambda *_: None)
    there = search_als(rated, SPACE, 5, 0.2, 256)
    assert here[0] == there[0]
    for mine, theirs in zip(here[1], there[1], strict=True):
        assert mine.settings == theirs.settings
        assert mine.metrics == pytest.approx(theirs.metrics, rel=1e-9)
    rated.unpersist()


def test_what_cannot_be_validated_is_the_start_and_is_not_fitted(spark: SparkSession) -> None:
    pairs = with_numbers(spark.createDataFrame([("u", "i", 1.0, None, None), ("v", "i", 1.0, None, None)], COLUMNS))
    best, trials = search_als(pairs, SPACE, 5, 0.2, 256)
    assert (best.feedback, best.rank, best.max_iter) == ("implicit", 4, 6)
    assert [t.metrics for t in trials] == [{}]


def test_where_there_is_nothing_to_choose_nothing_is_fitted(spark: SparkSession) -> None:
    heard: list[Trial] = []
    one = replace(SPACE, feedback="implicit", ranks=[4, 4])
    best, trials = search_als(tastes(spark, rated=True), one, 5, 0.2, 256, heard.append)
    assert (best.rank, best.reg_param, best.alpha, best.max_iter) == (4, 0.1, 1.0, 6)
    assert ([t.metrics for t in trials], heard) == ([{}], [])
    # Explicit ALS has no alpha to choose.
    _, trials = search_als(tastes(spark, rated=True), replace(one, feedback="explicit", alphas=[1.0, 2.0]), 5, 0.2, 256)
    assert [t.metrics for t in trials] == [{}]


def test_events_that_cannot_be_trained_on_are_refused(spark: SparkSession) -> None:
    nothing = tastes(spark, rated=False).limit(0)
    with pytest.raises(InputError, match="nothing to train on"):
        search_als(nothing, SPACE, 5, 0.2, 256)
    with pytest.raises(InputError, match="no event has a rating"):
        search_als(tastes(spark, rated=False), replace(SPACE, feedback="explicit"), 5, 0.2, 256)
    with pytest.raises(UsageError, match="at least one value"):
        search_als(nothing, replace(SPACE, ranks=[]), 5, 0.2, 256)


def test_models_are_judged_side_by_side(spark: SparkSession) -> None:
    train = tastes(spark, rated=False).persist()
    # Each user's first unseen item of the own group is test; one user is unknown.
    known = {(r["user_id"], r["item_id"]) for r in train.collect()}
    held_out = [(f"u{u}", next(f"{u % 3}-{i}" for i in range(15) if (f"u{u}", f"{u % 3}-{i}") not in known)) for u in range(45)]
    test = spark.createDataFrame([*held_out, ("stranger", "0-1")], "user_id string, item_id string")
    protocol = EvaluationProtocol(5, replace(SPACE, ranks=[4]), 0.2, 256)
    found = evaluate_models(train, test, ["random", "popularity", "als"], protocol)
    metrics = {model: slices["all"] for model, slices in found.metrics.items()}
    assert found.metrics["als"]["no_history"]["users"] == 1
    assert {m: v["users"] for m, v in metrics.items()} == {"random": 46, "popularity": 46, "als": 46}
    assert metrics["als"]["recall@5"] > 0.9  # five unseen items are left in each group
    assert metrics["random"]["recall@5"] < 0.4
    rows = found.lists.collect()
    assert not any((r["user_id"], r["item_id"]) in known for r in rows)
    assert {m: len({r["user_id"] for r in rows if r["model"] == m}) for m in metrics} == {
        "random": 46, "popularity": 46, "als": 45,  # ALS has nothing to say of a stranger
    }  # fmt: skip
    assert found.als.feedback == "implicit"
    found.lists.unpersist()
    train.unpersist()


def test_an_unknown_model_is_refused(spark: SparkSession) -> None:
    train = tastes(spark, rated=False)
    with pytest.raises(UsageError, match="--model magic: no such model; there are random, popularity, als"):
        evaluate_models(train, train, ["magic"], EvaluationProtocol(5, SPACE, 0.2, 256))
