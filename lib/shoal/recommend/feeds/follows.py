"""Whom to follow: people whom one shares contacts with, then people whom a short walk along contacts leads to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.ranking.sums import stable_sum

SUGGESTED = ("recommended_id", "score", "common", "follows_back")


@dataclass(frozen=True)
class WalkSettings:
    """Steps of a walk, the chance that it ends before each of them, and how many people it may be at after each."""

    steps: int
    restart: float
    width: int


def follow_pairs(follows: DataFrame) -> DataFrame:
    """src_id, dst_id: each pair once, none of somebody with themselves."""
    return follows.where("src_id != dst_id").select("src_id", "dst_id").distinct()


def contacts_of(follows: DataFrame, max_contacts: int) -> DataFrame:
    """middle, person, contacts: the people whom each `middle` follows or is followed by, once, and how many these are; without a
    `middle` of more than `max_contacts`. `follows`: of follow_pairs. Used several times: cache it."""
    back = follows.select(F.col("dst_id").alias("src_id"), F.col("src_id").alias("dst_id"))
    both = follows.unionByName(back).distinct().select(F.col("src_id").alias("middle"), F.col("dst_id").alias("person"))
    counts = both.groupBy("middle").agg(F.count(F.lit(1)).alias("contacts"))
    return both.join(counts.where(F.col("contacts") <= max_contacts), "middle")


def not_followed(candidates: DataFrame, follows: DataFrame) -> DataFrame:
    """`candidates` (user_id, recommended_id) without those whom the user follows, and `follows_back`: whether they follow the
    user. Two joins with the follows."""
    pair = ["user_id", "recommended_id"]
    known = follows.select(F.col("src_id").alias("user_id"), F.col("dst_id").alias("recommended_id"))
    theirs = follows.select(F.col("dst_id").alias("user_id"), F.col("src_id").alias("recommended_id"), F.lit(True).alias("_back"))
    new = candidates.join(known, pair, "left_anti").join(theirs, pair, "left")
    return new.withColumn("follows_back", F.coalesce("_back", F.lit(False))).drop("_back")


def suggest_by_contacts(follows: DataFrame, contacts: DataFrame, k: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, recommended_id, score, common, follows_back.

    A contact is a person whom the user follows or is followed by. score: sum over the contacts that both have of 1 / ln(number of
    their contacts) (Adamic and Adar, Social Networks 25, 2003); common: how many these are; follows_back: whether the recommended
    person follows the user already. Never listed: the user, and people whom the user follows. People with too many contacts are
    no common contacts (`contacts_of`): their pairs grow with the square and say least. Ties go to the smaller id. A user without a
    candidate has no row.

    `follows`: of follow_pairs; `contacts`: of contacts_of. Cost: pairs of contacts of each contact, at most max_contacts squared
    for one; they are summed by pair, joined with the follows, and sorted by user.
    """
    # A person with one contact joins no pair.
    contacts = contacts.where("contacts > 1")
    ends = contacts.select("middle", "person", (1 / F.log("contacts")).alias("weight"))
    others = contacts.select("middle", F.col("person").alias("recommended_id"))
    pairs = ends.withColumnRenamed("person", "user_id").join(others, "middle").where("user_id != recommended_id")
    scored = pairs.groupBy("user_id", "recommended_id").agg(stable_sum("weight").alias("score"), F.count(F.lit(1)).alias("common"))
    return _best(not_followed(scored, follows), k).select("user_id", "rank", *SUGGESTED)


def short_lists(listed: DataFrame, follows: DataFrame, k: int) -> DataFrame:
    """user_id, listed: who of all that `follows` name has fewer than k rows in `listed`, and how many."""
    counts = listed.groupBy("user_id").agg(F.count(F.lit(1)).alias("_rows"))
    people = follows.select(F.explode(F.array("src_id", "dst_id")).alias("user_id")).distinct().join(counts, "user_id", "left")
    return people.select("user_id", F.coalesce("_rows", F.lit(0)).alias("listed")).where(F.col("listed") < k)


def suggest_by_walk(
    few: DataFrame, listed: DataFrame, follows: DataFrame, contacts: DataFrame, k: int, settings: WalkSettings
) -> DataFrame:
    """The rows that `few` (of short_lists) lack below those of `listed` (of suggest_by_contacts), in the same form.

    A walker starts at the user and goes to one of the contacts of where they are, each with equal chances; before each step the
    walk ends with chance `restart`. score: the chance that it ends at the person within `steps` steps, personalised PageRank
    (Page et al. 1998, section 6) cut after a few steps. From somebody with more than `max_contacts` it goes nowhere, and after each
    step only the `width` likeliest places of a user go on. common is 0. Left out: the user, whom the user follows, who is listed.
    Ties go to the smaller id. A user without contacts has no row.

    `follows`: as follow_pairs gives them. Cost: for each step a join of at most width rows a user of `few` with the contacts, at
    most width x max_contacts rows, a sum and a sort by user.
    """
    moves = contacts.select("middle", "person", (1 / F.col("contacts")).alias("_share"))
    place, ends = few.select("user_id", F.col("user_id").alias("middle"), F.lit(1.0).alias("mass")), []
    order = Window.partitionBy("user_id").orderBy(F.desc("mass"), "person")
    for step in range(1, settings.steps + 1):
        moved = place.join(moves, "middle").withColumn("mass", F.col("mass") * F.col("_share"))
        reached = moved.groupBy("user_id", "person").agg(stable_sum("mass").alias("mass"))
        kept = reached.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= settings.width).drop("_place")
        chance = settings.restart * (1 - settings.restart) ** step
        ends.append(kept.select("user_id", F.col("person").alias("recommended_id"), (chance * F.col("mass")).alias("score")))
        place = kept.withColumnRenamed("person", "middle")
    walked = reduce(DataFrame.unionByName, ends).where("user_id != recommended_id").groupBy("user_id", "recommended_id")
    scored = walked.agg(stable_sum("score").alias("score")).withColumn("common", F.lit(0).cast("bigint"))
    new = not_followed(scored, follows).join(listed, ["user_id", "recommended_id"], "left_anti")
    below = _best(new, k).join(few, "user_id").withColumn("rank", (F.col("rank") + F.col("listed")).cast("int"))
    return below.where(F.col("rank") <= k).select("user_id", "rank", *SUGGESTED)


def _best(scored: DataFrame, k: int) -> DataFrame:
    """The k rows of each user with the highest score, ties by recommended_id, and their `rank`."""
    order = Window.partitionBy("user_id").orderBy(F.desc("score"), "recommended_id")
    return scored.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)


def with_reason(suggested: DataFrame) -> DataFrame:
    """The rows with `reason`, one sentence that names no person, instead of follows_back."""
    common = F.when(F.col("common") == 1, "1 contact in common.").otherwise(F.format_string("%d contacts in common.", "common"))
    why = F.when(F.col("source") == "contacts", common).otherwise("Near you in the network.")
    reason = F.when(F.col("follows_back"), F.concat(F.lit("Follows you. "), why)).otherwise(why)
    return suggested.withColumn("reason", reason).drop("follows_back")
