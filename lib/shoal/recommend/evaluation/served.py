"""The lists that users are served, evaluated beside those of the models: rules, cold-start slots and fallback lists included.

A model's own list is what it would show if nothing else had a say. `gold.recommendations` has more: items of blocked owners and
removed items are not listed, the last places are for items without events, and a list that is short, or that a model does not
have, is filled with what is popular. Here the same functions make these lists, from what was known at the moment of the split.
Exploration is off: what it costs is measured where lists are logged (experiment.off_policy). Fallback lists by groups (whom a user
follows, communities, profiles) are not asked, because communities and profiles hold what was known later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import ContentConf, RecommendConf
from shoal.recommend.candidates.als import AlsModel
from shoal.recommend.candidates.artifact import Recommender
from shoal.recommend.candidates.blend import Blend
from shoal.recommend.candidates.cold_start import Groups, PopularitySettings
from shoal.recommend.candidates.demographics import profiles_before
from shoal.recommend.candidates.followed import follows_before
from shoal.recommend.candidates.personal import ServingModel
from shoal.recommend.candidates.sources import Fallback, list_candidates
from shoal.recommend.candidates.trained import RecommenderSpec
from shoal.recommend.ranking.caching import Keep
from shoal.recommend.ranking.context import Sources, recommendation_context
from shoal.recommend.ranking.served_lists import served_lists, serving_settings


@dataclass(frozen=True)
class ServingInputs:
    """What serving needs besides the model. `sources`: the tables (their events: silver.interactions); `recommend`: rules, slots
    and length of lists; `content`: for items without events; `half_life_days`, `event_weights`: of what is popular; `as_of`: the
    day that rules count from where no event has a time."""

    sources: Sources
    recommend: RecommendConf
    content: ContentConf
    half_life_days: float
    event_weights: Mapping[Any, float]
    as_of: date


@dataclass(frozen=True)
class TrainingPart:
    """What was known at the split. `preferences`: the training pairs; `users`: user_id of those to list for; `moment`: microseconds
    since 1970, None where pairs were drawn at random."""

    preferences: DataFrame
    users: DataFrame
    moment: int | None


def training_sources(sources: Sources, part: TrainingPart) -> Sources:
    """The tables as they were at the moment: rows with a later time are dropped, rows without a time stay, but for follows. Where
    pairs were drawn at random, the events of training pairs, and the other tables as they are."""
    if part.moment is None:
        pairs = part.preferences.select("user_id", "item_id")
        return replace(sources, events=sources.events.join(pairs, ["user_id", "item_id"], "left_semi"))

    def known(rows: DataFrame | None, column: str) -> DataFrame | None:
        return None if rows is None else rows.where(F.col(column).isNull() | (F.unix_micros(column) <= F.lit(part.moment)))

    events = sources.events.where(F.col("occurred_at").isNull() | (F.unix_micros("occurred_at") <= F.lit(part.moment)))
    return Sources(
        events, known(sources.items, "created_at"), known(sources.blocks, "occurred_at"), known(sources.moderation, "decided_at"),
        follows_before(sources.follows, part.moment), profiles_before(sources.profiles, part.moment),
    )  # fmt: skip


def served_at_split(
    spec: RecommenderSpec, als: AlsModel, blend: Blend | None, part: TrainingPart, inputs: ServingInputs, keep: Keep
) -> DataFrame:
    """One row per user of `part.users` and rank 1..recommend.k: user_id, rank, item_id, score, source: what build_recommendations
    would have written at the moment, without exploration and without lists by groups.

    `als`, `blend`: fitted on the training part; the blend is asked where `spec` says that it serves. A user with no event before
    the moment gets what is popular. Cost: that of `personal_lists`, `new_item_lists` and `served_lists`.
    """
    conf, settings = inputs.recommend, serving_settings(inputs.recommend)
    day = inputs.as_of if part.moment is None else datetime.fromtimestamp(part.moment / 1e6, timezone.utc).date()
    context = recommendation_context(training_sources(inputs.sources, part), part.preferences, conf, day, keep)
    # The folder is where factors would be read from; here they are frames already.
    recommender = Recommender(spec, blend if spec.serves == "blend" else None, Path())
    model = ServingModel(recommender, als, inputs.content, conf.user_batch_size)
    at = F.lit(datetime.combine(day, datetime.max.time())) if part.moment is None else F.timestamp_micros(F.lit(part.moment))
    popular = PopularitySettings(conf.k, inputs.half_life_days, at, inputs.event_weights, conf.user_batch_size)
    candidates = list_candidates(context, model, part.users, Fallback(Groups(), popular), settings, keep)
    lists = served_lists(candidates, part.users, context, settings, keep)
    return lists.select("user_id", "rank", "item_id", "score", "source")
