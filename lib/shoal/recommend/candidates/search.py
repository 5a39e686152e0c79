"""Choose the settings of ALS on validation data cut from the training part.

One setting after the other: start from the first value of each list, try the other values of one list with all else
kept, keep the best, go on to the next list. That is a sum of fits where a full grid is their product; on the sets at
hand the settings hardly interact (docs/adr/0040-recommender.md has the measurements).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.als import AlsSettings, fit_als, list_als
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.candidates.search_local import collect_split, validate_here
from shoal.recommend.protocol.metrics import evaluate_split
from shoal.recommend.protocol.split import test_part, training_part, with_validation_split


@dataclass(frozen=True)
class SearchSpace:
    """What is tried. `feedback`: explicit, implicit, or auto (both, where preferences have ratings). The first value of
    each list is the start. `search_iter`: rounds of a trial; `max_iter`: rounds of the chosen settings' own fit.
    """

    feedback: str
    ranks: Sequence[int]
    reg_params: Sequence[float]
    alphas: Sequence[float]
    search_iter: int
    max_iter: int
    seed: int


@dataclass(frozen=True)
class Trial:
    """Settings and their mean metrics on the validation part; None for each where no user could be validated."""

    settings: AlsSettings
    metrics: dict[str, float | None]


def search_als(
    preferences: DataFrame,
    space: SearchSpace,
    k: int,
    validation_ratio: float,
    user_batch_size: int,
    tell: Callable[[Trial], None] | None = None,
) -> tuple[AlsSettings, list[Trial]]:
    """The settings with the best NDCG@k on `validation_ratio` of each user's preferences, and all trials in order.

    `preferences`: user_id, item_id, user, item, weight, value, occurred_at. The validation part is that of
    `with_validation_split`. The first of equal trials wins. Where there is nothing to choose (one value each, or every user has too
    few preferences to validate on) nothing is fitted: the start is the answer, and the only trial has no metric. The answer
    has `max_iter` rounds. `tell` hears of each trial.

    Raises InputError for empty preferences and for explicit feedback without ratings; UsageError for an empty list of
    values. Cost: a fit, a top-k and an evaluation a trial, at most 1 + the values beyond the first of each list + 1;
    the two parts are cached meanwhile. Up to LOCAL_RATINGS rows a trial is numpy on the driver (`search_local`); above, a
    dozen Spark jobs, and one row is collected.
    """
    if not (space.ranks and space.reg_params and space.alphas):
        raise UsageError("ranks, reg_params and alphas: each needs at least one value")
    facts = preferences.agg(F.count(F.lit(1)), F.count("value")).first()
    count, rated = facts if facts is not None else (0, 0)
    if not count:
        raise InputError("nothing to train on: there is no event of a user with an item")
    if space.feedback == "explicit" and not rated:
        raise InputError("feedback explicit: no event has a rating; use implicit")
    start = AlsSettings(
        "explicit" if space.feedback == "explicit" else "implicit",
        space.ranks[0], space.reg_params[0], space.alphas[0], space.search_iter, space.seed,
    )  # fmt: skip
    kinds = ["implicit", "explicit"] if space.feedback == "auto" and rated else [start.feedback]
    only = replace(start, max_iter=space.max_iter), [Trial(start, {})]
    alphas = space.alphas if "implicit" in kinds else space.alphas[:1]
    if all(len(set(values)) == 1 for values in (kinds, space.ranks, space.reg_params, alphas)):
        return only
    split = with_validation_split(preferences, validation_ratio, space.seed)
    with ExitStack() as stack:
        split = split.persist()
        stack.callback(split.unpersist)
        known, held_out = training_part(split), liked(test_part(split))
        if held_out.isEmpty():
            return only

        here = collect_split(known, held_out)

        def judge(settings: AlsSettings) -> Trial:
            if here is not None and here.can_fit(settings):
                trial = Trial(settings, validate_here(here, settings, k))
            else:
                trial = Trial(settings, _validate(settings, known, held_out, k, user_batch_size))
            if tell is not None:
                tell(trial)
            return trial

        trials = _one_after_the_other(start, kinds, space, judge, f"ndcg@{k}")
    best = max(trials, key=lambda trial: trial.metrics[f"ndcg@{k}"] or 0.0)
    return replace(best.settings, max_iter=space.max_iter), trials


def _one_after_the_other(
    start: AlsSettings, kinds: Sequence[str], space: SearchSpace, judge: Callable[[AlsSettings], Trial], metric: str
) -> list[Trial]:
    """The trials of the search, the start's first."""
    trials = [judge(start)]

    def try_values(name: str, values: Sequence[str] | Sequence[int] | Sequence[float]) -> None:
        best = max(trials, key=lambda trial: trial.metrics[metric] or 0.0).settings
        for value in values:
            if value != getattr(best, name):
                trials.append(judge(replace(best, **{name: value})))  # type: ignore[arg-type]

    try_values("feedback", kinds)
    # Regularisation first: it changes most; rank last: large ranks are the dear fits, and only the best settings pay for them.
    try_values("reg_param", space.reg_params)
    if max(trials, key=lambda trial: trial.metrics[metric] or 0.0).settings.is_implicit:
        try_values("alpha", space.alphas)
    try_values("rank", space.ranks)
    return trials


def _validate(
    settings: AlsSettings, known: DataFrame, held_out: DataFrame, k: int, user_batch_size: int
) -> dict[str, float | None]:
    """Mean metrics of one fit over the validation users."""
    return evaluate_split(list_als(fit_als(known, settings), known, held_out, k, user_batch_size), held_out, k)
