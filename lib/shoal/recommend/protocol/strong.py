"""Strong generalisation: users held out whole, who bring some events of their own (Liang, Krishnan, Hoffman and Jebara,
"Variational Autoencoders for Collaborative Filtering", WWW 2018, sections 4.2 and 4.3).

Models are fitted on other users. A held-out user's events are divided into those that are known when the list is asked for (the
fold-in part) and those that it must find. Figures of Mult-VAE, RecVAE and EASE are published by this protocol.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.recommend.protocol.metrics import user_metrics
from shoal.recommend.protocol.split import is_drawn_user, with_random_split

PARTS = ("train", "fold_in", "test")
# Lengths of lists of the published tables.
RECALL_AT, NDCG_AT = (20, 50), 100


def with_strong_parts(events: DataFrame, user_share: float, test_ratio: float, seed: int) -> DataFrame:
    """The events with `part`, one of PARTS: all events of a share of the users are held out, floor(n * test_ratio) of a held-out
    user's n events, drawn at random, are `test`, the others `fold_in`.

    Users are drawn by a hash of seed and user_id. Events of held-out users with items that no training user has are dropped, as in
    the published protocol: no model could list them. Raises UsageError for a share or ratio outside ]0, 1[. Cost: one shuffle by
    item, one by user.
    """
    if not 0 < user_share < 1:
        raise UsageError(f"user_share: {user_share}; expected a number between 0 and 1")
    marked = events.withColumn("_held", is_drawn_user(user_share, seed, "strong users"))
    train = marked.where(~F.col("_held")).drop("_held")
    held = marked.where("_held").drop("_held").join(train.select("item_id").distinct(), "item_id", "left_semi")
    divided = with_random_split(held, test_ratio, seed, "strong events")
    named = divided.withColumn("part", F.when(F.col("is_test"), F.lit("test")).otherwise(F.lit("fold_in"))).drop("is_test")
    return train.withColumn("part", F.lit("train")).unionByName(named)


def strong_metrics(lists: DataFrame, test: DataFrame, models: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Model -> `recall@20`, `recall@50`, `ndcg@100`, means over the users of `test`; None where there is none.

    `lists`: model, user_id, rank, item_id, NDCG_AT places; `test`: user_id, item_id. Recall is that of Liang et al.: hits within k
    over min(k, relevant items), so a perfect list has 1. Cost: that of `user_metrics`; collects a row a model.
    """
    per_user = user_metrics(lists, test, [*RECALL_AT, NDCG_AT], models)

    # Hits over the smaller divisor are the larger quotient.
    def recall(k: int) -> Column:
        return F.avg(F.greatest(f"`recall@{k}`", f"`precision@{k}`")).alias(f"recall@{k}")

    means = [*map(recall, RECALL_AT), F.avg(f"`ndcg@{NDCG_AT}`").alias(f"ndcg@{NDCG_AT}")]
    found = {row["model"]: row.asDict() for row in per_user.groupBy("model").agg(*means).collect()}
    names = [*(f"recall@{k}" for k in RECALL_AT), f"ndcg@{NDCG_AT}"]
    return {model: {name: found.get(model, {}).get(name) for name in names} for model in models}
