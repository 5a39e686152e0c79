"""`shoal score sentiment`, `emotion`, `moderation`, `language`, `keywords` and `entities`: a plain file of texts in and out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.train import InputOption, TextOption, lake_of_models, start_text_command
from shoal.conf.sections import Settings, TrainSentimentConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, quoted, read_rows, write_rows
from shoal.mine.text.classifier import Classifier, score_texts
from shoal.mine.text.entities import ENTITY_COLUMNS, PATTERNS_VERSION, with_entities
from shoal.mine.text.keywords import KEYWORD_COLUMNS, keywords_version, with_keywords
from shoal.mine.text.language import with_language
from shoal.mine.text.language_rules import detector_version
from shoal.mine.text.lexicon import sentiment_label, with_lexicon_sentiment
from shoal.mine.text.lexicon_rules import lexicon_version
from shoal.mine.text.saved import load_classifier
from shoal.models.text_classifiers import EMOTION, MODERATION, SENTIMENT, champion_classifier

score_app = typer.Typer(help="Score a file with a model.", rich_markup_mode=None)

OutputOption = Annotated[str, typer.Option(help="The scored rows: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")]
ModelOption = Annotated[Optional[Path], typer.Option(help="Folder of a saved model. Default: the lake's champion.", metavar="DIR")]


@score_app.callback()
def score() -> None:
    """Score a file with a model."""


def _scorer(task: str, note: str = "") -> Callable[..., None]:
    """The command that scores with the classifier of a task."""

    def scored(
        input_path: InputOption,
        text_column: TextOption,
        output: OutputOption,
        model: ModelOption = None,
        lake: LakeOption = DEFAULT_LAKE,
        env: EnvOption = "local",
        sets: SetOption = None,
    ) -> None:
        check_output(output)
        if model is not None and not (model / "model.json").is_file():
            raise InputError(f"--model {model}: no model there (no model.json); `shoal train {task} --model DIR` makes one")
        settings, spark = start_text_command("score", task, env, sets)
        rows = read_rows(spark, input_path, [text_column], conf=settings.ingest)
        found = _classifier(spark, task, model, lake, settings)
        if found is None:
            _write_lexicon(rows, text_column, input_path, output, settings.section(TrainSentimentConf).max_text_length)
        else:
            _write_classified(rows, text_column, input_path, output, task, *found)

    scored.__name__ = f"score_{task}"
    scored.__doc__ = f"""Add predicted_label, probability_<label> for each label, and model_version to the rows of a file.

    All columns and the order of the rows stay. A blank text gets the labels' shares in the training data.{note}

    Example: shoal score {task} --input new.csv --text-column text --model model --output scored.csv
    """
    return scored


score_sentiment = _scorer(
    SENTIMENT,
    " Without --model, and without a champion in the default lake, the lexicon scores: polarity, subjectivity, label "
    "(positive, neutral, negative), predicted_label (the same), model_version; a column `label` of the file stays as it is.",
)
score_emotion = _scorer(EMOTION)
score_moderation = _scorer(MODERATION)
for _command in (score_sentiment, score_emotion, score_moderation):
    score_app.command(_command.__name__.removeprefix("score_"))(_command)


@score_app.command("language")
def score_language(
    input_path: InputOption, text_column: TextOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add language (ISO 639-1, or `unknown`), confidence (0 to 1) and model_version to the rows of a file.

    All columns and the order of the rows stay. Links, mentions and hashtags do not count; a text of a word or none is `unknown`.

    Example: shoal score language --input tweets.csv --text-column text --output scored.csv
    """
    made = ("language", "confidence")
    rows = _rows_of("language", input_path, text_column, output, env, sets, made)
    _write(with_language(rows, F.col(quoted(text_column))), "language", detector_version(), output)


@score_app.command("keywords")
def score_keywords(
    input_path: InputOption, text_column: TextOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add keywords and keyword_scores (lists of equal length, the best first; a lower score is better) and model_version.

    All columns and the order of the rows stay. YAKE: no training, one text at a time.

    Example: shoal score keywords --input articles.csv --text-column text --output scored.csv
    """
    rows = _rows_of("keywords", input_path, text_column, output, env, sets, KEYWORD_COLUMNS)
    _write(with_keywords(rows, F.col(quoted(text_column))), "keywords", keywords_version(), output)


@score_app.command("entities")
def score_entities(
    input_path: InputOption, text_column: TextOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add hashtags, mentions, urls, people, organisations and places (lists, in the order of the text) and model_version.

    All columns and the order of the rows stay. People, organisations and places by the patterns of their names.

    Example: shoal score entities --input tweets.csv --text-column text --output scored.csv
    """
    rows = _rows_of("entities", input_path, text_column, output, env, sets, ENTITY_COLUMNS)
    _write(with_entities(rows, F.col(quoted(text_column))), "entities", PATTERNS_VERSION, output)


def _classifier(spark: SparkSession, task: str, model: Path | None, lake: str, settings: Settings) -> tuple[Classifier, str] | None:
    """The classifier and its version: of a folder, else the lake's champion. None for the lexicon: sentiment, where neither a model
    nor a lake is named and the default lake has no champion."""
    if model is not None:
        classifier, about = load_classifier(model)
        return classifier, str(about["version"])
    found = champion_classifier(lake_of_models(spark, lake, settings), task)
    if found is not None:
        return found[0], found[1].label
    if task == SENTIMENT and lake == DEFAULT_LAKE:
        return None
    raise InputError(f"--lake {lake}: has no champion of {task}; train one, or name a folder with --model DIR")


def _write_lexicon(rows: DataFrame, text_column: str, input_path: Path, output: str, max_text_length: int) -> None:
    """Write the rows with the lexicon's sentiment. A column `label`, which is often the truth, stays the file's own."""
    made = ["polarity", "subjectivity", "predicted_label", "model_version"]
    rows = _without(rows, made, text_column, input_path)
    scored = with_lexicon_sentiment(rows, F.col(quoted(text_column)), max_text_length)
    label = sentiment_label(F.col("polarity"))
    names = [] if "label" in {name.casefold() for name in rows.columns} else ["label"]
    scored = scored.select("*", *[label.alias(name) for name in [*names, "predicted_label"]])
    _write(scored, SENTIMENT, lexicon_version(), output, ["negative", "neutral", "positive"])


def _write_classified(
    rows: DataFrame, text_column: str, input_path: Path, output: str, task: str, classifier: Classifier, version: str
) -> None:
    """Write the rows with a classifier's labels and probabilities."""
    shown = {f"probability_{label}": i + 1 for i, label in enumerate(classifier.labels)}
    rows = _without(rows, ["predicted_label", *shown, "model_version"], text_column, input_path)
    scored = score_texts(rows, F.col(quoted(text_column)), classifier).select(
        *map(quoted, rows.columns), "predicted_label",
        *[F.element_at("probabilities", place).alias(name) for name, place in shown.items()],
    )  # fmt: skip
    _write(scored, task, version, output, classifier.labels)


def _rows_of(
    task: str, input_path: Path, text_column: str, output: str, env: str, sets: list[str] | None, made: Sequence[str]
) -> DataFrame:
    """The rows of the input without the columns that the command makes."""
    check_output(output)
    settings, spark = start_text_command("score", task, env, sets)
    rows = read_rows(spark, input_path, [text_column], conf=settings.ingest)
    return _without(rows, [*made, "model_version"], text_column, input_path)


def _without(rows: DataFrame, made: Sequence[str], text_column: str, input_path: Path) -> DataFrame:
    """The rows without columns of the names in `made`, in any case. Raises UsageError where the text column is one."""
    folded = {name.casefold() for name in made}
    if text_column.casefold() in folded:
        raise UsageError(f"--text-column {text_column}: the command writes a column of this name; rename it in {input_path}")
    return rows.select(*[quoted(name) for name in rows.columns if name.casefold() not in folded])


def _write(scored: DataFrame, task: str, version: str, output: str, labels: Sequence[str] = ()) -> None:
    """Write the rows with model_version, and one line of JSON: the task, rows, rows of each predicted label, and where they are."""
    counted = Observation("scored")
    totals: list[Column] = [F.count_if(F.col("predicted_label") == label).alias(f"_{label}") for label in labels]
    rows = scored.select("*", F.lit(version).alias("model_version"))
    write_rows(rows.observe(counted, F.count(F.lit(1)).alias("rows"), *totals), output)
    counts = dict(counted.get)
    summary = {"task": task, "rows": counts.pop("rows")}
    summary |= {"predicted": {name[1:]: rows for name, rows in counts.items()}} if labels else {}
    sys.stdout.write(json.dumps(summary | {"output": str(output), "model_version": version}, ensure_ascii=False) + "\n")
