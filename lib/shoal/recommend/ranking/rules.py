"""Rules about what is listed for whom: conditions over items and users, moderators' decisions, owners whom a user has blocked."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import RecommendConf
from shoal.errors import UsageError, one_line
from shoal.features.snapshots import end_of


def where(rows: DataFrame, condition: str, setting: str, table: str) -> DataFrame:
    """The rows for which a person's SQL is true. Raises UsageError, naming the setting, for what is no condition over the table."""
    try:
        return rows.where(F.expr(condition))
    except (AnalysisException, ParseException) as error:
        raise UsageError(f"{setting}: {one_line(error)[:300]}; expected a condition over {table}") from None


def allowed_items(
    items: DataFrame | None, conf: RecommendConf, as_of: date, met: DataFrame, removed: DataFrame | None = None
) -> DataFrame | None:
    """item_id, once each, of the items that `item_filter`, `max_age_days` and the moderators allow; None where no rule is set.

    `met`: item_id of events; where only moderators rule, its items are allowed even if silver.items does not have them. `removed`:
    see `removed_items`. Raises UsageError for an `item_filter` that is no condition over silver.items, or where that table does not
    exist.
    """
    chosen = _chosen_items(items, conf, as_of)
    if chosen is None and removed is not None:
        known = met.select("item_id")
        chosen = (known if items is None else known.unionByName(items.select("item_id"))).distinct()
    return None if chosen is None else without_items(chosen, removed)


def removed_items(moderation: DataFrame | None) -> DataFrame | None:
    """item_id, once each, of the items whose newest decision is that they are removed; None for None, a lake without decisions.

    `moderation`: item_id, decided_at (unique together), verdict, as silver.moderation has them. Cost: one shuffle.
    """
    if moderation is None:
        return None
    newest = moderation.groupBy("item_id").agg(F.max_by("verdict", "decided_at").alias("verdict"))
    return newest.where("verdict = 'removed'").select("item_id")


def without_items(rows: DataFrame, removed: DataFrame | None) -> DataFrame:
    """The rows (item_id ...) of items that are not `removed` (item_id); all of them for None."""
    return rows if removed is None else rows.join(removed, "item_id", "left_anti")


def _chosen_items(items: DataFrame | None, conf: RecommendConf, as_of: date) -> DataFrame | None:
    if conf.item_filter is None and conf.max_age_days is None:
        return None
    if items is None:
        raise UsageError("recommend.item_filter and recommend.max_age_days: silver.items does not exist in this lake")
    kept = items
    if conf.max_age_days is not None:
        kept = kept.where(F.col("created_at") >= F.lit(end_of(as_of - timedelta(days=conf.max_age_days))))
    if conf.item_filter is not None:
        kept = where(kept, conf.item_filter, "recommend.item_filter", "silver.items")
    return kept.select("item_id").distinct()


def blocked_items(items: DataFrame, blocks: DataFrame) -> DataFrame:
    """user_id, item_id: the items whose owner the user has blocked; each pair once.

    `items`: item_id, owner_id (unique by item); `blocks`: user_id, blocked_id. Cost: a join by owner, as many rows as blocks have
    items.
    """
    pairs = blocks.select("user_id", F.col("blocked_id").alias("owner_id")).distinct()
    return items.select("item_id", "owner_id").join(pairs, "owner_id").select("user_id", "item_id")


def profile_groups(profiles: DataFrame) -> DataFrame:
    """user_id, group_id: users with the same country, language and age group, without regard to case, are one group; a user with
    none of the three is in no group.

    `profiles`: user_id (unique), country, language, age_group. Column expressions only.
    """
    parts = [named_attribute(name) for name in ("country", "language", "age_group")]
    return profiles.select("user_id", F.concat_ws("/", *parts).alias("group_id")).where("group_id != ''")


def named_attribute(name: str) -> Column:
    """An attribute of a profile as name=value, without regard to case and blanks around; null where it is not known."""
    return F.when(F.trim(name) != "", F.concat(F.lit(f"{name}="), F.lower(F.trim(name))))
