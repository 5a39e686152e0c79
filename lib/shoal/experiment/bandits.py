"""Bandits: what each item has earned, and with which probability a policy shows it next.

An arm is an item in a context (a campaign, an experiment's variant). Its state is how often it was shown, `pulls`, and the sum
of its rewards, each 0 or 1. A policy is a function from the arms of one context to probabilities that sum to 1. Choices are drawn
from these with a hash of the round's id, so that a rerun chooses the same, and the propensity that is logged is the very
number that was drawn with. Sources and worked examples: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from scipy.special import betainc, betaincinv

from shoal.arrays import Doubles, Ints

POLICIES = ("epsilon_greedy", "ucb1", "thompson")
ALL = "all"
# Points of the grid on which Thompson's integral is taken, from the quantiles of at most so many arms.
_GRID_ARMS, _GRID_QUANTILES, _GRID_POINTS = 256, 129, 4096
# An arm whose upper quantile lies below another's lower one is the best with at most about twice this probability.
_TAIL = 1e-10


@dataclass(frozen=True)
class BanditSettings:
    """Of the three policies: share of rounds that explore, width of the confidence bound, the Beta prior, and how many
    arms of a context compete."""

    epsilon: float
    exploration: float
    prior_successes: float
    prior_failures: float
    max_arms: int


# -- state


def context_of(columns: Sequence[str]) -> Column:
    """The context of a row: `campaign=men/position=1`; a null value is `all`, and so is the context of no columns."""
    parts = [F.concat(F.lit(f"{name}="), F.coalesce(F.col(name).cast("string"), F.lit(ALL))) for name in columns]
    return F.concat_ws("/", *parts) if parts else F.lit(ALL)


def count_arms(rounds: DataFrame) -> DataFrame:
    """One row per context and item: `pulls` (rounds that showed it), `rewards` (sum of their rewards).

    Grain of `rounds`: an item shown, with context, item_id, reward (0 or 1). No rounds, no arms. Cost: one shuffle of sums by
    context and item.
    """
    return rounds.groupBy("context", "item_id").agg(
        F.count(F.lit(1)).alias("pulls"), F.sum(F.col("reward").cast("double")).alias("rewards")
    )


# -- policies: the arms of one context, in order of item_id


def epsilon_greedy(pulls: Ints, rewards: Doubles, epsilon: float) -> Doubles:
    """The arm of the highest mean reward with probability 1 - epsilon, else any with equal chances. Exact.

    An arm without pulls has mean 0; ties go to the first. No arms: an empty array.
    """
    shares = np.full(len(pulls), epsilon / max(len(pulls), 1))
    if len(pulls):
        shares[int(np.argmax(_means(pulls, rewards)))] += 1.0 - epsilon
    return shares


def ucb1(pulls: Ints, rewards: Doubles, exploration: float) -> Doubles:
    """1 for the arm of the highest upper bound, mean + exploration * sqrt(2 ln(all pulls) / pulls), 0 for the others. Exact.

    An arm without pulls goes before all others; ties go to the first.
    """
    shares = np.zeros(len(pulls))
    if len(pulls):
        width = np.sqrt(2.0 * np.log(max(float(pulls.sum()), 1.0)) / np.maximum(pulls, 1))
        bound = np.where(pulls > 0, _means(pulls, rewards) + exploration * width, np.inf)
        shares[int(np.argmax(bound))] = 1.0
    return shares


def thompson(pulls: Ints, rewards: Doubles, prior_successes: float, prior_failures: float) -> Doubles:
    """The probability that each arm is the best, its rate being Beta(prior_successes + rewards, prior_failures + the rest).

    That is the probability with which Thompson sampling, one draw an arm, shows it. By numeric integration: each arm's mass
    between neighbouring points, times the probability that all others lie below (the mean of both ends), over at most
    4,096 points at the quantiles of the arms that can win; off by less than 1e-3 of the largest. The shares sum to 1; equal arms
    have equal ones. Cost: arms x 4,096 incomplete Beta functions, a second for 10,000 arms that can all win.
    """
    alpha, beta = prior_successes + rewards, prior_failures + pulls - rewards
    shares = np.zeros(len(pulls))
    if not len(pulls):
        return shares
    low, high = betaincinv(alpha, beta, _TAIL), betaincinv(alpha, beta, 1.0 - _TAIL)
    can_win = np.flatnonzero(high >= low.max())
    # Arms of one state have one curve: new items often come by the thousand.
    states, which, times = np.unique(np.stack([alpha[can_win], beta[can_win]]), axis=1, return_inverse=True, return_counts=True)
    alpha, beta = states[:, :, None]
    leading = np.argsort(-(states[0] / states.sum(axis=0)), kind="stable")[:_GRID_ARMS]
    levels = np.concatenate([[_TAIL], np.linspace(0.0, 1.0, _GRID_QUANTILES)[1:-1], [1.0 - _TAIL]])
    points = np.unique(np.concatenate([[0.0], betaincinv(alpha[leading], beta[leading], levels).ravel(), [1.0]]))
    if len(points) > _GRID_POINTS:
        points = points[np.unique(np.linspace(0, len(points) - 1, _GRID_POINTS).round().astype(int))]
    below = betainc(alpha, beta, points)
    logs = np.log(np.maximum(below, 1e-300))
    others = np.exp((times[:, None] * logs).sum(axis=0) - logs)
    best = (np.diff(below, axis=1) * (others[:, 1:] + others[:, :-1]) / 2.0).sum(axis=1)
    shares[can_win] = best[which.ravel()]
    return shares / shares.sum()


def _means(pulls: Ints, rewards: Doubles) -> Doubles:
    return rewards / np.maximum(pulls, 1)


def policies(settings: BanditSettings) -> Mapping[str, Callable[[Ints, Doubles], Doubles]]:
    """The policies by name, with their settings filled in."""
    prior = (settings.prior_successes, settings.prior_failures)
    return {
        "epsilon_greedy": lambda pulls, rewards: epsilon_greedy(pulls, rewards, settings.epsilon),
        "ucb1": lambda pulls, rewards: ucb1(pulls, rewards, settings.exploration),
        "thompson": lambda pulls, rewards: thompson(pulls, rewards, *prior),
    }


def with_propensities(arms: DataFrame, settings: BanditSettings) -> DataFrame:
    """`arms` (context, item_id, pulls, rewards) with a column a policy: the probability with which it shows the item next in
    its context; each sums to 1 over a context.

    Of a context the `max_arms` most pulled compete (ties: the smaller item_id), the others have 0. Grain: context and item,
    unique. Cost: two shuffles by context; a task holds the arms of one context that compete.
    """
    place = F.row_number().over(Window.partitionBy("context").orderBy(F.desc("pulls"), "item_id"))
    placed = arms.select("context", "item_id", "pulls", "rewards", (place <= settings.max_arms).alias("_competes"))
    made = policies(settings)

    def share_out(frame: pd.DataFrame) -> pd.DataFrame:
        ordered = frame.sort_values("item_id", kind="stable")
        pulls, rewards = ordered["pulls"].to_numpy(np.int64), ordered["rewards"].to_numpy(np.float64)
        return ordered.drop(columns="_competes").assign(**{name: policy(pulls, rewards) for name, policy in made.items()})

    fields = "context string, item_id string, pulls bigint, rewards double"
    schema = ", ".join([fields, *[f"{name} double" for name in POLICIES]])
    shared = placed.where("_competes").groupBy("context").applyInPandas(share_out, schema)
    rest = placed.where("not _competes").drop("_competes").withColumns({name: F.lit(0.0) for name in POLICIES})
    return shared.unionByName(rest)


# -- choices


def unit_draw(seed: int, *ids: str) -> Column:
    """A number in [0, 1) that depends on the seed and the ids only: the first 53 bits of their xxHash64."""
    return F.shiftrightunsigned(F.xxhash64(F.lit(seed), *ids), 11) * F.lit(2.0**-53)


def choose(rounds: DataFrame, arms: DataFrame, policy: str, seed: int) -> DataFrame:
    """`rounds` with `item_id`, which the policy shows in that round, and `propensity`, the probability of just that choice.

    `rounds`: round_id (unique), context; `arms`: context, item_id and a column `policy` of probabilities. The draw is the place
    of a hash of seed and round_id on the line of probabilities in order of item_id: the same round is always answered
    the same while the arms are. A round whose context has no arm is dropped. Cost: the arms of a context above 0, of which
    `with_propensities` leaves `max_arms`, become one row and go to its rounds as a broadcast; a choice looks at all of them.
    """
    arm = F.struct("item_id", F.col(policy).alias("probability"))
    lines = arms.where(F.col(policy) > 0).groupBy("context").agg(F.array_sort(F.collect_list(arm)).alias("_line"))
    probability = F.col("_line")["probability"]
    ends = F.transform(F.sequence(F.lit(1), F.size("_line")), lambda n: _sum(F.slice(probability, F.lit(1), n)))
    drawn = rounds.join(F.broadcast(lines.withColumn("_ends", ends)), "context")
    passed = F.size(F.filter("_ends", lambda end: end <= F.col("_draw")))
    # The last end may be a rounding error below 1.
    place = F.least(passed, F.size("_line") - 1)
    chosen = drawn.withColumn("_draw", unit_draw(seed, "round_id")).withColumn("_chosen", F.get("_line", place))
    return chosen.select(*rounds.columns, F.col("_chosen.item_id"), F.col("_chosen.probability").alias("propensity"))


def _sum(values: Column) -> Column:
    return F.aggregate(values, F.lit(0.0), lambda total, value: total + value)


def pick(probabilities: Doubles, draws: Doubles) -> Any:
    """Places of the arms that these draws from [0, 1) stand for: `choose` for arrays."""
    ends = np.cumsum(probabilities)
    return np.minimum(np.searchsorted(ends, draws, side="right"), np.flatnonzero(probabilities > 0)[-1])
