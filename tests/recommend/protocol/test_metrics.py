"""Ranking metrics against examples worked by hand and against MLlib."""

from __future__ import annotations

import math
import random

import pytest
from pyspark.ml.evaluation import RankingEvaluator
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import UsageError
from shoal.recommend.evaluation.evaluate import evaluate_lists
from shoal.recommend.protocol.metrics import coverage, mean_metrics, novelty, recall_by_popularity, user_metrics

LISTS = "model string, user_id string, rank int, item_id string"
PAIRS = "user_id string, item_id string"


def lists_of(spark: SparkSession, lists: dict[tuple[str, str], list[str]]) -> DataFrame:
    """Lists by (model, user), best first."""
    rows = [(m, u, n, item) for (m, u), items in lists.items() for n, item in enumerate(items, 1)]
    return spark.createDataFrame(rows, LISTS)


def test_one_user_by_hand(spark: SparkSession) -> None:
    # Relevant: a, b, c, d. Listed: a x b x | c. With k = 4 the hits stand at ranks 1 and 3.
    lists = lists_of(spark, {("m", "u"): ["a", "x", "b", "y", "c"]})
    test = spark.createDataFrame([("u", i) for i in "abcd"], PAIRS)
    row = user_metrics(lists, test, [4], ["m"]).first().asDict()
    ideal = 1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)
    assert row == {
        "model": "m",
        "user_id": "u",
        "relevant": 4,
        "precision@4": 0.5,
        "recall@4": 0.5,
        "hit_rate@4": 1.0,
        "mrr@4": 1.0,
        "map@4": pytest.approx((1 / 1 + 2 / 3) / 4),
        "map_full@4": pytest.approx((1 / 1 + 2 / 3) / 4),
        "ndcg@4": pytest.approx((1 + 1 / 2) / ideal),
    }


def test_short_lists_and_more_relevant_items_than_places(spark: SparkSession) -> None:
    # Three relevant items, k = 2, one item listed, at the top: precision is out of 2, the ideal list has 2 hits.
    lists = lists_of(spark, {("m", "u"): ["a"]})
    test = spark.createDataFrame([("u", i) for i in "abc"], PAIRS)
    row = user_metrics(lists, test, [2], ["m"]).first()
    assert row["precision@2"] == 0.5
    assert row["recall@2"] == pytest.approx(1 / 3)
    assert row["map@2"] == pytest.approx(1 / 2)
    assert row["map_full@2"] == pytest.approx(1 / 3)
    assert row["ndcg@2"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_several_k_in_one_pass_equal_each_alone(spark: SparkSession) -> None:
    lists = lists_of(spark, {("m", "u"): list("xaybz"), ("m", "v"): list("abc")})
    test = spark.createDataFrame([("u", "a"), ("u", "b"), ("v", "c")], PAIRS)
    together = {r["user_id"]: r.asDict() for r in user_metrics(lists, test, [1, 2, 5], ["m"]).collect()}
    for k in (1, 2, 5):
        for row in user_metrics(lists, test, [k], ["m"]).collect():
            assert row.asDict().items() <= together[row["user_id"]].items()


def test_users_without_a_list_count_zero_and_users_without_a_test_event_do_not_count(spark: SparkSession) -> None:
    lists = lists_of(spark, {("m", "u"): ["a"], ("m", "not in test"): ["a"]})
    test = spark.createDataFrame([("u", "a"), ("nobody's list", "b"), ("u", "a"), (None, "a"), ("u", None)], PAIRS)
    row = mean_metrics(user_metrics(lists, test, [1], ["m"])).first()
    assert row["users"] == 2
    assert [row[f"{m}@1"] for m in ("ndcg", "map", "recall", "precision", "mrr", "hit_rate")] == [0.5] * 6


def test_an_item_listed_twice_counts_once_at_its_better_rank(spark: SparkSession) -> None:
    row = user_metrics(
        lists_of(spark, {("m", "u"): ["x", "a", "a"]}), spark.createDataFrame([("u", "a")], PAIRS), [3], ["m"]
    ).first()
    assert (row["recall@3"], row["mrr@3"], row["precision@3"]) == (1.0, 0.5, pytest.approx(1 / 3))


def test_every_model_has_a_row_and_coverage_counts_the_catalogue(spark: SparkSession) -> None:
    lists = lists_of(spark, {("one", "u"): ["a", "b"], ("one", "v"): ["b", "new"], ("other", "u"): ["a"]})
    test = spark.createDataFrame([("u", "a"), ("v", "b")], PAIRS)
    train = spark.createDataFrame([("u", i) for i in "aabcd"], PAIRS)
    models = ["one", "other", "silent"]
    found = {k: evaluate_lists(lists, test, train, models, k) for k in (1, 2)}
    assert {m: (found[1][m]["all"]["coverage@1"], found[2][m]["all"]["coverage@2"]) for m in models} == {
        "one": (0.5, 0.5),  # a and b of a, b, c, d; "new" is not in the catalogue
        "other": (0.25, 0.25),
        "silent": (0.0, 0.0),
    }
    assert {m: (found[2][m]["all"]["recall@2"], found[2][m]["all"]["users"]) for m in models} == {
        "one": (1.0, 2), "other": (0.5, 2), "silent": (0.0, 2),
    }  # fmt: skip
    both = coverage(lists, train, [1, 2], ["other"]).collect()
    assert [tuple(r) for r in both] == [("other", 0.25, 0.25)]
    assert [tuple(r) for r in coverage(lists, train.limit(0), [1], ["other"]).collect()] == [("other", None)]


def test_slices_are_users_by_the_length_of_their_history(spark: SparkSession) -> None:
    lists = lists_of(spark, {("m", "new"): ["a"], ("m", "short"): ["a"]})
    test = spark.createDataFrame([("new", "a"), ("short", "b"), ("long", "a")], PAIRS)
    train = spark.createDataFrame([("short", f"{n}") for n in range(19)] + [("long", f"{n}") for n in range(20)], PAIRS)
    found = evaluate_lists(lists, test, train, ["m"], 1)["m"]
    assert {part: (r["users"], r["recall@1"]) for part, r in found.items()} == {
        "all": (3, pytest.approx(1 / 3)), "no_history": (1, 1.0), "short_history": (1, 0.0), "long_history": (1, 0.0),
    }  # fmt: skip


def test_nobody_to_judge_gives_null_never_zero(spark: SparkSession) -> None:
    lists = lists_of(spark, {("m", "u"): ["a"]})
    nobody = spark.createDataFrame([], PAIRS)
    found = evaluate_lists(lists, nobody, spark.createDataFrame([("u", "a")], PAIRS), ["m"], 1)["m"]
    assert list(found) == ["all"]
    assert [found["all"][m] for m in ("users", "ndcg@1", "map@1", "coverage@1")] == [0, None, None, 1.0]
    assert mean_metrics(user_metrics(lists, nobody, [1], ["m"]), by=()).first()["ndcg@1"] is None


def test_k_must_be_positive(spark: SparkSession) -> None:
    with pytest.raises(UsageError, match="k"):
        user_metrics(lists_of(spark, {("m", "u"): ["a"]}), spark.createDataFrame([("u", "a")], PAIRS), [0], ["m"])


def test_means_equal_mllib_on_random_lists(spark: SparkSession) -> None:
    rng = random.Random(7)
    items = [f"{n}" for n in range(40)]
    lists = {("m", f"u{n}"): rng.sample(items, rng.randint(1, 15)) for n in range(60)}
    truth = {f"u{n}": rng.sample(items, rng.randint(1, 20)) for n in range(60)}
    test = spark.createDataFrame([(u, i) for u, found in truth.items() for i in found], PAIRS)
    row = mean_metrics(user_metrics(lists_of(spark, lists), test, [10], ["m"])).first()
    pairs = [([float(i) for i in lists["m", u]], [float(i) for i in truth[u]]) for u in truth]
    frame = spark.createDataFrame(pairs, "prediction array<double>, label array<double>")
    peers = {
        "map": "meanAveragePrecisionAtK", "precision": "precisionAtK", "ndcg": "ndcgAtK", "recall": "recallAtK",
    }  # fmt: skip
    for ours, theirs in peers.items():
        expected = RankingEvaluator(metricName=theirs, k=10).evaluate(frame)
        assert row[f"{ours}@10"] == pytest.approx(expected, abs=1e-12), ours


def test_recall_by_popularity_by_hand(spark: SparkSession) -> None:
    # a has four of the eight pairs, which begin below a third; b begins at half, c and d at three quarters. x is new.
    met = [(user, item) for item, users in (("a", "uvwyu"), ("b", "uv"), ("c", "u"), ("d", "v")) for user in users]
    history = spark.createDataFrame(met, PAIRS)
    test = spark.createDataFrame([("u", "a"), ("v", "b"), ("v", "b"), ("v", "c"), ("w", "d"), ("w", "x")], PAIRS)
    lists = lists_of(spark, {("m", "u"): ["b", "a"], ("m", "v"): ["b", "c"], ("m", "w"): ["x"], ("other", "v"): ["c"]})
    rows = recall_by_popularity(lists, test, history, [1, 2], ["m", "other", "silent"]).collect()
    found = {row["model"]: row.asDict() for row in rows}
    assert found["m"] == {"model": "m", "recall_head@1": 0.0, "recall_middle@1": 1.0, "recall_tail@1": pytest.approx(1 / 3),
                          "recall_head@2": 1.0, "recall_middle@2": 1.0, "recall_tail@2": pytest.approx(2 / 3)}  # fmt: skip
    assert found["other"]["recall_tail@1"] == pytest.approx(1 / 3) and found["silent"]["recall_head@2"] == 0.0
    none = recall_by_popularity(lists, test.where("item_id = 'a'"), history, [2], ["m"]).first()
    assert none is not None and (none["recall_head@2"], none["recall_tail@2"]) == (1.0, None)


def test_novelty_and_popularity_bias_by_hand(spark: SparkSession) -> None:
    # Both users have a, one has b, nobody c.
    history = spark.createDataFrame([("u", "a"), ("v", "a"), ("v", "a"), ("v", "b")], "user_id string, item_id string")
    rows = [("m", "u", 1, "a"), ("m", "u", 2, "b"), ("m", "v", 1, "b"), ("m", "v", 2, "c")]
    lists = spark.createDataFrame(rows, "model string, user_id string, rank int, item_id string")
    found = {row["model"]: row.asDict() for row in novelty(lists, history, [1, 2], ["m", "silent"]).collect()}
    # Up to 2: a (share 1), b (1/2), b: (0 + 1 + 1) / 3 bits; up to 1: a and b.
    assert found["m"] == pytest.approx(
        {"model": "m", "novelty@1": 0.5, "popularity_bias@1": 0.75, "novelty@2": 2 / 3, "popularity_bias@2": 2 / 3}
    )
    assert found["silent"]["novelty@2"] is None
