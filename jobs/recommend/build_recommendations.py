"""Write every user's list: the best items that the user has not met.

Reads:  silver.interactions    events up to as_of
        silver.items           what the rules compare, and items without events
        silver.users, silver.follows, silver.texts, silver.profiles   more users, whom they follow, their profile groups
        silver.blocks, silver.moderation, gold.moderation             what is not to be listed
        gold.communities       the day's
        features.item_vectors  the day's, where content.vectors asks for them
        gold.bandit_arms       of the last day before as_of, where places are explored (recommend.explore)
        and the champion of the registered model `shoal_recommender`; all but events and champion where they exist
Writes: gold.recommendations   one row per user and rank; replaces as_of, or, with recommend.users, these users' rows of it

Users whom the champion knows get its lists, with cold-start slots for items without events. A list that is still short is filled
with what is popular with the people the user follows, in the user's community, in the user's profile group, with all users; an
event counts half after the half-life of conf. Items of blocked owners and items that moderators removed are not listed.
`reason_code` and `because_item_id` say why an item is listed, `source` which list it comes from, `propensity` how probable it was
in its place: 1 except where places are explored. With recommend.users only the rows of these users are made.
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import RecommendConf
from shoal.errors import SkippedError
from shoal.features.snapshots import end_of
from shoal.ingest.formats.files import read_rows
from shoal.ingest.formats.listing import FORMS
from shoal.ingest.sources.general import USER
from shoal.lake.lake import Lake
from shoal.models.decisions import read_decisions
from shoal.models.recommender import load_champion, serving_model
from shoal.recommend.candidates.cold_start import Groups, PopularitySettings
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.sources import Fallback, list_candidates
from shoal.recommend.ranking.caching import caching
from shoal.recommend.ranking.context import RecommendationContext, Sources, recommendation_context
from shoal.recommend.ranking.explore import Exploration, last_arms
from shoal.recommend.ranking.lists import distinct_users
from shoal.recommend.ranking.rules import where
from shoal.recommend.ranking.served_lists import as_recommendations, served_lists, serving_settings
from shoal.runner.command import run_job

READS = (
    "silver.interactions", "silver.items", "silver.users", "silver.follows", "silver.texts", "silver.blocks", "silver.moderation",
    "silver.profiles", "gold.moderation", "gold.communities", "gold.bandit_arms", "features.item_vectors",
    "models:/shoal_recommender",
)  # fmt: skip
WRITES = ("gold.recommendations",)
SETTINGS = ("content", "features", "train_recommender")
# Where users are found besides the events: table -> columns of ids.
USER_COLUMNS = {"silver.users": ["user_id"], "silver.follows": ["src_id", "dst_id"], "silver.texts": ["author_id"],
                "silver.profiles": ["user_id"]}  # fmt: skip


def known_users(lake: Lake, events: DataFrame, as_of: date) -> DataFrame:
    """user_id, once each: the users of any table that names users."""
    tables = [(lake.read_if_exists(name, before=as_of), columns) for name, columns in USER_COLUMNS.items()]
    found = [rows.select(F.col(c).alias("user_id")) for rows, columns in tables if rows is not None for c in columns]
    return distinct_users([events.select("user_id"), *found])


def asked_users(lake: Lake, asked: str, as_of: date) -> DataFrame:
    """user_id, once each: the users of a file (.csv, .tsv, .jsonl, .parquet), known or not, or those of silver.users for whom a
    condition is true.

    Raises InputError for a file that does not exist or has no user, UsageError for an invalid condition, SkippedError where no user
    is left.
    """
    if asked.lower().removesuffix(".gz").endswith(tuple(FORMS)):
        found = read_rows(lake.spark, asked, ["user_id"], (), {"user_id": (*USER.aliases, "id")})
    else:
        found = where(lake.read("silver.users", before=as_of), asked, "recommend.users", "silver.users, or the path of a file")
    users = distinct_users([found.select("user_id")])
    if users.isEmpty():
        raise SkippedError(f"recommend.users: {asked}: no user")
    return users


def upsert_user_lists(lake: Lake, rows: DataFrame, users: DataFrame, as_of: date) -> None:
    """Make `rows` these users' only rows of the day, in one commit; the rows of others stay."""
    table, key = "gold.recommendations", ["as_of", "user_id", "rank"]
    made = rows.withColumn("as_of", F.lit(as_of))
    lake.create(table)
    # Rows of an earlier, longer list.
    old = lake.read_current(table).where(F.col("as_of") == F.lit(as_of)).join(users, "user_id", "left_semi").select(*key)
    lake.upsert(table, made, gone=old.join(made.select(*key), key, "left_anti"))


def exploration_of(lake: Lake, context: RecommendationContext, conf: RecommendConf, as_of: date) -> Exploration | None:
    """What recommend.explore asks for: the allowed arms of the last day before as_of. None, noted in the run, without any."""
    if not conf.explore:
        return None
    rows = lake.read("gold.bandit_arms", missing_ok=True)
    arms, day = last_arms(rows, conf.explore_context, conf.explore_policy, as_of)
    allowed = context.apply_item_filter(arms)
    if day is None or allowed.isEmpty():
        lake.run.note(explored=f"nothing: no allowed arm of {conf.explore_context} before {as_of}")
        return None
    lake.run.note(explored=f"{conf.explore_policy} of {day}")
    return Exploration(allowed, conf.explore, conf.seed, as_of)


def run(lake: Lake, conf: RecommendConf, as_of: date) -> None:
    """Build the lists of the champion and of the fallbacks, and replace the day's rows."""
    events, champion, others = lake.read("silver.interactions", before=as_of), load_champion(lake), lake.settings
    optional = [lake.read_if_exists(name, before=as_of) for name in ("silver.items", "silver.blocks")]
    follows, profiles = (lake.read_if_exists(f"silver.{name}", before=as_of) for name in ("follows", "profiles"))
    optional += [read_decisions(lake, as_of), follows, profiles]
    weights = others.train_recommender.event_weights
    model = serving_model(lake, champion, conf.user_batch_size, as_of)
    spec = champion.trained
    communities = lake.read_if_exists("gold.communities", on=as_of)
    groups = Groups(
        follows,
        None if communities is None else communities.where("relation = 'follows'"),
        profiles,
    )  # fmt: skip
    popular = PopularitySettings(conf.k, others.features.half_life_days, F.lit(end_of(as_of)), weights, conf.user_batch_size)
    with caching() as keep:
        context = recommendation_context(
            Sources(events, *optional), preferences(events, dict(spec.event_weights), spec.ratings), conf, as_of, keep
        )
        users = keep(known_users(lake, events, as_of) if conf.users is None else asked_users(lake, conf.users, as_of))
        settings = serving_settings(conf)
        candidates = list_candidates(context, model, users, Fallback(groups, popular), settings, keep)
        lists = served_lists(candidates, users, context, settings, keep, exploration_of(lake, context, conf, as_of))
        rows = as_recommendations(lists, context, conf.explore_policy, champion.model.label)
        if conf.users is None:
            lake.replace("gold.recommendations", rows, on=as_of, unique=True)
        else:
            upsert_user_lists(lake, keep(rows), users, as_of)
    params = champion.model.params
    lake.run.note(model_version=champion.model.label, serves=champion.trained.serves, trained_as_of=params.get("as_of", "unknown"))


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RecommendConf, argv)


if __name__ == "__main__":
    sys.exit(main())
