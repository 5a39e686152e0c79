"""Models of posts, engagement and viral, as folders and back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.mine.posts.design import Design
from shoal.mine.posts.engagement import CountModel, EngagementTraining
from shoal.mine.posts.levels import LevelModel
from shoal.mine.posts.viral import ViralModel, ViralTraining
from shoal.mine.probability.stack import Stack
from shoal.models.saved_stages import load_stages, read_about, save_stages

ENGAGEMENT, VIRAL = "engagement", "viral"
# Positions of a file's posts are at or above 0, those of the past below.
_BEFORE = 1 << 62


def save_engagement(training: EngagementTraining, folder: Path) -> str:
    """Save the models and the past; returns the version, which equal trainings share."""
    about: dict[str, Any] = {"task": ENGAGEMENT, "metrics": training.metrics, "counts": {}}
    stages: dict[str, list[Any]] = {}
    for count, model in training.models.items():
        about["counts"][count] = {**_level_facts(model.level), "spread": model.spread.tolist()}
        stages |= _level_stages(model.level, f"{count}_")
    about["version"] = _version(ENGAGEMENT, about)
    save_stages(folder, about, stages, {"past": _as_past(training.past)})
    return str(about["version"])


def load_engagement(spark: SparkSession, folder: Path) -> tuple[dict[str, CountModel], DataFrame, str]:
    """Models by count, the past, the version. Raises InputError, see shoal.models.saved_stages."""
    about = read_about(folder, ENGAGEMENT)
    stages, tables = load_stages(spark, folder, about)
    models = {
        count: CountModel(_level_model(facts, stages, f"{count}_"), np.asarray(facts["spread"], np.float64))
        for count, facts in about["counts"].items()
    }
    return models, tables["past"], str(about["version"])


def save_viral(training: ViralTraining, folder: Path) -> str:
    """Save the model and the past; returns the version, which equal trainings share."""
    model = training.model
    about: dict[str, Any] = {
        "task": VIRAL, "metrics": training.metrics, "level": _level_facts(model.level), "overall": asdict(model.overall),
        "for_author": asdict(model.for_author), "threshold": model.threshold,
    }  # fmt: skip
    about["version"] = _version(VIRAL, about)
    stages = {**_level_stages(model.level, ""), "logistic": [model.logistic], "trees": [model.forest]}
    save_stages(folder, about, stages, {"past": _as_past(training.past)})
    return str(about["version"])


def load_viral(spark: SparkSession, folder: Path) -> tuple[ViralModel, DataFrame, str]:
    """The model, the past, the version. Raises InputError, see shoal.models.saved_stages."""
    about = read_about(folder, VIRAL)
    stages, tables = load_stages(spark, folder, about)
    overall, for_author = (_stack(about[name]) for name in ("overall", "for_author"))
    level = _level_model(about["level"], stages, "")
    model = ViralModel(level, stages["logistic"][0], stages["trees"][0], overall, for_author, float(about["threshold"]))
    return model, tables["past"], str(about["version"])


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


def _level_stages(model: LevelModel, prefix: str) -> dict[str, list[Any]]:
    return {f"{prefix}terms": model.design.terms.stages, f"{prefix}linear": [model.linear], f"{prefix}forest": [model.forest]}


def _level_model(facts: dict[str, Any], stages: dict[str, list[Any]], prefix: str) -> LevelModel:
    scales = {name: (float(mean), float(deviation)) for name, (mean, deviation) in facts["scales"].items()}
    mean, deviation = facts["level_scale"]
    design = Design(PipelineModel(stages[f"{prefix}terms"]), scales, (float(mean), float(deviation)))
    linear, forest = stages[f"{prefix}linear"][0], stages[f"{prefix}forest"][0]
    return LevelModel(str(facts["count"]), float(facts["prior"]), design, linear, forest, float(facts["linear_share"]))


def _version(task: str, about: dict[str, Any]) -> str:
    # Sums of doubles depend on the order of partitions in their last digits.
    facts = json.loads(json.dumps(about), parse_float=lambda text: f"{float(text):.6g}")
    return f"{task}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}"
