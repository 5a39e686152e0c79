"""Estimates by hand, against plain Python, and over two hundred simulated logs."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.experiment.off_policy import (
    NORMAL,
    OffPolicySettings,
    as_rounds,
    at_positions,
    estimate,
    learned,
    logged,
    reward_model,
    shares_of,
    uniform,
    weigh,
    with_folds,
)

SETTINGS = OffPolicySettings(max_weight=None, folds=3, reward_shrink=2.0, buckets=500, bootstrap_samples=400, seed=1)
ROUNDS = "unit string, slot string, item_id string, reward int, propensity double"
POLICIES = "policy string, slot string, item_id string, probability double"
# Five rounds of a log that showed a and b with equal chances; the policy shows a with 0.25.
LOG = [("1", "s", "a", 1, 0.5), ("2", "s", "a", 1, 0.5), ("3", "s", "a", 0, 0.5), ("4", "s", "b", 1, 0.5), ("5", "s", "b", 0, 0.5)]
QUARTER = [("p", "s", "a", 0.25), ("p", "s", "b", 0.75)]


def rounds_of(spark: SparkSession, rows: list[tuple[str, str, str, int, float]]) -> DataFrame:
    return spark.createDataFrame(rows, ROUNDS).repartition(3)


def test_by_hand(spark: SparkSession) -> None:
    """Once; every round reported twice under its user, which is no more knowledge; and by twice as many users, which is."""
    strangers = [(f"x{unit}", *rest) for unit, *rest in LOG]
    logs = {"once": LOG, "twice": LOG + LOG, "more": LOG + strangers}
    rows = [(unit, slot, *rest) for slot, log in logs.items() for unit, _, *rest in log]
    policies = [(slot, slot, item, share) for slot in logs for _, _, item, share in QUARTER]
    judged = estimate(weigh(rounds_of(spark, rows), spark.createDataFrame(policies, POLICIES), SETTINGS), SETTINGS)
    found = judged["once"]
    # Weights 0.5 0.5 0.5 1.5 1.5; with rewards 0.5 0.5 0 1.5 0: 2.5 over 5 rounds, and over weights of 4.5.
    ips, snips = found.estimates["ips"], found.estimates["snips"]
    assert (ips.estimate, snips.estimate) == (0.5, pytest.approx(2.5 / 4.5))
    # The variance of 0.5 0.5 0 1.5 0 is 0.375; of their mean a fifth of that.
    assert ips.high - ips.estimate == pytest.approx(NORMAL * (0.375 / 5) ** 0.5)
    assert ips.estimate - ips.low == pytest.approx(ips.high - ips.estimate)
    # Residuals w (r - 0.5556): 0.2222 twice, -0.2778, 0.6667, -0.8333; their squares 1.3148; times 5/4, over 4.5 squared.
    assert snips.high - snips.estimate == pytest.approx(NORMAL * (1.314814814 * 1.25) ** 0.5 / 4.5)
    # Kish: 4.5 squared over 5.25. Nothing is cut.
    assert (found.rounds, found.mean_weight, found.clipped_share) == (5, 0.9, 0.0)
    assert found.effective_rounds == pytest.approx(20.25 / 5.25)
    assert 0 <= ips.bootstrap_low < ips.estimate < ips.bootstrap_high <= 1.5
    once, twice, more = (judged[name].estimates["ips"] for name in logs)
    assert (twice.estimate, twice.low) == (once.estimate, pytest.approx(once.low))
    assert twice.bootstrap_low == pytest.approx(once.bootstrap_low)
    assert more.low > once.low


def test_weights_are_cut_and_it_is_told(spark: SparkSession) -> None:
    settings = OffPolicySettings(1.0, 3, 2.0, 500, 400, 1)
    found = estimate(weigh(rounds_of(spark, LOG), spark.createDataFrame(QUARTER, POLICIES), settings), settings)["p"]
    # 0.5 0.5 0.5 1 1, with rewards 0.5 0.5 0 1 0.
    assert found.estimates["ips"].estimate == pytest.approx(2.0 / 5)
    assert found.estimates["snips"].estimate == pytest.approx(2.0 / 3.5)
    assert (found.clipped_share, found.mean_weight) == (0.4, 0.9)


def test_doubly_robust_is_what_plain_python_says(spark: SparkSession) -> None:
    """Two slots, an item that only the policy shows, one that only the log shows; folds as the code drew them."""
    rng = np.random.default_rng(2)
    rows = [(f"u{n // 2}", f"s{n % 2}", "abc"[n % 3], int(rng.random() < 0.4), 0.2 + 0.1 * (n % 3)) for n in range(40)]
    policies = [("p", "s0", "a", 0.5), ("p", "s0", "new", 0.5), ("p", "s1", "b", 0.9), ("p", "s1", "c", 0.1)]
    given = rounds_of(spark, rows)
    folds = {row["unit"]: row["fold"] for row in with_folds(given, SETTINGS).collect()}
    assert set(folds.values()) == {0, 1, 2}

    def model(slot: str, item: str, fold: int) -> float:
        outside = [(i, r) for u, s, i, r, _ in rows if s == slot and folds[u] != fold]
        mean = sum(r for _, r in outside) / len(outside)
        own = [r for i, r in outside if i == item]
        return (sum(own) + 2.0 * mean) / (len(own) + 2.0)

    shares = {(slot, item): share for _, slot, item, share in policies}
    terms = []
    for unit, slot, item, reward, propensity in rows:
        fold = folds[unit]
        expected = sum(share * model(s, i, fold) for (s, i), share in shares.items() if s == slot)
        terms.append(expected + shares.get((slot, item), 0.0) / propensity * (reward - model(slot, item, fold)))
    found = estimate(weigh(given, spark.createDataFrame(policies, POLICIES), SETTINGS), SETTINGS)["p"].estimates["dr"]
    assert found.estimate == pytest.approx(np.mean(terms))
    # Users have two rounds each: residuals are added by user before they are squared.
    by_user = np.array(terms).reshape(20, 2).sum(axis=1) - 2 * np.mean(terms)
    assert found.high - found.estimate == pytest.approx(NORMAL * (np.sum(by_user**2) * 20 / 19) ** 0.5 / 40)
    slot_mean = reward_model(with_folds(given, SETTINGS), SETTINGS).where("slot = 's1' and fold = 0")
    known = {row["item_id"]: row["model"] for row in slot_mean.collect()}
    assert known["b"] == pytest.approx(model("s1", "b", 0))
    assert known[None] == pytest.approx(model("s1", "nowhere", 0))


def test_estimates_are_unbiased_and_intervals_hold_on_simulated_logs(spark: SparkSession) -> None:
    """Two hundred logs of 300 rounds, each a context of its own; three items, two positions, known click rates."""
    rng = np.random.default_rng(11)
    logs, size = 200, 300
    rates = np.array([[0.5, 0.3, 0.1], [0.2, 0.6, 0.3]])
    behaviour = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    target = np.array([[0.1, 0.3, 0.6], [0.1, 0.8, 0.1]])
    truth = float((target * rates).sum(axis=1).mean())
    position = rng.integers(0, 2, (logs, size))
    item = (rng.random((logs, size, 1)) > behaviour.cumsum(axis=1)[position]).sum(axis=2)
    reward = rng.random((logs, size)) < rates[position, item]
    rows = [
        (f"{n}-{m}", f"{n}/{position[n, m]}", "abc"[item[n, m]], int(reward[n, m]), float(behaviour[position[n, m], item[n, m]]))
        for n in range(logs) for m in range(size)
    ]  # fmt: skip
    policies = [(f"p{n}", f"{n}/{s}", "abc"[i], float(target[s, i])) for n in range(logs) for s in range(2) for i in range(3)]
    settings = OffPolicySettings(None, 4, 5.0, 50, 200, 1)
    terms = weigh(spark.createDataFrame(rows, ROUNDS), spark.createDataFrame(policies, POLICIES), settings)
    found = list(estimate(terms, settings).values())
    assert len(found) == logs
    spread = {}
    for name in ("ips", "snips", "dr"):
        values = np.array([each.estimates[name].estimate for each in found], float)
        spread[name] = values.std(ddof=1)
        assert abs(values.mean() - truth) < 3 * spread[name] / logs**0.5, name
        for low, high in (("low", "high"), ("bootstrap_low", "bootstrap_high")):
            inside = [getattr(e.estimates[name], low) <= truth <= getattr(e.estimates[name], high) for e in found]
            assert 0.88 <= np.mean(inside) <= 0.99, (name, low)
    # What the reward model explains is no noise any more.
    assert spread["dr"] < spread["ips"]
    # The log's own mean is not the answer.
    own = float((behaviour * rates).sum(axis=1).mean())
    assert abs(own - truth) > 3 * spread["ips"] / logs**0.5


def test_the_same_whatever_the_partitions(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    rows = [(f"u{n % 60}", "s", "ab"[n % 2], int(rng.random() < 0.3), 0.3 + 0.1 * (n % 3)) for n in range(500)]
    policies = spark.createDataFrame(QUARTER, POLICIES)
    few, many = (estimate(weigh(rounds_of(spark, rows).repartition(n), policies, SETTINGS), SETTINGS) for n in (1, 7))
    assert few == many


def test_nothing_to_go_by_is_null(spark: SparkSession) -> None:
    policies = spark.createDataFrame([("never", "s", "z", 1.0), ("one", "t", "a", 0.25), ("nowhere", "u", "a", 1.0)], POLICIES)
    found = estimate(weigh(rounds_of(spark, [*LOG, ("6", "t", "a", 1, 0.5)]), policies, SETTINGS), SETTINGS)
    assert list(found) == ["never", "one"]
    never, one = found["never"], found["one"].estimates["ips"]
    assert (never.estimates["ips"].estimate, never.estimates["snips"].estimate, never.effective_rounds) == (0.0, None, 0.0)
    assert (one.estimate, one.low, one.bootstrap_low) == (0.5, None, None)


def test_policies_of_arms_and_of_another_log(spark: SparkSession) -> None:
    when = datetime(2024, 1, 1)
    schema = (
        "impression_id string, user_id string, item_id string, position int, is_click boolean, propensity double, campaign string"
    )
    shown = [("1", "u", "a", 1, True, 0.5, "men"), ("2", None, "a", 2, False, 0.5, "men"), ("3", "u", "b", 1, False, 0.5, "men"),
             ("4", "v", "a", 1, False, 0.5, "men")]  # fmt: skip
    rounds = as_rounds(spark.createDataFrame(shown, schema).withColumn("at", F.lit(when)), ["campaign"])
    got = rounds.orderBy("unit", "slot", "item_id").collect()
    assert [tuple(r) for r in got] == [
        ("round-2", "campaign=men", "campaign=men/position=2", "a", 0, 0.5),
        ("user-u", "campaign=men", "campaign=men/position=1", "a", 1, 0.5),
        ("user-u", "campaign=men", "campaign=men/position=1", "b", 0, 0.5),
        ("user-v", "campaign=men", "campaign=men/position=1", "a", 0, 0.5),
    ]
    theirs = {(r["slot"][-1], r["item_id"]): r["probability"] for r in shares_of(rounds, "x").collect()}
    assert theirs == {("1", "a"): pytest.approx(2 / 3), ("1", "b"): pytest.approx(1 / 3), ("2", "a"): 1.0}
    arms = rounds.select("context", "item_id").distinct()
    even = at_positions(uniform(arms), rounds)
    assert sorted((r["slot"][-1], r["item_id"], r["probability"]) for r in even.collect()) == [
        ("1", "a", 0.5), ("1", "b", 0.5), ("2", "a", 0.5), ("2", "b", 0.5)
    ]  # fmt: skip
    shares = arms.withColumns({"epsilon_greedy": F.lit(0.5), "ucb1": F.lit(0.25), "thompson": F.lit(0.75)})
    assert {(r["policy"], r["probability"]) for r in learned(shares).collect()} == {
        ("epsilon_greedy", 0.5), ("ucb1", 0.25), ("thompson", 0.75)
    }  # fmt: skip
    own = estimate(logged(rounds, SETTINGS), SETTINGS)["logged"]
    assert (own.rounds, own.estimates["dr"].estimate) == (4, 0.25)
