"""The recommender that serves: the champion of its registered model, as jobs load it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.registry import Model, champion
from shoal.recommend.candidates.als import AlsModel
from shoal.recommend.candidates.artifact import Recommender, load_recommender
from shoal.recommend.candidates.item_vectors import named_vectors
from shoal.recommend.candidates.personal import ServingModel
from shoal.recommend.candidates.trained import RecommenderSpec

MODEL = "shoal_recommender"
# The artifact's folder inside the model's files.
FOLDER = "recommender"


@dataclass(frozen=True)
class Champion:
    """The champion: its entry in the registry, the artifact that scores users, and ALS' factors as frames."""

    model: Model
    recommender: Recommender
    als: AlsModel

    @property
    def trained(self) -> RecommenderSpec:
        """What its training decided."""
        return self.recommender.spec


def load_champion(lake: Lake) -> Champion:
    """The champion of MODEL. Raises SkippedError where the lake has none, InputError where its files are missing or are of another
    version of Shoal. Cost: reads its folder; the factors stay files."""
    model = champion(lake, MODEL)
    if model is None:
        raise SkippedError(f"no champion of {MODEL} in this lake: run train_recommender first")
    recommender = load_recommender(model.folder / FOLDER)
    return Champion(model, recommender, recommender.als(lake.spark))


def serving_model(lake: Lake, champion: Champion, user_batch_size: int, as_of: date) -> ServingModel:
    """What personal lists of the day need: the champion, and the vectors that content.vectors names, where
    features.item_vectors has rows of the day. Lazy."""
    conf = lake.settings.content
    described = lake.read_if_exists("features.item_vectors", on=as_of) if conf.vectors else None
    vectors = None if described is None else named_vectors(described, conf.vectors)
    return ServingModel(champion.recommender, champion.als, conf, user_batch_size, vectors)
