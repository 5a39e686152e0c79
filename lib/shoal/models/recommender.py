"""The recommender that serves: the champion of its registered model, as jobs load it."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.registry import Model, champion
from shoal.recommend.candidates.als import AlsModel
from shoal.recommend.candidates.artifact import Recommender, load_recommender
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
