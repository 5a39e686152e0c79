"""Write every user's list: the best items that the user has not had to do with.

Reads:  silver.interactions    events up to as_of
        silver.items           titles, what the rules look at, items that nobody has met, where the table exists
        silver.users           more users, where the table exists
        silver.follows         more users, and whom they follow, where the table exists
        silver.texts           authors: more users, where the table exists
        silver.blocks          whose items a user is not to see, where the table exists
        silver.moderation      what moderators have removed, where the table exists
        silver.profiles        more users, and who is alike, where the table exists
        gold.communities       the day's, where the table exists
        gold.bandit_arms       of the last day before as_of, where places are left to exploration (recommend.explore)
        and the champion of the registered model `shoal_recommender`
Writes: gold.recommendations   one row per user and rank; replaces as_of, or, with recommend.users, these users' rows of it

Users that the champion knows get its lists, with some places for items that nobody has met yet, by what they are about. Who
has too short a list then gets what is popular with those the user follows, next in the user's community, next with people of
the same profile, next with everybody, where an event counts half after the half-life of conf. Items whose owner the user has
blocked are in no list, nor what moderators have removed. `source` says of each row which it was, `propensity` how probable it
was in its place: 1 but for places that are left to exploration. With recommend.users only these users' rows are made; the
others of the day stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import RecommendConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.ingest.formats.files import FORMS, read_rows
from shoal.ingest.sources.general import USER
from shoal.lake.contract import contract_names
from shoal.lake.lake import Lake
from shoal.models.recommender import Champion, load_champion
from shoal.recommend.candidates.als import AlsModel
from shoal.recommend.candidates.artifact import ListSettings, fill_with_als, list_recommender
from shoal.recommend.candidates.configured import content_settings
from shoal.recommend.candidates.content import content_factors
from shoal.recommend.candidates.popularity import decayed_popularity, list_popular
from shoal.recommend.candidates.preferences import event_weight, preferences
from shoal.recommend.ranking.diversity import RerankSettings, rerank
from shoal.recommend.ranking.explore import SOURCE as EXPLORE
from shoal.recommend.ranking.explore import Exploration, certain, with_exploration
from shoal.recommend.ranking.lists import backfill_lists, best_of_groups, list_groups, users_below_k
from shoal.recommend.ranking.reason import because, called
from shoal.recommend.ranking.rules import allowed_items, blocked_items, profile_groups, removed_items, where
from shoal.recommend.ranking.top_k import rank_top_k
from shoal.runner.execute import run_job

VARIANT = "champion"
# Caches a frame until the job ends.
Keep = Callable[[DataFrame], DataFrame]
LIST_COLUMNS = ("user_id", "rank", "item_id", "score", "parts", "source", "because_item_id")
# Where users are found besides the events: table -> columns of ids.
USER_COLUMNS = {"silver.users": ["user_id"], "silver.follows": ["src_id", "dst_id"], "silver.texts": ["author_id"],
                "silver.profiles": ["user_id"]}  # fmt: skip
# Rows without an item that speaks for them, by source.
REASONS = {
    "follows": "Popular with people you follow.", "community": "Popular in your community.",
    "profile": "Popular with people like you.", "popularity": "Popular with everybody lately.",
    "content": "New, and close to what you like.", "explore": "Something different to try.",
}  # fmt: skip
VERBS = {
    "view": "viewed", "click": "clicked", "like": "liked", "comment": "commented on", "share": "shared", "save": "saved",
    "purchase": "bought", "rating": "rated",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What lists are made of. `preferences`: of all users; `events`: those they come from; `items`: silver.items, None where there
    is no such table; `allowed`: item_id of those that the rules let through, None where there is no rule; `blocked`: user_id,
    item_id of what a user is not to see, None where nobody has blocked anybody; `removed`: item_id of what moderators have removed,
    None where none decide."""

    preferences: DataFrame
    events: DataFrame
    items: DataFrame | None
    allowed: DataFrame | None
    blocked: DataFrame | None = None
    removed: DataFrame | None = None

    @property
    def unlisted(self) -> DataFrame:
        """user_id, item_id: what a user has met or is not to see."""
        met = self.preferences.select("user_id", "item_id")
        return met if self.blocked is None else met.unionByName(self.blocked)

    def without_blocked(self, rows: DataFrame) -> DataFrame:
        """The rows (user_id, item_id ...) that the user may see; no rank is moved."""
        return rows if self.blocked is None else rows.join(self.blocked, ["user_id", "item_id"], "left_anti")

    def apply_item_filter(self, rows: DataFrame) -> DataFrame:
        """The rows (item_id ...) whose item the rules let through."""
        return rows if self.allowed is None else rows.join(self.allowed, "item_id", "left_semi")


def with_source(lists: DataFrame, source: str) -> DataFrame:
    """Lists of one model in the common form; a model without reasons has null ones, one without parts its score as the only."""
    given = {"because_item_id": F.lit(None).cast("string"), "parts": F.create_map(F.lit(source), "score")}
    rows = lists.withColumns({name: value for name, value in given.items() if name not in lists.columns})
    return rows.withColumn("source", F.lit(source)).select(*LIST_COLUMNS)


def personal_lists(known: Known, champion: Champion, users: DataFrame, k: int, lake: Lake, keep: Keep) -> list[DataFrame]:
    """The lists of what serves: the blend's, and ALS' for those whom it leaves with fewer than k; or ALS' alone."""
    recommender, conf = champion.recommender, ListSettings(k, lake.settings.recommend.user_batch_size, with_reason=True)
    plain = replace(champion.als, item_factors=known.apply_item_filter(champion.als.item_factors))
    listed = list_recommender(recommender, plain, known.preferences, users, known.allowed, conf)
    if recommender.blend is None:
        return [with_source(listed, "als")]
    first = keep(with_source(listed, "blend"))
    rest = fill_with_als(recommender, plain, known.preferences, users, first, conf)
    return [first] if rest is None else [first, with_source(rest, "als")]


def new_item_lists(known: Known, als: AlsModel, users: DataFrame, n: int, lake: Lake) -> DataFrame | None:
    """The n best items that nobody has met, for the users that ALS knows; None where there is no such item."""
    if known.items is None or not n:
        return None
    new = known.apply_item_filter(known.items.select("item_id").join(known.preferences.select("item_id"), "item_id", "left_anti"))
    if new.isEmpty():
        return None
    factors = content_factors(known.items, als.item_factors, content_settings(lake.settings.content)).join(new, "item_id")
    asked = als.user_factors.join(users, "user_id", "left_semi")
    return with_source(rank_top_k(asked, factors, known.blocked, n, lake.settings.recommend.user_batch_size), "content")


def cold_start_candidates(known: Known, users: DataFrame, as_of: date, lake: Lake) -> list[DataFrame]:
    """For `users`, first to last: popular with whom they follow, in their community, with those of their profile, with all."""
    conf, end = lake.settings, F.lit(end_of(as_of))
    weight = event_weight(conf.train_recommender.event_weights)
    k, half_life = conf.recommend.k, conf.features.half_life_days
    groups: dict[str, tuple[DataFrame, DataFrame]] = {}
    if lake.exists("silver.follows"):
        follows = lake.read("silver.follows", before=as_of)
        follows = follows.select(F.col("src_id").alias("user_id"), F.col("dst_id").alias("group_id")).distinct()
        deeds = known.events.withColumn("group_id", F.col("user_id"))
        groups["follows"] = follows.join(users, "user_id", "left_semi"), deeds
    if lake.exists("gold.communities"):
        members = lake.read("gold.communities", on=as_of).select(
            F.col("node_id").alias("user_id"), F.col("community_id").alias("group_id")
        )
        groups["community"] = members.join(users, "user_id", "left_semi"), known.events.join(members, "user_id")
    if lake.exists("silver.profiles"):
        members = profile_groups(lake.read("silver.profiles", before=as_of))
        groups["profile"] = members.join(users, "user_id", "left_semi"), known.events.join(members, "user_id")
    lists, unlisted = [], known.unlisted
    for source, (members, events) in groups.items():
        theirs = events.join(members.select("group_id").distinct(), "group_id", "left_semi")
        scores = decayed_popularity(theirs, half_life, end, weight, by=("group_id", "item_id"))
        best = best_of_groups(known.apply_item_filter(scores), 2 * k)
        lists.append(with_source(list_groups(members, best, unlisted, k), source))
    popular = known.apply_item_filter(decayed_popularity(known.events, half_life, end, weight))
    lists.append(with_source(list_popular(popular, users, unlisted, k, conf.recommend.user_batch_size), "popularity"))
    return lists


def names_of(items: DataFrame | None) -> DataFrame | None:
    """One row per item with something to call it: item_id, `name`: title, else the beginning of its text."""
    if items is None:
        return None
    named = items.select("item_id", called(F.col("title"), F.col("text")).alias("name"))
    return named.where("name is not null and name != ''")


def with_reason(lists: DataFrame, known: DataFrame, names: DataFrame | None, removed: DataFrame | None = None) -> DataFrame:
    """The lists with `reason`, one sentence: the seen item that speaks for the row and what the user did with it, else
    why all see it.

    `known`: preferences, whose `event` is the heaviest thing that the user did with the item. What moderators have `removed`
    (item_id) is not named. Cost: a join on user and item, one on item, one more with `removed`.
    """
    if removed is not None:
        gone = removed.select(F.col("item_id").alias("because_item_id"), F.lit(True).alias("_gone"))
        named = F.when(F.col("_gone").isNull(), F.col("because_item_id"))
        lists = lists.join(gone, "because_item_id", "left").withColumn("because_item_id", named).drop("_gone")
    deeds = known.select("user_id", F.col("item_id").alias("because_item_id"), "event")
    rows = lists.join(deeds, ["user_id", "because_item_id"], "left")
    if names is None:
        rows = rows.withColumn("name", F.lit(None).cast("string"))
    else:
        rows = rows.join(names.withColumnRenamed("item_id", "because_item_id"), "because_item_id", "left")
    verbs = F.create_map(*[F.lit(word) for word in chain.from_iterable(VERBS.items())])
    done = F.coalesce(verbs[F.col("event")], F.lit("met"))
    by_source = F.create_map(*[F.lit(word) for word in chain.from_iterable(REASONS.items())])
    general = F.coalesce(by_source[F.col("source")], F.lit("Liked by people like you."))
    reason = F.when(F.col("because_item_id").isNotNull(), because(done, F.coalesce("name", "because_item_id"))).otherwise(general)
    return rows.withColumn("reason", reason).drop("event", "name")


def build(lists: DataFrame, known: Known, conf: RecommendConf, model_version: str) -> DataFrame:
    """gold.recommendations without as_of and run_id, from lists with their propensities."""
    return with_reason(lists, known.preferences, names_of(known.items), known.removed).select(
        "user_id",
        "rank",
        "item_id",
        "score",
        "parts",
        "reason",
        "source",
        F.when(F.col("source") == EXPLORE, F.lit(conf.explore_policy)).otherwise(F.lit(VARIANT)).alias("variant"),
        "propensity",
        F.lit(model_version).alias("model_version"),
    )


def arms_to_explore(lake: Lake, known: Known, conf: RecommendConf, as_of: date) -> DataFrame | None:
    """item_id, probability: what the policy shows next in the context, as of the last day before as_of: what that day was like is
    known after it. None, and a note in the run, where nothing is to be explored."""
    if not conf.explore:
        return None
    rows = lake.read("gold.bandit_arms", missing_ok=True).where(F.col("context") == conf.explore_context)
    rows = rows.where(F.col("as_of") < F.lit(as_of)).select("as_of", "item_id", F.col(conf.explore_policy).alias("probability"))
    last = rows.agg(F.max("as_of")).collect()[0][0]
    arms = rows.where((F.col("as_of") == F.lit(last)) & (F.col("probability") > 0)).select("item_id", "probability")
    arms = known.apply_item_filter(arms)
    if last is None or arms.isEmpty():
        lake.run.note(explored=f"nothing: no arm of {conf.explore_context} before {as_of} that the rules let through")
        return None
    lake.run.note(explored=f"{conf.explore_policy} of {last}")
    return arms


def about_items(known: Known) -> DataFrame:
    """What `rerank` looks at: item_id, owner_id, categories, share (of the users who have the item)."""
    met = known.preferences.groupBy("item_id").agg(F.count(F.lit(1)).alias("_users"))
    users = known.preferences.agg(F.count_distinct("user_id").alias("_all"))
    shares = met.crossJoin(F.broadcast(users)).select("item_id", (F.col("_users") / F.col("_all")).alias("share"))
    if known.items is None:
        nothing = F.lit(None)
        return shares.withColumns({"owner_id": nothing.cast("string"), "categories": nothing.cast("array<string>")})
    return known.items.select("item_id", "owner_id", "categories").join(shares, "item_id", "full")


def all_users(lake: Lake, events: DataFrame, as_of: date) -> DataFrame:
    """One row per user of any table that names users: user_id."""
    found = events.select("user_id")
    for table, columns in USER_COLUMNS.items():
        if table in contract_names() and lake.exists(table):
            rows = lake.read(table, before=as_of)
            for column in columns:
                found = found.unionByName(rows.select(F.col(column).alias("user_id")))
    return found.where("user_id is not null").distinct()


def asked_users(lake: Lake, asked: str, as_of: date) -> DataFrame:
    """user_id, once each: those of a file (.csv, .tsv, .jsonl, .parquet), known or not, or those for whom a condition over
    silver.users is true.

    Raises InputError for a file that is not there or names nobody, UsageError for what is no condition, SkippedError where it is
    true of nobody.
    """
    if asked.lower().removesuffix(".gz").endswith(tuple(FORMS)):
        found = read_rows(lake.spark, asked, ["user_id"], (), {"user_id": (*USER.aliases, "id")})
    else:
        found = where(lake.read("silver.users", before=as_of), asked, "recommend.users", "silver.users, or the path of a file")
    users = found.select("user_id").where("user_id is not null").distinct()
    if users.isEmpty():
        raise SkippedError(f"recommend.users: {asked}: nobody")
    return users


def put(lake: Lake, rows: DataFrame, users: DataFrame, as_of: date) -> None:
    """Make `rows` these users' only rows of the day, in one commit; the rows of others are not touched."""
    table, key = "gold.recommendations", ["as_of", "user_id", "rank"]
    made = rows.withColumn("as_of", F.lit(as_of))
    lake.create(table)
    # Rows of an earlier, longer list.
    old = lake.read_current(table).where(F.col("as_of") == F.lit(as_of)).join(users, "user_id", "left_semi").select(*key)
    lake.upsert(table, made, gone=old.join(made.select(*key), key, "left_anti"))


def run(lake: Lake, conf: RecommendConf, as_of: date) -> None:
    """List with the champion whom it knows, fill up for the rest, and replace the day's rows."""
    events = lake.read("silver.interactions", before=as_of)
    champion = load_champion(lake)
    model, trained, als = champion.model, champion.trained, champion.als
    items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
    rules = RerankSettings(conf.max_per_owner, conf.max_per_category, conf.diversity, conf.novelty)
    with ExitStack() as stack:

        def keep(rows: DataFrame) -> DataFrame:
            stack.callback(rows.persist().unpersist)
            return rows

        met = keep(preferences(events, dict(trained.event_weights), trained.ratings))
        blocked = None
        if items is not None and lake.exists("silver.blocks"):
            blocked = keep(blocked_items(items, lake.read("silver.blocks", before=as_of)))
        removed = removed_items(lake.read_if_exists("silver.moderation", before=as_of))
        allowed = allowed_items(items, conf, as_of, met, removed if removed is None else keep(removed))
        known = Known(met, events, items, allowed if allowed is None else keep(allowed), blocked, removed)
        # What is taken away afterwards has to be there in more than is needed.
        length = conf.k if not rules.is_needed and blocked is None else conf.k * conf.candidate_multiplier
        users = keep(all_users(lake, events, as_of) if conf.users is None else asked_users(lake, conf.users, as_of))
        personal = known.without_blocked(backfill_lists(personal_lists(known, champion, users, length, lake, keep), length))
        if rules.is_needed:
            personal = rerank(personal, about_items(known), conf.k, rules)
        elif blocked is not None:
            personal = backfill_lists([personal], conf.k)
        lists = [keep(personal)]
        new_items = min(conf.new_items, conf.k)
        new = new_item_lists(known, als, users, new_items, lake)
        if new is not None:
            lists = [lists[0].where(F.col("rank") <= conf.k - new_items), keep(new), lists[0]]
            lists = [keep(backfill_lists(lists, conf.k))]
        cold = keep(users_below_k(users, lists[0], conf.k))
        if not cold.isEmpty():
            lists += cold_start_candidates(known, cold, as_of, lake)
        filled, arms = backfill_lists(lists, conf.k), arms_to_explore(lake, known, conf, as_of)
        if arms is None:
            filled = certain(filled)
        else:
            explored = Exploration(conf.explore, conf.explore_seed, as_of)
            filled = with_exploration(keep(filled), known.unlisted, arms, explored)
        rows = build(filled, known, conf, model.label)
        if conf.users is None:
            lake.replace("gold.recommendations", rows, on=as_of)
        else:
            put(lake, keep(rows), users, as_of)
    lake.run.note(model_version=model.label, serves=trained.serves, trained_as_of=model.params.get("as_of", "unknown"))


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RecommendConf, argv)


if __name__ == "__main__":
    sys.exit(main())
