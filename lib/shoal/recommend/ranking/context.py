"""What every list of a day is built from: events, preferences, items, and the rules about what may be listed for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import RecommendConf
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.reason import with_liked
from shoal.recommend.ranking.rules import allowed_items, blocked_items, removed_items


@dataclass(frozen=True)
class Sources:
    """The tables of a day, as the lake has them. `events`: silver.interactions; `items`: silver.items; `blocks`: silver.blocks;
    `moderation`: silver.moderation; `follows`: silver.follows; `profiles`: silver.profiles; None for a table that does not
    exist."""

    events: DataFrame
    items: DataFrame | None = None
    blocks: DataFrame | None = None
    moderation: DataFrame | None = None
    follows: DataFrame | None = None
    profiles: DataFrame | None = None


@dataclass(frozen=True)
class RecommendationContext:
    """`preferences`: of all users, with is_liked; `events`: those that they come from; `items`: silver.items, None without that
    table; `allowed`: item_id of the items that the rules allow, None without a rule; `blocked`: user_id, item_id of items whose
    owner the user has blocked, None without blocks; `removed`: item_id of items that moderators have removed, None without
    decisions; `follows`, `profiles`: who follows whom and what users say of themselves, None where that is not to be asked."""

    preferences: DataFrame
    events: DataFrame
    items: DataFrame | None
    allowed: DataFrame | None
    blocked: DataFrame | None = None
    removed: DataFrame | None = None
    follows: DataFrame | None = None
    profiles: DataFrame | None = None

    @property
    def unlisted(self) -> DataFrame:
        """user_id, item_id: what a user has met or is not to see."""
        met = self.preferences.select("user_id", "item_id")
        return met if self.blocked is None else met.unionByName(self.blocked)

    def drop_blocked(self, rows: DataFrame) -> DataFrame:
        """The rows (user_id, item_id ...) that the user may see; ranks stay as they are."""
        return rows if self.blocked is None else rows.join(self.blocked, ["user_id", "item_id"], "left_anti")

    def apply_item_filter(self, rows: DataFrame) -> DataFrame:
        """The rows (item_id ...) whose item the rules allow."""
        return rows if self.allowed is None else rows.join(self.allowed, "item_id", "left_semi")

    def items_without_events(self) -> DataFrame | None:
        """item_id of the allowed items without a preference; None without silver.items."""
        if self.items is None:
            return None
        new = self.items.select("item_id").join(self.preferences.select("item_id"), "item_id", "left_anti")
        return self.apply_item_filter(new)

    def item_properties(self) -> DataFrame:
        """What `rerank` compares: item_id, owner_id, categories, share (of the users who have the item)."""
        met = self.preferences.groupBy("item_id").agg(F.count(F.lit(1)).alias("_users"))
        users = self.preferences.agg(F.count_distinct("user_id").alias("_all"))
        shares = met.crossJoin(F.broadcast(users)).select("item_id", (F.col("_users") / F.col("_all")).alias("share"))
        if self.items is None:
            null = F.lit(None)
            return shares.withColumns({"owner_id": null.cast("string"), "categories": null.cast("array<string>")})
        return self.items.select("item_id", "owner_id", "categories").join(shares, "item_id", "full")


def recommendation_context(
    sources: Sources, preferences: DataFrame, conf: RecommendConf, as_of: date, keep: Keep
) -> RecommendationContext:
    """The context of a day from its tables and the `preferences` made of its events.

    Raises UsageError as `allowed_items` does. Cost: the frames that several lists use are cached with `keep`; nothing is computed
    yet.
    """
    met = keep(with_liked(preferences))
    blocked = None
    if sources.items is not None and sources.blocks is not None:
        blocked = keep(blocked_items(sources.items, sources.blocks))
    removed = removed_items(sources.moderation)
    removed = None if removed is None else keep(removed)
    allowed = allowed_items(sources.items, conf, as_of, met, removed)
    shown = None if allowed is None else keep(allowed)
    return RecommendationContext(met, sources.events, sources.items, shown, blocked, removed, sources.follows, sources.profiles)
