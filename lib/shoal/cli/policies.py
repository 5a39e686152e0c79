"""`shoal evaluate policies`: a log of what was shown in, what other policies would have earned out."""

from __future__ import annotations

import json
import sys
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import EvaluatePoliciesConf, IngestConf, Settings
from shoal.errors import InputError, UsageError
from shoal.experiment.bandits import count_arms, with_propensities
from shoal.experiment.off_policy import (
    LOGGED,
    RANDOM,
    EvaluationResult,
    OffPolicySettings,
    as_rounds,
    at_positions,
    estimate,
    learned,
    logged,
    shares_of,
    uniform,
    weigh,
)
from shoal.ingest.formats.files import read_rows, refuse_faults
from shoal.ingest.sources.impressions import FIELDS
from shoal.lake.lake import Lake, Run
from shoal.lake.store import refuse_missing_folder
from shoal.mine.graph.node_index import number_rows
from shoal.recommend.candidates.configured import bandit_settings
from shoal.spark.checkpoints import release
from shoal.spark.session import spark_session

_NAMES = {field.name: field.aliases for field in FIELDS}
ALIASES = _NAMES | {
    "click": ("is_click", *_NAMES["is_click"]),
    "propensity_score": ("propensity", *_NAMES["propensity"]),
    "timestamp": ("occurred_at", *_NAMES["occurred_at"]),
}
COMPARED = "compared"
LogOption = Annotated[
    Optional[Path],
    typer.Option(help="What was shown: item_id, position, click, propensity_score[, timestamp, user_id].", metavar="FILE"),
]


def policies(
    log: LogOption = None,
    lake: Annotated[
        Optional[str], typer.Option("--lake", help="Instead of --log: silver.impressions of this lake.", metavar="DIR")
    ] = None,
    policy: Annotated[Optional[str], typer.Option(help="Only rounds that this policy chose.", metavar="NAME")] = None,
    campaign: Annotated[Optional[str], typer.Option(help="Only rounds of this campaign.", metavar="NAME")] = None,
    compare: Annotated[
        Optional[Path],
        typer.Option(help="Another policy's log: estimate its rate from the first log and show its own.", metavar="FILE"),
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Estimate the clicks a round that other policies would have got, from a log with propensities.

    Epsilon-greedy, UCB1 and Thompson sampling learn from the first part of the log by time (evaluate_policies.train_fraction) and
    are judged on the rest; random shows every item with equal chances; logged is what was done. Prints {"policies": {NAME: {"ips":
    {"estimate", "low", "high", "bootstrap_low", "bootstrap_high"}, "snips": ..., "dr": ...}}}; intervals hold 95%.
    effective_rounds far below rounds, or a mean_weight far from 1, mean little evidence. Formulas: docs/metrics.md.

    Example: shoal evaluate policies --log random/men/men.csv --compare bts/men/men.csv
    """
    if (log is None) == (lake is None):
        raise UsageError("expected one of --log FILE and --lake DIR")
    settings = load(env, with_file_settings(sets), section_name(EvaluatePoliciesConf))
    spark = spark_session("shoal-evaluate-policies", env, settings.spark)
    shown = read_log(spark, log, settings.ingest) if log is not None else read_impressions(spark, lake or "", settings)
    shown, other = only(shown, policy, campaign), read_log(spark, compare, settings.ingest) if compare is not None else None
    if other is not None and campaign is not None:
        other = other.withColumn("campaign", F.lit(campaign))
    sys.stdout.write(json.dumps(evaluate_log(shown, other, settings)) + "\n")


def read_log(spark: SparkSession, path: Path, conf: IngestConf | None = None) -> DataFrame:
    """The rounds of a file: impression_id (place in the file), user_id, item_id, position (1 where there is no such column),
    is_click, propensity, occurred_at, campaign, policy; null where there is no such column.

    Raises InputError, one line with the number of rows and an example, for what is no item, position, click or probability.
    Cost: one pass over the file for the check.
    """
    optional = ["position", "timestamp", "user_id", "campaign", "policy"]
    rows = read_rows(spark, path, ["item_id", "click", "propensity_score"], optional, ALIASES, conf)
    click, propensity = F.col("click").cast("boolean"), F.col("propensity_score").cast("double")
    position, occurred_at = F.coalesce("position", F.lit("1")).cast("int"), F.col("timestamp").cast("timestamp")
    faults = {
        "item_id": (F.col("item_id").isNull(), "an id"),
        "position": (position.isNull() | (position < 1), "a whole number from 1 on"),
        "click": (click.isNull(), "0 or 1"),
        "propensity_score": (
            propensity.isNull() | F.isnan(propensity) | (propensity <= 0) | (propensity > 1), "a probability above 0, at most 1",
        ),
        "timestamp": (F.col("timestamp").isNotNull() & occurred_at.isNull(), "a time as 2019-11-24 00:03:13"),
    }  # fmt: skip
    refuse_faults(rows, path, faults, empty="such as 'nothing'")
    # The reader keeps the order of the file.
    order = F.monotonically_increasing_id().cast("string").alias("impression_id")
    return rows.select(
        order, "user_id", "item_id", position.alias("position"), click.alias("is_click"), propensity.alias("propensity"),
        occurred_at.alias("occurred_at"), "campaign", "policy",
    )  # fmt: skip


def read_impressions(spark: SparkSession, root: str, settings: Settings) -> DataFrame:
    """silver.impressions of a lake. Raises UsageError where there is no such folder."""
    refuse_missing_folder(root, settings.lake.catalog)
    return Lake(spark, root, settings, Run("evaluate-policies")).read("silver.impressions")


def only(rounds: DataFrame, policy: str | None, campaign: str | None) -> DataFrame:
    """The rounds of a policy and a campaign; all for None. Raises InputError, with the names there are (at most ten), for none."""
    for column, name in (("policy", policy), ("campaign", campaign)):
        if name is None:
            continue
        some = rounds.where(F.col(column) == name)
        if some.isEmpty():
            there = [str(row[0]) for row in rounds.select(column).distinct().orderBy(column).limit(10).collect()]
            raise InputError(f"--{column} {name}: no round of it; there are {', '.join(there)}")
        rounds = some
    return rounds


def evaluate_log(shown: DataFrame, other: DataFrame | None, settings: Settings) -> dict[str, Any]:
    """What the command prints, for rounds as `read_log` gives them. Cost: a sort of the rounds by time, then that of `weigh`."""
    conf, arms_conf = settings.evaluate_policies, settings.bandits
    rule = OffPolicySettings(conf.max_weight, conf.folds, conf.reward_shrink, conf.buckets, conf.bootstrap_samples, conf.seed)
    number = F.col("impression_id").cast("bigint")
    order = [F.col("occurred_at").asc_nulls_first(), number.asc_nulls_first(), F.asc("impression_id")]
    placed = number_rows(shown, order, "place")
    everything = as_rounds(placed, arms_conf.contexts, "place")
    total = everything.count()
    taught = int(total * conf.train_fraction + 1e-9)
    before, judged = everything.where(F.col("place") < taught), everything.where(F.col("place") >= taught).persist()
    catalogue = everything.select("context", "item_id").distinct()
    arms = catalogue.join(count_arms(before), ["context", "item_id"], "left").na.fill(0, ["pulls", "rewards"]).persist()
    targets = at_positions(uniform(arms).unionByName(learned(with_propensities(arms, bandit_settings(arms_conf)))), judged)
    if other is not None:
        theirs = as_rounds(other, arms_conf.contexts)
        targets = targets.unionByName(shares_of(theirs, COMPARED))
    terms = [logged(judged, rule), weigh(judged, targets.persist(), rule)]
    found = estimate(reduce(DataFrame.unionByName, terms), rule)
    if other is not None and COMPARED not in found:
        raise InputError("--compare: no campaign and position in common with the first log; --campaign names that of both")
    report: dict[str, Any] = {
        "policies": {name: shown_of(found[name]) for name in (LOGGED, RANDOM, *sorted(set(found) - {LOGGED, RANDOM}))},
        "log": {
            "rounds": total, "taught_rounds": taught, "evaluated_rounds": total - taught, "arms": catalogue.count(),
            "contexts": catalogue.select("context").distinct().count(),
        },
        "settings": {**conf.model_dump(), **arms_conf.model_dump()},
    }  # fmt: skip
    if other is not None:
        own = estimate(logged(theirs, rule), rule)[LOGGED]
        report["compared"] = {"rounds": own.rounds, **own.estimates["ips"].__dict__}
    for frame in (judged, arms, targets):
        frame.unpersist()
    release(placed)
    return report


def shown_of(judged: EvaluationResult) -> dict[str, Any]:
    """A policy's part of the JSON."""
    estimates = {name: each.__dict__ for name, each in judged.estimates.items()}
    return {**estimates, **{name: value for name, value in judged.__dict__.items() if name != "estimates"}}
