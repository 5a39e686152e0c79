"""`shoal evaluate recommender`: plain files in, metrics out; a lake only where they are to be kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.cli.graph import ALIASES as EDGE_ALIASES
from shoal.cli.options import AsOfOption, EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import EvaluateRecommenderConf, IngestConf, Settings
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, read_rows, refuse_faults, write_rows
from shoal.ingest.sources.general import ITEM, ITEMS, PROFILES, RATING, USER
from shoal.models.evaluations import keep, result_from
from shoal.recommend.candidates.als import AlsSettings, with_numbers
from shoal.recommend.candidates.blend import asked_experts
from shoal.recommend.candidates.configured import blend_settings, content_settings
from shoal.recommend.candidates.demographics import ATTRIBUTES
from shoal.recommend.candidates.ease import EaseSettings
from shoal.recommend.candidates.neighbours import NeighbourSettings
from shoal.recommend.candidates.personalised_pagerank import PagerankSettings
from shoal.recommend.candidates.preferences import liked, preferences
from shoal.recommend.candidates.ratings import RatingSettings, evaluate_ratings
from shoal.recommend.candidates.search import SearchSpace, Trial
from shoal.recommend.evaluation.evaluate import (
    BASELINES,
    MODELS,
    TRANSDUCTIVE,
    EvaluationProtocol,
    ModelSettings,
    evaluate_models,
    evaluate_new_items,
)
from shoal.recommend.protocol.metrics import USER_METRICS, mean_metrics, user_metrics
from shoal.recommend.protocol.question import estimate_random_share
from shoal.recommend.protocol.significance import bootstrap, intervals, paired_differences
from shoal.recommend.protocol.strong import NDCG_AT, strong_metrics
from shoal.runner.command import parse_as_of
from shoal.spark.session import spark_session

evaluate_app = typer.Typer(help="Judge models on held-out files.", rich_markup_mode=None)

ALIASES = {
    "user_id": USER.aliases,
    "item_id": ITEM.aliases,
    "rating": RATING.aliases,
    # No `date`: a file with dates of an unnamed format would be refused although the split does not use them.
    "timestamp": ("occurred_at", "time"),
}
ITEM_ALIASES = {field.name: field.aliases for field in ITEMS.fields}
PROFILE_ALIASES = {
    **{field.name: field.aliases for field in PROFILES.fields}, "user_id": (*USER.aliases, "id"), "gender": ("sex",),
    "occupation": ("job", "profession"),
}  # fmt: skip


@evaluate_app.callback()
def evaluate() -> None:
    """Judge models on held-out files."""


@evaluate_app.command()
def recommender(
    train: Annotated[str, typer.Option(help="Events to learn from: user_id, item_id[, rating, timestamp].", metavar="FILE")],
    test: Annotated[str, typer.Option(help="Events to be found: user_id, item_id[, rating].", metavar="FILE")],
    k: Annotated[Optional[int], typer.Option("--k", min=1, max=1000, help="Length of the lists. Default: conf, 10.")] = None,
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}, or all.", metavar="NAME")] = "all",
    recommendations: Annotated[
        Optional[str], typer.Option(help="Write the lists here: model,user_id,rank,item_id,score.", metavar="FILE")
    ] = None,
    items: Annotated[
        Optional[Path],
        typer.Option(help="What items are about, for content and blend: item_id, title, text, categories ...", metavar="FILE"),
    ] = None,
    protocol: Annotated[
        Literal["weak", "strong"],
        typer.Option(help="weak: test users have their history in --train; strong: they are not there, and have it in --fold-in."),
    ] = "weak",
    fold_in: Annotated[
        Optional[Path],
        typer.Option(help="With --protocol strong: what is known of the test users; columns as --train.", metavar="FILE"),
    ] = None,
    follows: Annotated[
        Optional[Path],
        typer.Option(help="Who follows whom, as known when lists are made, for pagerank and blend: src, dst.", metavar="FILE"),
    ] = None,
    users: Annotated[
        Optional[Path],
        typer.Option(
            help="What is known of users, for blend: user_id, country, language, age_group, gender, occupation.", metavar="FILE"
        ),
    ] = None,
    lake: Annotated[
        Optional[str], typer.Option("--lake", help="Keep the results in this lake: ops.model_metrics, MLflow.", metavar="DIR")
    ] = None,
    as_of: AsOfOption = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Train each model on one file and judge its ranked lists on another.

    Every row is an event; items of the training file that a user has there are not listed again; every user with a test
    event counts, without a list as zero. Settings are chosen on the last events of each user inside the training file.
    Prints {"models": {NAME: {"ndcg@10": ...}}}, random and popularity always among them, and the same by length of the users'
    histories under "slices"; where both files have ratings, als has "rmse" and "mae" too, and "ratings" has them beside those of
    the mean and of biases alone. With --items, "new_items" is how items that no user has in the training file are ranked among
    themselves. "intervals" are 95% by bootstrap over users, "paired" is by how much the best model is better, "curves" are the
    metrics at other lengths of lists. Whether the test file's events were drawn at random or came last is taken from their times
    and printed as "question"; the blend weighs its experts by it. Without times it asks for both; to say it:
    --set blend.random_holdout_share=0 for what comes next, 1 for drawn ones. docs/metrics.md defines each metric. With --lake they
    are kept under --as-of, and the report of that day draws them.

    With --protocol strong the test users are not in the training file; what is known of them is in --fold-in. Models that are bound
    to their users are skipped, and "strong" has recall@20, recall@50 and ndcg@100 as Liang et al. (WWW 2018) define them; `shoal
    evaluate split --strategy strong` makes the three files.

    Example: shoal evaluate recommender --train train.csv --test test.csv --model als --recommendations lists.csv
    """
    if (protocol == "strong") != (fold_in is not None):
        raise UsageError(f"--protocol {protocol}: --fold-in FILE goes with --protocol strong, which needs it")
    if model != "all" and model not in MODELS:
        raise UsageError(f"--model {model}: no such model; there are {', '.join(MODELS)}, all")
    if recommendations is not None:
        check_output(recommendations)
    day = parse_as_of(as_of)
    settings = load(env, with_file_settings(sets), section_name(EvaluateRecommenderConf))
    conf: EvaluateRecommenderConf = settings.section(EvaluateRecommenderConf)
    spark = spark_session("shoal-evaluate-recommender", env, settings.spark)
    learned = with_numbers(preferences(read_events(spark, train, settings.ingest), ratings=conf.ratings)).persist()
    tested = read_events(spark, test, settings.ingest)
    folded = None if fold_in is None else read_fold_in(spark, fold_in, learned, settings).persist()
    settings, question = asked_question(settings, learned if folded is None else folded, tested)
    held_out = relevant_rows(tested, conf.relevant).persist()
    space = SearchSpace(conf.feedback, conf.ranks, conf.reg_params, conf.alphas, conf.search_iter, conf.max_iter, conf.seed)
    about = read_items(spark, items, settings.ingest).persist() if items is not None else None
    led = read_follows(spark, follows, settings.ingest).persist() if follows is not None else None
    described = read_users(spark, users, settings.ingest).persist() if users is not None else None
    plan = replace(protocol_of(settings, space, k or conf.k, about, led), fold_in=folded, profiles=described)
    plan = plan if folded is None else replace(plan, depth=max(plan.depth, NDCG_AT))
    names = list(MODELS) if model == "all" else list(dict.fromkeys([model, *BASELINES]))
    if model == "all" and about is None:
        names.remove("content")
        sys.stderr.write("shoal: the model content is skipped: --items FILE is required for it\n")
    if model == "all" and folded is not None:
        names = [name for name in names if name not in TRANSDUCTIVE]
        sys.stderr.write(f"shoal: the models {', '.join(TRANSDUCTIVE)} are skipped: they list for training users only\n")
    found = evaluate_models(learned, held_out, names, plan, _tell, leave_out=model == "all")
    for name, why in found.left_out.items():
        sys.stderr.write(f"shoal: the model {name} is skipped: {why}\n")
    names = list(found.metrics)
    if recommendations is not None:
        listed = found.lists.where(F.col("rank") <= plan.k)
        listed = listed if model == "all" else listed.where(F.col("model") == model)
        write_rows(listed.orderBy("model", "user_id", "rank"), recommendations)
    ratings: dict[str, dict[str, float | None]] = {}
    if folded is None and "als" in names and not any(rows.where("value is not null").isEmpty() for rows in (learned, held_out)):
        ratings, found.settings["ratings"] = evaluate_ratings(learned, held_out, ratings_of(conf))
        found.metrics["als"]["all"] |= {name: ratings["als"][name] for name in ("rmse", "mae")}
    metric = f"ndcg@{plan.k}"
    per_user = user_metrics(found.lists, held_out, sorted({plan.k, *conf.curve}), names).persist()
    replicates = bootstrap(per_user, metric, names, conf.seed)
    best = max(names, key=lambda name: found.metrics[name]["all"][metric] or 0.0)
    report: dict[str, Any] = {
        "models": {name: slices["all"] for name, slices in found.metrics.items()},
        "slices": {name: {s: v for s, v in slices.items() if s != "all"} for name, slices in found.metrics.items()},
        "curves": curves_of(per_user, names),
        "intervals": {name: {metric: pair} for name, pair in intervals(replicates).items()},
        "paired": {"best": best, "metric": metric, "better_by": paired_differences(replicates, best)},
        "ratings": ratings,
        "new_items": evaluate_new_items(learned, held_out, plan) if folded is None and "content" in names else {},
        "question": question,
        "settings": found.settings,
    }
    if folded is not None:
        report["strong"] = strong_metrics(found.lists, held_out, names)
    for frame in (per_user, found.lists, held_out, learned):
        frame.unpersist()
    if lake is not None:
        params = {"train": Path(train).name, "test": Path(test).name, "k": plan.k, "seed": conf.seed}
        report["run_id"] = keep(spark, settings, lake, day, result_from(report), params)
    sys.stdout.write(json.dumps(report) + "\n")


def read_fold_in(spark: SparkSession, path: Path, learned: DataFrame, settings: Settings) -> DataFrame:
    """The preferences of the test users that are known. Raises InputError where one of them is in the training file. Cost: one
    join with its users."""
    known = preferences(read_events(spark, path, settings.ingest), ratings=settings.evaluate_recommender.ratings)
    both = known.select("user_id").distinct().join(learned.select("user_id").distinct(), "user_id", "left_semi").count()
    if both:
        raise InputError(f"{path}: {both} users are in the training file too; --protocol strong is for users who are not there")
    return known


def asked_question(settings: Settings, train: DataFrame, test: DataFrame) -> tuple[Settings, dict[str, Any]]:
    """The settings with the number that `blend.random_holdout_share` is, and that number with where it comes from: `settings`, the
    `times` of the test events, or the `prior` where these say nothing. Cost: under `auto` that of `estimate_random_share`."""
    given = settings.blend.random_holdout_share
    if given != "auto":
        return settings, {"random_holdout_share": given, "from": "settings"}
    share = estimate_random_share(train, test)
    known = settings.blend.random_holdout_prior if share is None else share
    blend = settings.blend.model_copy(update={"random_holdout_share": known})
    said = {"random_holdout_share": known, "from": "prior" if share is None else "times"}
    return settings.model_copy(update={"blend": blend}), said


def relevant_rows(events: DataFrame, relevant: str) -> DataFrame:
    """user_id, item_id, value of the test events that a list is to find: every one, or, `liked`, those whose rating is not a
    standard deviation or more below the user's mean (see `with_relative_ratings`), over the test file's own ratings."""
    if relevant == "every":
        return events.select("user_id", "item_id", "value")
    return liked(preferences(events, ratings="relative")).select("user_id", "item_id", "value")


def curves_of(per_user: DataFrame, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """model -> metric at each length -> mean, from `user_metrics`; collects a row a model."""
    found = {row["model"]: row.asDict() for row in mean_metrics(per_user).collect()}
    lengths = [name for name in per_user.columns if name.partition("@")[0] in USER_METRICS]
    return {name: {metric: found.get(name, {}).get(metric) for metric in lengths} for name in names}


def protocol_of(
    settings: Settings, space: SearchSpace, k: int, items: DataFrame | None = None, follows: DataFrame | None = None
) -> EvaluationProtocol:
    """The settings of every model, from conf."""
    conf = settings.evaluate_recommender
    ease = EaseSettings(conf.ease_l2[0], 0.0, (), settings.blend.max_items, settings.blend.max_history)
    als = AlsSettings("implicit", conf.ranks[0], conf.reg_params[0], conf.alphas[0], conf.max_iter, conf.seed)
    beyond = ModelSettings(
        ease, tuple(conf.ease_l2),
        NeighbourSettings("cosine", conf.shrink, conf.walk_beta, conf.neighbours),
        NeighbourSettings("walk", conf.shrink, conf.walk_beta, conf.neighbours),
        blend_settings(settings.blend, settings.content, als, asked_experts(settings.blend.known_share), True),
        content_settings(settings.content),
        PagerankSettings(conf.pagerank_dampings[0], settings.graph.tolerance, conf.pagerank_beta, conf.pagerank_follow_weight),
        tuple(conf.pagerank_dampings),
    )  # fmt: skip
    return EvaluationProtocol(
        k, space, conf.validation_ratio, settings.recommend.user_batch_size, beyond, items, max(conf.curve, default=0), follows
    )


def ratings_of(conf: EvaluateRecommenderConf) -> RatingSettings:
    """The settings for predicted ratings, from conf."""
    return RatingSettings(
        conf.user_damping, conf.item_damping, conf.rating_rank, conf.rating_reg_params, conf.max_iter,
        conf.validation_ratio, conf.seed,
    )  # fmt: skip


def read_follows(spark: SparkSession, path: Path, conf: IngestConf | None = None) -> DataFrame:
    """src_id, dst_id, followed_at (null): the rows of a file of edges, whose columns may be called as `shoal graph` knows them.
    Raises InputError for a row without an id."""
    rows = read_rows(spark, path, ["src", "dst"], (), EDGE_ALIASES, conf)
    refuse_faults(rows, path, {name: (F.col(name).isNull(), "an id") for name in ("src", "dst")})
    when = F.lit(None).cast("timestamp").alias("followed_at")
    return rows.select(F.col("src").alias("src_id"), F.col("dst").alias("dst_id"), when)


def read_items(spark: SparkSession, path: Path, conf: IngestConf | None = None) -> DataFrame:
    """One row per item of a file: item_id and the columns of `content_terms`, null where the file has none.

    categories and hashtags: values between vertical bars, or a JSON array. Of an item with several rows the first by its text
    counts. Raises InputError for a row without an item and for a price that is no number.
    """
    lists = ["categories", "hashtags"]
    rows = read_rows(spark, path, ["item_id"], ["title", "text", *lists, "kind", "owner_id", "price_usd"], ITEM_ALIASES, conf)
    price = F.col("price_usd").cast("double")
    is_no_price = F.col("price_usd").isNotNull() & price.isNull()
    seen = rows.agg(F.count_if(F.col("item_id").isNull()).alias("ids"), F.count_if(is_no_price).alias("prices")).collect()[0]
    for count, column, expected in ((seen["ids"], "item_id", "an id"), (seen["prices"], "price_usd", "a number")):
        if count:
            raise InputError(f"{path}: column {column}: {count} rows without {expected}")

    def listed(name: str) -> Column:
        given = F.when(F.col(name).startswith("["), F.from_json(name, "array<string>")).otherwise(F.split(name, r"\|"))
        return F.filter(F.transform(given, F.trim), lambda one: one != "").alias(name)

    chosen = rows.groupBy("item_id").agg(F.min(F.struct("title", "text", *lists, "kind", "owner_id", "price_usd")).alias("_row"))
    return chosen.select("item_id", "_row.*").select(
        "item_id", "title", "text", *[listed(name) for name in lists], "kind", "owner_id", price.alias("price_usd")
    )


def read_users(spark: SparkSession, path: Path, conf: IngestConf | None = None) -> DataFrame:
    """One row per user of a file: user_id and ATTRIBUTES, null where the file has none; other columns are ignored.

    Of a user with several rows the first by its text counts. A number, as an age, is a value like any other. Raises InputError for
    a row without a user, and for a file with none of ATTRIBUTES.
    """
    rows = read_rows(spark, path, ["user_id"], ATTRIBUTES, PROFILE_ALIASES, conf)
    refuse_faults(rows, path, {"user_id": (F.col("user_id").isNull(), "an id")})
    if rows.where(F.coalesce(*ATTRIBUTES).isNotNull()).isEmpty():
        raise InputError(f"{path}: nothing is known of any user; expected one of the columns {', '.join(ATTRIBUTES)}")
    return rows.groupBy("user_id").agg(F.min(F.struct(*ATTRIBUTES)).alias("_row")).select("user_id", "_row.*")


def read_events(spark: SparkSession, path: str | Path, conf: IngestConf | None = None) -> DataFrame:
    """The events of a file: user_id, item_id, value (double, null without a rating), occurred_at (null without a time).

    Columns go by our names or ALIASES. A number in the time column is unix seconds, or milli- or microseconds by its
    size: here only the order matters. Raises InputError, one line with the number of rows and an example, for rows
    without a user or item, ratings that are no finite number, times that are none. Cost: one pass over the file for the
    check.
    """
    rows = checked_rows(spark, path, conf)
    return rows.select("user_id", "item_id", F.col("_value").alias("value"), F.col("_occurred_at").alias("occurred_at"))


def checked_rows(spark: SparkSession, path: str | Path, conf: IngestConf | None = None) -> DataFrame:
    """The rows of a file of events as they stand there, and `_value`, `_occurred_at` as `read_events` gives them. Raises as it."""
    rows = read_rows(spark, path, ["user_id", "item_id"], ["rating", "timestamp"], ALIASES, conf)
    value, occurred_at = F.col("rating").cast("double"), _time(F.col("timestamp"))
    is_number = value.isNotNull() & ~F.isnan(value) & (F.abs(value) < F.lit(float("inf")))
    faults = {
        "user_id": (F.col("user_id").isNull(), "an id"),
        "item_id": (F.col("item_id").isNull(), "an id"),
        "rating": (F.col("rating").isNotNull() & ~is_number, "a number"),
        "timestamp": (F.col("timestamp").isNotNull() & occurred_at.isNull(), "unix seconds or a time as 2018-09-25 12:00:00"),
    }
    refuse_faults(rows, path, faults)
    return rows.withColumns({"_value": value, "_occurred_at": occurred_at})


def _time(text: Column) -> Column:
    """A time of unix seconds, milliseconds or microseconds, or of a timestamp's text; null for anything else."""
    number = text.cast("double")
    size = F.abs(number)
    micros = F.when(size < 1e11, number * 1e6).when(size < 1e14, number * 1e3).when(size < 1e17, number)
    return F.coalesce(F.timestamp_micros(micros.cast("bigint")), F.when(number.isNull(), text.cast("timestamp")))


def _tell(trial: Trial) -> None:
    """One line of progress on stderr."""
    chosen = trial.settings
    judged = {name: value for name, value in trial.metrics.items() if name.startswith("ndcg@") and value is not None}
    figures = ", ".join(f"{name} {value:.4f}" for name, value in judged.items())
    alpha = f" alpha {chosen.alpha:g}" if chosen.is_implicit else ""
    sys.stderr.write(f"als {chosen.feedback} rank {chosen.rank} reg {chosen.reg_param:g}{alpha}: validation {figures}\n")
