"""How good are ranked lists: metrics of one user's list as Column expressions, and their means over users.

Every metric of a user is a function of three things: the ranks at which relevant items stand (`hit_ranks`, ascending),
how many items are relevant, and k. Relevance is binary. docs/metrics.md gives each formula with its source and an
example worked by hand. Who counts: every user with a test event; one without a recommendation counts zero. Where no user
counts a mean is null, never 0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.errors import UsageError


def precision(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """Share of the k places that hold a relevant item; a list shorter than k counts as one of k. 0..1."""
    return F.size(hit_ranks) / F.lit(float(k))


def recall(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """Share of the user's relevant items that stand in the first k places. 0..1."""
    return F.size(hit_ranks) / relevant


def hit_rate(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """1 where any of the first k places holds a relevant item, else 0."""
    return (F.size(hit_ranks) > 0).cast("double")


def reciprocal_rank(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """1 / rank of the first relevant item within k, 0 where there is none (Voorhees, TREC-8 QA track report, 1999)."""
    return F.coalesce(F.lit(1.0) / F.get(hit_ranks, F.lit(0)), F.lit(0.0))


def average_precision(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """Mean of precision@rank over the hits within k, divided by min(relevant, k): MLlib's RankingMetrics. 0..1."""
    return _precision_sum(hit_ranks) / F.least(relevant, F.lit(k))


def average_precision_full(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """As `average_precision`, but divided by all relevant items (Manning et al., IR, 2008, section 8.4); below 1 where
    relevant > k.
    """
    return _precision_sum(hit_ranks) / relevant


def ndcg(hit_ranks: Column, relevant: Column, k: int) -> Column:
    """Sum of 1 / log2(rank + 1) over the hits within k, over that sum for min(relevant, k) hits at the top (Järvelin
    and Kekäläinen, TOIS 20(4), 2002, with binary gains). 0..1.
    """
    gain = F.aggregate(hit_ranks, F.lit(0.0), lambda total, rank: total + _discount(rank))
    ideal = F.aggregate(F.sequence(F.lit(1), F.least(relevant, F.lit(k))), F.lit(0.0), lambda total, r: total + _discount(r))
    return gain / ideal


PLACES = "array<struct<rank:int,item_id:string,model:string>>"
# By how much of all interest their items have.
STRATA = ("head", "middle", "tail")
# From this many training events on a user's history is long.
SHORT_HISTORY = 20

USER_METRICS: dict[str, Callable[[Column, Column, int], Column]] = {
    "ndcg": ndcg,
    "map": average_precision,
    "recall": recall,
    "precision": precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
    "map_full": average_precision_full,
}


def user_metrics(recommendations: DataFrame, test: DataFrame, ks: Sequence[int], models: Sequence[str]) -> DataFrame:
    """One row per model and user with a test event: `relevant` (its distinct test items) and `<metric>@<k>` for each k.

    `recommendations`: model, user_id, rank (from 1), item_id; an item listed twice counts at its better rank. `test`:
    user_id, item_id, where repeated rows count once and rows without a user or item not at all. A model of `models`
    without a row for a user gives that user zeros; a model that is not in `models` is excluded; users without a test
    event too. Empty `test`: no rows.

    Raises UsageError for a k below 1 or none. Cost: each frame is shuffled once, by user; nothing is cached or collected.
    All models, metrics and k come from one pass. A row holds a user's test items and lists.
    """
    if not ks or min(ks) < 1:
        raise UsageError(f"k: {list(ks)}; expected whole numbers from 1 on")
    sought = test.where("user_id is not null and item_id is not null").groupBy("user_id")
    relevant = sought.agg(F.collect_set("item_id").alias("_relevant"))
    places = F.struct(F.col("rank").cast("int").alias("rank"), "item_id", "model")
    kept = recommendations.where((F.col("rank") <= max(ks)) & F.col("model").isin(list(models)))
    lists = kept.groupBy("user_id").agg(F.collect_list(places).alias("_places"))
    everybody = relevant.join(lists, "user_id", "left").withColumn("model", F.explode(F.array(*[F.lit(m) for m in models])))

    def is_hit(place: Column) -> Column:
        return (place["model"] == F.col("model")) & F.array_contains("_relevant", place["item_id"])

    # Sorted by rank, as that is the first field; an item's later places are dropped.
    hits = F.array_sort(F.filter(F.coalesce("_places", F.array().cast(PLACES)), is_hit))
    found = everybody.select("model", "user_id", F.size("_relevant").alias("relevant"), hits.alias("_hits"))
    earlier = F.col("_hits.item_id")
    first = F.filter("_hits", lambda hit, at: ~F.array_contains(F.slice(earlier, F.lit(1), at), hit["item_id"]))
    found = found.withColumn("_ranks", F.transform(first, lambda hit: hit["rank"]))
    columns = [
        metric(_within(F.col("_ranks"), k), F.col("relevant"), k).alias(f"{name}@{k}")
        for k in ks
        for name, metric in USER_METRICS.items()
    ]
    return found.select("model", "user_id", "relevant", *columns)


def mean_metrics(per_user: DataFrame, by: Sequence[str] = ("model",)) -> DataFrame:
    """One row per model (or per `by`): the mean of every metric of `user_metrics` over its users, and `users`, their
    number.

    With an empty `by` there is always one row; over no user its means are null. Cost: one aggregation.
    """
    names = [name for name in per_user.columns if "@" in name]
    means = [F.avg(f"`{name}`").alias(name) for name in names]
    return per_user.groupBy(*by).agg(F.count(F.lit(1)).alias("users"), *means)


def evaluate_split(lists: DataFrame, held_out: DataFrame, k: int) -> dict[str, float | None]:
    """Metric -> mean over the users of `held_out`, for one model's lists (user_id, rank, item_id); None where no user counts.

    Cost: that of `user_metrics`; collects one row.
    """
    row = mean_metrics(user_metrics(lists.withColumn("model", F.lit("")), held_out, [k], [""]), by=()).first()
    return {name: value for name, value in (row.asDict() if row is not None else {}).items() if "@" in name}


def coverage(recommendations: DataFrame, catalogue: DataFrame, ks: Sequence[int], models: Sequence[str]) -> DataFrame:
    """One row per model of `models`: `coverage@<k>`, the share of the catalogue's items that stand in anybody's first k
    places. 0..1, null for an empty catalogue (Ge, Delgado-Battenfeld and Jannach, RecSys 2010, "catalog coverage").

    `catalogue`: item_id, repeated rows count once; a recommended item outside it does not count. Cost: each frame is
    shuffled once, by item.
    """
    best = recommendations.groupBy("item_id", "model").agg(F.min("rank").alias("rank"))
    listed = best.groupBy("item_id").agg(F.map_from_entries(F.collect_list(F.struct("model", "rank"))).alias("_best"))
    items = catalogue.select("item_id").distinct().join(listed, "item_id", "left")
    # An average over no row is null; a place that is none is not within k.
    shares = [
        F.struct(
            F.lit(model).alias("model"),
            *[F.avg(F.coalesce(F.col("_best")[model] <= k, F.lit(False)).cast("int")).alias(f"coverage@{k}") for k in ks],
        )
        for model in models
    ]
    return items.agg(F.array(*shares).alias("_shares")).select(F.inline("_shares"))


def novelty(recommendations: DataFrame, history: DataFrame, ks: Sequence[int], models: Sequence[str]) -> DataFrame:
    """One row per model of `models`, for each k over all places up to k: `novelty@<k>`, the mean of -log2 of the share of
    users who have the item, in bits (Zhou et al., PNAS 107(10), 2010, "self-information"), and `popularity_bias@<k>`, the mean of
    that share, 0..1 (Abdollahpouri et al., RMSE workshop at RecSys 2019, "average recommendation popularity").

    `history`: user_id, item_id; a listed item that no user has there does not count. Null for a model that lists nothing.
    Cost: `history` is shuffled once by item, the lists once; the number of users is one row, broadcast.
    """
    met = history.select("user_id", "item_id").distinct()
    users = met.agg(F.count_distinct("user_id").alias("_all"))
    share = F.col("_users") / F.col("_all")
    shares = met.groupBy("item_id").agg(F.count(F.lit(1)).alias("_users")).crossJoin(F.broadcast(users))
    listed = recommendations.select("model", "rank", "item_id").join(shares.select("item_id", share.alias("_share")), "item_id")
    columns = []
    for k in ks:
        within = F.when(F.col("rank") <= k, F.col("_share"))
        columns += [F.avg(-F.log2(within)).alias(f"novelty@{k}"), F.avg(within).alias(f"popularity_bias@{k}")]
    names = history.sparkSession.createDataFrame([(model,) for model in models], "model string")
    return names.join(listed.groupBy("model").agg(*columns), "model", "left")


def recall_by_popularity(
    recommendations: DataFrame, test: DataFrame, history: DataFrame, ks: Sequence[int], models: Sequence[str]
) -> DataFrame:
    """One row per model of `models`, for each k and each of STRATA: `recall_<stratum>@<k>`, the share of all test pairs with an
    item of the stratum whose item stands in its user's first k. 0..1, null where no test pair has such an item. Over pairs, not
    users: a user seldom has enough of each stratum (Steck, RecSys 2011, on recall by popularity).

    Items are ordered by their users in `history`: those that make up the first third of all pairs of user and item are the head,
    those of the second third the middle, the rest, with items that `history` does not have, the tail. Items of equally many users
    are in one stratum, that of the first of them. `recommendations`: model, user_id, rank, item_id; `test`, `history`: user_id,
    item_id, where repeated rows count once. Cost: each frame is shuffled once; the numbers of users that items have, some
    thousands, are ordered in one task.
    """
    items = history.select("user_id", "item_id").distinct().groupBy("item_id").agg(F.count(F.lit(1)).alias("_users"))
    sizes = items.groupBy("_users").agg((F.count(F.lit(1)) * F.col("_users")).alias("_pairs"))
    order = Window.orderBy(F.desc("_users"))
    before = F.sum("_pairs").over(order) - F.col("_pairs")
    share = before / F.sum("_pairs").over(Window.partitionBy())
    stratum = F.when(share < 1 / 3, STRATA[0]).when(share < 2 / 3, STRATA[1]).otherwise(STRATA[2])
    strata = items.join(F.broadcast(sizes.select("_users", stratum.alias("_stratum"))), "_users").select("item_id", "_stratum")
    best = recommendations.groupBy("user_id", "item_id", "model").agg(F.min("rank").alias("rank"))
    listed = best.groupBy("user_id", "item_id").agg(F.map_from_entries(F.collect_list(F.struct("model", "rank"))).alias("_best"))
    sought = test.where("user_id is not null and item_id is not null").select("user_id", "item_id").distinct()
    pairs = sought.join(listed, ["user_id", "item_id"], "left").join(strata, "item_id", "left")
    pairs = pairs.withColumn("_stratum", F.coalesce("_stratum", F.lit(STRATA[2])))

    def found(model: str, stratum: str, k: int) -> Column:
        is_hit = F.coalesce(F.col("_best")[model] <= k, F.lit(False)).cast("int")
        return F.avg(F.when(F.col("_stratum") == stratum, is_hit)).alias(f"recall_{stratum}@{k}")

    rows = [F.struct(F.lit(m).alias("model"), *[found(m, stratum, k) for k in ks for stratum in STRATA]) for m in models]
    return pairs.agg(F.array(*rows).alias("_rows")).select(F.inline("_rows"))


def with_history_slices(per_user: DataFrame, train: DataFrame) -> DataFrame:
    """Each row twice: with `slice` all, and with the slice of the user's number of training events.

    Slices: all; no_history (none, a cold user); short_history (1 to 19); long_history (20 and more). Grain of
    `per_user`: user and model; of `train`: an event. Cost: one shuffle of `train` by user, a join.
    """
    sizes = train.groupBy("user_id").agg(F.count(F.lit(1)).alias("_events"))
    history = (
        F.when(F.col("_events").isNull(), "no_history")
        .when(F.col("_events") < SHORT_HISTORY, "short_history")
        .otherwise("long_history")
    )
    sliced = per_user.join(sizes, "user_id", "left").withColumn("slice", F.explode(F.array(F.lit("all"), history)))
    return sliced.drop("_events")


def _precision_sum(hit_ranks: Column) -> Column:
    """Sum over the hits of precision at the hit's own rank: the i-th hit at rank r adds i / r."""
    terms = F.transform(hit_ranks, lambda rank, before: (before + 1) / rank)
    return F.aggregate(terms, F.lit(0.0), lambda total, term: total + term)


def _discount(rank: Column) -> Column:
    return F.lit(1.0) / F.log2(rank + F.lit(1))


def _within(hit_ranks: Column, k: int) -> Column:
    return F.filter(hit_ranks, lambda rank: rank <= k)
