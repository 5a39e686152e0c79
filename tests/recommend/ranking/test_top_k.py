"""The top-k engine against brute force."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import InputError, UsageError
from shoal.recommend.ranking import top_k
from shoal.recommend.ranking.top_k import Items, Seen, _largest, rank_top_k, top_k_of_block


def items_of(factors: np.ndarray) -> Items:
    ids = pa.array([f"i{n:06d}" for n in range(len(factors))], pa.string())
    return Items(ids, factors.astype(np.float32), np.linalg.norm(factors, axis=1))


def seen_of(lists: list[list[int]]) -> Seen:
    flat = np.array([i for one in lists for i in one], np.int64)
    return Seen(np.cumsum([0, *map(len, lists)]), flat, np.ones(len(flat)), np.ones(len(flat), np.bool_))


def brute_force(users: np.ndarray, items: np.ndarray, seen: list[list[int]], k: int) -> list[list[int]]:
    """Sort every unseen item of every user by exact score, then by index."""
    lists = []
    for user, has_seen in zip(users, seen, strict=True):
        scores = (items.astype(np.float64) * user.astype(np.float64)).sum(axis=1)
        unseen = [i for i in range(len(items)) if i not in set(has_seen)]
        lists.append(sorted(unseen, key=lambda i, scores=scores: (-scores[i], i))[:k])
    return lists


def listed(best: np.ndarray) -> list[list[int]]:
    return [[i for i in row if i >= 0] for row in best.tolist()]


@pytest.mark.parametrize(("items", "item_block"), [(500, 10_000), (500, 64), (7, 3), (1, 1)])
def test_lists_equal_brute_force(monkeypatch: pytest.MonkeyPatch, items: int, item_block: int) -> None:
    monkeypatch.setattr(top_k, "ITEM_BLOCK", item_block)
    rng = np.random.default_rng(1)
    users, factors = rng.normal(size=(40, 8)).astype(np.float32), rng.normal(size=(items, 8)).astype(np.float32)
    seen = [rng.choice(items, size=rng.integers(0, items + 1), replace=False).tolist() for _ in users]
    best, scores = top_k_of_block(users, items_of(factors), seen_of(seen), 10)
    assert listed(best) == brute_force(users, factors, seen, 10)
    exact = users.astype(np.float64) @ factors.astype(np.float64).T
    for row, one in enumerate(listed(best)):
        np.testing.assert_allclose(scores[row, : len(one)], exact[row, one], rtol=1e-12)
    assert np.isneginf(scores[best < 0]).all()


@pytest.mark.parametrize("item_block", [10_000, 50])
def test_ties_go_to_the_smaller_index_across_blocks(monkeypatch: pytest.MonkeyPatch, item_block: int) -> None:
    # Three distinct factor rows repeated 100 times each: the k-th place always lies inside a tie wider than the candidates.
    monkeypatch.setattr(top_k, "ITEM_BLOCK", item_block)
    rng = np.random.default_rng(2)
    factors = np.tile(rng.normal(size=(3, 5)), (100, 1)).astype(np.float32)
    users = rng.normal(size=(20, 5)).astype(np.float32)
    seen: list[list[int]] = [[0, 1, 2, 3, 150] if n % 2 else [] for n in range(20)]
    best, _ = top_k_of_block(users, items_of(factors), seen_of(seen), 12)
    assert listed(best) == brute_force(users, factors, seen, 12)


def test_scores_that_float32_cannot_tell_apart_are_ordered_exactly() -> None:
    # Scores 1 + n * 1e-9 differ in float64 only; float32 sees 200 equal numbers, and the best are the last.
    factors = np.ones((200, 2), np.float32)
    factors[:, 1] = np.arange(200) * np.float32(1e-9)
    users = np.ones((1, 2), np.float32)
    best, _ = top_k_of_block(users, items_of(factors), seen_of([[]]), 3)
    assert listed(best) == [[199, 198, 197]]


def frames(spark: SparkSession, users: np.ndarray, factors: np.ndarray) -> tuple[DataFrame, DataFrame]:
    user_rows = [(f"u{n}", row.tolist()) for n, row in enumerate(users.astype(np.float32))]
    item_rows = [(f"i{n}", row.tolist()) for n, row in enumerate(factors.astype(np.float32))]
    return (
        spark.createDataFrame(user_rows, "user_id string, features array<float>"),
        spark.createDataFrame(item_rows, "item_id string, features array<float>"),
    )


def test_spark_lists_equal_brute_force_with_string_ties(spark: SparkSession) -> None:
    rng = np.random.default_rng(3)
    users, factors = rng.integers(-2, 3, size=(30, 3)), rng.integers(-2, 3, size=(60, 3))  # small integers: many ties
    user_factors, item_factors = frames(spark, users, factors)
    seen_pairs = [(f"u{u}", f"i{i}") for u in range(0, 30, 2) for i in range(u, 60, 3)]
    seen_pairs += [("u0", "unknown item"), ("unknown user", "i1"), ("u0", "i0")]  # the last one is there twice
    seen = spark.createDataFrame(seen_pairs, "user_id string, item_id string")
    rows = rank_top_k(user_factors, item_factors, seen, k=7, user_batch_size=4).collect()
    pairs = set(seen_pairs)
    for n in range(30):
        scores = {f"i{i}": float(users[n] @ factors[i]) for i in range(60) if (f"u{n}", f"i{i}") not in pairs}
        expected = sorted(scores, key=lambda i, s=scores: (-s[i], i))[:7]  # string order: i10 stands before i9
        mine = sorted((r["rank"], r["item_id"], r["score"]) for r in rows if r["user_id"] == f"u{n}")
        assert [m[:2] for m in mine] == list(enumerate(expected, 1))
        assert [m[2] for m in mine] == [scores[i] for i in expected]


def test_lists_do_not_depend_on_blocks_or_partitions(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    user_factors, item_factors = frames(spark, rng.normal(size=(50, 16)), rng.normal(size=(300, 16)))
    one = rank_top_k(user_factors.coalesce(1), item_factors, None, 5, 256).collect()
    other = rank_top_k(user_factors.repartition(7), item_factors.repartition(3), None, 5, 3).collect()
    assert sorted(one) == sorted(other)  # scores equal to the last bit


def test_k_above_the_catalogue_and_users_who_have_seen_everything(spark: SparkSession) -> None:
    user_factors, item_factors = frames(spark, np.array([[1.0], [1.0]]), np.array([[1.0], [2.0]]))
    seen = spark.createDataFrame([("u0", "i0"), ("u0", "i1")], "user_id string, item_id string")
    rows = rank_top_k(user_factors, item_factors, seen, 10, 256).collect()
    assert [tuple(r) for r in sorted(rows)] == [("u1", 1, "i1", 2.0), ("u1", 2, "i0", 1.0)]


def test_no_items_or_no_users_give_no_rows(spark: SparkSession) -> None:
    user_factors, item_factors = frames(spark, np.ones((2, 2)), np.ones((2, 2)))
    assert rank_top_k(user_factors, item_factors.limit(0), None, 3, 8).collect() == []
    assert rank_top_k(user_factors.limit(0), item_factors, None, 3, 8).collect() == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30, None])
def test_bad_item_factors_are_refused(spark: SparkSession, bad: float | None) -> None:
    user_factors, _ = frames(spark, np.ones((2, 2)), np.ones((2, 2)))
    item_factors = spark.createDataFrame([("a", [1.0, bad]), ("b", [1.0, 1.0])], "item_id string, features array<float>")
    with pytest.raises(InputError, match="item factors: a null, NaN, infinity"):
        rank_top_k(user_factors, item_factors, None, 3, 8)


def test_bad_user_factors_fail_the_job(spark: SparkSession) -> None:
    _, item_factors = frames(spark, np.ones((2, 2)), np.ones((2, 2)))
    user_factors = spark.createDataFrame([("a", [1.0, float("nan")])], "user_id string, features array<float>")
    with pytest.raises(PythonException, match="user factors: a null, NaN, infinity"):
        rank_top_k(user_factors, item_factors, None, 3, 8).collect()


def test_factors_of_different_lengths_are_refused(spark: SparkSession) -> None:
    user_factors, _ = frames(spark, np.ones((2, 2)), np.ones((2, 2)))
    item_factors = spark.createDataFrame([("a", [1.0]), ("b", [1.0, 1.0])], "item_id string, features array<float>")
    with pytest.raises(InputError, match="1 to 2 numbers an item"):
        rank_top_k(user_factors, item_factors, None, 3, 8)
    with pytest.raises(UsageError, match="k 0"):
        rank_top_k(user_factors, item_factors, None, 0, 8)


def test_factors_that_do_not_fit_a_worker_are_refused(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    user_factors, item_factors = frames(spark, np.ones((2, 2)), np.ones((2, 2)))
    monkeypatch.setattr(top_k, "MAX_ITEM_BYTES", 15)  # two items of two float32 take 16
    with pytest.raises(InputError, match="2 items at rank 2"):
        rank_top_k(user_factors, item_factors, None, 3, 8)


def test_the_largest_of_wide_rows_are_found_by_groups() -> None:
    # 3,005 columns are 187 groups of 16 and a rest of 13; few values, so that equals stand everywhere.
    rng = np.random.default_rng(11)
    block = rng.integers(0, 500, (40, 3005)).astype(np.float32)
    block[rng.random(block.shape) < 0.1] = -np.inf
    found = _largest(block, 18)
    assert all(len(set(row)) == 18 for row in found.tolist())
    values = np.sort(np.take_along_axis(block, found, axis=1), axis=1)
    np.testing.assert_array_equal(values, np.sort(block, axis=1)[:, -18:])
