"""`shoal train sentiment`, `emotion` and `moderation`: a plain file in, a folder or the lake's registry out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Optional

import typer
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import Settings, TrainSentimentConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import quoted, read_rows
from shoal.lake.lake import Lake, Run
from shoal.mine.text.classifier import train_classifier
from shoal.mine.text.saved import check_model_output, load_classifier, save_classifier
from shoal.models.text_classifiers import (
    EMOTION,
    MODERATION,
    SENTIMENT,
    content_version,
    facts_of,
    plan_of,
    register_classifier,
)
from shoal.runner.clock import utc_now
from shoal.runner.execute import new_run_id
from shoal.spark.session import spark_session

train_app = typer.Typer(help="Train a model on a file.", rich_markup_mode=None)

InputOption = Annotated[Path, typer.Option("--input", help="CSV, TSV, text, JSON or Parquet.", metavar="FILE")]
TextOption = Annotated[str, typer.Option(help="Name of the column with the texts.", metavar="C")]
LabelOption = Annotated[str, typer.Option(help="Name of the column with the labels; any labels, two or more.", metavar="L")]
ModelOption = Annotated[
    Optional[Path], typer.Option(help="Save the model in this folder. Default: register it in the lake.", metavar="DIR")
]
InitOption = Annotated[
    Optional[Path],
    typer.Option(help="Folder of a model of other texts, to refit on this (small) file, its weights the prior.", metavar="DIR"),
]
GroupOption = Annotated[Optional[str], typer.Option(help="Rows equal in this column are held out together.", metavar="G")]


@train_app.callback()
def train() -> None:
    """Train a model on a file."""


def _trainer(task: str, example: str) -> Callable[..., None]:
    """The command that trains the classifier of a task."""

    def trained(
        input_path: InputOption,
        text_column: TextOption,
        label_column: LabelOption,
        model: ModelOption = None,
        group_column: GroupOption = None,
        init_from: InitOption = None,
        lake: LakeOption = DEFAULT_LAKE,
        env: EnvOption = "local",
        sets: SetOption = None,
    ) -> None:
        wanted = [text_column, label_column, *([group_column] if group_column else [])]
        if text_column == label_column:
            raise UsageError(f"--label-column {label_column}: is the text column too; expected another one")
        if model is not None:
            check_model_output(model)
        if init_from is not None and not (init_from / "model.json").is_file():
            raise InputError(f"--init-from {init_from}: no model there (no model.json); `shoal train {task} --model DIR` makes one")
        settings, spark = start_text_command("train", task, env, sets)
        first = None if init_from is None else load_classifier(init_from)
        plan = plan_of(settings.section(TrainSentimentConf))
        rows = read_rows(spark, input_path, list(dict.fromkeys(wanted)), conf=settings.ingest)
        texts = rows.select(
            F.col(quoted(text_column)).alias("text"),
            F.col(quoted(label_column)).alias("label"),
            (F.col(quoted(group_column)) if group_column else F.lit(None).cast("string")).alias("group"),
        )
        try:
            training = train_classifier(texts, plan, refit=model is not None, init=None if first is None else first[0])
        except InputError as error:
            raise InputError(f"{input_path}: {error}") from None
        origin = {} if first is None else {"init_from": str(first[1]["version"])}
        summary = {"task": task, "labels": list(training.classifier.labels), **origin, **facts_of(training)}
        if model is not None:
            version = content_version(task, training)
            save_classifier(training.classifier, model, version, {"task": task, **origin, **facts_of(training)})
            summary |= {"model": str(model), "model_version": version}
        else:
            params = {"input": input_path.name, **origin}
            made = register_classifier(lake_of_models(spark, lake, settings), task, texts, training, plan, params)
            summary |= {"model": str(made.folder), "model_version": made.label, "is_champion": made.is_champion}
        sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")

    trained.__name__ = f"train_{task}"
    trained.__doc__ = f"""Train a classifier of texts into the labels that the file has.

    A fifth of the rows is held out for the metrics, which are printed as JSON beside those of always naming the most
    frequent label. A model that is saved in a folder then learns from these rows too (fitted_rows); one that is registered does
    not, because the next one is compared with it on them. Rows without a text or a label are dropped and counted.
    With --init-from a model of another set of texts is refitted on this file, which may be small.

    Example: shoal train {task} {example}
    """
    return trained


def start_text_command(verb: str, task: str, env: str, sets: list[str] | None) -> tuple[Settings, SparkSession]:
    """The settings and the session of a command over a file of texts."""
    settings = load(env, with_file_settings(sets), section_name(TrainSentimentConf))
    return settings, spark_session(f"shoal-{verb}-{task}", env, settings.spark)


def lake_of_models(spark: SparkSession, root: str, settings: Settings) -> Lake:
    """The lake whose registry a command reads or writes."""
    return Lake(spark, root, settings, Run(new_run_id(utc_now()), "train_sentiment"))


train_sentiment = _trainer(SENTIMENT, "--input reviews.csv --text-column text --label-column stars --model model")
train_emotion = _trainer(EMOTION, "--input tweets.csv --text-column text --label-column emotion --model model")
train_moderation = _trainer(MODERATION, "--input comments.csv --text-column text --label-column class --model model")
for _command in (train_sentiment, train_emotion, train_moderation):
    train_app.command(_command.__name__.removeprefix("train_"))(_command)
