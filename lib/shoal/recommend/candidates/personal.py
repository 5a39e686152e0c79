"""Candidates of the models: the serving model's lists, items without events by what they are about, and the users of each item."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import ContentConf
from shoal.recommend.candidates.als import AlsModel, list_als
from shoal.recommend.candidates.artifact import ListSettings, Recommender, list_recommender
from shoal.recommend.candidates.configured import content_settings
from shoal.recommend.candidates.content import content_factors
from shoal.recommend.ranking.audiences import because_items, rank_users
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.lists import users_below_k
from shoal.recommend.ranking.reason import als_reason
from shoal.recommend.ranking.served_lists import as_candidates
from shoal.recommend.ranking.top_k import rank_top_k


@dataclass(frozen=True)
class ServingModel:
    """What personal lists need: the artifact, ALS' factors as frames, the settings of content; `user_batch_size`: users scored at
    once; `vectors`: item_id, vector, what else is known of items (content.vectors), None for nothing."""

    recommender: Recommender
    als: AlsModel
    content: ContentConf
    user_batch_size: int
    vectors: DataFrame | None = None

    def content_factors(self, items: DataFrame) -> DataFrame:
        """item_id, features of `items` by what they are about (see `candidates.content.content_factors`)."""
        return content_factors(items, self.als.item_factors, content_settings(self.content), self.vectors)


def personal_lists(context: RecommendationContext, model: ServingModel, users: DataFrame, k: int, keep: Keep) -> list[DataFrame]:
    """The lists of the serving model: the blend's, then ALS' for the users whom the blend leaves with fewer than k; or ALS' alone.

    Cost: that of `list_recommender` and one action, whether a list of a user whom ALS knows is short; only then that of `list_als`.
    """
    met = context.preferences
    als = replace(model.als, item_factors=context.apply_item_filter(model.als.item_factors))
    settings = ListSettings(k, model.user_batch_size, with_reason=True)
    tables = context.follows, context.profiles
    listed = list_recommender(model.recommender, als, met, users, context.allowed, settings, *tables)
    if model.recommender.blend is None:
        return [as_candidates(listed, "als")]
    first = keep(as_candidates(listed, "blend"))
    short = keep(users_below_k(users.join(als.user_factors, "user_id", "left_semi"), first, k))
    if short.isEmpty():
        return [first]
    return [first, as_candidates(list_als(als, met, short, k, model.user_batch_size, with_reason=True), "als")]


def new_item_lists(
    context: RecommendationContext, model: ServingModel, users: DataFrame, slots: int, keep: Keep
) -> DataFrame | None:
    """The `slots` best items without events, for the users whom ALS knows; None where there is no such item. Cost: an action,
    whether there is one; then that of `content_factors` and `rank_top_k`."""
    new = context.items_without_events() if slots else None
    if new is None or context.items is None or keep(new).isEmpty():
        return None
    factors = model.content_factors(context.items).join(new, "item_id")
    asked = model.als.user_factors.join(users, "user_id", "left_semi")
    return as_candidates(rank_top_k(asked, factors, context.blocked, slots, model.user_batch_size), "content")


def item_audiences(context: RecommendationContext, model: ServingModel, unlisted: DataFrame, n: int, keep: Keep) -> DataFrame:
    """item_id, rank, user_id, score, source (als, content), because_item_id: the n best users of every allowed item.

    The users are those that ALS knows; an item without events has factors made of what it is about, and no because-item.
    `unlisted`: user_id, item_id, never listed. Cost: that of `content_factors`, `rank_users` and `because_items`.
    """
    als = model.als
    factors = als.item_factors.select(
        "item_id", F.col("features").cast("array<float>").alias("features"), F.lit("als").alias("source")
    )
    if context.items is not None:
        described = model.content_factors(context.items)
        new = described.join(als.item_factors.select("item_id"), "item_id", "left_anti").withColumn("source", F.lit("content"))
        factors = factors.unionByName(new)
    rows = keep(rank_users(context.apply_item_filter(factors), als.user_factors, unlisted, n, model.user_batch_size))
    settings = als.settings
    weight = F.col("weight") if settings.is_implicit else F.coalesce("value", F.lit(0.0))
    seen = context.preferences.select("user_id", "item_id", weight.alias("weight"), "is_liked")
    reason = als_reason(settings.reg_param, settings.alpha if settings.is_implicit else None)
    because = because_items(rows.where("source = 'als'").select("user_id", "item_id"), als.item_factors, seen, reason)
    return rows.join(because, ["user_id", "item_id"], "left")
