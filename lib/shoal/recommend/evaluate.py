"""Every recommender under its name, trained on one part and judged on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.recommend.als import AlsSettings, fit_als, list_als, numbered
from shoal.recommend.metrics import ranking_metrics
from shoal.recommend.popularity import list_popular, popularity
from shoal.recommend.random import list_random
from shoal.recommend.search import SearchSpace, Trial, search_als

# Metric -> mean; None where no user counts.
Metrics = dict[str, "float | None"]


@dataclass(frozen=True)
class Protocol:
    """How models are trained and judged: list length, search, validation share, users a block of the top-k engine."""

    k: int
    space: SearchSpace
    validation_ratio: float
    user_block: int


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: model -> slice -> metric -> mean (None where no user counts); `lists`: model, user_id, rank, item_id,
    score (cached; the caller unpersists it); `settings`: those that a model chose; `trials`: its search.
    """

    metrics: dict[str, dict[str, Metrics]]
    lists: DataFrame
    settings: dict[str, AlsSettings]
    trials: list[Trial]


Chosen = dict[str, AlsSettings]
Tell = Callable[[Trial], None]


def evaluate_models(
    train: DataFrame, test: DataFrame, names: Sequence[str], protocol: Protocol, tell: Tell | None = None
) -> Evaluation:
    """Train each named model on `train` (preferences) and judge its lists of k unseen items for every user of `test`.

    Everything that is chosen is chosen inside `train`. `test`: user_id, item_id. Items of `train` are the catalogue;
    what a user has in `train` is never listed. The models: see MODELS. Raises UsageError, with the names there are, for
    an unknown one. Cost: caches `train`'s users to be listed and all lists (k rows a user and model); one evaluation
    pass for all models together.
    """
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise UsageError(f"--model {unknown[0]}: no such model; there are {', '.join(MODELS)}, all")
    settings: Chosen = {}
    trials: list[Trial] = []

    def note(trial: Trial) -> None:
        trials.append(trial)
        if tell is not None:
            tell(trial)

    with ExitStack() as stack:
        users = test.select("user_id").where("user_id is not null").distinct().persist()
        stack.callback(users.unpersist)
        made = []
        for name in names:
            rows = MODELS[name](train, users, protocol, settings, note, stack)
            made.append(rows.select(F.lit(name).alias("model"), "user_id", "rank", "item_id", "score"))
        lists = made[0]
        for one in made[1:]:
            lists = lists.unionByName(one)
        lists = lists.persist()
        metrics = _judge(lists, test, train, names, protocol.k)
    return Evaluation(metrics, lists, settings, trials)


def evaluate_settings(
    train: DataFrame, test: DataFrame, settings: AlsSettings, protocol: Protocol
) -> dict[str, Metrics]:
    """What ALS with given settings reaches on the same terms: slice -> metric -> mean. Cost: a fit and an evaluation.
    """
    users = test.select("user_id").where("user_id is not null").distinct()
    with numbered(train) as data:
        lists = list_als(fit_als(data, settings), train, users, protocol.k, protocol.user_block)
        return _judge(lists.withColumn("model", F.lit("als")), test, train, ["als"], protocol.k)["als"]


def _judge(
    lists: DataFrame, test: DataFrame, train: DataFrame, names: Sequence[str], k: int
) -> dict[str, dict[str, Metrics]]:
    """The metrics of each model, by slice; the slice all first."""
    found: dict[str, dict[str, Metrics]] = {name: {"all": {}} for name in names}
    for row in ranking_metrics(lists, test, train, [k], names).collect():
        values = row.asDict()
        # Coverage is a property of all lists together.
        if row["slice"] != "all":
            del values[f"coverage@{k}"]
        found[values.pop("model")][values.pop("slice")] = values
    return found


def _random(
    train: DataFrame, users: DataFrame, protocol: Protocol, chosen: Chosen, tell: Tell, stack: ExitStack
) -> DataFrame:
    return list_random(train, users, train, protocol.k, protocol.space.seed)


def _popularity(
    train: DataFrame, users: DataFrame, protocol: Protocol, chosen: Chosen, tell: Tell, stack: ExitStack
) -> DataFrame:
    return list_popular(popularity(train), users, train, protocol.k, protocol.user_block)


def _als(train: DataFrame, users: DataFrame, protocol: Protocol, chosen: Chosen, tell: Tell, stack: ExitStack) -> DataFrame:
    """Searched inside `train`, then fitted on all of it. A user that `train` does not have gets no list."""
    best, _ = search_als(train, protocol.space, protocol.k, protocol.validation_ratio, protocol.user_block, tell)
    chosen["als"] = best
    model = fit_als(stack.enter_context(numbered(train)), best)
    return list_als(model, train, users, protocol.k, protocol.user_block)


MODELS: dict[str, Callable[[DataFrame, DataFrame, Protocol, Chosen, Tell, ExitStack], DataFrame]] = {
    "random": _random,
    "popularity": _popularity,
    "als": _als,
}
