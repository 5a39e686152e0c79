"""Every recommender under its name, trained on one part and evaluated on another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.als import LOCAL_RATINGS, AlsModel, AlsSettings, fit_als, fold_in, list_als
from shoal.recommend.candidates.blend import BlendSettings, history_rows, list_blend
from shoal.recommend.candidates.content import ContentSettings, content_factors, genre_popularity, labels_of
from shoal.recommend.candidates.cooccurrence import MAX_ITEMS
from shoal.recommend.candidates.demographics import user_groups
from shoal.recommend.candidates.ease import EaseSettings, fit_each_l2, fit_ease, list_ease
from shoal.recommend.candidates.experts import fit_experts
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.candidates.neighbours import NeighbourSettings, list_item_neighbours, list_user_neighbours
from shoal.recommend.candidates.parts import FEATURES
from shoal.recommend.candidates.personalised_pagerank import PagerankSettings, list_pagerank, walk_graph
from shoal.recommend.candidates.popularity import list_popular, popularity
from shoal.recommend.candidates.random import list_random
from shoal.recommend.candidates.search import SearchSpace, Trial, search_als
from shoal.recommend.evaluation.distances import content_vectors, intra_list_diversity, user_vectors
from shoal.recommend.protocol.metrics import (
    USER_METRICS,
    coverage,
    evaluate_split,
    mean_metrics,
    novelty,
    recall_by_popularity,
    user_metrics,
    with_history_slices,
)
from shoal.recommend.protocol.split import test_part, training_part, with_validation_split
from shoal.recommend.ranking.top_k import rank_top_k

LOG = logging.getLogger(__name__)
# What every model is held against.
BASELINES = ("random", "popularity")
# Models of a graph that the users are nodes of: they list for users whom they were fitted with, not for others.
TRANSDUCTIVE = ("user_neighbours", "pagerank")
# Metric -> mean; None where no user counts.
Metrics = dict[str, "float | None"]


@dataclass(frozen=True)
class ModelSettings:
    """Settings: EASE (`ease_l2`: values to choose among), neighbours, walks, the blend, content, personalised PageRank (`dampings`:
    values to choose among)."""

    ease: EaseSettings
    ease_l2: tuple[float, ...]
    neighbours: NeighbourSettings
    walk: NeighbourSettings
    blend: BlendSettings
    content: ContentSettings
    pagerank: PagerankSettings
    dampings: tuple[float, ...]


@dataclass(frozen=True)
class EvaluationProtocol:
    """How models are trained and evaluated: list length, search, validation share, users a block of the top-k engine;
    `beyond`: what models other than random, popularity and als need; `items`: what items are about (item_id, and any of the
    columns of `content.content_terms`), which the model content needs; `depth`: make lists longer than k;
    `follows`: src_id, dst_id, followed_at, more edges for pagerank and a part of the blend (see `with_followed`); `profiles`:
    user_id and attributes of users, for the blend (see `demographics.user_groups`); `fold_in`: preferences of users who are not in
    the training part, which lists are then made for (strong generalisation: Liang et al., WWW 2018)."""

    k: int
    space: SearchSpace
    validation_ratio: float
    user_batch_size: int
    beyond: ModelSettings | None = None
    items: DataFrame | None = None
    depth: int = 0
    follows: DataFrame | None = None
    fold_in: DataFrame | None = None
    profiles: DataFrame | None = None

    def histories(self, train: DataFrame) -> DataFrame:
        """What the users to list for have met: `fold_in`, else the training part."""
        return train if self.fold_in is None else self.fold_in

    def knowing(self, als: AlsModel) -> AlsModel:
        """ALS with factors of the users to list for."""
        return als if self.fold_in is None else fold_in(als, self.fold_in)

    @property
    def length(self) -> int:
        """How long lists are made."""
        return max(self.k, self.depth)

    def needed(self) -> ModelSettings:
        """`beyond`. Raises UsageError where the protocol has none."""
        if self.beyond is None:
            raise UsageError("this protocol has settings for random, popularity and als only")
        return self.beyond


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: model -> slice -> metric -> mean (None where no user counts); `lists`: model, user_id, rank, item_id,
    score, `EvaluationProtocol.length` rows a user (cached; the caller unpersists it); `settings`: those that a model chose;
    `trials`: its search; `left_out`: model -> why.
    """

    metrics: dict[str, dict[str, Metrics]]
    lists: DataFrame
    settings: dict[str, dict[str, Any]]
    trials: list[Trial]
    left_out: dict[str, str]

    @property
    def als(self) -> AlsSettings:
        """The settings that ALS chose. KeyError where it was not evaluated."""
        return AlsSettings(**self.settings["als"])


# Model -> the settings that it chose, by name.
Chosen = dict[str, dict[str, Any]]
Tell = Callable[[Trial], None]


def evaluate_models(
    train: DataFrame,
    test: DataFrame,
    names: Sequence[str],
    protocol: EvaluationProtocol,
    tell: Tell | None = None,
    leave_out: bool = False,
) -> Evaluation:
    """Train each named model on `train` (numbered preferences) and judge its lists of k unseen items for every user of `test`.

    Everything that is chosen is chosen inside `train`. `test`: user_id, item_id. Items of `train` are the catalogue;
    what a user has in `train` is never listed. The models: see MODELS. Raises UsageError, with the names there are, for
    an unknown one, or, with `fold_in`, one of TRANSDUCTIVE; InputError for data that a model cannot be trained on (a catalogue
    above its bound), of a baseline or without `leave_out`. Cost: caches `train`'s users to be listed and all lists; one evaluation
    pass for all models together, and that of `intra_list_diversity`.
    """
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise UsageError(f"--model {unknown[0]}: no such model; there are {', '.join(MODELS)}, all")
    bound = [name for name in names if name in TRANSDUCTIVE]
    if bound and protocol.fold_in is not None:
        raise UsageError(f"--model {bound[0]}: lists for users that it was fitted with; --protocol strong has others")
    settings: Chosen = {}
    trials: list[Trial] = []

    def note(trial: Trial) -> None:
        trials.append(trial)
        if tell is not None:
            tell(trial)

    users = test.select("user_id").where("user_id is not null").distinct().persist()
    try:
        made: dict[str, DataFrame] = {}
        left_out: dict[str, str] = {}
        for name in names:
            try:
                rows = MODELS[name](train, users, protocol, settings, note)
            except InputError as error:
                if not leave_out or name in BASELINES:
                    raise
                left_out[name] = str(error)
                continue
            made[name] = rows.select(F.lit(name).alias("model"), "user_id", "rank", "item_id", "score")
        names = list(made)
        lists = reduce(DataFrame.unionByName, made.values()).persist()
        metrics = evaluate_lists(lists, test, train, names, protocol.k, protocol.fold_in)
        has_items = protocol.items is not None and protocol.beyond is not None
        vectors = content_vectors(described(protocol), protocol.needed().content) if has_items else user_vectors(train)
        for model, value in diversity_of(lists, vectors, protocol.k, names).items():
            metrics[model]["all"][f"intra_list_diversity@{protocol.k}"] = value
    finally:
        users.unpersist()
    return Evaluation(metrics, lists, settings, trials, left_out)


def diversity_of(lists: DataFrame, vectors: DataFrame, k: int, names: Sequence[str]) -> dict[str, float | None]:
    """Model -> intra-list diversity at k. None for all, with a warning, where the vectors are too large for one machine: no reason
    to lose what training has cost. Collects a row a model."""
    try:
        found = intra_list_diversity(lists, vectors, [k], names).collect()
    except InputError as error:
        LOG.warning("%s: intra-list diversity is not measured", error)
        return dict.fromkeys(names)
    return {row["model"]: row[f"intra_list_diversity@{k}"] for row in found}


def evaluate_lists(
    lists: DataFrame, test: DataFrame, train: DataFrame, models: Sequence[str], k: int, met: DataFrame | None = None
) -> dict[str, dict[str, Metrics]]:
    """model -> slice -> metric -> mean; the slice all first, always there: without a test user its means are None, its
    users 0. Coverage, novelty, popularity bias and recall by popularity are of the slice all only, coverage and recall 0, the
    others None, for a model that lists nothing.

    `lists`: model, user_id, rank, item_id; `test`, `train`: user_id, item_id; `met`: the same, the histories that slices go by
    where they are not in `train`. Cost: the passes of `user_metrics`, `with_history_slices`, `coverage`, `novelty` and
    `recall_by_popularity`; collects a row a model and slice.
    """
    shares = {row["model"]: row.asDict() for row in coverage(lists, train, [k], models).collect()}
    sliced = with_history_slices(user_metrics(lists, test, [k], models), train if met is None else met)
    beyond = {row["model"]: row.asDict() for row in novelty(lists, train, [k], models).collect()}
    strata = {row["model"]: row.asDict() for row in recall_by_popularity(lists, test, train, [k], models).collect()}
    rows = [row.asDict() for row in mean_metrics(sliced, ("model", "slice")).collect()]
    no_user: Metrics = {"users": 0} | {f"{name}@{k}": None for name in USER_METRICS}
    found: dict[str, dict[str, Metrics]] = {model: {"all": dict(no_user)} for model in models}
    for row in sorted(rows, key=lambda row: row["slice"]):
        found[row.pop("model")][row.pop("slice")] = row
    for model in models:
        found[model]["all"][f"coverage@{k}"] = shares[model][f"coverage@{k}"]
        for name in ("novelty", "popularity_bias"):
            found[model]["all"][f"{name}@{k}"] = beyond[model][f"{name}@{k}"]
        found[model]["all"] |= {name: value for name, value in strata[model].items() if name != "model"}
    return found


def _random(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    return list_random(train, users, protocol.histories(train), protocol.length, protocol.space.seed)


def _popularity(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    return list_popular(popularity(train), users, protocol.histories(train), protocol.length, protocol.user_batch_size)


def _als(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    """Searched inside `train`, then fitted on all of it. A user that `train` does not have gets no list."""
    best, _ = search_als(train, protocol.space, protocol.k, protocol.validation_ratio, protocol.user_batch_size, tell)
    chosen["als"] = best.named()
    als = protocol.knowing(fit_als(train, best))
    return list_als(als, protocol.histories(train), users, protocol.length, protocol.user_batch_size)


def _ease(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    """`l2` is searched inside `train`, then EASE fitted on all of it."""
    settings = protocol.needed().ease
    placed = with_places(train, settings.max_history)
    best = replace(settings, l2=_searched_l2(train, settings, protocol))
    chosen["ease"] = {"l2": best.l2}
    met = placed if protocol.fold_in is None else with_places(protocol.fold_in, settings.max_history)
    return list_ease(met, users, fit_ease(placed, best), protocol.length)


def _searched_l2(train: DataFrame, settings: EaseSettings, protocol: EvaluationProtocol) -> float:
    """The best of `ease_l2` by NDCG on validation data; the first where there is none."""
    values = protocol.needed().ease_l2

    def lists(placed: DataFrame, users: DataFrame) -> Iterator[DataFrame]:
        return (list_ease(placed, users, model, protocol.k) for model in fit_each_l2(placed, settings, values))

    return _best_value(train, values, lists, protocol)


def _best_value(
    train: DataFrame,
    values: Sequence[float],
    lists: Callable[[DataFrame, DataFrame], Iterator[DataFrame]],
    protocol: EvaluationProtocol,
) -> float:
    """The value whose list is best by NDCG on validation data inside `train`; the first where there is none. `lists`: from
    preferences with places and users, a list for each of `values`, in their order."""
    split = with_validation_split(train, protocol.validation_ratio, protocol.space.seed).persist()
    try:
        known, held_out = training_part(split), test_part(split).select("user_id", "item_id")
        if len(values) < 2 or held_out.isEmpty() or known.isEmpty():
            return values[0]
        placed, users = with_places(known, protocol.needed().ease.max_history), held_out.select("user_id").distinct()
        found = {}
        for value, listed in zip(values, lists(placed, users), strict=True):
            found[value] = evaluate_split(listed, held_out, protocol.k).get(f"ndcg@{protocol.k}") or 0.0
    finally:
        split.unpersist()
    return max(found, key=lambda value: found[value])


def _from_neighbours(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, settings: NeighbourSettings) -> DataFrame:
    placed = with_places(train, protocol.needed().ease.max_history)
    met = None if protocol.fold_in is None else with_places(protocol.fold_in, protocol.needed().ease.max_history)
    return list_item_neighbours(placed, users, catalogue_of(placed, MAX_ITEMS), settings, protocol.length, met)


def _item_neighbours(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    return _from_neighbours(train, users, protocol, protocol.needed().neighbours)


def _user_neighbours(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    beyond = protocol.needed()
    return list_user_neighbours(train, users, beyond.neighbours, beyond.ease.max_history, protocol.length)


def _graph(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    return _from_neighbours(train, users, protocol, protocol.needed().walk)


def _pagerank(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    """`damping` is searched inside `train`, then all of it is walked."""
    beyond, follows = protocol.needed(), protocol.follows

    def lists(placed: DataFrame, asked: DataFrame) -> Iterator[DataFrame]:
        graph = walk_graph(placed, beyond.pagerank.follow_weight, follows)
        for damping in beyond.dampings:
            yield list_pagerank(graph, placed, asked, replace(beyond.pagerank, damping=damping), protocol.k)

    best = replace(beyond.pagerank, damping=_best_value(train, beyond.dampings, lists, protocol))
    chosen["pagerank"] = {"damping": best.damping, "beta": best.beta}
    placed = with_places(train, beyond.ease.max_history)
    return list_pagerank(walk_graph(placed, best.follow_weight, follows), placed, users, best, protocol.length)


def _content(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    """All items that are described, new ones among them, by ALS' users and factors made of terms."""
    als = fit_als(train, protocol.needed().blend.als)
    factors = content_factors(described(protocol), als.item_factors, protocol.needed().content)
    asked = protocol.knowing(als).user_factors.join(users, "user_id", "left_semi")
    met = protocol.histories(train).select("user_id", "item_id")
    return rank_top_k(asked, factors, met, protocol.length, protocol.user_batch_size)


def described(protocol: EvaluationProtocol) -> DataFrame:
    """The protocol's items. Raises UsageError where it has none."""
    if protocol.items is None:
        raise UsageError("--items FILE is required for model content")
    return protocol.items


def evaluate_new_items(train: DataFrame, test: DataFrame, protocol: EvaluationProtocol) -> dict[str, Metrics]:
    """Model -> metric -> mean over the users of `test` who have an item there that no user has in `train`, where only such items
    are ranked and sought: `content`, `genre_popularity` (see `candidates.content`), `random`. Means are None where there
    is no such item.

    `train`: numbered preferences; `test`: user_id, item_id. Cost: an ALS fit, three lists, one evaluation pass.
    """
    k, block = protocol.k, protocol.user_batch_size
    items = described(protocol)
    new = items.join(train.select("item_id").distinct(), "item_id", "left_anti").persist()
    try:
        sought = test.select("user_id", "item_id").join(new.select("item_id"), "item_id", "left_semi").persist()
        users = sought.select("user_id").where("user_id is not null").distinct()
        als = fit_als(train, protocol.needed().blend.als)
        factors = content_factors(items, als.item_factors, protocol.needed().content).join(new.select("item_id"), "item_id")
        met = train.select("user_id", "item_id").limit(0)
        popular = genre_popularity(items.select("item_id", "categories"), popularity(train)).join(new.select("item_id"), "item_id")
        made = {
            "random": list_random(new, users, met, k, protocol.space.seed),
            "genre_popularity": list_popular(popular, users, met, k, block),
            "content": rank_top_k(als.user_factors.join(users, "user_id", "left_semi"), factors, None, k, block),
        }
        lists = [rows.select(F.lit(name).alias("model"), "user_id", "rank", "item_id") for name, rows in made.items()]
        per_user = user_metrics(reduce(DataFrame.unionByName, lists), sought, [k], list(made))
        found = {row["model"]: row.asDict() for row in mean_metrics(per_user).collect()}
    finally:
        new.unpersist()
    no_user: Metrics = {"users": 0} | {f"{name}@{k}": None for name in USER_METRICS}
    return {name: {m: v for m, v in found.get(name, no_user).items() if m != "model"} for name in made}


def _implicit_als(train: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> AlsSettings:
    """The settings of ALS as a part of the blend: those that the model als has chosen, or would choose among implicit ones; the
    blend's own where `train` is too large for a search on the driver, which would cost more than the blend."""
    found = chosen.get("als")
    if found is not None and found["feedback"] == "implicit":
        return AlsSettings(**found)
    if train.limit(LOCAL_RATINGS + 1).count() > LOCAL_RATINGS:
        return protocol.needed().blend.als
    space = replace(protocol.space, feedback="implicit")
    return search_als(train, space, protocol.k, protocol.validation_ratio, protocol.user_batch_size, tell)[0]


def _blend(train: DataFrame, users: DataFrame, protocol: EvaluationProtocol, chosen: Chosen, tell: Tell) -> DataFrame:
    """The experts learn inside `train`; the parts are then fitted on all of it, with what items are about where that is known.
    ALS' lists where no two users share an item."""
    settings = replace(protocol.needed().blend, als=_implicit_als(train, protocol, chosen, tell))
    content = labels_of(protocol.items, settings.content)
    # Each fit reads it; the last is done before the lists are made.
    kept = content.persist() if content is not None else None
    try:
        als = fit_als(train, settings.als)
        groups = user_groups(protocol.profiles)
        fitted = fit_parts(train, settings, als, kept, groups)
        if fitted is None:
            return list_als(protocol.knowing(als), protocol.histories(train), users, protocol.length, protocol.user_batch_size)
        experts = fit_experts(train, settings, kept, protocol.follows, groups)
        chosen["blend"] = {
            expert.name: {"learned": expert.is_learned, "intercept": expert.intercept,
                          "candidate_recall": dict(expert.recall), **dict(zip(FEATURES, expert.coefficients, strict=True))}
            for expert in experts
        }  # fmt: skip
        factors, met = protocol.knowing(als).user_factors, protocol.histories(train)
        members = None if groups is None else groups.members
        rows = history_rows(met, fitted.catalogue, factors, settings.ease.max_history, users, protocol.follows, members)
        return list_blend(blend_of(fitted, experts, settings), rows, protocol.length)
    finally:
        if kept is not None:
            kept.unpersist()


MODELS: dict[str, Callable[[DataFrame, DataFrame, EvaluationProtocol, Chosen, Tell], DataFrame]] = {
    "random": _random,
    "popularity": _popularity,
    "als": _als,
    "ease": _ease,
    "item_neighbours": _item_neighbours,
    "user_neighbours": _user_neighbours,
    "content": _content,
    "graph": _graph,
    "pagerank": _pagerank,
    "blend": _blend,
}
