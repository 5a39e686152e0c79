"""All sources of a user's list together: the model's lists, items without events, and what fills a list that is short."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from shoal.recommend.candidates.cold_start import Groups, PopularitySettings, cold_start_candidates
from shoal.recommend.candidates.personal import ServingModel, new_item_lists, personal_lists
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.served_lists import Candidates, ServingSettings


@dataclass(frozen=True)
class Fallback:
    """What a short list is filled with: what is popular in the user's `groups`, then with all users."""

    groups: Groups
    popular: PopularitySettings


def list_candidates(
    context: RecommendationContext,
    model: ServingModel,
    users: DataFrame,
    fallback: Fallback,
    settings: ServingSettings,
    keep: Keep,
) -> Candidates:
    """The candidates of `served_lists`. `users`: user_id, unique.

    Cost: that of `personal_lists` and `new_item_lists`; the fallback is computed for the short lists only.
    """
    return Candidates(
        personal_lists(context, model, users, settings.candidates(context), keep),
        new_item_lists(context, model, users, settings.cold_start_slots, keep),
        lambda short: cold_start_candidates(context, short, fallback.groups, fallback.popular),
    )
