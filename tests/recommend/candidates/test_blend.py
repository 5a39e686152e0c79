"""The blend: what its experts learn from planted worlds, and that its lists are the same every time."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from shoal.recommend.candidates import cooccurrence, histories, transitions
from shoal.recommend.candidates.als import AlsSettings, fit_als, with_numbers
from shoal.recommend.candidates.blend import (
    NOMINATING,
    BlendSettings,
    Expert,
    asked_experts,
    because_of,
    history_rows,
    list_blend,
    nominated,
    shares_of,
    union_of,
)
from shoal.recommend.candidates.content import ContentSettings, labels_of
from shoal.recommend.candidates.ease import EaseSettings
from shoal.recommend.candidates.experts import (
    FIXED,
    MIN_JUDGES,
    Examples,
    better_part,
    candidate_recall,
    fit_experts,
    ndcg_of,
    recall_of,
    sample_users,
)
from shoal.recommend.candidates.fitted_parts import FittedParts, blend_of, fit_parts
from shoal.recommend.candidates.neighbours import NeighbourSettings
from shoal.recommend.candidates.parts import FEATURES, REASONS, SCORES, Parts, scores_of
from shoal.recommend.candidates.transitions import TransitionSettings
from shoal.recommend.evaluation.evaluate import evaluate_lists
from shoal.recommend.protocol.split import test_part as held_out_part
from shoal.recommend.protocol.split import training_part, with_time_split
from shoal.recommend.ranking.history_top_k import History, rows_of

SETTINGS = BlendSettings(
    EaseSettings(5.0, 1.0, (4,), 1000, 1000), TransitionSettings(5.0, 100), NeighbourSettings("walk", beta=0.5, neighbours=100),
    ContentSettings(100, 1, 1.0), AlsSettings("implicit", 4, 0.1, 1.0, 3, 1), 0.2, 20, 1000, 1_000_000, 1, 0.5,
)  # fmt: skip


def world(spark: SparkSession, users: int = 60) -> DataFrame:
    """Everybody walks through two of six shelves of ten items, one after the other: the last event tells the next."""
    rng = np.random.default_rng(11)
    rows = []
    for user in range(users):
        shelves = rng.choice(6, 2, replace=False)
        items = [f"s{s}i{i}" for s in shelves for i in rng.permutation(10)[:7]]
        rows += [(f"u{user:02d}", item, 1.0, None, n) for n, item in enumerate(items)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, weight double, value double, at int")
    return frame.withColumn("occurred_at", F.timestamp_seconds("at")).drop("at")


def listed_by(
    preferences: DataFrame, users: DataFrame, settings: BlendSettings, experts: list[Expert], k: int,
    content: DataFrame | None = None,
) -> DataFrame:  # fmt: skip
    """The blend fitted on all preferences, and its lists."""
    fitted = fit_parts(preferences, settings, content=content)
    assert fitted is not None
    return listed_from(fitted, preferences, users, settings, experts, k)


def listed_from(
    fitted: FittedParts, preferences: DataFrame, users: DataFrame, settings: BlendSettings, experts: list[Expert], k: int
) -> DataFrame:
    """The lists of parts that were fitted on the preferences."""
    rows = history_rows(preferences, fitted.catalogue, fitted.als.user_factors, settings.ease.max_history, users)
    return list_blend(blend_of(fitted, experts, settings), rows, k)


@pytest.fixture(scope="module")
def numbered(spark: SparkSession) -> DataFrame:
    return with_numbers(world(spark)).persist()


@pytest.fixture(scope="module")
def fitted(numbered: DataFrame) -> FittedParts:
    """The parts of that world, for the tests that only ask them: most of a fit is that of ALS."""
    found = fit_parts(numbered, SETTINGS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def experts(numbered: DataFrame) -> list[Expert]:
    """The experts of that world."""
    return fit_experts(numbered, SETTINGS)


def test_of_too_many_events_experts_see_all_those_of_some_users(numbered: DataFrame) -> None:
    """60 users with 14 events each, of which half of the events are wanted."""
    assert sample_users(numbered, 840, 1) is numbered
    drawn = {row["user_id"]: row["count"] for row in sample_users(numbered, 420, 1).groupBy("user_id").count().collect()}
    assert set(drawn.values()) == {14}
    assert 20 <= len(drawn) <= 40
    other = {row["user_id"] for row in sample_users(numbered, 420, 2).select("user_id").distinct().collect()}
    assert other != set(drawn)
    experts = fit_experts(numbered, replace(SETTINGS, max_events=420))
    learned = sample_users(numbered, 420, SETTINGS.seed)
    assert [dict(expert.recall)["users"] for expert in experts] == [learned.select("user_id").distinct().count()] * 2


def test_the_next_expert_lists_what_is_on_the_shelf_of_the_last_event(
    numbered: DataFrame, fitted: FittedParts, experts: list[Expert]
) -> None:
    assert [(expert.name, expert.is_learned) for expert in experts] == [("random_holdout", True), ("next_item", True)]
    lasts = numbered.groupBy("user_id").agg(F.max_by("item_id", "occurred_at").alias("last")).collect()
    last = {row["user_id"]: row["last"][:2] for row in lasts}
    users = numbered.select("user_id").distinct()
    on_last = {}
    for expert in experts:
        first = listed_from(fitted, numbered, users, SETTINGS, [expert], 1).collect()
        on_last[expert.name] = sum(row["item_id"].startswith(last[row["user_id"]]) for row in first)
    # Both shelves have three items left.
    assert on_last["next_item"] == 60
    assert on_last["random_holdout"] < 50


def test_the_blend_is_no_worse_than_its_best_part_on_held_out_time(spark: SparkSession) -> None:
    split = with_time_split(with_numbers(world(spark, 90)), 0.2).persist()
    train, test = training_part(split), held_out_part(split)
    users = test.select("user_id").distinct()
    alone = [Expert("next_item", tuple(float(part == other) for other in FEATURES), 0.0, True) for part in NOMINATING]
    settings = replace(SETTINGS, experts=("next_item",))
    ways = {"blend": fit_experts(train, settings), **{part: [one] for part, one in zip(NOMINATING, alone, strict=True)}}
    fitted = fit_parts(train, settings)
    assert fitted is not None
    lists = [listed_from(fitted, train, users, settings, ex, 3).withColumn("model", F.lit(name)) for name, ex in ways.items()]
    judged = evaluate_lists(reduce(DataFrame.unionByName, lists), test, train, list(ways), 3)
    ndcg = {name: judged[name]["all"]["ndcg@3"] or 0.0 for name in ways}
    assert ndcg["blend"] >= max(ndcg.values()), ndcg
    # So that this is worth anything, parts differ.
    assert min(ndcg.values()) < 0.8 * ndcg["blend"], ndcg


def test_candidates_are_the_best_of_each_part_and_their_recall_is_of_all_users() -> None:
    """Two parts name two items each; of what was held out, one user finds one of two, the other one nothing."""
    scores = np.zeros((len(SCORES), 6), np.float32)
    scores[SCORES.index("whole")] = [9, 8, 7, 6, 5, 4]
    scores[SCORES.index("als")] = [0, 0, 0, 1, 2, 3]
    named = nominated(scores, np.array([0]), 2)
    assert [list(best) for best in named] == [[1, 2], [1, 2], [1, 2], [5, 4], [], [], []]
    assert list(union_of(named)) == [1, 2, 4, 5]
    rows = [("u", 1, 1.0, 0b0111, 2), ("u", 5, 0.0, 0b1000, 2), ("v", -1, 0.0, 0, 1)]
    table = pa.table(dict(zip(("user_id", "item", "label", "named", "held"), map(list, zip(*rows, strict=True)), strict=True)))
    recall = recall_of(table)
    assert recall == {"whole": 0.25, "recent_5": 0.25, "transitions": 0.25, "als": 0.0, "candidates": 0.25, "users": 2.0}
    slices = candidate_recall([Expert("next_item", FIXED, 0.0, True, recall), Expert("random_holdout", FIXED, 0.0, True)], 2)
    assert list(slices) == ["candidates_next_item"]
    assert slices["candidates_next_item"]["recall@2:candidates"] == 0.25


def test_an_item_that_no_part_names_is_not_listed(numbered: DataFrame, fitted: FittedParts) -> None:
    """With one candidate a part, a list has five items at most, and those of a longer list come first in it."""
    users = numbered.select("user_id").distinct()
    experts = [Expert("next_item", FIXED, 0.0, True)]
    short = listed_from(fitted, numbered, users, replace(SETTINGS, candidates=1), experts, 1).collect()
    assert len(short) == 60
    blend = replace(blend_of(fitted, experts, SETTINGS), candidates=1)
    rows = history_rows(numbered, fitted.catalogue, fitted.als.user_factors, 1000, users)
    one = next(history for batch in rows._collect_as_arrow() for history in rows_of(batch))
    found = blend.scorer(1)(one)
    # Lists are for the end of the one day of this world, which is over then.
    named = union_of(nominated(scores_of(blend.parts, replace(one, asked=1.0)), one.items, 1))
    assert sorted(np.flatnonzero(np.isfinite(found))) == list(named) and len(named) <= 5
    hidden = np.zeros(len(found), np.bool_)
    hidden[named] = True
    others = blend.scorer(1, hidden)(one)
    assert np.isfinite(others).any() and not np.isfinite(others[named]).any()


def test_experts_share_by_what_is_asked() -> None:
    both = ("random_holdout", "next_item")
    assert [asked_experts(share) for share in (0.0, 0.3, 1.0)] == [("next_item",), both, ("random_holdout",)]
    experts = [Expert(name, FIXED, 0.0, False) for name in ("random_holdout", "next_item")]
    np.testing.assert_allclose(shares_of(experts, 0.7), [0.7, 0.3], rtol=1e-6)
    for one in experts:
        np.testing.assert_allclose(shares_of([one], 0.7), [1.0])


def test_lists_are_the_same_twice_and_however_rows_lie(
    numbered: DataFrame, fitted: FittedParts, experts: list[Expert]
) -> None:
    users = numbered.select("user_id").distinct()

    def in_order(lists: DataFrame) -> list[tuple[object, ...]]:
        return [tuple(row) for row in lists.orderBy("user_id", "rank").collect()]

    def listed(rows: DataFrame) -> list[tuple[object, ...]]:
        return in_order(listed_by(rows, users, SETTINGS, experts, 5))

    first = in_order(listed_from(fitted, numbered, users, SETTINGS, experts, 5))
    assert len(first) == 60 * 5
    seen = {(row["user_id"], row["item_id"]) for row in numbered.collect()}
    assert not [row for row in first if (row[0], row[2]) in seen]
    assert listed(numbered) == first
    again = listed(numbered.repartition(5, "item_id"))
    assert [row[:3] for row in again] == [row[:3] for row in first]
    # ALS adds in the order of its blocks: the last digits of a float32 factor are its own.
    np.testing.assert_allclose([row[3] for row in again], [row[3] for row in first], rtol=1e-3)


def test_what_items_are_about_finds_what_nobody_has_met_together(spark: SparkSession) -> None:
    """Users of one shelf of 60 items each meet five of them at random, hardly two users the same: content says which shelf."""
    rng = np.random.default_rng(3)
    rows = [(f"u{u:03d}", f"s{u % 4}i{i:02d}", 1.0, None) for u in range(48) for i in rng.choice(60, 5, replace=False)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, weight double, value double")
    numbered = with_numbers(frame.withColumn("occurred_at", F.lit(None).cast("timestamp")))
    about = [(f"s{s}i{i:02d}", [f"shelf{s}"]) for s in range(4) for i in range(60)]
    content = labels_of(spark.createDataFrame(about, "item_id string, categories array<string>"), SETTINGS.content)
    expert = fit_experts(numbered, SETTINGS, content)[0]
    coefficients = dict(zip(FEATURES, expert.coefficients, strict=True))
    assert coefficients["content"] + coefficients["content_whole"] + coefficients["affinity"] > 0
    assert coefficients["log_age"] == 0  # no event has a time
    users = numbered.select("user_id").distinct()
    listed = listed_by(numbered, users, SETTINGS, [expert], 3, content).collect()
    own = [row["item_id"][1] == str(int(row["user_id"][1:]) % 4) for row in listed]
    without = fit_experts(numbered, SETTINGS)[0]
    assert dict(zip(FEATURES, without.coefficients, strict=True))["content"] == 0
    blind = [row["item_id"][1] == str(int(row["user_id"][1:]) % 4)
             for row in listed_by(numbered, users, SETTINGS, [without], 3).collect()]  # fmt: skip
    assert sum(own) == len(own) > sum(blind)


def test_without_times_there_is_one_expert(numbered: DataFrame) -> None:
    rows = numbered.withColumn("occurred_at", F.lit(None).cast("timestamp"))
    assert [expert.name for expert in fit_experts(rows, SETTINGS)] == ["random_holdout"]


def test_with_nothing_to_learn_from_fixed_weights_serve(spark: SparkSession) -> None:
    rows = [("u", "a", 1.0, None, 0), ("v", "a", 1.0, None, 0), ("v", "b", 1.0, None, 1), ("w", "b", 1.0, None, 1)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, weight double, value double, at int")
    few = with_numbers(frame.withColumn("occurred_at", F.timestamp_seconds("at")).drop("at"))
    experts = fit_experts(few, SETTINGS)
    assert [(expert.coefficients, expert.is_learned) for expert in experts] == [(FIXED, False), (FIXED, False)]
    users = spark.createDataFrame([("u",), ("v",), ("nobody",)], "user_id string")
    settings = replace(SETTINGS, ease=replace(SETTINGS.ease, l2=1.0))
    lists = listed_by(few, users, settings, experts, 5).collect()
    # v has met everything; nobody is not known.
    assert [(row["user_id"], row["rank"], row["item_id"]) for row in lists] == [("u", 1, "b")]


def test_parts_on_the_driver_and_by_spark_are_the_same(numbered: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    rated = numbered.withColumn("value", F.expr("nullif(pmod(xxhash64(user_id, item_id), 6), 0)").cast("double"))
    # On three days.
    rated = rated.withColumn("occurred_at", F.col("occurred_at") + F.expr("make_interval(0, 0, 0, pmod(hash(item_id), 3))"))
    disliked = rated.withColumn("weight", F.when(F.col("item_id") == "s0i0", 0.0).otherwise(F.col("weight")))
    als = fit_als(disliked, SETTINGS.als)
    here = fit_parts(disliked, SETTINGS, als)
    monkeypatch.setattr(histories, "LOCAL_PREFERENCES", 10)
    there = fit_parts(disliked, SETTINGS, als)
    assert here is not None and there is not None
    assert here.catalogue.ids == there.catalogue.ids
    assert "s0i0" not in here.catalogue.ids.to_pylist()  # nobody likes it
    np.testing.assert_array_equal(here.catalogue.users, there.catalogue.users)
    np.testing.assert_allclose(here.parts.weights, there.parts.weights, atol=1e-5)
    np.testing.assert_allclose(here.parts.transitions.toarray(), there.parts.transitions.toarray(), rtol=1e-6)
    np.testing.assert_allclose(here.parts.walk.toarray(), there.parts.walk.toarray(), rtol=1e-5)
    for name in ("item_factors", "item_history", "item_rating", "first_day", "last_day", "max_rating", "daily_days"):
        np.testing.assert_array_equal(getattr(here.parts, name), getattr(there.parts, name))
    assert here.parts.daily is not None and there.parts.daily is not None
    np.testing.assert_array_equal(here.parts.daily.toarray(), there.parts.daily.toarray())
    assert here.parts.daily.sum() == here.catalogue.users.sum() and len(here.parts.daily_days) == 3


def test_a_catalogue_above_the_bound_has_sparse_weights(
    numbered: DataFrame, fitted: FittedParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the driver and by Spark the same; of ten neighbours each, the lists are of the two shelves that the user walks through."""
    als = fitted.als
    settings = replace(SETTINGS, ease=replace(SETTINGS.ease, max_items=10, max_sparse_items=1000, neighbours=10))
    # Sums of a few rows at a time, rows of some tasks: neither changes what is summed.
    monkeypatch.setattr(transitions, "BLOCK_SUMS", 500)
    monkeypatch.setattr(cooccurrence, "TASK_ROWS", 1000)
    here = fit_parts(numbered, settings, als)
    monkeypatch.setattr(histories, "LOCAL_PREFERENCES", 10)
    there = fit_parts(numbered, settings, als)
    assert here is not None and there is not None and len(here.catalogue) == 60
    np.testing.assert_allclose(here.parts.transitions.toarray(), there.parts.transitions.toarray(), rtol=1e-6)
    assert isinstance(here.parts.weights, csr_matrix) and isinstance(there.parts.weights, csr_matrix)
    np.testing.assert_allclose(here.parts.weights.toarray(), there.parts.weights.toarray(), atol=1e-4)
    assert np.diff(here.parts.weights.tocsc().indptr).max() == 10
    users = numbered.select("user_id").distinct()
    rows = history_rows(numbered, here.catalogue, als.user_factors, 1000, users)
    blend = blend_of(here, [Expert("random_holdout", FIXED, 0.0, False)], settings)
    own = {(row["user_id"], row["item_id"][:2]) for row in numbered.collect()}
    lists = list_blend(blend, rows, 3, with_reason=True).collect()
    assert len(lists) == 180
    assert all((row["user_id"], row["item_id"][:2]) in own for row in lists)
    assert all((row["user_id"], row["because_item_id"][:2]) in own for row in lists)


def test_the_item_that_speaks_for_a_row_is_of_its_strongest_reason() -> None:
    """Three items met, the newest is 0; of item 3 EASE says 1, transitions say 0, and terms say 2."""
    weights, following = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    weights[:, 3], following[:, 3] = [0.1, 0.9, 0.2, 0], [0.5, 0.1, 0.2, 0]
    terms = csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32))
    zeros, days = np.zeros(4, np.float32), np.full(4, np.nan)
    known = Parts(weights, csr_matrix(following), csr_matrix((4, 4), dtype=np.float32), terms, np.zeros((4, 1), np.float32),
                  zeros, zeros, zeros, days, days, 1.0)  # fmt: skip
    one = History(np.array([0, 1, 2]), np.ones(3, np.float32), np.array([0, 1, 2]))
    names = list(REASONS)
    found = {name: int(because_of(known, one, np.array([3]), np.array([names.index(name)]))[0]) for name in names}
    assert found == {"history": 1, "next": 0, "people": 1, "content": 2, "popularity": 1, "followed": 1, "demographic": 1}
    alone = replace(known, transitions=csr_matrix((4, 4), dtype=np.float32))
    assert because_of(alone, one, np.array([3]), np.array([names.index("next")])).tolist() == [-1]


def test_what_weighs_nothing_is_not_listed_and_speaks_for_nothing(numbered: DataFrame) -> None:
    """u00 likes only shelf A; what it met of shelf B it did not like: neither listed, nor does it lead to shelf B."""
    own = sorted({row["item_id"][:2] for row in numbered.where("user_id = 'u00'").collect()})
    weight = F.when((F.col("user_id") == "u00") & F.col("item_id").startswith(own[1]), 0.0).otherwise(F.col("weight"))
    rows = numbered.withColumn("weight", weight)
    users = numbered.select("user_id").where("user_id = 'u00'").distinct()
    fixed = [Expert("random_holdout", FIXED, 0.0, False)]
    found = [row["item_id"] for row in listed_by(rows, users, SETTINGS, fixed, 3).collect()]
    assert [item[:2] for item in found] == [own[0]] * 3
    assert not {row["item_id"] for row in rows.where("user_id = 'u00'").collect()} & set(found)


def examples_of(users: int, part: int | None) -> Examples:
    """Ten candidates a user, one of them held out; features are noise, but for `part`, which has the held-out one first."""
    rng = np.random.default_rng(4)
    rows = users * 10
    own = sum(not name.endswith("*log_history") for name in FEATURES)
    features = rng.normal(size=(rows, own)).astype(np.float32)
    labels = np.zeros(rows)
    labels[np.arange(users) * 10 + rng.integers(0, 10, users)] = 1
    if part is not None:
        # Right among the user's own candidates; what it is beside another user's says nothing.
        features[:, part] = 3 * labels + np.repeat(rng.normal(0, 1000, users), 10)
    return Examples(features, labels, np.ones(rows), np.repeat(np.arange(users), 10))


def test_a_part_that_ranks_better_than_the_regression_takes_its_place() -> None:
    whole = FEATURES.index("whole")
    assert better_part(examples_of(200, whole)) == "whole"
    assert better_part(examples_of(200, None)) is None  # nothing is better than chance
    assert better_part(examples_of(MIN_JUDGES - 1, whole)) is None  # too few to say


def test_ndcg_of_users_by_hand() -> None:
    users, labels = np.array([0, 0, 0, 1, 1]), np.array([1.0, 0, 1, 0, 1])
    # User 0: held out, other, held out; user 1: the held-out one second.
    found = ndcg_of(np.array([3.0, 2, 1, 5, 4]), labels, users, np.array([0, 3]))
    np.testing.assert_allclose(found, [(1 + 0.5) / (1 + 1 / np.log2(3)), 1 / np.log2(3)])
