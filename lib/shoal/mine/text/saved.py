"""A trained classifier as a folder of files, and back, without a Spark job: model.json, the vocabulary, the learned numbers.

model.json: format, version, labels, priors, max_text_length, preprocessing (shoal.mine.text.terms), facts. vocabulary.json: the
terms, in the order of the columns. weights.npz: idf (a number per term), coefficients, intercepts (shoal.mine.text.linear). What
turns a text into its terms has learned nothing: it is made again.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from shoal.errors import UsageError
from shoal.mine.text.classifier import Classifier, vector_stages
from shoal.mine.text.linear import Weights, as_model
from shoal.mine.text.plain_classifier import FORMAT, read_description, read_learned


def check_model_output(folder: str | Path) -> None:
    """Nothing, where `save_classifier` can write: for a command to call before its long work.

    Raises UsageError for a file in its place, a folder that holds something else than a classifier, and a missing parent.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise UsageError(f"--model {folder}: is a file; expected a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / "model.json").is_file():
        raise UsageError(f"--model {folder}: the folder holds other files; expected an empty one, a model or a new name")
    if not target.resolve().parent.is_dir():
        raise UsageError(f"--model {folder}: the folder {target.resolve().parent} does not exist; create it first")


def save_classifier(classifier: Classifier, folder: str | Path, version: str, facts: Mapping[str, Any]) -> None:
    """Write the classifier; an older one in that place is replaced once the new one is whole. `facts` (metrics, settings)
    go into model.json. The folder must be one that driver and workers share.
    """
    check_model_output(folder)
    about = {
        "format": FORMAT, "version": version, "labels": list(classifier.labels), "priors": list(classifier.priors),
        "max_text_length": classifier.max_text_length, "preprocessing": asdict(classifier.preprocessing), **facts,
    }  # fmt: skip
    with replaced_folder(folder) as made:
        stages: list[Any] = classifier.pipeline.stages
        present, weighted, _, fitted = stages
        (made / "vocabulary.json").write_text(json.dumps(present.vocabulary, ensure_ascii=False), encoding="utf-8")
        np.savez(
            made / "weights.npz", idf=weighted.getScalingVec().toArray(), coefficients=fitted.coefficientMatrix.toArray(),
            intercepts=fitted.interceptVector.toArray(),
        )  # fmt: skip
        (made / "model.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def replaced_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`, which takes its place when the block ends well, and goes when it does not."""
    target = Path(folder).resolve()
    made = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        made.mkdir()
        yield made
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def load_classifier(folder: str | Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier of a folder, and its model.json. Raises InputError, one line, for a folder that is none or is damaged."""
    found, learned = read_description(Path(folder)), read_learned(Path(folder))
    weights = as_model(SparkSession.active(), Weights(learned.coefficients, learned.intercepts))
    pipeline = PipelineModel(vector_stages(learned.vocabulary, learned.idf, weights))
    return Classifier(pipeline, found.labels, found.priors, found.max_text_length, found.preprocessing), dict(found.about)
