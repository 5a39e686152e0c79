"""What the people whom a user follows like: a part of the blend, and candidates of its own."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.recommend.candidates.histories import Catalogue, strength, with_places
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.ranking.sums import stable_sum

# People of a user, the followed last ones, and events of each, the newest: so many pairs a user at most.
MAX_FOLLOWED, MAX_EVENTS = 100, 50
# Items that a user's row holds: what counts less is not among the candidates, and nearly 0 beside them.
MAX_ITEMS = 1_000


def follows_before(follows: DataFrame | None, moment: int | None) -> DataFrame | None:
    """The rows of `follows` up to `moment` (microseconds since 1970). A follow without a time is excluded where there is a moment:
    it may be later. Without a moment, as they are."""
    if follows is None or moment is None:
        return follows
    return follows.where(F.unix_micros("followed_at") <= F.lit(moment))


def with_followed(rows: DataFrame, preferences: DataFrame, catalogue: Catalogue, follows: DataFrame) -> DataFrame:
    """`rows` (user_id ...) with `followed_items` (array<int>, numbers of the catalogue) and `followed_scores` (array<float>): the
    sum over the people whom the user follows of how much each likes the item (`histories.strength`), the MAX_ITEMS highest, ties by
    the smaller number; null for a user none of whose people likes an item of the catalogue.

    `preferences`: as for `histories`, of what was known then; `follows`: src_id, dst_id, followed_at. The MAX_FOLLOWED people that
    were followed last count (without a time: earliest; ties by id), and the MAX_EVENTS newest events of each. A user who follows
    themselves does not count. Cost: a shuffle of the follows by user, of the preferences by user, a join of both of at most
    MAX_FOLLOWED x MAX_EVENTS rows a user, and a shuffle of these by user and item, summed before it.
    """
    pair = follows.where("src_id != dst_id").groupBy(F.col("src_id").alias("user_id"), F.col("dst_id").alias("followed_id"))
    pairs = pair.agg(F.max("followed_at").alias("at")).join(rows.select("user_id"), "user_id", "left_semi")
    newest = Window.partitionBy("user_id").orderBy(F.col("at").desc_nulls_last(), "followed_id")
    people = pairs.withColumn("_place", F.row_number().over(newest)).where(F.col("_place") <= MAX_FOLLOWED)
    events = liked(with_places(preferences, MAX_EVENTS)).join(F.broadcast(catalogue.numbers), "item_id")
    theirs = events.select(F.col("user_id").alias("followed_id"), "item", strength().alias("strength"))
    sums = people.select("user_id", "followed_id").join(theirs, "followed_id").groupBy("user_id", "item")
    scored = sums.agg(stable_sum("strength").alias("score"))
    entry = F.struct((-F.col("score")).alias("order"), "item", F.col("score").cast("float").alias("score"))
    best = scored.groupBy("user_id").agg(F.slice(F.array_sort(F.collect_list(entry)), 1, MAX_ITEMS).alias("_best"))
    columns = (F.col("_best.item").alias("followed_items"), F.col("_best.score").alias("followed_scores"))
    return rows.join(best.select("user_id", *columns), "user_id", "left")
