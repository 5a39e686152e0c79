"""Three policies by hand, against quadrature and closed forms, and on a planted best arm."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.integrate import quad
from scipy.special import betaln
from scipy.stats import beta
from shoal.experiment.bandits import (
    POLICIES,
    BanditSettings,
    choose,
    context_of,
    count_arms,
    epsilon_greedy,
    pick,
    policies,
    thompson,
    ucb1,
    with_propensities,
)

SETTINGS = BanditSettings(epsilon=0.1, exploration=1.0, prior_successes=1, prior_failures=1, max_arms=100)


def counts(*pairs: tuple[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([n for n, _ in pairs], np.int64), np.array([r for _, r in pairs], np.float64)


def test_epsilon_greedy_by_hand() -> None:
    # Means 0.5, 0.6 and none: the second has 0.9 and a third of 0.1.
    assert epsilon_greedy(*counts((10, 5), (5, 3), (0, 0)), 0.1).tolist() == pytest.approx([1 / 30, 0.9 + 1 / 30, 1 / 30])
    assert epsilon_greedy(*counts((2, 1), (4, 2)), 0.0).tolist() == [1.0, 0.0]  # a tie goes to the first
    assert epsilon_greedy(*counts(), 0.1).tolist() == []


def test_ucb1_by_hand() -> None:
    # ln 110 = 4.7005. 100 pulls of mean 0.5: 0.5 + sqrt(0.0940) = 0.8066. 10 pulls of mean 0.2: 0.2 + sqrt(0.9401) = 1.1696.
    pulls, rewards = counts((100, 50), (10, 2))
    assert ucb1(pulls, rewards, 1.0).tolist() == [0.0, 1.0]
    # A third of the width: 0.6022 against 0.5232.
    assert ucb1(pulls, rewards, 1 / 3).tolist() == [1.0, 0.0]
    assert ucb1(*counts((9, 9), (0, 0), (0, 0)), 1.0).tolist() == [0.0, 1.0, 0.0]  # who was never shown goes first
    assert ucb1(*counts(), 1.0).tolist() == []


def is_first_better(a: float, b: float, c: float, d: float) -> float:
    """P(Beta(a, b) > Beta(c, d)) for a whole number a: the closed form of a finite sum."""
    terms = [np.exp(betaln(c + i, d + b) - np.log(b + i) - betaln(1 + i, b) - betaln(c, d)) for i in range(int(a))]
    return float(sum(terms))


@pytest.mark.parametrize(
    "pairs",
    [((0, 0), (0, 0)), ((10, 3), (10, 5)), ((100, 4), (1000, 50)), ((100_000, 500), (100_000, 520)), ((5, 5), (10_000, 9_000))],
)
def test_thompson_of_two_arms_is_the_closed_form(pairs: tuple[tuple[int, float], tuple[int, float]]) -> None:
    pulls, rewards = counts(*pairs)
    (a, c), (b, d) = 1 + rewards, 1 + pulls - rewards
    shares = thompson(pulls, rewards, 1, 1)
    assert shares[0] == pytest.approx(is_first_better(a, b, c, d), abs=2e-4)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)


def test_thompson_of_many_arms_is_the_integral() -> None:
    rng = np.random.default_rng(3)
    pulls = rng.integers(0, 400, 34)
    rewards = rng.binomial(pulls, 0.03).astype(float)
    shares = thompson(pulls, rewards, 1, 1)
    arms = [beta(1 + r, 1 + n - r) for n, r in zip(pulls, rewards, strict=True)]

    def best(arm: int) -> float:
        others = [each for place, each in enumerate(arms) if place != arm]
        marks = sorted({float(q) for each in arms for q in each.ppf([0.01, 0.5, 0.99])})
        product = lambda x: arms[arm].pdf(x) * np.prod([each.cdf(x) for each in others])  # noqa: E731
        return float(quad(product, 0, 1, points=marks[::6], limit=200)[0])

    for arm in (*np.argsort(-shares)[:2], int(np.argmin(shares))):
        assert shares[arm] == pytest.approx(best(arm), abs=1e-3 * shares.max())


def test_thompson_gives_equal_arms_equal_shares_and_hopeless_ones_none() -> None:
    assert np.allclose(thompson(*counts(*[(0, 0)] * 1000), 1, 1), 0.001, atol=1e-12)
    shares = thompson(*counts((10_000, 100), (10_000, 5_000), (10_000, 5_000)), 1, 1)
    assert shares[0] == 0
    assert shares[1] == shares[2] == pytest.approx(0.5)
    assert thompson(*counts(), 1, 1).tolist() == []


@pytest.mark.parametrize(("name", "least"), [("epsilon_greedy", 0.88), ("ucb1", 0.7), ("thompson", 0.9)])
def test_a_bandit_reaches_the_planted_best_arm(name: str, least: float) -> None:
    """Ten arms, one better, rewards folded in every hundred rounds as a batch job does."""
    rates = np.array([0.1, 0.15, 0.2, 0.25, 0.6, 0.2, 0.3, 0.1, 0.05, 0.3])
    rng = np.random.default_rng(5)
    policy, pulls, rewards = policies(SETTINGS)[name], np.zeros(10, np.int64), np.zeros(10)
    shown = []
    for _ in range(150):
        chosen = pick(policy(pulls, rewards), rng.random(100))
        np.add.at(pulls, chosen, 1)
        np.add.at(rewards, chosen, (rng.random(100) < rates[chosen]).astype(float))
        shown.append((chosen == 4).mean())
    assert np.mean(shown[-50:]) >= least
    assert shown[0] < 0.2  # nobody knew it at the start


def test_arms_are_counted_by_context_and_share_their_chances_there(spark: SparkSession) -> None:
    rows = [
        ("men", 1, "b", 1), ("men", 1, "b", 0), ("men", 2, "a", 0), ("men", 1, "c", 1),  # b 1 of 2, a 0 of 1, c 1 of 1
        (None, 1, "a", 1),
    ]  # fmt: skip
    shown = spark.createDataFrame(rows, "campaign string, position int, item_id string, reward int").repartition(3)
    arms = count_arms(shown.withColumn("context", context_of(["campaign"])))
    two = with_propensities(arms, BanditSettings(0.1, 1.0, 1, 1, max_arms=2)).orderBy("context", "item_id").collect()
    # Of men two compete: b with 2 pulls, and a before c. UCB1: b 0.5 + sqrt(2 ln 3 / 2), a sqrt(2 ln 3) = 1.4823; 1.5482 wins.
    # Thompson: b is Beta(2, 2), a Beta(1, 2): b is better with 0.7.
    found = [(r["context"], r["item_id"], r["pulls"], r["rewards"], *[round(r[p], 3) for p in POLICIES]) for r in two]
    assert found == [
        ("campaign=all", "a", 1, 1.0, 1.0, 1.0, 1.0), ("campaign=men", "a", 1, 0.0, 0.05, 0.0, 0.3),
        ("campaign=men", "b", 2, 1.0, 0.95, 1.0, 0.7), ("campaign=men", "c", 1, 1.0, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    assert shown.select(context_of([]).alias("c")).distinct().collect()[0]["c"] == "all"
    both = shown.select(context_of(["campaign", "position"]).alias("c")).distinct().orderBy("c").collect()
    assert [r["c"] for r in both] == ["campaign=all/position=1", "campaign=men/position=1", "campaign=men/position=2"]
    assert with_propensities(arms.limit(0), SETTINGS).count() == 0


def test_a_round_is_always_answered_the_same_with_its_probability(spark: SparkSession) -> None:
    line = [("x", "a", 0.5), ("x", "b", 0.0), ("x", "c", 0.2), ("x", "d", 0.3)]
    arms = spark.createDataFrame(line, "context string, item_id string, p double")
    rounds = spark.range(4000).select(F.col("id").cast("string").alias("round_id"), F.lit("x").alias("context"))
    chosen = choose(rounds.repartition(5), arms, "p", seed=7).orderBy("round_id").collect()
    again = choose(rounds.repartition(2), arms.orderBy(F.desc("item_id")), "p", seed=7).orderBy("round_id").collect()
    assert chosen == again
    assert {(r["item_id"], r["propensity"]) for r in chosen} == {("a", 0.5), ("c", 0.2), ("d", 0.3)}
    for item, share in (("a", 0.5), ("c", 0.2), ("d", 0.3)):
        assert sum(r["item_id"] == item for r in chosen) / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)
    other = choose(rounds, arms, "p", seed=8).orderBy("round_id").collect()
    assert [r["item_id"] for r in other] != [r["item_id"] for r in chosen]
    assert choose(rounds.withColumn("context", F.lit("y")), arms, "p", 7).count() == 0


def test_choices_of_arrays_pass_over_arms_without_a_chance() -> None:
    assert pick(np.array([0.5, 0.0, 0.5, 0.0]), np.array([0.0, 0.4999, 0.5, 0.999999999999])).tolist() == [0, 0, 2, 2]
    assert pick(np.array([0.7, 0.3 - 1e-12]), np.array([1 - 1e-13])).tolist() == [1]
