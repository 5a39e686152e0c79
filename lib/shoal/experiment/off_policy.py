"""What a policy would have earned, from the log of another: inverse propensity scores, their self-normalised form, and doubly
robust estimates, each with two intervals.

A round is one item shown at one position. The log says with which probability its policy showed that item there, the propensity;
a policy to be judged gives its own probability for the same item in the same slot (context and position), and the quotient
of both is the round's weight. As in the Open Bandit Dataset, positions are judged one by one: what else was on the page does not
count. Formulas, sources and a worked example: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.experiment.bandits import POLICIES, context_of

# The 97.5% point of the normal distribution.
NORMAL = 1.959963984540054
LOGGED, RANDOM = "logged", "random"


@dataclass(frozen=True)
class OffPolicySettings:
    """Weights above `max_weight` are cut to it (None: never); the reward model is fitted on all folds but the round's own, an
    item's mean drawn to its slot's as by `reward_shrink` rounds; the bootstrap draws `buckets` of users `bootstrap_samples`
    times."""

    max_weight: float | None
    folds: int
    reward_shrink: float
    buckets: int
    bootstrap_samples: int
    seed: int


@dataclass(frozen=True)
class Estimate:
    """A mean reward a round, and where it lies with 95%: by the normal distribution, and by the bootstrap's percentiles. None
    where there is nothing to go by: no round, no weight; an interval needs two users."""

    estimate: float | None
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None


@dataclass(frozen=True)
class EvaluationResult:
    """A policy on a log: the estimates by name, rounds, Kish's effective number of rounds, the mean weight before cutting (near 1
    where the propensities are right), and the share of rounds whose weight was cut."""

    estimates: dict[str, Estimate]
    rounds: int
    effective_rounds: float
    mean_weight: float | None
    clipped_share: float | None


def uniform(arms: DataFrame) -> DataFrame:
    """policy, context, item_id, probability: every item of a context with equal chances. `arms`: context, item_id, unique."""
    sizes = arms.groupBy("context").agg(F.count(F.lit(1)).alias("_size"))
    probability = (F.lit(1.0) / F.col("_size")).alias("probability")
    return arms.join(sizes, "context").select(F.lit(RANDOM).alias("policy"), "context", "item_id", probability)


def learned(arms: DataFrame) -> DataFrame:
    """policy, context, item_id, probability: the three bandits of `with_propensities`, a row each."""
    each = [F.struct(F.lit(name).alias("policy"), F.col(name).alias("probability")) for name in POLICIES]
    return arms.select("context", "item_id", F.inline(F.array(*each))).select("policy", "context", "item_id", "probability")


def at_positions(policies: DataFrame, rounds: DataFrame) -> DataFrame:
    """Policies by context (policy, context, item_id, probability) as policies by slot: the same at every position of the context
    that `rounds` have."""
    slots = rounds.select("context", "slot").distinct()
    return policies.join(slots, "context").select("policy", "slot", "item_id", "probability")


def shares_of(rounds: DataFrame, policy: str) -> DataFrame:
    """policy, slot, item_id, probability: how often each item was shown in each slot. What the policy of a log did on the
    whole, where it changed from round to round. `rounds`: slot, item_id."""
    shown = rounds.groupBy("slot", "item_id").agg(F.count(F.lit(1)).alias("_shown"))
    total = shown.groupBy("slot").agg(F.sum("_shown").alias("_total"))
    probability = (F.col("_shown") / F.col("_total")).alias("probability")
    return shown.join(total, "slot").select(F.lit(policy).alias("policy"), "slot", "item_id", probability)


def reward_model(rounds: DataFrame, settings: OffPolicySettings) -> DataFrame:
    """slot, item_id, fold, `model`: (rewards + shrink * slot mean) / (rounds + shrink), over all folds but `fold`; and with a null
    item_id the slot mean itself, for items that the log does not show there.

    `rounds`: slot, item_id, reward, fold. A slot without rounds outside a fold has model 0. Cost: one shuffle by slot and item,
    one of the counts by slot.
    """
    all_folds = F.explode(F.sequence(F.lit(0), F.lit(settings.folds - 1))).alias("fold")
    by_fold = F.map_from_entries(F.collect_list(F.struct("fold", F.struct("n", "total"))))
    sums = F.sum("n").alias("n"), F.sum("total").alias("total")

    def outside(counts: DataFrame, *keys: str) -> DataFrame:
        """The counts by `keys` over all folds but each."""
        grouped = counts.groupBy(*keys).agg(*sums, by_fold.alias("by_fold")).select("*", all_folds)
        own = F.col("by_fold")[F.col("fold")]
        rest = {name: F.col(name) - F.coalesce(own[name], F.lit(0)) for name in ("n", "total")}
        return grouped.select(*keys, "fold", *[column.alias(name) for name, column in rest.items()])

    reward = F.sum(F.col("reward").cast("double")).alias("total")
    counts = rounds.groupBy("slot", "item_id", "fold").agg(F.count(F.lit(1)).alias("n"), reward)
    slots = outside(counts.groupBy("slot", "fold").agg(*sums), "slot")
    means = slots.select("slot", "fold", F.when(F.col("n") > 0, F.col("total") / F.col("n")).otherwise(0.0).alias("mean"))
    items = outside(counts, "slot", "item_id").join(means, ["slot", "fold"])
    shrink = F.lit(float(settings.reward_shrink))
    drawn = (F.col("total") + shrink * F.col("mean")) / (F.col("n") + shrink)
    model = F.when(F.col("n") + shrink > 0, drawn).otherwise(F.col("mean"))
    of_slots = means.select("slot", F.lit(None).cast("string").alias("item_id"), "fold", F.col("mean").alias("model"))
    return items.select("slot", "item_id", "fold", model.alias("model")).unionByName(of_slots)


def with_folds(rounds: DataFrame, settings: OffPolicySettings) -> DataFrame:
    """`rounds` with `fold` and `bucket`, both from a seeded hash of the unit: rounds of one user stay together."""
    fold = F.pmod(F.xxhash64(F.lit(settings.seed), "unit"), F.lit(settings.folds)).cast("int")
    bucket = F.pmod(F.xxhash64(F.lit(settings.seed + 1), "unit"), F.lit(settings.buckets)).cast("int")
    return rounds.withColumn("fold", fold).withColumn("bucket", bucket)


def weigh(rounds: DataFrame, policies: DataFrame, settings: OffPolicySettings) -> DataFrame:
    """One row per policy and round: policy, unit, bucket, raw (the weight before cutting), w, wr (weight times reward) and dr (the
    doubly robust term).

    `rounds`: unit (the user, else the round), slot, item_id, reward (0 or 1), propensity; `policies`: policy, slot, item_id,
    probability, unique. A policy is judged on the rounds of the slots that it names; there an item that it does not name has
    probability 0. Cost: the rounds are shuffled once for the reward model and joined with it and with the policies.
    """
    folded = with_folds(rounds, settings)
    model = reward_model(folded, settings)
    of_slots = model.where("item_id is null").select("slot", "fold", F.col("model").alias("_mean"))
    of_items = model.where("item_id is not null")
    expected = policies.join(of_slots, "slot").join(of_items, ["slot", "item_id", "fold"], "left")
    value = F.sum(F.col("probability") * F.coalesce("model", "_mean")).alias("_expected")
    direct = expected.groupBy("policy", "slot", "fold").agg(value)
    known = folded.join(of_items, ["slot", "item_id", "fold"], "left")
    judged = known.join(direct, ["slot", "fold"]).join(policies, ["policy", "slot", "item_id"], "left")
    raw = F.coalesce("probability", F.lit(0.0)) / F.col("propensity")
    weight = raw if settings.max_weight is None else F.least(raw, F.lit(float(settings.max_weight)))
    reward = F.col("reward").cast("double")
    return judged.select(
        "policy", "unit", "bucket", raw.alias("raw"), weight.alias("w"), (weight * reward).alias("wr"),
        (F.col("_expected") + weight * (reward - F.col("model"))).alias("dr"),
    )  # fmt: skip


def logged(rounds: DataFrame, settings: OffPolicySettings) -> DataFrame:
    """The rows of `weigh` for the policy that made the log: every weight is 1, so every estimate is the mean reward."""
    reward = F.col("reward").cast("double")
    one = F.lit(1.0)
    return with_folds(rounds, settings).select(
        F.lit(LOGGED).alias("policy"), "unit", "bucket", one.alias("raw"), one.alias("w"), reward.alias("wr"), reward.alias("dr")
    )


# Products of a unit's sums from which the variances of the three estimates are computed.
_MOMENTS = {
    "n": "n * n", "w": "w * w", "wr_n": "wr * n", "wr_w": "wr * w", "wr": "wr * wr", "dr_n": "dr * n", "dr": "dr * dr",
}  # fmt: skip
_SUMS = ("n", "w", "wr", "dr", "raw", "w2", "cut")


def estimate(terms: DataFrame, settings: OffPolicySettings) -> dict[str, EvaluationResult]:
    """What `weigh` and `logged` give, as estimates by policy, in order of name.

    `ips`: sum of weight x reward / rounds; `snips`: the same sum / sum of weights; `dr`: mean of the doubly robust terms. The
    normal interval takes users (rounds without users) as independent, by linearisation. The bootstrap draws buckets of
    users with replacement. Cost: two shuffles; collects one row a policy and bucket.
    """
    sums = [F.count(F.lit(1)).alias("n"), *[F.sum(name).alias(name) for name in ("w", "wr", "dr", "raw")]]
    sums += [F.sum(F.col("w") * F.col("w")).alias("w2"), F.count_if(F.col("raw") > F.col("w")).alias("cut")]
    units = terms.groupBy("policy", "bucket", "unit").agg(*sums)
    squares = [F.sum(F.expr(product)).alias(f"sq_{name}") for name, product in _MOMENTS.items()]
    totals = [F.sum(name).alias(name) for name in _SUMS]
    buckets = units.groupBy("policy", "bucket").agg(F.count(F.lit(1)).alias("units"), *totals, *squares)
    found: pd.DataFrame = buckets.orderBy("policy", "bucket").toPandas()
    names = [c for c in found.columns if c not in ("policy", "bucket")]
    by_policy = {str(policy): {name: rows[name].to_numpy(np.float64) for name in names} for policy, rows in found.groupby("policy")}
    return {policy: _judged(columns, settings) for policy, columns in by_policy.items()}


def _judged(buckets: dict[str, Doubles], settings: OffPolicySettings) -> EvaluationResult:
    total = {name: float(values.sum()) for name, values in buckets.items()}
    rng = np.random.default_rng(settings.seed)
    drawn = rng.multinomial(len(buckets["n"]), np.full(len(buckets["n"]), 1.0 / len(buckets["n"])), size=settings.bootstrap_samples)
    estimates = {}
    for name, (over, under) in {"ips": ("wr", "n"), "snips": ("wr", "w"), "dr": ("dr", "n")}.items():
        cross = f"sq_{over}_{under}"
        estimates[name] = _ratio(buckets, total, over, under, cross, drawn)
    clipped = total["cut"] / total["n"]
    effective = total["w"] ** 2 / total["w2"] if total["w2"] else 0.0
    return EvaluationResult(estimates, int(total["n"]), _told(effective), _told(total["raw"] / total["n"]), clipped)


def _ratio(
    buckets: dict[str, Doubles], total: dict[str, float], over: str, under: str, cross: str, drawn: npt.NDArray[np.int64]
) -> Estimate:
    """sum of `over` / sum of `under` with its intervals."""
    if not total[under]:
        return Estimate(None, None, None, None, None)
    value = total[over] / total[under]
    units = total["units"]
    if units < 2:
        return Estimate(_told(value), None, None, None, None)
    residual = total[f"sq_{over}"] - 2.0 * value * total[cross] + value * value * total[f"sq_{under}"]
    deviation = NORMAL * np.sqrt(max(residual, 0.0) * units / (units - 1.0)) / total[under]
    below = drawn @ buckets[under]
    again = (drawn @ buckets[over])[below > 0] / below[below > 0]
    low, high = np.percentile(again, [2.5, 97.5])
    return Estimate(_told(value), _told(value - deviation), _told(value + deviation), _told(low), _told(high))


def _told(value: float) -> float:
    """Ten digits: beyond them a sum depends on the order in which partitions are added."""
    return float(f"{value:.9e}")


def as_rounds(log: DataFrame, context: Sequence[str], *kept: str) -> DataFrame:
    """unit, context, slot, item_id, reward, propensity and the columns `kept`: one row a round.

    `log`: rows as of silver.impressions: impression_id, user_id (null: the round stands for itself), item_id, position, is_click,
    propensity and the columns of `context`. A slot is a context and a position.
    """
    unit = F.coalesce(F.concat(F.lit("user-"), "user_id"), F.concat(F.lit("round-"), "impression_id"))
    slot = context_of([*context, *(["position"] if "position" not in context else [])])
    return log.select(
        unit.alias("unit"), context_of(context).alias("context"), slot.alias("slot"), "item_id",
        F.col("is_click").cast("int").alias("reward"), "propensity",
        *kept,
    )  # fmt: skip
