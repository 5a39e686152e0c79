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
from shoal.recommend.ranking.exposure import drop_overexposed, limit_exposure, most_lists
from shoal.recommend.ranking.lists import backfill_lists, merge_by_priority, users_below_k
from shoal.recommend.ranking.reason import with_reason

# Columns of a candidate list. `parts`: map<string,double>; because_item_id: null without an item that speaks for the row.
LIST_COLUMNS = ("user_id", "rank", "item_id", "score", "parts", "source", "because_item_id")
VARIANT = "champion"
# Sources whose lists are a user's own: fallback lists give way to them where an item has as many lists as it may have.
PERSONAL = ("blend", "als", "content")


@dataclass(frozen=True)
class ServingSettings:
    """`k`: length of a list; `cold_start_slots`: of these, for items without events; `candidate_multiplier`: times k candidates
    that limits and diversity choose among; `max_item_share`: of all lists, that one item may stand in, None for any."""

    k: int
    cold_start_slots: int
    candidate_multiplier: int
    rerank: RerankSettings
    max_item_share: float | None = None

    def candidates(self, context: RecommendationContext) -> int:
        """How many candidates each user needs: more than k where some are removed or re-ranked later."""
        is_chosen = self.rerank.is_needed or context.blocked is not None or self.max_item_share is not None
        return self.k * self.candidate_multiplier if is_chosen else self.k


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
    # The lists of some users say nothing of all lists.
    share = conf.max_item_share if conf.users is None else None
    return ServingSettings(conf.k, min(conf.cold_start_slots, conf.k), conf.candidate_multiplier, rules, share)


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
    `merge_by_priority` twice and of `users_below_k`; those of `rerank` where rules need it; one action, whether some list is short;
    with `max_item_share` that of `limit_exposure` for the models' lists and for new items, and a count of the users. Fallback lists
    fill what is left under that limit, and exploration is not limited.
    """
    most = None if settings.max_item_share is None else most_lists(users.count(), settings.max_item_share)
    personal, new_items = _ranked(candidates.personal, context, settings, most), candidates.new_items
    if most is not None:
        personal = limit_exposure(personal, settings.k, most)
        new_items = None if new_items is None else limit_exposure(new_items, settings.k, most)
    ranked = keep(_with_cold_start(personal, new_items, settings))
    short = keep(users_below_k(users, ranked, settings.k))
    if not short.isEmpty():
        ranked = backfill_lists([ranked, *candidates.fallback(short)], settings.k)
        if most is not None:
            ranked = drop_overexposed(ranked, most, ~F.col("source").isin(*PERSONAL))
    if exploration is None:
        return certain(ranked)
    return with_exploration(keep(ranked), context.unlisted, exploration)


def _ranked(
    personal: Sequence[DataFrame], context: RecommendationContext, settings: ServingSettings, most: int | None
) -> DataFrame:
    """The models' candidates as one list a user, without blocked items, re-ranked; k of them, or all where `most` says that not all
    can be had."""
    k = settings.k if most is None else settings.candidates(context)
    merged = backfill_lists(personal, settings.candidates(context)) if len(personal) > 1 else personal[0]
    visible = context.drop_blocked(merged)
    if settings.rerank.is_needed:
        return rerank(visible, context.item_properties(), k, settings.rerank)
    return visible if context.blocked is None else backfill_lists([visible], k)


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
