"""Train the lake's recommender and register it: the one that the pipeline trains, and a challenger of a champion."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame

from shoal.conf.sections import BlendConf, ContentConf, FeaturesConf, RecommendConf, TrainRecommenderConf
from shoal.errors import InputError, SkippedError
from shoal.lake.lake import Lake
from shoal.models.recommender import FOLDER, MODEL
from shoal.models.registry import Model, register
from shoal.recommend.candidates.artifact import load_recommender, save_recommender
from shoal.recommend.candidates.configured import content_settings, training_blend
from shoal.recommend.candidates.content import labels_of
from shoal.recommend.candidates.search import SearchSpace, Trial
from shoal.recommend.evaluation.served import ServingInputs
from shoal.recommend.evaluation.training import Selected, TrainingSettings, beats, fit_chosen, prepare, select
from shoal.recommend.ranking.context import Sources

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecommenderConf:
    """The sections of settings that a training reads."""

    train: TrainRecommenderConf
    blend: BlendConf
    content: ContentConf
    features: FeaturesConf
    recommend: RecommendConf

    def settings(self) -> TrainingSettings:
        """What they ask for."""
        conf = self.train
        space = SearchSpace(conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed)
        weights = tuple(sorted(conf.event_weights.items()))
        blend = training_blend(self.blend, self.content, conf.experts) if conf.experts else None
        return TrainingSettings(
            conf.k, space, conf.validation_ratio, conf.test_ratio, conf.max_p_value, self.recommend.user_batch_size,
            conf.ratings, weights, blend,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainedRecommender:
    """The registered model, what was chosen and measured, and how events were divided."""

    model: Model
    chosen: Selected
    split: str


def serving_of(lake: Lake, conf: RecommenderConf, as_of: date) -> ServingInputs:
    """What build_recommendations would read, up to as_of; the evaluation drops what is later than its moment."""
    tables = ("silver.items", "silver.blocks", "silver.moderation", "silver.follows", "silver.profiles")
    optional = [lake.read_if_exists(name, before=as_of) for name in tables]
    sources = Sources(lake.read("silver.interactions", before=as_of), *optional)
    half_life = conf.features.half_life_days
    return ServingInputs(sources, conf.recommend, conf.content, half_life, conf.train.event_weights, as_of)


def train_recommender(lake: Lake, conf: RecommenderConf, as_of: date, promotes: bool = True) -> TrainedRecommender:
    """Split, select, fit and register; with `promotes` it becomes champion where it beats the present one
    (shoal.recommend.evaluation.training.beats). Raises SkippedError where there is no event up to as_of."""
    settings = conf.settings()
    events = lake.read("silver.interactions", before=as_of)
    with kept_frames() as keep:
        data = prepare(events, settings, keep)
        if data is None:
            raise SkippedError(f"silver.interactions has no event up to {as_of}: there is nothing to train on")
        follows, profiles = (lake.read_if_exists(f"silver.{name}", before=as_of) for name in ("follows", "profiles"))
        data = replace(data, follows=follows, profiles=profiles)
        items = lake.read("silver.items", before=as_of) if lake.exists("silver.items") else None
        described = labels_of(items, content_settings(conf.content)) if settings.blend is not None else None
        content = keep(described) if described is not None else None
        chosen = select(data, content, settings, keep, _log, serving_of(lake, conf, as_of))
        spec = chosen.spec

        def is_better(rival: Model) -> bool:
            try:
                return beats(chosen, load_recommender(rival.folder / FOLDER), data, content, settings, keep)
            except InputError as error:
                LOG.warning("%s cannot be compared; the new model serves: %s", rival.label, error)
                return True

        with tempfile.TemporaryDirectory() as folder:
            als, blend = fit_chosen(data, spec, content, settings)
            save_recommender(Path(folder) / FOLDER, spec, als, blend)
            model = register(
                lake,
                MODEL,
                folder,
                metric=f"ndcg@{conf.train.k}",
                metrics={name: value for name, value in chosen.metrics[spec.serves]["all"].items() if value is not None},
                params={**spec.named(), "as_of": as_of, "trials": len(chosen.trials), "k": conf.train.k},
                inputs={"user_id": "string", "item_id": "string"},
                outputs={"prediction": "float"},
                beats=is_better,
                tags={"shoal.split": data.kind},
                promotes=promotes,
            )
    return TrainedRecommender(model, chosen, data.kind if data.moment is not None else "random: no event has a time")


@contextmanager
def kept_frames() -> Iterator[Callable[[DataFrame], DataFrame]]:
    """A function that caches a frame until the block ends."""
    with ExitStack() as stack:

        def keep(rows: DataFrame) -> DataFrame:
            stack.callback(rows.persist().unpersist)
            return rows

        yield keep


def _log(trial: Trial) -> None:
    """Each trial goes to the log."""
    LOG.info("%s: %s", trial.settings, trial.metrics)
