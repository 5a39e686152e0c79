"""Write for each item the users who would like it best and have not met it: whom to notify of it.

Reads:  silver.interactions   events up to as_of
        silver.items          what the rules compare, and items without events, where the table exists
        silver.moderation     items that moderators have removed, where the table exists
        gold.moderation       items that the moderation model removes, where the table exists
        silver.blocks         users who have blocked an item's owner, where the table exists
        features.item_vectors  the day's, where content.vectors asks for them
        and the champion of the registered model `shoal_recommender`
Writes: gold.item_audiences   one row per item and rank; replaces as_of

The users are those that the champion knows. An item without events has factors from its terms. The job is not part of the
pipeline: `shoal run recommend_users`, with `item_filter` and `max_age_days` for some items only.
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import RecommendConf
from shoal.lake.lake import Lake
from shoal.models.decisions import read_decisions
from shoal.models.recommender import load_champion, serving_model
from shoal.recommend.candidates.personal import item_audiences
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.ranking.caching import caching
from shoal.recommend.ranking.context import Sources, recommendation_context
from shoal.recommend.ranking.reason import with_reason
from shoal.runner.command import run_job

READS = (
    "silver.interactions", "silver.items", "silver.moderation", "silver.blocks", "gold.moderation", "features.item_vectors",
    "models:/shoal_recommender",
)  # fmt: skip
WRITES = ("gold.item_audiences",)
SETTINGS = ("content",)


def run(lake: Lake, conf: RecommendConf, as_of: date) -> None:
    """Rank the champion's users for every item that the rules allow, and replace the day's rows."""
    events, champion = lake.read("silver.interactions", before=as_of), load_champion(lake)
    optional = [lake.read_if_exists(name, before=as_of) for name in ("silver.items", "silver.blocks")]
    optional.append(read_decisions(lake, as_of))
    model = serving_model(lake, champion, conf.user_batch_size, as_of)
    spec = champion.trained
    # An event of weight 0 is a meeting too.
    met = events.select("user_id", "item_id").where("user_id is not null and item_id is not null").distinct()
    with caching() as keep:
        weighted = preferences(events, dict(spec.event_weights), spec.ratings)
        context = recommendation_context(Sources(events, *optional), weighted, conf, as_of, keep)
        unlisted = met if context.blocked is None else met.unionByName(context.blocked)
        rows = with_reason(
            item_audiences(context, model, unlisted, conf.users_per_item, keep), context.preferences, context.removed
        )
        rows = rows.withColumn("model_version", F.lit(champion.model.label))
        lake.replace("gold.item_audiences", rows, on=as_of, unique=True)
    lake.run.note(model_version=champion.model.label)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, RecommendConf, argv)


if __name__ == "__main__":
    sys.exit(main())
