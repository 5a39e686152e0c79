"""Models of posts, engagement and viral, as folders and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.arrays import Doubles
from shoal.mine.posts.design import FEATURES, Design
from shoal.mine.posts.engagement import CountModel, EngagementTraining
from shoal.mine.posts.levels import LevelModel
from shoal.mine.posts.viral import LINEAR_INPUT, ViralModel, ViralTraining
from shoal.mine.probability.linear_models import as_linear, as_logistic
from shoal.mine.probability.plain_forest import packed, unpacked
from shoal.mine.probability.stack import Stack
from shoal.models.saved_parts import Saved, load_parts, read_about, save_parts

ENGAGEMENT, VIRAL = "engagement", "viral"
# Positions of a file's posts are at or above 0, those of the past below.
_BEFORE = 1 << 62


def save_engagement(
    training: EngagementTraining, folder: Path, past: DataFrame | None = None, searched: Mapping[str, Any] | None = None
) -> str:
    """Save the models and the past, all of the training's without `past`, and what a search did; returns the version, which equal
    trainings share."""
    about: dict[str, Any] = {"task": ENGAGEMENT, "metrics": training.metrics, "counts": {}}
    parts = [_level_parts(model.level, f"{count}_") for count, model in training.models.items()]
    for count, model in training.models.items():
        about["counts"][count] = {**_level_facts(model.level), "spread": model.spread.tolist()}
    about["version"] = _version(ENGAGEMENT, about)
    save_parts(folder, about, _together(parts, {"past": _as_past(training.past) if past is None else past}), searched)
    return str(about["version"])


def load_engagement(spark: SparkSession, folder: Path) -> tuple[dict[str, CountModel], DataFrame, str]:
    """Models by count, the past, the version. Raises InputError, see shoal.models.saved_parts."""
    about = read_about(folder, ENGAGEMENT)
    saved = load_parts(spark, folder, about)
    models = {
        count: CountModel(_level_model(spark, facts, saved, f"{count}_"), np.asarray(facts["spread"], np.float64))
        for count, facts in about["counts"].items()
    }
    return models, saved.tables["past"], str(about["version"])


def save_viral(
    training: ViralTraining, folder: Path, with_past: bool = True, searched: Mapping[str, Any] | None = None
) -> str:
    """Save the model, the past, and what a search did; returns the version, which equal trainings share."""
    model = training.model
    about: dict[str, Any] = {
        "task": VIRAL, "metrics": training.metrics, "level": _level_facts(model.level), "overall": asdict(model.overall),
        "for_author": asdict(model.for_author), "threshold": model.threshold,
    }  # fmt: skip
    about["version"] = _version(VIRAL, about)
    weights = np.r_[model.logistic.intercept, model.logistic.coefficients.toArray()]
    classifiers = Saved(numbers={"logistic": weights, "trees": packed(model.forest)})
    tables = {"past": _as_past(training.past)} if with_past else {}
    save_parts(folder, about, _together([_level_parts(model.level, ""), classifiers], tables), searched)
    return str(about["version"])


def load_viral(spark: SparkSession, folder: Path) -> tuple[ViralModel, DataFrame | None, str]:
    """The model, the past where it was saved, the version. Raises InputError, see shoal.models.saved_parts."""
    about = read_about(folder, VIRAL)
    saved = load_parts(spark, folder, about)
    overall, for_author = (_stack(about[name]) for name in ("overall", "for_author"))
    level = _level_model(spark, about["level"], saved, "")
    logistic = as_logistic(spark, *_weights(saved.numbers["logistic"]), LINEAR_INPUT)
    model = ViralModel(level, logistic, unpacked(saved.numbers["trees"]), overall, for_author, float(about["threshold"]))
    return model, saved.tables.get("past"), str(about["version"])


def _stack(facts: dict[str, Any]) -> Stack:
    return Stack(tuple(facts["means"]), tuple(facts["deviations"]), tuple(facts["weights"]), float(facts["intercept"]))


def _as_past(posts: DataFrame) -> DataFrame:
    """The posts with positions below those of any file to come."""
    return posts.withColumn("position", F.col("position") - F.lit(_BEFORE)).coalesce(1)


def _level_facts(model: LevelModel) -> dict[str, Any]:
    return {
        "count": model.count, "prior": model.prior, "linear_share": model.linear_share, "scales": model.design.scales,
        "level_scale": model.design.level_scale,
    }  # fmt: skip


def _level_parts(model: LevelModel, prefix: str) -> Saved:
    weights = np.r_[model.linear.intercept, model.linear.coefficients.toArray()]
    numbers = {f"{prefix}idf": model.design.idf, f"{prefix}linear": weights, f"{prefix}forest": packed(model.forest)}
    return Saved(numbers=numbers, words={f"{prefix}vocabulary": model.design.vocabulary})


def _together(parts: Sequence[Saved], tables: Mapping[str, DataFrame]) -> Saved:
    """The parts as one, with tables."""
    numbers = {name: values for part in parts for name, values in part.numbers.items()}
    return Saved(tables, numbers, {name: words for part in parts for name, words in part.words.items()})


def _level_model(spark: SparkSession, facts: dict[str, Any], saved: Saved, prefix: str) -> LevelModel:
    scales = {name: (float(mean), float(deviation)) for name, (mean, deviation) in facts["scales"].items()}
    mean, deviation = facts["level_scale"]
    vocabulary = tuple(map(str, saved.words[f"{prefix}vocabulary"]))
    design = Design(vocabulary, saved.numbers[f"{prefix}idf"], scales, (float(mean), float(deviation)))
    linear = as_linear(spark, *_weights(saved.numbers[f"{prefix}linear"]), FEATURES)
    forest = unpacked(saved.numbers[f"{prefix}forest"])
    return LevelModel(str(facts["count"]), float(facts["prior"]), design, linear, forest, float(facts["linear_share"]))


def _weights(found: Doubles) -> tuple[Doubles, float]:
    """Weights and intercept, of one array that begins with the intercept."""
    return found[1:], float(found[0])


def _version(task: str, about: dict[str, Any]) -> str:
    # Sums of doubles depend on the order of partitions in their last digits.
    facts = json.loads(json.dumps(about), parse_float=lambda text: f"{float(text):.6g}")
    return f"{task}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}"
