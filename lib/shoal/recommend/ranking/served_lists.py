"""The list that a user is served, from the candidates of several sources.

Order of a list: the models' candidates, re-ranked by the rules; cold-start slots at the end for items without events; then, for
users with places left, fallback lists. Exploration takes the last places that are no cold-start slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import RecommendConf
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.diversity import RerankSettings, rerank
from shoal.recommend.ranking.explore import EXPLORE, Exploration, certain, with_exploration
from shoal.recommend.ranking.lists import backfill_lists, merge_by_priority, users_below_k
from shoal.recommend.ranking.reason import with_reason

# Columns of a candidate list. `parts`: map<string,double>; because_item_id: null without an item that speaks for the row.
LIST_COLUMNS = ("user_id", "rank", "item_id", "score", "parts", "source", "because_item_id")
VARIANT = "champion"


@dataclass(frozen=True)
class ServingSettings:
    """`k`: length of a list; `cold_start_slots`: of these, for items without events; `candidate_multiplier`: times k candidates
    that limits and diversity choose among."""

    k: int
    cold_start_slots: int
    candidate_multiplier: int
    rerank: RerankSettings

    def candidates(self, context: RecommendationContext) -> int:
        """How many candidates each user needs: more than k where some are removed or re-ranked later."""
        return self.k * self.candidate_multiplier if self.rerank.is_needed or context.blocked is not None else self.k


@dataclass(frozen=True)
class Candidates:
    """Lists with LIST_COLUMNS. `personal`: of the models, the first one's before the next one's; `new_items`: items without
    events, of source `content`, None without such items; `fallback`: for the users (user_id) whose list is short, the lists that
    fill it, first to last."""

    personal: Sequence[DataFrame]
    new_items: DataFrame | None
    fallback: Callable[[DataFrame], Sequence[DataFrame]]


def serving_settings(conf: RecommendConf) -> ServingSettings:
    """The settings of conf."""
    rules = RerankSettings(conf.max_per_owner, conf.max_per_category, conf.diversity, conf.novelty)
    return ServingSettings(conf.k, min(conf.cold_start_slots, conf.k), conf.candidate_multiplier, rules)


def as_candidates(lists: DataFrame, source: str | Column) -> DataFrame:
    """Lists with LIST_COLUMNS, of one source or of the source in a column; because_item_id null without reasons, `parts` the score
    where the model has none."""
    name = F.lit(source) if isinstance(source, str) else source
    defaults = {"because_item_id": F.lit(None).cast("string"), "parts": F.create_map(name, "score")}
    rows = lists.withColumns({column: value for column, value in defaults.items() if column not in lists.columns})
    return rows.withColumn("source", name).select(*LIST_COLUMNS)


def served_lists(
    candidates: Candidates,
    users: DataFrame,
    context: RecommendationContext,
    settings: ServingSettings,
    keep: Keep,
    exploration: Exploration | None = None,
) -> DataFrame:
    """One row per user of `users` and rank 1..k: LIST_COLUMNS and `propensity`, 1 without `exploration`.

    `users`: user_id, unique. A user for whom all sources together have fewer than k items has a shorter list. Cost: the shuffles of
    `merge_by_priority` twice and of `users_below_k`; those of `rerank` where rules need it; one action, whether some list is short.
    """
    ranked = keep(_with_cold_start(_ranked(candidates.personal, context, settings), candidates.new_items, settings))
    short = keep(users_below_k(users, ranked, settings.k))
    if not short.isEmpty():
        ranked = backfill_lists([ranked, *candidates.fallback(short)], settings.k)
    if exploration is None:
        return certain(ranked)
    return with_exploration(keep(ranked), context.unlisted, exploration)


def _ranked(personal: Sequence[DataFrame], context: RecommendationContext, settings: ServingSettings) -> DataFrame:
    """The models' candidates as one list a user, without blocked items, re-ranked."""
    merged = backfill_lists(personal, settings.candidates(context)) if len(personal) > 1 else personal[0]
    visible = context.drop_blocked(merged)
    if settings.rerank.is_needed:
        return rerank(visible, context.item_properties(), settings.k, settings.rerank)
    return visible if context.blocked is None else backfill_lists([visible], settings.k)


def _with_cold_start(ranked: DataFrame, new_items: DataFrame | None, settings: ServingSettings) -> DataFrame:
    """The list with new items in its last `cold_start_slots` places; a slot without a new item goes back to the ranking."""
    if new_items is None:
        return ranked
    before = F.when(F.col("rank") <= settings.k - settings.cold_start_slots, 0).otherwise(2)
    together = ranked.withColumn("_priority", before).unionByName(new_items.withColumn("_priority", F.lit(1)))
    return merge_by_priority(together, settings.k)


def as_recommendations(lists: DataFrame, context: RecommendationContext, explore_policy: str, model_version: str) -> DataFrame:
    """The rows of gold.recommendations, but for as_of and run_id, from served lists. Cost: that of `with_reason`."""
    variant = F.when(F.col("source") == EXPLORE, F.lit(explore_policy)).otherwise(F.lit(VARIANT))
    rows = with_reason(lists, context.preferences, context.removed)
    rows = rows.withColumns({"variant": variant, "model_version": F.lit(model_version)})
    return rows.select(*LIST_COLUMNS[:5], "reason_code", "because_item_id", "source", "variant", "propensity", "model_version")
