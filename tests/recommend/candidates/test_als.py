"""ALS with string ids: planted tastes come back; the smallest inputs work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import InputError
from shoal.recommend.candidates import als
from shoal.recommend.candidates.als import (
    AlsModel,
    AlsSettings,
    fit_als,
    list_als,
    number_ids,
    with_numbers,
)
from shoal.recommend.candidates.als_numpy import solve_als

PREFERENCES = "user_id string, item_id string, weight double, value double"
IMPLICIT = AlsSettings("implicit", 4, 0.05, 1.0, 8, 42)
EXPLICIT = AlsSettings("explicit", 2, 0.002, 1.0, 20, 42)


def frame(spark: SparkSession, rows: list[tuple[str, str, float, float | None]]) -> DataFrame:
    return spark.createDataFrame(rows, PREFERENCES)


def fitted(preferences: DataFrame, settings: AlsSettings) -> AlsModel:
    return fit_als(with_numbers(preferences), settings)


def test_ids_are_numbered_densely_and_always_alike(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(f"user {n}",) for n in [*range(300), 5, 5]] + [(None,)], "user_id string")
    first = {r["user_id"]: r["user"] for r in number_ids(rows, "user_id", "user").collect()}
    again = {r["user_id"]: r["user"] for r in number_ids(rows.repartition(5), "user_id", "user").collect()}
    assert sorted(first.values()) == list(range(300))
    assert first == again
    assert number_ids(rows.limit(0), "user_id", "user").collect() == []


def test_explicit_als_recovers_a_planted_matrix_of_rank_two(spark: SparkSession) -> None:
    rng = np.random.default_rng(5)
    users, items = rng.uniform(0.5, 1.5, size=(40, 2)), rng.uniform(0.5, 1.5, size=(30, 2))
    planted = users @ items.T
    known = rng.random(planted.shape) < 0.6
    rows = [(f"u{u}", f"i{i}", 1.0, float(planted[u, i])) for u, i in zip(*np.nonzero(known), strict=True)]
    preferences = frame(spark, rows)
    model = fitted(preferences, EXPLICIT)
    lists = list_als(model, preferences, None, 30, 256).collect()
    hidden = {(f"u{u}", f"i{i}"): planted[u, i] for u, i in zip(*np.nonzero(~known), strict=True)}
    assert {(r["user_id"], r["item_id"]) for r in lists} == set(hidden)
    errors = [r["score"] - hidden[r["user_id"], r["item_id"]] for r in lists]
    assert float(np.sqrt(np.mean(np.square(errors)))) < 0.05  # the planted values spread over 0.5..4.5


def test_implicit_als_finds_the_group_a_user_belongs_to(spark: SparkSession) -> None:
    # Two groups of ten users and ten items; each user knows eight items of its own group.
    rows = [(f"{group}{u}", f"{group}{i}", 1.0, None) for group in "ab" for u in range(10) for i in range(10) if (u + i) % 5]
    preferences = frame(spark, rows)
    lists = list_als(fitted(preferences, IMPLICIT), preferences, None, 2, 256, with_reason=True).collect()
    assert len(lists) == 40
    assert all(r["item_id"][0] == r["user_id"][0] for r in lists)  # the two unseen items of the own group
    assert all(r["because_item_id"][0] == r["user_id"][0] for r in lists)
    known = {(u, i) for u, i, _, _ in rows}
    assert all((r["user_id"], r["because_item_id"]) in known for r in lists)


def test_reasons_sum_to_the_score(spark: SparkSession) -> None:
    """The terms of Hu, Koren and Volinsky's decomposition add up to the score: their regularisation is the fit's."""
    from shoal.recommend.ranking.reason import _terms
    from shoal.recommend.ranking.top_k import collect_items

    rng = np.random.default_rng(3)
    rows = [
        (f"u{u}", f"i{i:02}", float(rng.integers(1, 4)), float(rng.integers(1, 6)))
        for u in range(30)
        for i in range(20)
        if rng.random() < 0.4
    ]
    preferences = frame(spark, rows)
    # ALS computes user factors from item factors in its last half step, so the two fit each other.
    for settings in (AlsSettings("implicit", 3, 0.1, 2.0, 5, 1), AlsSettings("explicit", 3, 0.1, 1.0, 5, 1)):
        model = fitted(preferences, settings)
        items = collect_items(model.item_factors)
        names = items.ids.to_pylist()
        for user, features in model.user_factors.collect():
            factors = np.array(features, np.float64)
            own = sorted((names.index(i), w if settings.is_implicit else v) for u, i, w, v in rows if u == user)
            history, weight = np.array([i for i, _ in own]), np.array([w for _, w in own], np.float64)
            alpha = settings.alpha if settings.is_implicit else None
            terms = _terms(items, history, weight, np.arange(len(names)), settings.reg_param, alpha)
            np.testing.assert_allclose(terms.sum(axis=0), items.factors @ factors, atol=2e-3)


def test_the_numpy_fit_solves_its_equations() -> None:
    """Each user's factors solve Hu, Koren and Volinsky's system (explicit: least squares), written out densely."""
    rng = np.random.default_rng(7)
    known = rng.random((30, 20)) < 0.4
    known[:, 0] = known[0] = True
    users, items = np.nonzero(known)
    ratings = rng.integers(1, 6, len(users)).astype(np.float64)
    for alpha in (2.0, None):
        found, theirs = solve_als(users, items, ratings, 3, 0.1, alpha, 4, 1)
        again = solve_als(users, items, ratings, 3, 0.1, alpha, 4, 1)
        np.testing.assert_array_equal(found, again[0])
        dense = np.zeros((30, 20))
        dense[users, items] = ratings
        for user in range(30):
            confidence = 1 + alpha * dense[user] if alpha is not None else known[user].astype(np.float64)
            target = known[user] * 1.0 if alpha is not None else dense[user]
            normal = (theirs.T * confidence) @ theirs + 0.1 * known[user].sum() * np.eye(3)
            np.testing.assert_allclose(found[user], np.linalg.solve(normal, theirs.T @ (confidence * target)), atol=1e-4)


def test_numpy_and_mllib_fit_the_same_model(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """One factor has one optimum, whatever the starting point; what weighs 0 is not fitted."""
    rng = np.random.default_rng(7)
    rows = [
        (f"u{u}", f"i{i}", float(rng.integers(1, 4)), None) for u in range(12) for i in range(8) if rng.random() < 0.5
    ]  # fmt: skip
    preferences = frame(spark, [*rows, ("u0", "i0 disliked", 0.0, None)])
    settings = AlsSettings("implicit", 1, 0.1, 2.0, 10, 1)

    def products() -> dict[tuple[str, str], float]:
        model = fit_als(preferences, settings)
        users, items = ({row[0]: np.array(row[1]) for row in f.collect()} for f in (model.user_factors, model.item_factors))
        return {(u, i): float(a @ b) for u, a in users.items() for i, b in items.items()}

    here = products()
    assert {item for _, item in here} == {f"i{i}" for i in range(8)}
    monkeypatch.setattr(als, "LOCAL_RATINGS", 10)
    there = products()
    assert here.keys() == there.keys()
    np.testing.assert_allclose([here[k] for k in sorted(here)], [there[k] for k in sorted(here)], atol=0.02)


def test_one_user_and_one_item(spark: SparkSession) -> None:
    one = frame(spark, [("u", "i", 1.0, 4.0)])
    for settings in (replace(IMPLICIT, max_iter=2), replace(EXPLICIT, max_iter=2)):
        assert list_als(fitted(one, settings), one, None, 5, 256).collect() == []  # all is seen
    pair = frame(spark, [("u", "i", 1.0, None), ("v", "i", 1.0, None), ("v", "j", 1.0, None)])
    rows = list_als(fitted(pair, replace(IMPLICIT, max_iter=2)), pair, None, 5, 256).collect()
    assert [(r["user_id"], r["rank"], r["item_id"]) for r in rows] == [("u", 1, "j")]


def test_nothing_to_fit_is_said(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="nothing to fit implicit"):
        fitted(frame(spark, []), IMPLICIT)
    with pytest.raises(InputError, match="no row has a rating"):
        fitted(frame(spark, [("u", "i", 1.0, None)]), EXPLICIT)


def test_only_users_asked_for_are_listed_and_unknown_ones_have_no_row(spark: SparkSession) -> None:
    preferences = frame(spark, [(f"u{n}", f"i{m}", 1.0, None) for n in range(4) for m in range(4) if n != m])
    users = spark.createDataFrame([("u1",), ("stranger",), ("u1",)], "user_id string")
    rows = list_als(fitted(preferences, IMPLICIT), preferences, users, 3, 256).collect()
    assert [(r["user_id"], r["rank"], r["item_id"]) for r in rows] == [("u1", 1, "i1")]
