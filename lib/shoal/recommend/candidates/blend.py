"""A learned blend: which parts to trust, and how much what is recent counts.

What is known of a user and an item are parts (`candidates.parts`): scores of several models, and base rates. Experts weigh
features that are made of them: scores standardised over the user's unseen items, logarithms of ranks, base rates, and products
with the length of the history.

"What would this user like" can mean two questions: which items has the user met that were held out at random, and which item comes
next? The answers differ: recency decides the second and misleads for the first. So there are two experts, regularised logistic
regressions, each fitted on its own kind of held-out events inside the training data: events drawn at random (`random_holdout`),
and each user's last (`next_item`). An item's score is the mean of the two probabilities, weighted by how probable it is that either
question is meant (`random_holdout_share`), which no training file contains. Without times there is the first expert only; where an
expert has nothing to learn from, fixed weights serve. docs/adr/0048 has the measurements.

A regression is not always better than what it is made of. So each is fitted on either half of its users too and judged on the
other one, beside the parts alone: where one of these ranks the held-out events higher, it is the expert.

Negatives are the candidates that were not held out, all of them, so probabilities need no correction for sampling; events of
a user together weigh the square root of their number, so that long histories do not dominate.

What weighs 0 (candidates.preferences) was met and not liked: it is never listed, and speaks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import UsageError
from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als
from shoal.recommend.candidates.content import ContentSettings, content_matrix
from shoal.recommend.candidates.cooccurrence import as_matrix
from shoal.recommend.candidates.demographics import UserGroups, group_counts
from shoal.recommend.candidates.ease import (
    EaseSettings,
    catalogue_weights,
    gram,
    gram_here,
    sparse_gram,
    sparse_gram_here,
)
from shoal.recommend.candidates.followed import with_followed
from shoal.recommend.candidates.histories import (
    Catalogue,
    Met,
    catalogue_from,
    catalogue_here,
    catalogue_numbers,
    catalogue_of,
    collect_met,
    days_of,
    histories,
    with_places,
)
from shoal.recommend.candidates.logistic import fit_logistic
from shoal.recommend.candidates.neighbours import NeighbourSettings, item_neighbours, walks_here
from shoal.recommend.candidates.parts import (
    FADING,
    FEATURES,
    PARTS,
    REASONS,
    SCORES,
    Parts,
    context_of,
    contributions_of,
    faded,
    features_of,
    logits_of,
    parts_of,
    scores_of,
    weights_between,
    with_products,
)
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.candidates.sparse_scores import Flags, SparseParts, SparseScores
from shoal.recommend.candidates.transitions import TransitionSettings, transitions, transitions_here
from shoal.recommend.candidates.trends import DailyEvents, daily_events, daily_here
from shoal.recommend.protocol.split import has_times, test_part, training_part, with_random_split, with_time_split
from shoal.recommend.ranking.history_top_k import Best, History, Rank, Score, best_unseen, list_histories, rows_of
from shoal.recommend.ranking.reason import BY

EXPERTS = ("random_holdout", "next_item")
# Of the scores, those whose best items are candidates.
NOMINATING = ("whole", "recent_5", "transitions", "als", "followed", "trending", "demographic")
# Of these only where they say anything: they are 0 for most items, or for all.
SPARSE_NOMINATING = ("followed", "trending", "demographic")
# What the expert `next_item` does not look at where users are not asked right after their last event: when that was says what was
# held out of the history, and nothing of what a user who comes back later can meet.
SINCE_LAST = ("log_unborn", "log_age", "log_idle")
# What a row's `parts` hold: the parts, and what each reason adds beside what it adds for the other candidates.
EXPLAINED = (*PARTS, *(f"{BY}{reason}" for reason in REASONS))
# All of these together, where candidates are counted.
UNION = "candidates"
# Whole and recent history in equal shares: the weights where there is nothing to learn from.
FIXED = tuple(float(feature in ("whole", "recent_5")) for feature in FEATURES)
# Ridge penalty of a regression, beside the sum of the examples' losses: C = 0.01 as scikit-learn has it.
PENALTY = 100.0
# Users that decide whether a part is better than the regression: fewer say nothing.
MIN_JUDGES = 50
# Item statistics are rounded: sums over partitions differ in the last digits.
DIGITS = 5
# The closed form of EASE over so many items is a second's work of one thread.
ONE_THREAD_ITEMS = 3000
NOTHING = np.empty(0, np.int64)
# Examples that an expert learns from, on the driver.
MAX_EXAMPLE_BYTES = 2 << 30


@dataclass(frozen=True)
class BlendSettings:
    """`holdout`: share of each user's events an expert learns on; `candidates`: items a part nominates for a user;
    `max_users`: users an expert learns from; `seed`: of the random hold-out and of the users; `random_holdout_share`: the weight of
    the expert `random_holdout` beside `next_item`, 0..1; `experts`: those of EXPERTS that are asked; `is_after_last`: whether
    what comes next is asked right after a user's last event, as when the end of each history is held out, and not at one moment
    for all."""

    ease: EaseSettings
    transitions: TransitionSettings
    walk: NeighbourSettings
    content: ContentSettings
    als: AlsSettings
    holdout: float
    candidates: int
    max_users: int
    seed: int
    random_holdout_share: float
    experts: tuple[str, ...] = EXPERTS
    is_after_last: bool = False

    def unseen(self, name: str) -> tuple[str, ...]:
        """The features that an expert does not look at."""
        return () if name == "random_holdout" or self.is_after_last else SINCE_LAST


@dataclass(frozen=True)
class Expert:
    """A logistic regression on FEATURES: probability = 1 / (1 + exp(-(features . coefficients + intercept))).

    `recall`: of the held-out events that it learned from, the share that was among the candidates, by part of NOMINATING and
    of all together (UNION), the mean over `users`, and their number; empty where it is not known."""

    name: str
    coefficients: tuple[float, ...]
    intercept: float
    is_learned: bool
    recall: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class FittedParts:
    """The parts, the catalogue that their columns are, and ALS."""

    catalogue: Catalogue
    parts: Parts
    als: AlsModel


@dataclass(frozen=True)
class Blend:
    """Everything that scores a history: ids of the catalogue, parts, experts and the weight of the first; the events of a history
    that count; `asked`: the time that lists are for, in days since 1970, None: right after each user's last event."""

    ids: pa.StringArray
    parts: Parts
    experts: tuple[Expert, ...]
    random_holdout_share: float
    max_history: int
    candidates: int
    asked: float | None = None

    def catalogue(self, spark: SparkSession) -> Catalogue:
        """The catalogue that histories are numbered by."""
        return catalogue_from(spark, self.ids)

    @cached_property
    def sparse_parts(self) -> SparseParts:
        """What a large catalogue's histories are scored by."""
        return SparseParts(self.parts)

    def scorer(self, count: int, hidden: Flags | None = None) -> Score:
        """The mean of the experts' probabilities for each candidate, NaN for all other items. Candidates are the `count` best of
        each part of NOMINATING, `candidates` of each at least, none of the `hidden` ones: what no part has among its best is not
        worth the features that experts weigh."""

        def score(one: History) -> Floats:
            found = np.full(len(self.ids), np.nan, np.float32)
            for _, _, chosen, _, probabilities in self._candidates([one], count, hidden):
                found[chosen] = probabilities
            return found

        return score

    def ranker(self, k: int, hidden: Flags | None = None, is_explained: bool = False) -> Rank:
        """The k best of `scorer` for each history, ties by number; with `is_explained` the item of the history that speaks for each
        by the strongest of its REASONS, and its parts and contributions (EXPLAINED)."""
        coefficients = np.array([expert.coefficients for expert in self.experts], np.float64)
        shares = shares_of(self.experts, self.random_holdout_share)

        def rank(histories: Iterable[History]) -> Iterator[Best]:
            for one, scores, chosen, features, probabilities in self._candidates(histories, k, hidden):
                first = np.lexsort((chosen, -probabilities))[:k]
                best = chosen[first]
                if not is_explained:
                    yield Best(best, probabilities[first])
                    continue
                given = contributions_of(features, coefficients, shares)[:, first]
                because = because_of(self.parts, one, best, given.argmax(axis=0))
                if isinstance(scores, SparseScores):
                    parts = np.vstack([scores.at(best), context_of(self.parts, one, best)])
                else:
                    parts = parts_of(self.parts, one, best)
                yield Best(best, probabilities[first], because, np.vstack([parts, given]).T)

        return rank

    def _candidates(
        self, histories: Iterable[History], count: int, hidden: Flags | None
    ) -> Iterator[tuple[History, Floats | SparseScores, Ints, Floats, Floats]]:
        """Of each history its scores, candidates, and their features and probabilities."""
        coefficients = np.array([expert.coefficients for expert in self.experts], np.float64)
        intercepts = np.array([expert.intercept for expert in self.experts], np.float64)
        shares = shares_of(self.experts, self.random_holdout_share)
        away = np.empty(0, np.int64) if hidden is None else np.flatnonzero(hidden)
        asked = (replace(one, asked=self.asked) for one in histories)
        for one, scores in scored_histories(self.sparse_parts if is_sparse(self.parts) else self.parts, asked, hidden):
            unlisted = one.items if isinstance(scores, SparseScores) else np.concatenate([one.items, away])
            chosen = union_of(nominated(scores, unlisted, max(count, self.candidates)))
            features = candidate_features(self.parts, scores, one, chosen)
            logits = logits_of(features, coefficients, intercepts)
            yield one, scores, chosen, features, np.asarray(shares @ (1 / (1 + np.exp(-logits))), np.float32)


def scored_histories(
    known: Parts | SparseParts, histories: Iterable[History], hidden: Flags | None = None
) -> Iterator[tuple[History, Floats | SparseScores]]:
    """Each history with its scores: of every item, or, over parts with sparse weights, of what it reaches."""
    if isinstance(known, SparseParts):
        yield from known.scored(histories, hidden)
    else:
        yield from ((one, scores_of(known, one)) for one in histories)


def is_sparse(known: Parts) -> bool:
    """Whether EASE's weights are sparse, as above `blend.max_items`."""
    return isinstance(known.weights, csr_matrix)


def candidate_features(known: Parts, scores: Floats | SparseScores, one: History, chosen: Ints) -> Floats:
    """`features_of` the chosen items."""
    context = context_of(known, one, chosen)
    return scores.features(context, chosen) if isinstance(scores, SparseScores) else features_of(scores, context, one.items, chosen)


def because_of(known: Parts, one: History, best: Ints, reason: Ints) -> Ints:
    """For each of the items `best` the item of the history that speaks most for it by its reason (a place in REASONS): by
    transitions or terms where these are it, else by EASE's weights; -1 where none does."""
    terms = weights_between(known.weights, one.items, best) * one.strengths[:, None]
    names, fading = list(REASONS), faded(one, FADING)[:, None]
    by_next, by_content = reason == names.index("next"), reason == names.index("content")
    if by_next.any():
        terms[:, by_next] = weights_between(known.transitions, one.items, best[by_next]) * fading
    if by_content.any():
        terms[:, by_content] = (known.terms[one.items] @ known.terms[best[by_content]].T).toarray() * fading
    return np.where(terms.max(axis=0) > 0, one.items[terms.argmax(axis=0)], -1)


def nominated(scores: Floats | SparseScores, seen: Ints, count: int) -> list[Ints]:
    """The `count` best items that are not `seen` (`SparseScores` know these) of each part of NOMINATING, best first, from
    `scores_of`; of SPARSE_NOMINATING only those above 0."""
    if isinstance(scores, SparseScores):
        return [scores.best(part, count, part in SPARSE_NOMINATING) for part in NOMINATING]
    found = []
    for part in NOMINATING:
        own = scores[SCORES.index(part)]
        if part in SPARSE_NOMINATING:
            says = own > 0
            found.append(best_unseen(np.where(says, own, np.float32(np.nan)), seen, count) if says.any() else NOTHING)
        else:
            found.append(best_unseen(own, seen, count))
    return found


def union_of(best: Sequence[Ints]) -> Ints:
    """Each item once, ascending."""
    return np.unique(np.concatenate(best))


def fit_parts(
    preferences: DataFrame, settings: BlendSettings, als: AlsModel | None = None, content: DataFrame | None = None,
    groups: UserGroups | None = None,
) -> FittedParts | None:
    """Every part over preferences, with ALS as it was fitted on them, else fitted here, `content` (see `as_content`), and what the
    users' `groups` met; None where no item has `ease.min_users` users who like it.

    Cost: that of ALS, of `content_matrix` and of `group_counts`; up to LOCAL_PREFERENCES preferences one collect, and sparse
    products on the driver; above, that of EASE's `gram`, of `transitions`, of `item_neighbours` and of `facts_of`; collects the
    factors of EASE's catalogue, of at most `ease.max_items` items.
    """
    wanted = settings.ease
    here = collect_met(preferences, wanted.max_history)
    if here is not None:
        everything, ids = here
        catalogue, met = catalogue_here(
            preferences.sparkSession, everything.only(everything.strengths > 0), ids, wanted.most_items, wanted.min_users
        )
        if not len(catalogue):
            return None
        # One thread for what takes no second: threads of BLAS that wait for each other beside other jobs take minutes.
        is_small = not ONE_THREAD_ITEMS < len(catalogue) <= wanted.max_items
        with threadpool_limits(1 if is_small else None, "blas"):
            weights = catalogue_weights(
                len(catalogue), wanted, lambda: gram_here(met, len(catalogue), wanted),
                lambda: sparse_gram_here(met, len(catalogue), wanted),
            )  # fmt: skip
        following = transitions_here(met, catalogue, settings.transitions)
        near = walks_here(met, catalogue, settings.walk)
        facts = facts_here(met, len(catalogue))
    else:
        # Gone through seven times, each of them a sort by user; on disk, because the driver's memory is for the sums.
        placed = liked(with_places(preferences, wanted.max_history)).persist(StorageLevel.DISK_ONLY)
        try:
            catalogue = catalogue_of(placed, wanted.most_items, wanted.min_users)
            if not len(catalogue):
                return None
            weights = catalogue_weights(
                len(catalogue), wanted, lambda: gram(placed, catalogue, wanted), lambda: sparse_gram(placed, catalogue, wanted)
            )
            following = transitions(placed, catalogue, settings.transitions)
            near = as_matrix(item_neighbours(placed, catalogue, settings.walk), len(catalogue))
            facts = facts_of(placed, catalogue)
        finally:
            placed.unpersist()
    als = als or fit_als(preferences, settings.als)
    width = settings.content.max_terms
    terms = csr_matrix((len(catalogue), width), dtype=np.float32)
    if content is not None:
        terms = content_matrix(content, catalogue, width)
    popularity = np.log1p(catalogue.users).astype(np.float32)
    met_by = group_counts(preferences, catalogue, groups, wanted.max_history)
    names = () if groups is None else groups.names
    factors = factors_of(als, catalogue)
    parts = Parts(weights, following, near, terms, factors, popularity, group_counts=met_by, group_names=names, **facts)
    return FittedParts(catalogue, parts, als)


def facts_here(met: Met, items: int) -> dict[str, Any]:
    """item_history, item_rating, first_day, last_day, max_rating and the daily events of `Parts`, of histories on the driver."""
    users = np.maximum(np.bincount(met.items, minlength=items), 1)
    lengths = np.log1p(np.bincount(met.users))[met.users]
    rated = np.isfinite(met.ratings)
    values, rated_items = met.ratings[rated].astype(np.float64), met.items[rated]
    days = met.only(met.is_timed)
    first, last = np.full(items, np.inf), np.full(items, -np.inf)
    np.minimum.at(first, days.items, days.days)
    np.maximum.at(last, days.items, days.days)
    return _facts(
        np.bincount(met.items, lengths, minlength=items) / users, np.bincount(rated_items, values, minlength=items),
        np.bincount(rated_items, minlength=items), first, last, float(values.max(initial=0.0)),
        daily_here(met.days, met.items, items),
    )  # fmt: skip


def facts_of(placed: DataFrame, catalogue: Catalogue) -> dict[str, Any]:
    """`facts_here` by Spark. Cost: two shuffles, by user and by item, and that of `daily_events`; collects a row an item of the
    catalogue."""
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    length = F.log1p(F.count(F.lit(1)).over(Window.partitionBy("user_id")).cast("double"))
    day = days_of("occurred_at")
    made = numbered.select("item", "rating", length.alias("length"), day.alias("day")).groupBy("item")
    columns = {"history": F.avg("length"), "total": F.sum("rating"), "rated": F.count("rating"), "first": F.min("day"),
               "last": F.max("day"), "most": F.max("rating")}  # fmt: skip
    rows = made.agg(*[column.alias(name) for name, column in columns.items()])
    table = pa.Table.from_batches(rows._collect_as_arrow()).sort_by("item").combine_chunks()
    found = {name: table.column(name).to_numpy().astype(np.float64) for name in columns}
    most = float(np.nan_to_num(found["most"]).max(initial=0.0))
    found = {name: np.nan_to_num(values) if name in ("total", "rated") else values for name, values in found.items()}
    daily = daily_events(numbered.select("item", day.alias("day")), len(catalogue))
    return _facts(found["history"], found["total"], found["rated"], found["first"], found["last"], most, daily)


def _facts(
    history: Doubles, total: Any, rated: Any, first: Doubles, last: Doubles, most: float, daily: DailyEvents
) -> dict[str, Any]:
    """The fields, rounded; a mean rating is damped by five at the mean of all."""
    mean = float(total.sum()) / max(float(rated.sum()), 1.0)
    most = most if most > 0 else 1.0
    rating = np.round((total + 5.0 * mean) / (rated + 5.0) / most, DIGITS)
    days = [np.where(np.isfinite(values), values, np.nan) for values in (first, last)]
    return {"item_history": np.round(history, DIGITS).astype(np.float32), "item_rating": rating.astype(np.float32),
            "first_day": days[0], "last_day": days[1], "max_rating": most,
            "daily": daily.counts, "daily_days": daily.days}  # fmt: skip


def factors_of(als: AlsModel, catalogue: Catalogue) -> Floats:
    """The items' factors in the order of the catalogue; zeros where ALS has none. Collects at most the catalogue's."""
    known = als.collected_items(catalogue.numbers)
    place = {name: n for n, name in enumerate(known.ids.to_pylist())}
    at = np.array([place.get(name, -1) for name in catalogue.ids.to_pylist()])
    return np.ascontiguousarray(np.where(at[:, None] >= 0, known.factors[at], np.float32(0)), np.float32)


def history_rows(
    preferences: DataFrame, catalogue: Catalogue, user_factors: DataFrame, max_history: int, users: DataFrame | None = None,
    follows: DataFrame | None = None, members: DataFrame | None = None,
) -> DataFrame:
    """`histories` of the catalogue, with `factors`, null for a user that ALS does not know, with `follows` what `with_followed`
    adds, and with `members` (see `UserGroups`) the user's `groups`, null without any. `users`: user_id, those wanted, each once or
    more. Cost: two shuffles by user, a join with the factors, one with the members; that of `with_followed`."""
    met = preferences
    if users is not None:
        met = preferences.join(users.select("user_id").distinct(), "user_id", "left_semi")
    factors = user_factors.select("user_id", F.col("features").cast("array<float>").alias("factors"))
    rows = histories(with_places(met, max_history), catalogue).join(factors, "user_id", "left")
    if members is not None:
        rows = rows.join(members, "user_id", "left")
    return rows if follows is None else with_followed(rows, preferences, catalogue, follows)


def fit_expert(
    name: str, known: DataFrame, held_out: DataFrame, settings: BlendSettings, content: DataFrame | None = None,
    follows: DataFrame | None = None, groups: UserGroups | None = None,
) -> Expert:
    """The logistic regression that tells held-out events that were liked from other candidates by parts fitted on `known`, or one
    part, where that does it better (see `better_part`); parts that it does not look at weigh 0. `follows`: as for `history_rows`;
    `groups`: as for `fit_parts`.

    Fixed weights where nothing was held out, or no candidate was. Raises UsageError for settings that make more than
    MAX_EXAMPLE_BYTES of examples. Cost: `fit_parts`, a pass over the candidates of `max_users` users, which are collected.
    """
    size = settings.max_users * settings.candidates * len(NOMINATING) * len(FEATURES) * 8
    if size > MAX_EXAMPLE_BYTES:
        raise UsageError(
            f"blend.learning_users {settings.max_users} x blend.candidates {settings.candidates}: {size >> 20} MiB of examples; at "
            f"most {MAX_EXAMPLE_BYTES >> 20}: lower one of them"
        )
    fitted = fit_parts(known, settings, content=content, groups=groups)
    if fitted is None:
        return Expert(name, FIXED, 0.0, False)
    numbers = F.broadcast(fitted.catalogue.numbers)
    sought = liked(held_out).select("user_id", "item_id").join(numbers, "item_id")
    wanted = sought.groupBy("user_id").agg(F.collect_set("item").alias("wanted"))
    chosen = wanted.orderBy(F.xxhash64(F.lit(settings.seed), "user_id"), "user_id").limit(settings.max_users)
    context = known.sparkSession.sparkContext
    shared = context.broadcast(fitted.parts)
    count, unseen = settings.candidates, settings.unseen(name)

    def labelled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = shared.value
        known = SparseParts(parts) if is_sparse(parts) else parts
        for batch in batches:
            scored = scored_histories(known, rows_of(batch))
            for user, (one, scores), held in zip(batch.column("user_id"), scored, batch.column("wanted"), strict=True):
                yield examples(parts, one, scores, user.as_py(), np.asarray(held.values), unseen, count)

    asked, factors = None if follows is None else chosen, fitted.als.user_factors
    members = None if groups is None else groups.members
    rows = history_rows(known, fitted.catalogue, factors, settings.ease.max_history, asked, follows, members)
    rows = rows.join(chosen, "user_id")
    made = rows.repartition(context.defaultParallelism, "user_id").mapInArrow(labelled, EXAMPLE)
    batches = made._collect_as_arrow()
    shared.unpersist()
    everything = pa.Table.from_batches(batches).combine_chunks() if batches else None
    recall = recall_of(everything) if everything is not None else {}
    table = everything.filter(pc.greater(everything.column("weight"), 0)) if everything is not None else None
    labels = table.column("label").to_numpy() if table is not None else np.empty(0)
    if table is None or not 0 < labels.sum() < len(labels):
        return Expert(name, FIXED, 0.0, False, recall)
    # In one order, whatever task was first: a sum depends on it.
    features = np.frombuffer(b"".join(table.column("features").to_pylist()), np.float32).reshape(len(labels), -1)
    users = np.unique(table.column("user_id").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    order = np.lexsort((table.column("item").to_numpy(), users))
    known_examples = Examples(features[order], labels[order], table.column("weight").to_numpy()[order], users[order])
    coefficients, intercept = known_examples.regression(np.ones(len(labels), np.bool_))
    alone = better_part(known_examples)
    if alone is not None:
        coefficients = np.array([float(feature == alone) for feature in FEATURES])
    return Expert(name, tuple(float(c) for c in coefficients), intercept if alone is None else 0.0, True, recall)


@dataclass(frozen=True)
class Examples:
    """What an expert learns from, a row each, sorted by user: features without products, whether it was held out, weight, number
    of the user."""

    features: Floats
    labels: Doubles
    weights: Doubles
    users: Ints

    def regression(self, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Doubles, float]:
        """The coefficients of FEATURES and the intercept, of the chosen rows."""
        weights = self.weights[chosen]
        design = with_products(self.features[chosen].astype(np.float64))
        return fit_logistic(design, self.labels[chosen], weights, PENALTY / max(float(weights.sum()), 1e-12))


def better_part(known: Examples) -> str | None:
    """The part of NOMINATING that ranks the held-out events of users higher than the regression that did not see these users
    does, by mean NDCG@10 over the candidates; None where there is none beyond chance (a paired t of 2), or fewer than MIN_JUDGES
    users."""
    starts = np.flatnonzero(np.diff(known.users, prepend=-1))
    if len(starts) < MIN_JUDGES:
        return None
    is_even = known.users % 2 == 0
    scores = np.empty(len(known.labels))
    for half in (is_even, ~is_even):
        coefficients, intercept = known.regression(~half)
        scores[half] = with_products(known.features[half].astype(np.float64)) @ coefficients + intercept
    own = ndcg_of(scores, known.labels, known.users, starts)
    ways = {part: ndcg_of(known.features[:, FEATURES.index(part)], known.labels, known.users, starts) for part in NOMINATING}
    best = max(ways, key=lambda part: float(ways[part].mean()))
    ahead = ways[best] - own
    return best if ahead.mean() > 2 * ahead.std() / len(ahead) ** 0.5 else None


def ndcg_of(scores: Doubles | Floats, labels: Doubles, users: Ints, starts: Ints) -> Doubles:
    """NDCG@10 of each user's rows by score; `starts`: each user's first row. Ties by row."""
    order = np.lexsort((np.arange(len(scores)), -scores, users))
    rank = np.arange(len(scores)) - np.repeat(starts, np.diff(np.append(starts, len(scores))))
    gain = np.where(rank < 10, labels[order] / np.log2(rank + 2), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))
    held = np.add.reduceat(labels, starts).astype(np.int64)
    return np.asarray(np.add.reduceat(gain, starts) / ideal[np.clip(held, 1, 10) - 1])


# `named`: a bit for each part of NOMINATING that has the item among its best.
EXAMPLE = "user_id string, item int, features binary, label double, weight double, named int, held int"


def examples(
    known: Parts, one: History, scores: Floats | SparseScores, user_id: str, held: Ints, unseen: Sequence[str], count: int
) -> pa.RecordBatch:
    """The candidates of one user with these scores as examples: packed features, whether `held` out, weight, which parts named it,
    and how many were held out. Without a held-out one among them they teach nothing: one row of weight 0 then says how many there
    were."""
    nominees = nominated(scores, one.items, count)
    best = union_of(nominees)
    label = np.isin(best, held).astype(np.float64)
    if not label.sum():
        best, label, weight = best[:0], np.zeros(1), 0.0
        rows, items, named = [b""], np.array([-1]), np.zeros(1, np.int64)
    else:
        found = candidate_features(known, scores, one, best)
        found[[FEATURES.index(part) for part in unseen]] = 0
        rows, items, weight = [row.tobytes() for row in np.ascontiguousarray(found.T, np.float32)], best, float(label.sum() ** -0.5)
        named = sum((np.isin(best, some).astype(np.int64) << n for n, some in enumerate(nominees)), np.zeros(len(best), np.int64))
    arrays = [
        pa.array([user_id] * len(items), pa.string()), pa.array(items, pa.int32()), pa.array(rows, pa.binary()), pa.array(label),
        pa.array(np.full(len(items), weight)), pa.array(named, pa.int32()), pa.array(np.full(len(items), len(held)), pa.int32()),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, names=[part.split()[0] for part in EXAMPLE.split(", ")])


def recall_of(table: pa.Table) -> dict[str, float]:
    """The share of held-out events among the candidates, of each part and of UNION, the mean over `users`, and their number: of
    all rows of `examples`. A part of SPARSE_NOMINATING without a candidate has no entry."""
    users = np.unique(table.column("user_id").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    label, named = table.column("label").to_numpy(), table.column("named").to_numpy()
    silent = [part for part in SPARSE_NOMINATING if not (named >> NOMINATING.index(part) & 1).any()]
    held = np.zeros(users.max() + 1)
    held[users] = table.column("held").to_numpy()
    hits = {part: label * (named >> n & 1) for n, part in enumerate(NOMINATING) if part not in silent}
    hits[UNION] = label
    means = {name: round(float((np.bincount(users, found) / held).mean()), 4) for name, found in hits.items()}
    return {**means, "users": float(len(held))}


def candidate_recall(experts: Sequence[Expert], count: int) -> dict[str, dict[str, float | None]]:
    """Slice `candidates_<expert>` -> metric `recall@<count>:<part>` and `users`, as `recall_of` has them; no slice where it is not
    known. `count`: the candidates of a part."""
    return {
        f"candidates_{one.name}": {name if name == "users" else f"recall@{count}:{name}": v for name, v in one.recall.items()}
        for one in experts if one.recall
    }  # fmt: skip


def fit_experts(
    preferences: DataFrame, settings: BlendSettings, content: DataFrame | None = None, follows: DataFrame | None = None,
    groups: UserGroups | None = None,
) -> list[Expert]:
    """The experts of the settings: `next_item` only where preferences have times; `random_holdout` alone where none is left.
    `content` of the items: see `as_content`; `follows` and `groups` that were known then: see `with_followed`, `user_groups`."""
    splits = {}
    asks_next = "next_item" in settings.experts and has_times(preferences)
    if "random_holdout" in settings.experts or not asks_next:
        splits["random_holdout"] = with_random_split(preferences, settings.holdout, settings.seed, "blend")
    if asks_next:
        splits["next_item"] = with_time_split(preferences, settings.holdout)
    experts = []
    for name, marked in splits.items():
        split = marked.persist()
        try:
            experts.append(fit_expert(name, training_part(split), test_part(split), settings, content, follows, groups))
        finally:
            split.unpersist()
    return experts


def asked_experts(random_holdout_share: float) -> tuple[str, ...]:
    """Those of EXPERTS that weigh anything."""
    return tuple(name for name in EXPERTS if _share_of(name, random_holdout_share) > 0)


def shares_of(experts: Sequence[Expert], random_holdout_share: float) -> Floats:
    """The weight of each expert: they sum to 1; one alone has it all."""
    if len(experts) == 1:
        return np.ones(1, np.float32)
    return np.array([_share_of(expert.name, random_holdout_share) for expert in experts], np.float32)


def _share_of(name: str, random_holdout_share: float) -> float:
    return random_holdout_share if name == "random_holdout" else 1.0 - random_holdout_share


def blend_of(fitted: FittedParts, experts: Sequence[Expert], settings: BlendSettings) -> Blend:
    """The parts with the experts that read them."""
    share, length = settings.random_holdout_share, settings.ease.max_history
    # A user who comes back after a year meets what rises then, not what rose at the last event.
    asked = None if settings.is_after_last else fitted.parts.last_moment
    return Blend(fitted.catalogue.ids, fitted.parts, tuple(experts), share, length, settings.candidates, asked)


def list_blend(blend: Blend, rows: DataFrame, k: int, allowed: DataFrame | None = None, with_reason: bool = False) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the mean of the experts' probabilities by
    `random_holdout_share`, 0..1.

    `rows`: see `history_rows`, over the blend's catalogue; what a user has there is not listed, nor an item that `allowed`
    (item_id) does not have. `with_reason` adds because_item_id, the item of the history that speaks most for the listed one by its
    strongest reason (null where none does), and `parts`, a map of EXPLAINED. Cost: one pass over the rows; with `allowed` at most
    the ids of the catalogue are collected.
    """
    if k < 1:
        raise UsageError(f"k {k}; expected a whole number from 1 on")
    context = rows.sparkSession.sparkContext
    hidden = None
    if allowed is not None:
        numbers = catalogue_numbers(rows.sparkSession, blend.ids)
        shown = [row["item"] for row in numbers.join(allowed.select("item_id").distinct(), "item_id").select("item").collect()]
        hidden = np.ones(len(blend.ids), np.bool_)
        hidden[shown] = False
    shared = context.broadcast(blend)

    listed = list_histories(rows, blend.ids, lambda: shared.value.ranker(k, hidden, with_reason), with_reason)
    if not with_reason:
        return listed
    return listed.withColumn("parts", F.map_from_arrays(F.array(*[F.lit(part) for part in EXPLAINED]), "parts"))
