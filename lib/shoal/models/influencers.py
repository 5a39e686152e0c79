"""The model of influencers as a folder and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from shoal.mine.people.influencers import InfluencerModel, InfluencerTraining
from shoal.mine.probability.plain_forest import packed, unpacked
from shoal.mine.probability.stack import Stack
from shoal.models.saved_parts import Saved, load_parts, read_about, save_parts

INFLUENCERS = "influencers"


def save_influencers(
    training: InfluencerTraining, columns: dict[str, str], folder: Path, searched: Mapping[str, Any] | None = None
) -> str:
    """Save the model with what its columns are called in a file, and what a search did; returns the version, which equal
    trainings share."""
    model = training.model
    about: dict[str, Any] = {
        "task": INFLUENCERS, "metrics": training.metrics, "left_out": training.left_out, "importances": training.importances,
        "features": [{"column": columns[name], "median": median} for name, median in model.medians.items()],
        "calibration": asdict(model.calibration), "threshold": model.threshold,
    }  # fmt: skip
    facts = json.loads(json.dumps(about), parse_float=lambda text: f"{float(text):.6g}")
    about["version"] = f"{INFLUENCERS}-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}"
    save_parts(folder, about, Saved(numbers={"forest": packed(model.forest)}), searched)
    return str(about["version"])


def load_influencers(spark: SparkSession, folder: Path) -> tuple[InfluencerModel, dict[str, str], str]:
    """The model, its features' names -> the columns of a file, the version. Raises InputError, see shoal.models.saved_parts."""
    about = read_about(folder, INFLUENCERS)
    forest = unpacked(load_parts(spark, folder, about).numbers["forest"])
    columns = {f"feature_{i}": str(feature["column"]) for i, feature in enumerate(about["features"])}
    medians = {f"feature_{i}": float(feature["median"]) for i, feature in enumerate(about["features"])}
    found = about["calibration"]
    calibration = Stack(tuple(found["means"]), tuple(found["deviations"]), tuple(found["weights"]), float(found["intercept"]))
    return InfluencerModel(forest, medians, calibration, float(about["threshold"])), columns, str(about["version"])
