"""Exploration: a bandit's policy draws for some places of a list, and every row has the probability with which it was put there.

Each place is drawn for on its own. Where the draw is an item that the user has met, that the list has anyway or that stands above,
the place goes to the next ranked item. So each row's propensity is a sum of the policy's probabilities, given the rows above it,
and needs no simulation: an explored row's is its own probability, a ranked row's in such a place the sum over what could not be
drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.experiment.bandits import choose
from shoal.recommend.ranking.sums import stable_sum

EXPLORE = "explore"
# Source of the rows in cold-start slots, which are not explored.
COLD_START = "content"


@dataclass(frozen=True)
class Exploration:
    """`arms`: item_id, unique, `probability`, above 0 for one at least; `places`: how many of a list are drawn for; `seed` and
    `day`: what a draw depends on, besides user and place."""

    arms: DataFrame
    places: int
    seed: int
    day: date


def last_arms(arms: DataFrame, context: str, policy: str, day: date) -> tuple[DataFrame, date | None]:
    """The arms of `context` that `policy` shows, as of the last day before `day`: item_id, probability above 0; and that day, None
    with an empty frame where there is none. `arms`: rows of gold.bandit_arms. Cost: one Spark job that collects one row."""
    rows = arms.where((F.col("context") == context) & (F.col("as_of") < F.lit(day)))
    last: date | None = rows.agg(F.max("as_of")).collect()[0][0]
    rows = rows.select("as_of", "item_id", F.col(policy).alias("probability"))
    return rows.where((F.col("as_of") == F.lit(last)) & (F.col("probability") > 0)).select("item_id", "probability"), last


def certain(lists: DataFrame) -> DataFrame:
    """The lists with `propensity` 1: ranked without chance."""
    return lists.withColumn("propensity", F.lit(1.0))


def with_exploration(lists: DataFrame, seen: DataFrame, exploration: Exploration) -> DataFrame:
    """`lists` with `propensity`, the last places of each that are no cold-start slots drawn for; as many rows a user as before.

    `lists`: user_id, rank (1, 2 ... without gaps), item_id, score, parts, source, because_item_id; `seen`: user_id, item_id, never
    drawn. Rows of source COLD_START keep their rank and have propensity 1. Arms are drawn in proportion to `probability`. A drawn
    row has source `explore` and its probability as score. The same lists, seen and arms give the same rows. Cost: `seen` and
    `lists` are joined with the arms, which are broadcast (of `with_propensities` at most `max_arms`); some shuffles by user of at
    most `places` rows each.
    """
    is_open = F.col("source") != COLD_START
    number = F.sum(is_open.cast("int")).over(Window.partitionBy("user_id").orderBy("rank")).cast("int")
    ranked = lists.withColumns({"_rank": F.col("rank"), "rank": number}).where(is_open)
    barred = lists.select("user_id", "item_id").unionByName(seen.select("user_id", "item_id"))
    explored = _explored(ranked.drop("_rank"), barred, exploration)
    # Back to the ranks that cold-start slots leave.
    explored = explored.join(ranked.select("user_id", "rank", "_rank"), ["user_id", "rank"]).withColumn("rank", F.col("_rank"))
    return explored.select(*lists.columns, "propensity").unionByName(certain(lists.where(~is_open)))


def _explored(lists: DataFrame, taken: DataFrame, exploration: Exploration) -> DataFrame:
    """`with_exploration` for lists without cold-start slots; `taken`: user_id, item_id, never drawn."""
    total = exploration.arms.agg(stable_sum("probability").alias("_total"))
    shares = exploration.arms.where("probability > 0").crossJoin(F.broadcast(total))
    shares = shares.select("item_id", (F.col("probability") / F.col("_total")).alias("probability"))
    sizes = lists.groupBy("user_id").agg(F.max("rank").alias("_length"))
    base = F.greatest(F.col("_length") - exploration.places, F.lit(0))
    places = F.explode(F.sequence(F.lit(1), F.col("_length") - F.col("_base"))).alias("_place")
    grid = sizes.withColumn("_base", base).select("user_id", "_base", places)
    name = F.concat_ws("/", F.lit(exploration.day.isoformat()), F.col("_place").cast("string"), "user_id")
    rounds = grid.withColumns({"round_id": name, "context": F.lit("")})
    drawn = choose(rounds, shares.withColumn("context", F.lit("")), "probability", exploration.seed)

    barred = taken.join(F.broadcast(shares), "item_id").distinct()
    fresh = drawn.join(barred.select("user_id", "item_id"), ["user_id", "item_id"], "left_anti")
    first = Window.partitionBy("user_id", "item_id").orderBy("_place")
    accepted = fresh.withColumn("_copy", F.row_number().over(first)).where("_copy = 1")
    accepted = accepted.select("user_id", "_place", F.col("item_id").alias("_drawn"), F.col("propensity").alias("_chance"))
    masses = barred.groupBy("user_id").agg(stable_sum("probability").alias("_barred"))

    by_place = Window.partitionBy("user_id").orderBy("_place")
    above = F.coalesce(F.sum("_chance").over(by_place.rowsBetween(Window.unboundedPreceding, -1)), F.lit(0.0))
    kept = F.sum(F.col("_drawn").isNull().cast("int")).over(by_place)
    placed = grid.join(accepted, ["user_id", "_place"], "left").join(masses, "user_id", "left")
    placed = placed.withColumns({"_above": above, "_from": F.col("_base") + kept, "_rank": F.col("_base") + F.col("_place")})

    below = placed.join(lists.withColumnRenamed("rank", "_from"), ["user_id", "_from"], "left")
    rest = F.least(F.lit(1.0), F.coalesce("_barred", F.lit(0.0)) + F.col("_above"))
    is_drawn = F.col("_drawn").isNotNull()
    made = {
        "item_id": F.col("_drawn"), "score": F.col("_chance"), "source": F.lit(EXPLORE),
        "parts": F.create_map(F.lit(EXPLORE), F.col("_chance")), "because_item_id": F.lit(None).cast("string"),
    }  # fmt: skip
    shown = {name: F.when(is_drawn, drawn_value).otherwise(F.col(name)) for name, drawn_value in made.items()}
    propensity = F.when(is_drawn, F.col("_chance")).otherwise(rest)
    below = below.withColumns({**shown, "rank": F.col("_rank").cast("int"), "propensity": propensity})
    ranked = certain(lists.join(sizes.select("user_id", base.alias("_base")), "user_id").where(F.col("rank") <= F.col("_base")))
    columns = [*lists.columns, "propensity"]
    return ranked.select(*columns).unionByName(below.select(*columns))
