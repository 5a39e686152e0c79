"""`shoal train|score influencers`: a file of accounts in, a model as a folder or the scored accounts out; no lake."""

from __future__ import annotations

from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption
from shoal.cli.posts import InputOption, ModelOption, OutputOption, named, say, start, write_scored
from shoal.conf.sections import PostsConf
from shoal.errors import InputError
from shoal.ingest.formats.files import check_output
from shoal.ingest.formats.names import by_plain, plain
from shoal.ingest.sources.number_files import read_accounts
from shoal.mine.people.influencers import score_influencers, train_influencers
from shoal.models.influencers import INFLUENCERS, load_influencers, save_influencers
from shoal.models.saved_parts import check_model_folder, read_about


def train_influencers_file(input_path: InputOption, model: ModelOption, env: EnvOption = "local", sets: SetOption = None) -> None:
    """Train a model of the chance that an account is in the top quarter by followers, from its other columns of numbers.

    Followers and what is made of them (rates, ratios, columns in the same order) teach nothing; the summary names what was left
    out. A fifth of the accounts gives the metrics that are printed, beside the best single column.

    Example: shoal train influencers --input accounts.csv --model model
    """
    check_model_folder(model)
    settings, spark = start("train-influencers", env, sets)
    accounts, numbers = read_accounts(spark, input_path, settings.ingest, ("followers",))
    training = named(input_path, lambda: train_influencers(accounts, numbers, settings.section(PostsConf).seed))
    version = save_influencers(training, numbers, model)
    say(task=INFLUENCERS, threshold_followers=training.model.threshold, metrics=training.metrics, importances=training.importances,
        left_out=training.left_out, model=str(model), model_version=version)  # fmt: skip


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
