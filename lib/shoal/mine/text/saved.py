"""A trained classifier as a folder of files, and back, without a Spark job: model.json, the vocabulary, the learned numbers.

model.json: format, version, labels, priors, max_text_length, facts. vocabulary.json: the terms, in the order of the columns.
weights.npz: idf (a number per term), coefficients, intercepts (shoal.mine.text.logistic). The stages from a text to its terms have
learned nothing: they are made again by shoal.mine.text.terms.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.ml.feature import CountVectorizerModel, ElementwiseProduct, Normalizer
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from shoal.arrays import Doubles
from shoal.errors import InputError, UsageError, one_line
from shoal.mine.text.classifier import Classifier
from shoal.mine.text.logistic import Weights, as_model
from shoal.mine.text.terms import TERMS, TEXT, term_stages

FORMAT = "shoal text classifier 2"
# A saved Spark pipeline instead of the learned numbers: still read.
PIPELINE_FORMAT = "shoal text classifier 1"


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
    target = Path(folder).resolve()
    made = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    about = {
        "format": FORMAT, "version": version, "labels": list(classifier.labels), "priors": list(classifier.priors),
        "max_text_length": classifier.max_text_length, **facts,
    }  # fmt: skip
    try:
        made.mkdir()
        stages: list[Any] = classifier.pipeline.stages[-4:]
        present, weighted, _, fitted = stages
        (made / "vocabulary.json").write_text(json.dumps(present.vocabulary, ensure_ascii=False), encoding="utf-8")
        np.savez(
            made / "weights.npz", idf=_idf(weighted), coefficients=fitted.coefficientMatrix.toArray(),
            intercepts=fitted.interceptVector.toArray(),
        )  # fmt: skip
        (made / "model.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def load_classifier(folder: str | Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier of a folder, and its model.json. Raises InputError, one line, for a folder that is none or is damaged."""
    path = Path(folder)
    try:
        about = json.loads((path / "model.json").read_text(encoding="utf-8"))
        if about["format"] not in (FORMAT, PIPELINE_FORMAT):
            raise InputError(f"{folder}: the model's format is {about['format']!r}; expected {FORMAT!r}")
        labels, priors = tuple(map(str, about["labels"])), tuple(map(float, about["priors"]))
        max_text_length = int(about["max_text_length"])
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no model there (no model.json); `shoal train sentiment --model DIR` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/model.json: not the description of a model: {one_line(error)}") from None
    try:
        if about["format"] == FORMAT:
            return Classifier(_pipeline(path), labels, priors, max_text_length), about
        with _plain_folder(path.resolve()) as place:
            if place != path.resolve():
                shutil.copytree(path / "pipeline", place / "pipeline")
            pipeline = PipelineModel.load(f"file://{place / 'pipeline'}")
    except (Py4JError, PySparkException, OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}") from None
    return Classifier(pipeline, labels, priors, max_text_length), about


def _pipeline(folder: Path) -> PipelineModel:
    """The stages from a text to its probabilities, from the files of a folder."""
    vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    with np.load(folder / "weights.npz") as numbers:
        idf, weights = numbers["idf"], Weights(numbers["coefficients"], numbers["intercepts"])
    if not len(vocabulary) == len(idf) == weights.coefficients.shape[1]:
        raise ValueError(f"{len(vocabulary)} terms, {len(idf)} and {weights.coefficients.shape[1]} numbers; expected as many")
    spark = SparkSession.active()
    present = CountVectorizerModel.from_vocabulary(vocabulary, inputCol=TERMS, outputCol="present").setBinary(True)
    weighted = ElementwiseProduct(scalingVec=Vectors.dense(idf), inputCol="present", outputCol="weighted")
    unit = Normalizer(inputCol="weighted", outputCol="features")
    terms = term_stages(spark.createDataFrame([], f"{TEXT} string"))
    return PipelineModel([*terms.stages, present, weighted, unit, as_model(spark, weights)])


def _idf(stage: Any) -> Doubles:
    """What each term is multiplied with."""
    vector = stage.getScalingVec() if isinstance(stage, ElementwiseProduct) else stage.idf
    return np.asarray(vector.toArray())


@contextmanager
def _plain_folder(folder: Path) -> Iterator[Path]:
    """The folder itself, or a temporary one where its name has a space, a comma or the like: Hadoop takes some of these for
    patterns and lists, and Spark NLP reads its stages' paths as URIs.
    """
    if re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="shoal-model-") as name:
            yield Path(name)
