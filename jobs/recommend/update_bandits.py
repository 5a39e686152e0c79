"""Write what every item shown has earned, and with which probability each bandit policy shows it next.

Reads:  silver.impressions   items shown up to as_of
Writes: gold.bandit_arms     one row per context and item; replaces as_of

The state of a day is counted from all impressions up to it, never added to the state of the day before: each reward counts once,
however often a run is repeated or killed, and impressions that come late or are erased are right at the next run.
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import BanditsConf
from shoal.errors import SkippedError
from shoal.experiment.bandits import context_of, count_arms, with_propensities
from shoal.lake.lake import Lake
from shoal.recommend.candidates.configured import bandit_settings
from shoal.runner.command import run_job

READS = ("silver.impressions",)
WRITES = ("gold.bandit_arms",)


def build(impressions: DataFrame, conf: BanditsConf) -> DataFrame:
    """gold.bandit_arms but for as_of and run_id. A click is a reward of 1. Cost: one scan with its sums by context and item, two
    shuffles of these."""
    reward = F.col("is_click").cast("int").alias("reward")
    rounds = impressions.select(context_of(conf.contexts).alias("context"), "item_id", reward)
    arms = with_propensities(count_arms(rounds), bandit_settings(conf))
    return arms.withColumn("mean_reward", F.col("rewards") / F.col("pulls"))


def run(lake: Lake, conf: BanditsConf, as_of: date) -> None:
    """Count and replace the day's rows."""
    impressions = lake.read("silver.impressions", before=as_of)
    if impressions.isEmpty():
        raise SkippedError("silver.impressions has no row up to this day")
    lake.replace("gold.bandit_arms", build(impressions, conf), on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, BanditsConf, argv)


if __name__ == "__main__":
    sys.exit(main())
