"""The recommender that serves: the champion of its registered model, as jobs load it."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.ml import PipelineModel

from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.registry import Model, champion
from shoal.recommend.candidates.als import AlsModel, from_pipeline
from shoal.recommend.candidates.trained import RecommenderSpec, trained_of

MODEL = "shoal_recommender"


@dataclass(frozen=True)
class Champion:
    """The champion, what its training decided, and its factors."""

    model: Model
    trained: RecommenderSpec
    als: AlsModel


def served(lake: Lake) -> Champion:
    """The champion of MODEL. Raises SkippedError where the lake has none. Cost: reads its folder; the factors stay files."""
    model = champion(lake, MODEL)
    if model is None:
        raise SkippedError(f"no champion of {MODEL} in this lake: run train_recommender first")
    trained = trained_of(model.params)
    return Champion(model, trained, from_pipeline(PipelineModel.load((model.folder / "pipeline").as_uri()), trained.als))
