"""`shoal train images` and `shoal score images`: folders of pictures in, a model's folder or a plain file out."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import ImagesConf, Settings
from shoal.errors import InputError
from shoal.ingest.formats.files import check_output, write_rows
from shoal.mine.image.convolution import NAME as CNN
from shoal.mine.image.convolution import check_installed
from shoal.mine.image.embedding import embedding_of
from shoal.mine.image.features import Describing
from shoal.mine.image.folders import label_by_folder, list_pictures
from shoal.mine.image.opening import STATUSES, Limits
from shoal.mine.image.saved import load_embedding, load_picture_classifier, save_picture_classifier
from shoal.mine.image.training import PictureTraining, score_pictures, train_network_of_pictures, train_pictures
from shoal.mine.text.saved import check_model_output
from shoal.spark.session import spark_session

ClassesOption = Annotated[
    Path, typer.Option("--input", help="Folder that holds a folder of pictures for each class.", metavar="FOLDER")
]
PicturesOption = Annotated[Path, typer.Option("--input", help="Folder of pictures, with all folders below it.", metavar="FOLDER")]
NewModelOption = Annotated[Path, typer.Option("--model", help="Save the model in this folder.", metavar="DIR")]
ModelOption = Annotated[Path, typer.Option("--model", help="Folder of a saved model.", metavar="DIR")]
OutputOption = Annotated[str, typer.Option(help="The scored pictures: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")]


def train_images(input_path: ClassesOption, model: NewModelOption, env: EnvOption = "local", sets: SetOption = None) -> None:
    """Train a classifier of pictures into the folders that they lie in.

    Of each class a fifth is held out for the metrics, which are printed as JSON; the model that is saved then learns from all
    pictures. Those that cannot be read are dropped and counted by status. --set images.embedding=cnn trains a small convolutional
    network (pip install 'shoal[images,cnn]'), for thousands of pictures.

    Example: shoal train images --input pictures/train --model model
    """
    check_model_output(model)
    settings, conf = _settings(env, sets)
    paths = list_pictures(input_path, settings.ingest.max_files)
    labelled = label_by_folder(input_path, paths)
    limits, embedding = Limits(conf.max_pixels, conf.max_file_bytes), None
    if conf.embedding == CNN:
        check_installed()
    else:
        embedding = embedding_of(conf.embedding, conf.model, conf.pixel_mean, conf.pixel_spread)
    spark = spark_session("shoal-train-images", env, settings.spark)
    rows = _spread(spark, labelled, "path string, label string")
    try:
        if embedding is None:
            training, embedding = train_network_of_pictures(rows, limits, conf.test_ratio, conf.seed)
        else:
            training = train_pictures(rows, Describing(limits, embedding), conf.test_ratio, conf.seed)
    except InputError as error:
        raise InputError(f"{input_path}: {error}") from None
    facts = _facts(training)
    version = _version(training, embedding.version, facts)
    save_picture_classifier(training.classifier, embedding, model, {"task": "images", "version": version, **facts})
    summary = {"task": "images", "labels": list(training.classifier.labels), **facts, "embedding": embedding.version}
    sys.stdout.write(json.dumps(summary | {"model": str(model), "model_version": version}, ensure_ascii=False) + "\n")


def score_images(
    input_path: PicturesOption, model: ModelOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Write path, predicted_label, probability_<label> for each label, model_version and status of every picture of a folder.

    Rows come in the order of the paths. status is ok, unreadable, too_large, bomb or missing; without ok, label and
    probabilities are empty.

    Example: shoal score images --input pictures/new --model model --output scored.csv
    """
    check_output(output)
    classifier, about = load_picture_classifier(model)
    settings, conf = _settings(env, sets)
    paths = list_pictures(input_path, settings.ingest.max_files)
    embedding = load_embedding(model, about)
    spark = spark_session("shoal-score-images", env, settings.spark)
    rows = _spread(spark, [(path,) for path in paths], "path string")
    scored = score_pictures(rows, classifier, Describing(Limits(conf.max_pixels, conf.max_file_bytes), embedding))
    named = [F.element_at("probabilities", n + 1).alias(f"probability_{label}") for n, label in enumerate(classifier.labels)]
    shown = scored.select("path", "predicted_label", *named, F.lit(about["version"]).alias("model_version"), "status")
    counted = Observation("scored")
    counts = [F.count_if(F.col("status") == status).alias(status) for status in STATUSES]
    write_rows(shown.observe(counted, *counts), output)
    found = {status: rows for status, rows in counted.get.items() if rows}
    summary = {"task": "images", "rows": len(paths), "statuses": found, "output": str(output), "model_version": about["version"]}
    sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")


def _settings(env: str, sets: list[str] | None) -> tuple[Settings, ImagesConf]:
    settings = load(env, with_file_settings(sets), section_name(ImagesConf))
    return settings, settings.images


def _spread(spark: SparkSession, rows: list[Any], schema: str) -> DataFrame:
    """The rows in their order, in four parts a core at most: decoding is the work."""
    parts = min(len(rows), 4 * spark.sparkContext.defaultParallelism)
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, parts), schema)


def _facts(training: PictureTraining) -> dict[str, Any]:
    """What a training found, for a summary and for model.json."""
    judged = training.quality
    return {
        "rows": training.rows, "train_rows": training.train_rows, "test_rows": 0 if judged is None else judged.rows,
        "statuses": training.statuses,
        "metrics": None if judged is None else {**judged.named(), "f1": judged.f1},
        "baseline": None if training.baseline is None else {"accuracy": training.baseline},
        "settings": {"inverse_penalty": training.chosen.inverse_penalty, "temperature": training.chosen.temperature},
    }  # fmt: skip


def _version(training: PictureTraining, embedding: str, facts: dict[str, Any]) -> str:
    """`images-<12 hex digits>`: equal trainings have equal versions."""
    rounded = json.loads(json.dumps(facts), parse_float=lambda text: f"{float(text):.6g}")
    said = json.dumps([training.classifier.labels, embedding, rounded], sort_keys=True)
    return f"images-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
