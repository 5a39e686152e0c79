"""`shoal train|score engagement` and `viral`: a file of posts in, a model as a folder or the scored posts out; no lake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import PostsConf, Settings
from shoal.errors import InputError
from shoal.ingest.formats.files import check_output, quoted, write_rows
from shoal.ingest.sources.post_files import POST_FIELDS, read_table
from shoal.mine.posts.engagement import COUNTS, EngagementTraining, engagement_from, score_engagement
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import Tuning, training_posts, with_level_models
from shoal.mine.posts.search import search_engagement, search_viral
from shoal.mine.posts.viral import ViralTraining, score_viral, viral_from
from shoal.models.posts import ENGAGEMENT, VIRAL, load_engagement, load_viral, save_engagement, save_viral
from shoal.models.saved_parts import check_model_folder, read_about
from shoal.models.search_log import log_search
from shoal.spark.session import spark_session

InputOption = Annotated[Path, typer.Option("--input", help="CSV, TSV, text, JSON or Parquet.", metavar="FILE")]
ModelOption = Annotated[Path, typer.Option(help="Folder of the model.", metavar="DIR")]
SearchOption = Annotated[
    bool, typer.Option("--search", help="Try other estimators and settings first, judged on later rows than they learn from.")
]
MinutesOption = Annotated[
    float, typer.Option("--minutes", min=0.0, help="With --search: the time that it and the training of what it finds may take.")
]
OutputOption = Annotated[str, typer.Option(help="The scored rows: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")]
POST_COUNTS = tuple(f"{part.format(count)}" for count in COUNTS for part in ("predicted_{}", "{}_low", "{}_high"))


def train_engagement_file(
    input_path: InputOption,
    model: ModelOption,
    is_search: SearchOption = False,
    minutes: MinutesOption = 10.0,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Train a model of likes and comments on posts: author, time, text, likes, comments, and the author's columns.

    The last tenth of each author's posts, by time, gives the metrics that are printed, beside the mean of the author's last 5
    posts.

    --search tries other settings, ridge and forests or boosted trees, on the first eight tenths and judges them on the ninth; the
    best is trained as ever, the last tenth reports it, and search.json in the model's folder has every try.

    Example: shoal train engagement --input posts.csv --model model
    """
    check_model_folder(model)
    settings, spark = start("train-engagement", env, sets)
    posts = read_posts(spark, input_path, settings, ("created_at", "likes"))
    conf: PostsConf = settings.section(PostsConf)
    seconds = minutes * 60 if is_search else None

    def train() -> tuple[EngagementTraining, dict[str, Any] | None]:
        prepared = training_posts(posts.select(*POSTS), COUNTS)
        tuning, searched = (Tuning(), None) if seconds is None else search_engagement(prepared, conf.seed, seconds)
        return engagement_from(with_level_models(prepared, conf.seed, tuning), conf.interval_coverage), searched

    training, searched = named(input_path, train)
    version = save_engagement(training, model, searched=searched)
    log_search(ENGAGEMENT, searched, training.metrics["likes"])
    say(task=ENGAGEMENT, metrics=training.metrics, model=str(model), model_version=version, **search_summary(searched))


def train_viral_file(
    input_path: InputOption,
    model: ModelOption,
    is_search: SearchOption = False,
    minutes: MinutesOption = 10.0,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Train a model of the chance that a post gets as many likes as the top tenth: author, time, text, likes, the author's columns.

    The last tenth of each author's posts, by time, gives the metrics that are printed, beside the mean of the author's last 20
    posts.

    --search tries other settings, ridge and forests or boosted trees, on the first eight tenths and judges them on the ninth; the
    best is trained as ever, the last tenth reports it, and search.json in the model's folder has every try.

    Example: shoal train viral --input posts.csv --model model
    """
    check_model_folder(model)
    settings, spark = start("train-viral", env, sets)
    posts = read_posts(spark, input_path, settings, ("created_at", "likes"))
    seed, seconds = settings.section(PostsConf).seed, minutes * 60 if is_search else None

    def train() -> tuple[ViralTraining, dict[str, Any] | None]:
        prepared = training_posts(posts.select(*POSTS), ("likes",))
        tuning, searched = (Tuning(), None) if seconds is None else search_viral(prepared, seed, seconds)
        return viral_from(with_level_models(prepared, seed, tuning), seed, tuning), searched

    training, searched = named(input_path, train)
    version = save_viral(training, model, searched=searched)
    log_search(VIRAL, searched, training.metrics)
    say(task=VIRAL, threshold_likes=training.model.threshold, metrics=training.metrics, model=str(model), model_version=version,
        **search_summary(searched))  # fmt: skip


def score_engagement_file(
    input_path: InputOption, model: ModelOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add predicted_likes, likes_low, likes_high, predicted_comments, comments_low, comments_high, confidence and model_version.

    The columns of the input and the order of its rows stay. The training file's posts are the past of these, and so is a post of
    this file whose likes are known for later ones of its author; a post's own likes are never looked at.

    Example: shoal score engagement --input new.csv --model model --output scored.csv
    """
    check_output(output)
    read_about(model, ENGAGEMENT)
    settings, spark = start("score-engagement", env, sets)
    rows = read_posts(spark, input_path, settings, ())
    models, past, version = load_engagement(spark, model)
    found = score_engagement(rows.select(*POSTS), past, models, settings.section(PostsConf).interval_coverage)
    names = [*POST_COUNTS, "confidence"]
    write_scored(rows, found, names, version, output)
    say(task=ENGAGEMENT, rows=rows.count(), output=str(output), model_version=version)


def score_viral_file(
    input_path: InputOption, model: ModelOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add probability (of as many likes as the top tenth of the training posts had), probability_for_author (of the top tenth
    against the author's own level) and model_version.

    The columns of the input and the order of its rows stay. The training file's posts are the past of these, and so is a post of
    this file whose likes are known for later ones of its author; a post's own likes are never looked at.

    Example: shoal score viral --input new.csv --model model --output scored.csv
    """
    check_output(output)
    read_about(model, VIRAL)
    settings, spark = start("score-viral", env, sets)
    rows = read_posts(spark, input_path, settings, ())
    fitted, past, version = load_viral(spark, model)
    if past is None:
        raise InputError(f"{model}: a lake's model, without its past posts; `shoal train viral --model DIR` makes one for files")
    found = score_viral(rows.select(*POSTS), past, fitted)
    write_scored(rows, found, ["probability", "probability_for_author"], version, output)
    say(task=VIRAL, rows=rows.count(), output=str(output), model_version=version)


def start(name: str, env: str, sets: list[str] | None) -> tuple[Settings, SparkSession]:
    """The settings of a file command over posts or accounts, and its session."""
    settings = load(env, with_file_settings(sets), section_name(PostsConf))
    return settings, spark_session(f"shoal-{name}", env, settings.spark)


def read_posts(spark: SparkSession, path: Path, settings: Settings, required: tuple[str, ...]) -> DataFrame:
    """`row` and POSTS of a file's posts. Without a column of authors all are of one; a post without a text may be one."""
    rows = read_table(spark, path, POST_FIELDS, settings.ingest, required)
    return rows.withColumn("has_location", F.col("location").isNotNull()).fillna("", ["author_id"])


def write_scored(rows: DataFrame, found: DataFrame, names: list[str], version: str, output: str) -> None:
    """Write the input's own columns, in the order of the file, then `names` of `found` (by position) and model_version; columns of
    the input that are called as one of these go."""
    made = [*names, "model_version"]
    folded = {name.casefold() for name in made}
    kept = [name for name in rows.select("row.*").columns if name.casefold() not in folded]
    scored = rows.select("row", "position").join(found, "position", "left").orderBy("position")
    columns = [F.col(f"row.{quoted(name)}").alias(name) for name in kept]
    write_rows(scored.select(*columns, *names, F.lit(version).alias("model_version")), output)


def named(path: Path, train: Any) -> Any:
    """What `train` gives; an InputError names the file."""
    try:
        return train()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def search_summary(searched: dict[str, Any] | None) -> dict[str, Any]:
    """What the summary says of a search; nothing without one."""
    if searched is None:
        return {}
    fitted = {"fitted": len(searched["trials"])}
    return {"search": {name: searched[name] for name in ("metric", "champion", "candidates", "ended")} | fitted}


def say(**facts: Any) -> None:
    """One JSON summary on stdout."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
