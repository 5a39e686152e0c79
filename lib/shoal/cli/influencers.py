"""`shoal train|score influencers`: a file of accounts in, a model as a folder or the scored accounts out; no lake."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption
from shoal.cli.posts import (
    InputOption,
    MinutesOption,
    ModelOption,
    OutputOption,
    SearchOption,
    named,
    say,
    search_summary,
    start,
    write_scored,
)
from shoal.conf.sections import PostsConf
from shoal.errors import InputError
from shoal.ingest.formats.files import check_output
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.sources.number_files import read_accounts
from shoal.mine.people.influencers import (
    ForestTuning,
    InfluencerTraining,
    influencers_from,
    score_influencers,
    search_influencers,
    training_accounts,
)
from shoal.models.influencers import INFLUENCERS, load_influencers, save_influencers
from shoal.models.saved_parts import check_model_folder, read_about
from shoal.models.search_log import log_search


def train_influencers_file(
    input_path: InputOption,
    model: ModelOption,
    is_search: SearchOption = False,
    minutes: MinutesOption = 10.0,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Train a model of the chance that an account is in the top quarter by followers, from its other columns of numbers.

    Followers and what is made of them (rates, ratios, columns in the same order) teach nothing; the summary names what was left
    out. A fifth of the accounts gives the metrics that are printed, beside the best single column.

    --search tries other forests on six tenths of the accounts and judges them on two others; the best is trained as ever, the last
    two tenths report it, and search.json in the model's folder has every try.

    Example: shoal train influencers --input accounts.csv --model model
    """
    check_model_folder(model)
    settings, spark = start("train-influencers", env, sets)
    accounts, numbers = read_accounts(spark, input_path, settings.ingest, ("followers",))
    seed, seconds = settings.section(PostsConf).seed, minutes * 60 if is_search else None

    def train() -> tuple[InfluencerTraining, dict[str, Any] | None]:
        prepared = training_accounts(accounts, numbers, seed)
        tuning, searched = (ForestTuning(), None) if seconds is None else search_influencers(prepared, seed, seconds)
        return influencers_from(prepared, numbers, seed, tuning=tuning), searched

    training, searched = named(input_path, train)
    version = save_influencers(training, numbers, model, searched)
    log_search(INFLUENCERS, searched, training.metrics)
    say(task=INFLUENCERS, threshold_followers=training.model.threshold, metrics=training.metrics, importances=training.importances,
        left_out=training.left_out, model=str(model), model_version=version, **search_summary(searched))  # fmt: skip


def score_influencers_file(
    input_path: InputOption, model: ModelOption, output: OutputOption, env: EnvOption = "local", sets: SetOption = None
) -> None:
    """Add probability (of the top quarter by followers) and model_version; an account's own followers are never looked at.

    The columns of the input and the order of its rows stay. A column of the training file that is not here counts as its median
    there.

    Example: shoal score influencers --input accounts.csv --model model --output scored.csv
    """
    check_output(output)
    read_about(model, INFLUENCERS)
    settings, spark = start("score-influencers", env, sets)
    accounts, numbers = read_accounts(spark, input_path, settings.ingest, ())
    fitted, columns, version = load_influencers(spark, model)
    there = by_plain(numbers.values())
    ours = {name: key for key, name in numbers.items()}
    matched = {feature: ours[there[plain(column)]] for feature, column in columns.items() if plain(column) in there}
    if not matched:
        raise InputError(f"{input_path}: none of the model's columns is there; expected {', '.join(columns.values())}")
    nothing = F.lit(None).cast("double")
    rows = accounts.select(
        "row", "position", *[(F.col(matched[f]) if f in matched else nothing).alias(f) for f in columns]
    )  # fmt: skip
    write_scored(rows, score_influencers(rows, fitted), ["probability"], version, output)
    say(task=INFLUENCERS, rows=rows.count(), output=str(output), model_version=version)
