"""`shoal train sentiment` and `shoal score sentiment`: plain files in and out; the lake only keeps models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import Settings, TrainSentimentConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, quoted, read_rows, write_rows
from shoal.lake.lake import Lake, Run
from shoal.mine.text.classifier import score_texts, train_classifier
from shoal.mine.text.saved import check_model_output, load_classifier, save_classifier
from shoal.models.sentiment import champion_classifier, content_version, facts_of, plan_of, register_classifier
from shoal.runner.clock import utc_now
from shoal.runner.execute import new_run_id
from shoal.spark.session import spark_session

train_app = typer.Typer(help="Train a model on a file.", rich_markup_mode=None)
score_app = typer.Typer(help="Score a file with a model.", rich_markup_mode=None)

InputOption = Annotated[Path, typer.Option("--input", help="CSV, TSV, text, JSON or Parquet.", metavar="FILE")]
TextOption = Annotated[str, typer.Option(help="Name of the column with the texts.", metavar="C")]


@train_app.callback()
def train() -> None:
    """Train a model on a file."""


@score_app.callback()
def score() -> None:
    """Score a file with a model."""


@train_app.command("sentiment")
def train_sentiment(
    input_path: InputOption,
    text_column: TextOption,
    label_column: Annotated[str, typer.Option(help="Name of the column with the labels; any labels, two or more.", metavar="L")],
    model: Annotated[
        Optional[Path], typer.Option(help="Save the model in this folder. Default: register it in the lake.", metavar="DIR")
    ] = None,
    group_column: Annotated[
        Optional[str], typer.Option(help="Rows equal in this column are held out together.", metavar="G")
    ] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Train a classifier of texts into the labels that the file has.

    A fifth of the rows is held out for the metrics, which are printed as JSON beside those of always naming the most
    frequent label. Rows without a text or a label are dropped and counted.

    Example: shoal train sentiment --input reviews.csv --text-column text --label-column stars --model model
    """
    wanted = [text_column, label_column, *([group_column] if group_column else [])]
    if text_column == label_column:
        raise UsageError(f"--label-column {label_column}: is the text column too; expected another one")
    if model is not None:
        check_model_output(model)
    settings, spark = _start("train", env, sets)
    plan = plan_of(settings.section(TrainSentimentConf))
    rows = read_rows(spark, input_path, list(dict.fromkeys(wanted)), conf=settings.ingest)
    texts = rows.select(
        F.col(quoted(text_column)).alias("text"),
        F.col(quoted(label_column)).alias("label"),
        (F.col(quoted(group_column)) if group_column else F.lit(None).cast("string")).alias("group"),
    )
    try:
        training = train_classifier(texts, plan)
    except InputError as error:
        raise InputError(f"{input_path}: {error}") from None
    report = {"task": "sentiment", "labels": list(training.classifier.labels), **facts_of(training)}
    if model is not None:
        version = content_version(training)
        save_classifier(training.classifier, model, version, facts_of(training))
        report |= {"model": str(model), "model_version": version}
    else:
        made = register_classifier(_lake(spark, lake, settings), texts, training, plan, {"input": input_path.name})
        report |= {"model": str(made.folder), "model_version": made.label, "is_champion": made.is_champion}
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")


@score_app.command("sentiment")
def score_sentiment(
    input_path: InputOption,
    text_column: TextOption,
    output: Annotated[Path, typer.Option(help="The scored rows: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")],
    model: Annotated[
        Optional[Path], typer.Option(help="Folder of a saved model. Default: the lake's champion.", metavar="DIR")
    ] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Add predicted_label, probability_<label> for each label, and model_version to the rows of a file.

    All columns and the order of the rows stay. A blank text gets the labels' shares in the training data.

    Example: shoal score sentiment --input new.csv --text-column text --model model --output scored.csv
    """
    check_output(output)
    if model is not None and not (model / "model.json").is_file():
        raise InputError(f"--model {model}: no model there (no model.json); `shoal train sentiment --model DIR` makes one")
    settings, spark = _start("score", env, sets)
    rows = read_rows(spark, input_path, [text_column], conf=settings.ingest)
    if model is not None:
        classifier, about = load_classifier(model)
        version = str(about["version"])
    else:
        found = champion_classifier(_lake(spark, lake, settings))
        if found is None:
            raise InputError(f"--lake {lake}: has no champion of sentiment; train one, or name a folder with --model DIR")
        classifier, version = found[0], found[1].label
    shown = {f"probability_{label}": i + 1 for i, label in enumerate(classifier.labels)}
    made = ["predicted_label", *shown, "model_version"]
    if text_column.casefold() in {name.casefold() for name in made}:
        raise UsageError(f"--text-column {text_column}: the command writes a column of this name; rename it in {input_path}")
    kept = [name for name in rows.columns if name.casefold() not in {other.casefold() for other in made}]
    scored = score_texts(rows.select(*map(quoted, kept)), F.col(quoted(text_column)), classifier).select(
        *map(quoted, kept), "predicted_label",
        *[F.element_at("probabilities", place).alias(name) for name, place in shown.items()],
        F.lit(version).alias("model_version"),
    )  # fmt: skip
    counted = Observation("scored")
    totals = [F.count_if(F.col("predicted_label") == label).alias(label) for label in classifier.labels]
    write_rows(scored.observe(counted, *totals), output)
    predicted = counted.get
    report = {
        "task": "sentiment", "rows": sum(predicted.values()), "predicted": predicted, "output": str(output),
        "model_version": version,
    }  # fmt: skip
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")


def _start(verb: str, env: str, sets: list[str] | None) -> tuple[Settings, SparkSession]:
    settings = load(env, with_file_settings(sets), section_name(TrainSentimentConf))
    return settings, spark_session(f"shoal-{verb}-sentiment", env, settings.spark)


def _lake(spark: SparkSession, root: str, settings: Settings) -> Lake:
    return Lake(spark, root, settings, Run(new_run_id(utc_now()), "train_sentiment"))
