"""A learned blend: which parts to trust, and how much what is recent counts.

Parts of a user's score for an item: EASE over windows (`candidates.ease`) on the whole history, and on histories that
fade by half every 2, 5 and 20 events; transitions from the newest events (`candidates.transitions`); where a walk over the
users of what was met leads (`walk`, `candidates.neighbours`); how like the newest events the item is by what it is about
(`content`, 0 where items are not described); implicit ALS; the item's popularity; the length of the history, which says how
far the others are to be trusted.

"What would this user like" can mean two questions: which items has the user met that were held out at random, and which item comes
next? The answers differ: recency decides the second and misleads for the first. So there are two experts, logistic regressions
on the parts, each fitted on its own kind of held-out events inside the training data: events drawn at random (`random_holdout`),
and each user's last (`next_item`). An item's score is the mean of the two probabilities, weighted by how probable it is that either
question is meant (`random_holdout_share`), which no training file contains. Without times there is the first expert only; where an
expert has nothing to learn from, fixed weights serve. docs/adr/0041 has the measurements.

Negatives are the candidates that were not held out, all of them, so probabilities need no correction for sampling; events of
a user together weigh the square root of their number, so that long histories do not dominate.

What weighs 0 (candidates.preferences) was met and not liked: it is never listed, and speaks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from shoal.arrays import Floats, Ints
from shoal.errors import UsageError
from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als
from shoal.recommend.candidates.content import ContentSettings, content_matrix
from shoal.recommend.candidates.cooccurrence import as_matrix
from shoal.recommend.candidates.ease import EaseSettings, ease_weights, gram, gram_here, weighted_rows
from shoal.recommend.candidates.histories import (
    Catalogue,
    catalogue_from,
    catalogue_here,
    catalogue_numbers,
    catalogue_of,
    collect_met,
    histories,
    with_places,
)
from shoal.recommend.candidates.logistic import fit_logistic
from shoal.recommend.candidates.neighbours import NeighbourSettings, item_neighbours, walks_here
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.candidates.transitions import TransitionSettings, transitions, transitions_here
from shoal.recommend.protocol.split import has_times, test_part, training_part, with_random_split, with_time_split
from shoal.recommend.ranking.history_top_k import Explain, History, Score, best_unseen, rank_histories, rows_of

# What a fading history is worth: half after so many events.
HALF_LIVES = (2.0, 5.0, 20.0)
PARTS = (
    "whole", *(f"recent_{life:g}" for life in HALF_LIVES), "transitions", "als", "log_popularity", "log_history", "walk", "content"
)  # fmt: skip
# Transitions and likeness by content are asked of a history that fades so.
FADING = 5.0
EXPERTS = ("random_holdout", "next_item")
# Parts that an expert does not look at: measured in docs/adr/0041.
UNSEEN = {"random_holdout": ("walk",), "next_item": ()}
# Of the parts, those whose best items are candidates.
NOMINATING = ("whole", "recent_5", "transitions", "als")
# Whole and recent history in equal shares: the weights where there is nothing to learn from.
FIXED = tuple(float(part in ("whole", "recent_5")) for part in PARTS)
# The closed form of EASE over so many items is a second's work of one thread.
ONE_THREAD_ITEMS = 3000
# Examples that an expert learns from, on the driver.
MAX_EXAMPLE_BYTES = 2 << 30


@dataclass(frozen=True)
class BlendSettings:
    """`holdout`: share of each user's events an expert learns on; `candidates`: items a part nominates for a user;
    `max_users`: users an expert learns from; `seed`: of the random hold-out and of the users; `random_holdout_share`: the weight of
    the expert `random_holdout` beside `next_item`, 0..1; `experts`: those of EXPERTS that are asked."""

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


@dataclass(frozen=True)
class Expert:
    """A logistic regression: probability = 1 / (1 + exp(-(parts . coefficients + intercept)))."""

    name: str
    coefficients: tuple[float, ...]
    intercept: float
    is_learned: bool


@dataclass(frozen=True)
class Parts:
    """What scores a history: EASE's weights, transitions, neighbours by walks, and per item of EASE's catalogue its terms (see
    `content_matrix`), the factors (zeros where ALS has none) and the log of its users."""

    weights: Floats
    transitions: csr_matrix
    walk: csr_matrix
    terms: csr_matrix
    item_factors: Floats
    log_popularity: Floats


@dataclass(frozen=True)
class FittedParts:
    """The parts, the catalogue that their columns are, and ALS."""

    catalogue: Catalogue
    parts: Parts
    als: AlsModel


@dataclass(frozen=True)
class Blend:
    """Everything that scores a history: ids of the catalogue, parts, experts and the weight of the first; the events of a history
    that count."""

    ids: pa.StringArray
    parts: Parts
    experts: tuple[Expert, ...]
    random_holdout_share: float
    max_history: int

    def catalogue(self, spark: SparkSession) -> Catalogue:
        """The catalogue that histories are numbered by."""
        return catalogue_from(spark, self.ids)

    def scorer(self, hidden: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> Score:
        """The mean of the experts' probabilities for each item of the catalogue; NaN for `hidden` ones."""
        coefficients = np.array([expert.coefficients for expert in self.experts], np.float64)
        intercepts = np.array([expert.intercept for expert in self.experts], np.float64)
        shares = shares_of(self.experts, self.random_holdout_share)

        def score(one: History) -> Floats:
            logits = coefficients @ parts_of(self.parts, one).astype(np.float64) + intercepts[:, None]
            found = np.asarray(shares @ (1 / (1 + np.exp(-logits))), np.float32)
            if hidden is not None:
                found[hidden] = np.nan
            return found

        return score


def fit_parts(
    preferences: DataFrame, settings: BlendSettings, als: AlsModel | None = None, content: DataFrame | None = None
) -> FittedParts | None:
    """Every part over preferences, with ALS as it was fitted on them, else fitted here, and `content` (see `as_content`); None
    where no item has `ease.min_users` users who like it.

    Cost: that of ALS and of `content_matrix`; up to LOCAL_PREFERENCES preferences one collect, and sparse products on the
    driver; above, that of EASE's `gram`, of `transitions` and of `item_neighbours`; collects the factors of EASE's catalogue, of at
    most `ease.max_items` items.
    """
    wanted = settings.ease
    here = collect_met(preferences, wanted.max_history)
    if here is not None:
        everything, ids = here
        catalogue, met = catalogue_here(
            preferences.sparkSession, everything.only(everything.strengths > 0), ids, wanted.max_items, wanted.min_users
        )
        if not len(catalogue):
            return None
        # One thread for what takes no second: threads of BLAS that wait for each other beside other jobs take minutes.
        with threadpool_limits(1 if len(catalogue) <= ONE_THREAD_ITEMS else None, "blas"):
            weights = ease_weights(gram_here(met, len(catalogue), wanted), wanted.l2)
        following = transitions_here(met, catalogue, settings.transitions)
        near = walks_here(met, catalogue, settings.walk)
    else:
        placed = liked(with_places(preferences, wanted.max_history))
        catalogue = catalogue_of(placed, wanted.max_items, wanted.min_users)
        if not len(catalogue):
            return None
        weights = ease_weights(gram(placed, catalogue, wanted), wanted.l2)
        following = transitions(placed, catalogue, settings.transitions)
        near = as_matrix(item_neighbours(placed, catalogue, settings.walk), len(catalogue))
    als = als or fit_als(preferences, settings.als)
    width = settings.content.max_terms
    terms = csr_matrix((len(catalogue), width), dtype=np.float32)
    if content is not None:
        terms = content_matrix(content, catalogue, width)
    popularity = np.log1p(catalogue.users).astype(np.float32)
    parts = Parts(weights, following, near, terms, factors_of(als, catalogue), popularity)
    return FittedParts(catalogue, parts, als)


def factors_of(als: AlsModel, catalogue: Catalogue) -> Floats:
    """The items' factors in the order of the catalogue; zeros where ALS has none. Collects at most the catalogue's."""
    known = als.collected_items(catalogue.numbers)
    place = {name: n for n, name in enumerate(known.ids.to_pylist())}
    at = np.array([place.get(name, -1) for name in catalogue.ids.to_pylist()])
    return np.ascontiguousarray(np.where(at[:, None] >= 0, known.factors[at], np.float32(0)), np.float32)


def history_rows(
    preferences: DataFrame, catalogue: Catalogue, user_factors: DataFrame, max_history: int, users: DataFrame | None = None
) -> DataFrame:
    """`histories` of the catalogue, with `factors`, null for a user that ALS does not know. `users`: user_id, those wanted. Cost:
    two shuffles by user, a join with the factors."""
    if users is not None:
        preferences = preferences.join(users.select("user_id").distinct(), "user_id", "left_semi")
    factors = user_factors.select("user_id", F.col("features").cast("array<float>").alias("factors"))
    return histories(with_places(preferences, max_history), catalogue).join(factors, "user_id", "left")


def parts_of(known: Parts, one: History, chosen: Ints | None = None) -> Floats:
    """len(PARTS) x items: each part's score of every item, or of the `chosen` ones, for one history."""
    weights, asked, terms = known.weights, one, known.terms
    at: slice | Ints = slice(None)
    if chosen is not None:
        weights, asked = known.weights[np.ix_(one.items, chosen)], replace(one, items=np.arange(len(one.items)))
        at, terms = chosen, known.terms[chosen]
    scored = weighted_rows(weights, asked, [one.strengths, *(faded(one, life) for life in HALF_LIVES)])
    fading = faded(one, FADING)
    # Of what weighs 0 altogether no share can be taken.
    smallest = np.float32(1e-30)
    follows = (known.transitions[one.items].T @ fading)[at]
    walked = (known.walk[one.items].T @ (one.strengths / np.maximum(one.strengths.sum(), smallest)))[at]
    about = terms @ (known.terms[one.items].T @ (fading / np.maximum(fading.sum(), smallest)))
    popular = known.log_popularity[at]
    als = known.item_factors[at] @ one.factors if one.factors is not None else np.zeros_like(popular)
    length = np.full_like(popular, np.log1p(len(one.items)))
    return np.vstack([scored, *[part[None, :] for part in (follows, als, popular, length, walked, about)]])


def faded(one: History, half_life: float) -> Floats:
    """How much each item of the history counts where it is worth half after so many events."""
    return one.strengths * np.float32(2.0) ** (-one.backs.astype(np.float32) / np.float32(half_life))


def fit_expert(
    name: str, known: DataFrame, held_out: DataFrame, settings: BlendSettings, content: DataFrame | None = None
) -> Expert:
    """The logistic regression that tells held-out events that were liked from other candidates by parts fitted on `known`; parts
    that it does not look at weigh 0.

    Fixed weights where nothing was held out, or no candidate was. Raises UsageError for settings that make more than
    MAX_EXAMPLE_BYTES of examples. Cost: `fit_parts`, a pass over the candidates of `max_users` users, which are collected.
    """
    size = settings.max_users * settings.candidates * len(NOMINATING) * len(PARTS) * 8
    if size > MAX_EXAMPLE_BYTES:
        raise UsageError(
            f"blend.learning_users {settings.max_users} x blend.candidates {settings.candidates}: {size >> 20} MiB of examples; at "
            f"most {MAX_EXAMPLE_BYTES >> 20}: lower one of them"
        )
    fitted = fit_parts(known, settings, content=content)
    if fitted is None:
        return Expert(name, FIXED, 0.0, False)
    numbers = F.broadcast(fitted.catalogue.numbers)
    sought = liked(held_out).select("user_id", "item_id").join(numbers, "item_id")
    wanted = sought.groupBy("user_id").agg(F.collect_set("item").alias("wanted"))
    chosen = wanted.orderBy(F.xxhash64(F.lit(settings.seed), "user_id"), "user_id").limit(settings.max_users)
    context = known.sparkSession.sparkContext
    shared = context.broadcast(fitted.parts)
    count = settings.candidates

    def labelled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for one, held in zip(rows_of(batch), batch.column("wanted"), strict=True):
                found = examples(shared.value, one, np.asarray(held.values), name, count)
                if found is not None:
                    yield found

    rows = history_rows(known, fitted.catalogue, fitted.als.user_factors, settings.ease.max_history).join(chosen, "user_id")
    made = rows.repartition(context.defaultParallelism, "user_id").mapInArrow(labelled, EXAMPLE)
    batches = made._collect_as_arrow()
    shared.unpersist()
    table = pa.Table.from_batches(batches).combine_chunks() if batches else None
    labels = table.column("label").to_numpy() if table is not None else np.empty(0)
    if table is None or not 0 < labels.sum() < len(labels):
        return Expert(name, FIXED, 0.0, False)
    # In one order, whatever task was first: a sum depends on it.
    features = np.frombuffer(b"".join(table.column("parts").to_pylist())).reshape(-1, len(PARTS))
    order = np.lexsort((labels, *features.T))
    coefficients, intercept = fit_logistic(features[order], labels[order], table.column("weight").to_numpy()[order])
    return Expert(name, tuple(float(c) for c in coefficients), intercept, True)


EXAMPLE = "parts binary, label double, weight double"


def examples(known: Parts, one: History, held: Ints, name: str, count: int) -> pa.RecordBatch | None:
    """The candidates of one user as examples: packed parts, whether `held` out, weight. None where no candidate was."""
    parts = parts_of(known, one)
    nominated = [best_unseen(parts[PARTS.index(part)], one.items, count) for part in NOMINATING]
    best = np.unique(np.concatenate(nominated))
    label = np.isin(best, held).astype(np.float64)
    if not label.sum():
        return None
    parts[[PARTS.index(part) for part in UNSEEN[name]]] = 0
    packed = pa.array([row.tobytes() for row in np.ascontiguousarray(parts[:, best].T, np.float64)], pa.binary())
    weight = pa.array(np.full(len(best), label.sum() ** -0.5))
    return pa.RecordBatch.from_arrays([packed, pa.array(label), weight], names=["parts", "label", "weight"])


def fit_experts(preferences: DataFrame, settings: BlendSettings, content: DataFrame | None = None) -> list[Expert]:
    """The experts of the settings: `next_item` only where preferences have times; `random_holdout` alone where none is left.
    `content` of the items: see `as_content`."""
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
            experts.append(fit_expert(name, training_part(split), test_part(split), settings, content))
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
    return Blend(fitted.catalogue.ids, fitted.parts, tuple(experts), settings.random_holdout_share, settings.ease.max_history)


def list_blend(blend: Blend, rows: DataFrame, k: int, allowed: DataFrame | None = None, with_reason: bool = False) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the mean of the experts' probabilities by
    `random_holdout_share`, 0..1.

    `rows`: see `history_rows`, over the blend's catalogue; what a user has there is not listed, nor an item that `allowed`
    (item_id) does not have. `with_reason` adds because_item_id, the item of the history with the largest weight for the listed one
    (null where none speaks for it), and `parts`, a map of PARTS. Cost: one pass over the rows; with `allowed` at most the ids of
    the catalogue are collected.
    """
    context = rows.sparkSession.sparkContext
    hidden = None
    if allowed is not None:
        numbers = catalogue_numbers(rows.sparkSession, blend.ids)
        shown = [row["item"] for row in numbers.join(allowed.select("item_id").distinct(), "item_id").select("item").collect()]
        hidden = np.ones(len(blend.ids), np.bool_)
        hidden[shown] = False
    shared = context.broadcast(blend)

    def load() -> Score:
        return shared.value.scorer(hidden)

    def explain() -> Explain:
        known = shared.value.parts

        def explained(one: History, best: Ints) -> tuple[Ints, Floats]:
            terms = one.strengths[:, None] * known.weights[np.ix_(one.items, best)]
            because = np.where(terms.max(axis=0) > 0, one.items[terms.argmax(axis=0)], -1)
            return because, parts_of(known, one, best).T

        return explained

    if not with_reason:
        return rank_histories(rows, blend.ids, load, k)
    listed = rank_histories(rows, blend.ids, load, k, explain)
    return listed.withColumn("parts", F.map_from_arrays(F.array(*[F.lit(part) for part in PARTS]), "parts"))
