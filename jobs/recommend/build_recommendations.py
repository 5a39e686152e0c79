"""Write every user's list: the best items that the user has not had to do with.

Reads:  silver.interactions    events up to as_of
        silver.items           titles, where the table exists
        silver.users           more users, where the table exists
        silver.follows         more users, where the table exists
        silver.texts           authors: more users, where the table exists
        and the champion of the registered model `shoal_recommender`
Writes: gold.recommendations   one row per user and rank; replaces as_of

Users that the champion knows get its lists, all others the most popular items, where an event counts half after the
half-life of conf. Each model gives lists of one form (LIST_COLUMNS); a model for items without events adds one more to
`build`.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from functools import reduce
from itertools import chain

from pyspark.ml import PipelineModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from shoal.conf import RecommendConf
from shoal.contract import contract_names
from shoal.errors import SkippedError
from shoal.lake import Lake
from shoal.models import champion
from shoal.recommend.als import from_pipeline, list_als, settings_of
from shoal.recommend.popularity import decayed_popularity, list_popular
from shoal.recommend.preferences import event_weight, preferences
from shoal.recommend.reason import called
from shoal.runs import run_job

MODEL = "shoal_recommender"
VARIANT = "champion"
LIST_COLUMNS = ("user_id", "rank", "item_id", "score", "source", "because_item_id")
# Where users are found besides the events: table -> columns of ids.
USER_COLUMNS = {"silver.users": ["user_id"], "silver.follows": ["src_id", "dst_id"], "silver.texts": ["author_id"]}
VERBS = {
    "view": "viewed", "click": "clicked", "like": "liked", "comment": "commented on", "share": "shared", "save": "saved",
    "purchase": "bought", "rating": "rated",
}  # fmt: skip


def with_source(lists: DataFrame, source: str) -> DataFrame:
    """Lists of one model in the common form; a model without reasons has null ones."""
    rows = lists if "because_item_id" in lists.columns else lists.withColumn("because_item_id", F.lit(None).cast("string"))
    return rows.withColumn("source", F.lit(source)).select(*LIST_COLUMNS)


def names_of(items: DataFrame | None) -> DataFrame | None:
    """One row per item with something to call it: item_id, `name`: title, else the beginning of its text."""
    if items is None:
        return None
    named = items.select("item_id", called(F.col("title"), F.col("text")).alias("name"))
    return named.where("name is not null and name != ''")


def with_reason(lists: DataFrame, known: DataFrame, names: DataFrame | None) -> DataFrame:
    """The lists with `reason`, one sentence: the seen item that speaks for the row and what the user did with it, else
    why all see it.

    `known`: preferences, whose `event` is the heaviest thing that the user did with the item. Cost: a join on user and
    item, one on item.
    """
    deeds = known.select("user_id", F.col("item_id").alias("because_item_id"), "event")
    rows = lists.join(deeds, ["user_id", "because_item_id"], "left")
    if names is None:
        rows = rows.withColumn("name", F.lit(None).cast("string"))
    else:
        rows = rows.join(names.withColumnRenamed("item_id", "because_item_id"), "because_item_id", "left")
    verbs = F.create_map(*[F.lit(word) for word in chain.from_iterable(VERBS.items())])
    done = F.coalesce(verbs[F.col("event")], F.lit("met"))
    because = F.concat(F.lit("Because you "), done, F.lit(" "), F.coalesce("name", "because_item_id"), F.lit("."))
    general = F.when(F.col("source") == "popularity", "Popular with everybody lately.").otherwise("Liked by people like you.")
    reason = F.when(F.col("because_item_id").isNotNull(), because).otherwise(general)
    return rows.withColumn("reason", reason).drop("event", "name")


def build(lists: list[DataFrame], known: DataFrame, items: DataFrame | None, model_version: str) -> DataFrame:
    """gold.recommendations without as_of and run_id, from each model's lists; no user may be in two of them."""
    together = reduce(DataFrame.unionByName, lists)
    return with_reason(together, known, names_of(items)).select(
        "user_id",
        "rank",
        "item_id",
        "score",
        F.create_map("source", "score").alias("parts"),
        "reason",
        "source",
        F.lit(VARIANT).alias("variant"),
        F.lit(model_version).alias("model_version"),
    )


def all_users(lake: Lake, events: DataFrame, as_of: date) -> DataFrame:
    """One row per user of any table that names users: user_id."""
    found = events.select("user_id")
    for table, columns in USER_COLUMNS.items():
        if table in contract_names() and lake.exists(table):
            rows = lake.read(table, before=as_of)
            for column in columns:
                found = found.unionByName(rows.select(F.col(column).alias("user_id")))
    return found.where("user_id is not null").distinct()


def run(lake: Lake, conf: RecommendConf, as_of: date) -> None:
    """List with the champion whom it knows, popularity for the rest, and replace the day's rows."""
    events = lake.read("silver.interactions", before=as_of)
    model = champion(lake, MODEL)
    if model is None:
        raise SkippedError(f"no champion of {MODEL} in this lake: run train_recommender first")
    weights = lake.settings.train_recommender.event_weights
    als = from_pipeline(PipelineModel.load((model.folder / "pipeline").as_uri()), settings_of(model.params))
    known = preferences(events, weights).persist()
    try:
        users = all_users(lake, events, as_of)
        personal = list_als(als, known, users, conf.k, conf.user_block, with_reason=True)
        others = users.join(als.user_factors, "user_id", "left_anti")
        popular = decayed_popularity(
            events, lake.settings.features.half_life_days, _end_of(as_of), event_weight(weights)
        )
        general = list_popular(popular, others, known, conf.k, conf.user_block)
        items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
        lists = [with_source(personal, "als"), with_source(general, "popularity")]
        lake.replace("gold.recommendations", build(lists, known, items, model.label), on=as_of)
    finally:
        known.unpersist()
    lake.run.note(model_version=model.label, trained_as_of=model.params.get("as_of", "unknown"))


def _end_of(as_of: date) -> Column:
    """The first moment after the day, UTC."""
    return F.lit(f"{as_of + timedelta(days=1)} 00:00:00").cast("timestamp")


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runs for arguments and exit codes."""
    return run_job(__doc__, run, RecommendConf, argv)


if __name__ == "__main__":
    sys.exit(main())
