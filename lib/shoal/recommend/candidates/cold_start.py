"""Candidates for users whose list is short: what is popular with the people they follow, in their community, in their profile
group, then with all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.recommend.candidates.popularity import decayed_popularity, list_popular
from shoal.recommend.candidates.preferences import event_weight
from shoal.recommend.ranking.context import RecommendationContext
from shoal.recommend.ranking.lists import best_of_groups, list_groups
from shoal.recommend.ranking.rules import profile_groups
from shoal.recommend.ranking.served_lists import as_candidates


@dataclass(frozen=True)
class Groups:
    """Where users belong to groups. `follows`: silver.follows; `communities`: gold.communities of the day; `profiles`:
    silver.profiles; None for a table that does not exist."""

    follows: DataFrame | None = None
    communities: DataFrame | None = None
    profiles: DataFrame | None = None

    def members(self) -> dict[str, tuple[DataFrame, DataFrame | None]]:
        """Source -> whom a user listens to (user_id, group_id), and who belongs to which group (None: each user is one)."""
        found: dict[str, tuple[DataFrame, DataFrame | None]] = {}
        if self.follows is not None:
            pairs = self.follows.select(F.col("src_id").alias("user_id"), F.col("dst_id").alias("group_id")).distinct()
            found["follows"] = pairs, None
        if self.communities is not None:
            names = [F.col("node_id").alias("user_id"), F.col("community_id").alias("group_id")]
            found["community"] = self.communities.select(*names), self.communities.select(*names)
        if self.profiles is not None:
            groups = profile_groups(self.profiles)
            found["profile"] = groups, groups
        return found


@dataclass(frozen=True)
class PopularitySettings:
    """`k`: items a list; `half_life_days`: after which an event counts half; `at`: the time from which its age counts;
    `event_weights`: by kind; `user_batch_size`: users ranked at once."""

    k: int
    half_life_days: float
    at: Column
    event_weights: Mapping[Any, float] | None
    user_batch_size: int


def cold_start_candidates(
    context: RecommendationContext, users: DataFrame, groups: Groups, settings: PopularitySettings
) -> list[DataFrame]:
    """For `users` (user_id, unique) what is popular in each kind of group, in the order of `Groups`, as one list, and what is
    popular with all, as a second one.

    Cost: for all kinds of groups together one pass over the events, a shuffle by group and item, one by group, one by user; then
    that of `list_popular`.
    """
    weight = event_weight(settings.event_weights)
    lists: list[DataFrame] = []
    kinds = groups.members()
    if kinds:
        members, events = [], []
        for source, (pairs, belonging) in kinds.items():
            mine = pairs.join(users, "user_id", "left_semi").withColumn("source", F.lit(source))
            members.append(mine.select("source", "user_id", "group_id"))
            by_group = (
                context.events.withColumn("group_id", F.col("user_id"))
                if belonging is None
                else context.events.join(belonging, "user_id")
            )
            asked = by_group.join(mine.select("group_id").distinct(), "group_id", "left_semi")
            events.append(asked.withColumn("source", F.lit(source)).select("source", "group_id", "item_id", "event", "occurred_at"))
        by = ("source", "group_id", "item_id")
        scores = decayed_popularity(reduce(DataFrame.unionByName, events), settings.half_life_days, settings.at, weight, by=by)
        best = best_of_groups(context.apply_item_filter(scores), 2 * settings.k)
        ranked = list_groups(reduce(DataFrame.unionByName, members), best, context.unlisted, settings.k)
        # One list: the ranks of a later kind come after those of an earlier one.
        first = F.create_map(*[F.lit(part) for n, source in enumerate(kinds) for part in (source, n * settings.k)])[F.col("source")]
        lists.append(as_candidates(ranked.withColumn("rank", (first + F.col("rank")).cast("int")), F.col("source")))
    popular = context.apply_item_filter(decayed_popularity(context.events, settings.half_life_days, settings.at, weight))
    everybody = list_popular(popular, users, context.unlisted, settings.k, settings.user_batch_size)
    return [*lists, as_candidates(everybody, "popularity")]
