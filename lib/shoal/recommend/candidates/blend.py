"""A learned blend: which parts to trust, and how much what is recent counts.

Parts of a user's score for an item: EASE over windows (`candidates.ease`) on the whole history, and on histories that
fade by half every 2, 5 and 20 events; what follows the newest events (`candidates.transitions`); where a walk over the
users of what was met leads (`walk`, `candidates.neighbours`); how like the newest events the item is by what it is about
(`content`, nothing where items are not described); implicit ALS; the item's popularity; the length of the history, which says how
far the others are to be trusted.

Two questions can be meant by "what would this user like": what has the user met that we were not told, and what comes next?
The answers differ: recency is all for the second and misleads for the first. So there are two experts, logistic regressions
on the parts, each fitted on its own kind of held-out events inside the training data: events drawn at random, and each user's
last. An item's score is the mean of the two probabilities, weighted by how probable it is that either question is meant
(`hidden_share`), which no training file says. Without times there is the first expert only; where an
expert has nothing to learn from, fixed weights serve. docs/adr/0041 has the measurements.

Negatives are the candidates that were not held out, all of them, so probabilities need no correction for sampling; events of
a user together weigh the square root of their number, so that long histories do not drown the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Floats, Ints
from shoal.recommend.candidates.als import AlsModel, AlsSettings, fit_als
from shoal.recommend.candidates.content import ContentSettings, content_matrix
from shoal.recommend.candidates.cooccurrence import as_matrix
from shoal.recommend.candidates.ease import EaseSettings, fit_ease, weighted_rows
from shoal.recommend.candidates.histories import Catalogue, histories, with_places
from shoal.recommend.candidates.neighbours import NeighbourSettings, item_neighbours
from shoal.recommend.candidates.transitions import FollowingSettings, following
from shoal.recommend.protocol.split import has_times, test_part, training_part, with_random_split, with_time_split
from shoal.recommend.ranking.history_top_k import Explain, History, Score, best_unseen, rank_histories, rows_of
from shoal.recommend.ranking.top_k import collect_items

# What a fading history is worth: half after so many events.
HALF_LIVES = (2.0, 5.0, 20.0)
PARTS = (
    "whole", *(f"recent_{life:g}" for life in HALF_LIVES), "following", "als", "log_popularity", "log_history", "walk", "content"
)  # fmt: skip
# What follows, and what is alike by content, is asked of a history that fades so.
FADING = 5.0
EXPERTS = ("hidden", "next")
# Parts that an expert does not look at: measured in docs/adr/0041.
UNSEEN = {"hidden": ("walk",), "next": ()}
# Of the parts, those whose best items are candidates.
NOMINATING = ("whole", "recent_5", "following", "als")
# Whole and recent history in equal shares: what is left when there is nothing to learn from.
FIXED = tuple(float(part in ("whole", "recent_5")) for part in PARTS)


@dataclass(frozen=True)
class BlendSettings:
    """`holdout`: share of each user's events an expert learns on; `candidates`: items a part nominates for a user;
    `max_users`: users an expert learns from; `seed`: of the random hold-out and of the users; `hidden_share`: the weight of
    the expert `hidden` beside `next`, 0..1; `experts`: those of EXPERTS that are asked."""

    ease: EaseSettings
    following: FollowingSettings
    walk: NeighbourSettings
    content: ContentSettings
    als: AlsSettings
    holdout: float
    candidates: int
    max_users: int
    seed: int
    hidden_share: float
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
    """What scores a history: EASE's weights, followers, neighbours by walks, and per item of EASE's catalogue its terms (see
    `content_matrix`), the factors (zeros where ALS has none) and the log of its users."""

    weights: Floats
    following: csr_matrix
    walk: csr_matrix
    terms: csr_matrix
    item_factors: Floats
    log_popularity: Floats


@dataclass(frozen=True)
class Fitted:
    """The parts, fitted, and their catalogue. `rows`: histories with `factors`, null for a user that ALS does not know."""

    catalogue: Catalogue
    parts: Parts
    rows: DataFrame


def fit_parts(
    preferences: DataFrame, settings: BlendSettings, als: AlsModel | None = None, content: DataFrame | None = None
) -> Fitted:
    """Every part over numbered preferences (`als.with_numbers`; without numbers where ALS is given as it was
    fitted) and `content` (see `as_content`). Cost: that of ALS, of EASE, of `following`, of `item_neighbours` and of
    `content_matrix`; collects the factors of EASE's catalogue, of at most `ease.max_items` items."""
    placed = with_places(preferences, settings.ease.max_history)
    ease = fit_ease(placed, settings.ease, refuse=False)
    als = als or fit_als(preferences, settings.als)
    known = collect_items(als.item_factors.join(F.broadcast(ease.catalogue.numbers.select("item_id")), "item_id", "left_semi"))
    place = {name: n for n, name in enumerate(known.ids.to_pylist())}
    names = ease.catalogue.ids.to_pylist()
    at = np.array([place.get(name, -1) for name in names])
    factors = np.where(at[:, None] >= 0, known.factors[at], np.float32(0))
    users = als.user_factors.select("user_id", F.col("features").cast("array<float>").alias("factors"))
    rows = histories(placed, ease.catalogue).join(users, "user_id", "left")
    popularity = np.log1p(ease.catalogue.users).astype(np.float32)
    followers = following(placed, ease.catalogue, settings.following)
    near = as_matrix(item_neighbours(placed, ease.catalogue, settings.walk), len(ease.catalogue))
    width = settings.content.max_terms
    terms = csr_matrix((len(ease.catalogue), width), dtype=np.float32)
    if content is not None:
        terms = content_matrix(content, ease.catalogue, width)
    parts = Parts(ease.weights, followers, near, terms, np.ascontiguousarray(factors, np.float32), popularity)
    return Fitted(ease.catalogue, parts, rows)


def parts_of(known: Parts, one: History, chosen: Ints | None = None) -> Floats:
    """len(PARTS) x items: each part's score of every item, or of the `chosen` ones, for one history."""
    weights, asked, terms = known.weights, one, known.terms
    at: slice | Ints = slice(None)
    if chosen is not None:
        weights, asked = known.weights[np.ix_(one.items, chosen)], replace(one, items=np.arange(len(one.items)))
        at, terms = chosen, known.terms[chosen]
    scored = weighted_rows(weights, asked, [one.strengths, *(faded(one, life) for life in HALF_LIVES)])
    fading = faded(one, FADING)
    follows = (known.following[one.items].T @ fading)[at]
    walked = (known.walk[one.items].T @ (one.strengths / one.strengths.sum()))[at]
    about = terms @ (known.terms[one.items].T @ (fading / fading.sum()))
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
    """The logistic regression that tells held-out events from other candidates by parts fitted on `known`; those that it does not
    look at weigh 0.

    Fixed weights where nothing was held out, or no candidate was. Cost: `fit_parts`, a pass over the candidates of
    `max_users` users, which are cached.
    """
    fitted = fit_parts(known, settings, content=content)
    numbers = F.broadcast(fitted.catalogue.numbers)
    sought = held_out.select("user_id", "item_id").join(numbers, "item_id")
    wanted = sought.groupBy("user_id").agg(F.collect_set("item").alias("wanted"))
    chosen = wanted.orderBy(F.xxhash64(F.lit(settings.seed), "user_id"), "user_id").limit(settings.max_users)
    context = known.sparkSession.sparkContext
    shared = context.broadcast(fitted.parts)
    count = settings.candidates

    def labelled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nominating = [PARTS.index(part) for part in NOMINATING]
        unseen = [PARTS.index(part) for part in UNSEEN[name]]
        for batch in batches:
            for one, held in zip(rows_of(batch), batch.column("wanted"), strict=True):
                parts = parts_of(shared.value, one)
                best = np.unique(np.concatenate([best_unseen(parts[part], one.items, count) for part in nominating]))
                parts[unseen] = 0
                label = np.isin(best, np.asarray(held.values)).astype(np.float64)
                found = label.sum()
                if not found:
                    continue
                values = pa.array(parts[:, best].T.astype(np.float64).ravel())
                features = pa.ListArray.from_arrays(pa.array(np.arange(len(best) + 1) * len(PARTS), pa.int32()), values)
                weight = pa.array(np.full(len(best), found**-0.5))
                yield pa.RecordBatch.from_arrays([features, pa.array(label), weight], names=["parts", "label", "weight"])

    rows = fitted.rows.join(chosen, "user_id").repartition(context.defaultParallelism, "user_id")
    made = rows.mapInArrow(labelled, "parts array<double>, label double, weight double")
    made = made.select(array_to_vector(F.col("parts")).alias("features"), "label", "weight").persist()
    try:
        seen = made.agg(F.sum("label"), F.count(F.lit(1))).first()
        positives, total = (seen[0] or 0.0, seen[1]) if seen is not None else (0.0, 0)
        if not 0 < positives < total:
            return Expert(name, FIXED, 0.0, False)
        model = LogisticRegression(weightCol="weight", maxIter=100, regParam=1e-6, tol=1e-7).fit(made)
        return Expert(name, tuple(float(c) for c in model.coefficients), float(model.intercept), True)
    finally:
        made.unpersist()
        shared.unpersist()


def can_blend(preferences: DataFrame, settings: BlendSettings) -> bool:
    """Whether EASE has anything to be fitted on: an item of `ease.min_users` users. Cost: one shuffle by item."""
    counts = preferences.groupBy("item_id").agg(F.count(F.lit(1)).alias("users"))
    return not counts.where(F.col("users") >= settings.ease.min_users).isEmpty()


def fit_experts(preferences: DataFrame, settings: BlendSettings, content: DataFrame | None = None) -> list[Expert]:
    """The experts of the settings: `next` only where preferences have times; `hidden` alone where none is left. `content` of the
    items: see `as_content`."""
    splits = {}
    asks_next = "next" in settings.experts and has_times(preferences)
    if "hidden" in settings.experts or not asks_next:
        splits["hidden"] = with_random_split(preferences, settings.holdout, settings.seed, "blend")
    if asks_next:
        splits["next"] = with_time_split(preferences, settings.holdout)
    experts = []
    for name, marked in splits.items():
        split = marked.persist()
        try:
            known = training_part(split)
            experts.append(fit_expert(name, known, test_part(split), settings, content) if can_blend(known, settings) else
                           Expert(name, FIXED, 0.0, False))  # fmt: skip
        finally:
            split.unpersist()
    return experts


def asked_experts(hidden_share: float) -> tuple[str, ...]:
    """Those of EXPERTS that weigh anything."""
    return tuple(name for name in EXPERTS if _share_of(name, hidden_share) > 0)


def shares_of(experts: Sequence[Expert], hidden_share: float) -> Floats:
    """The weight of each expert: they sum to 1; one alone has it all."""
    if len(experts) == 1:
        return np.ones(1, np.float32)
    return np.array([_share_of(expert.name, hidden_share) for expert in experts], np.float32)


def _share_of(name: str, hidden_share: float) -> float:
    return hidden_share if name == "hidden" else 1.0 - hidden_share


def list_blend(
    preferences: DataFrame,
    users: DataFrame,
    settings: BlendSettings,
    experts: Sequence[Expert],
    k: int,
    als: AlsModel | None = None,
    allowed: DataFrame | None = None,
    with_reason: bool = False,
    content: DataFrame | None = None,
) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the mean of the experts' probabilities by
    `hidden_share`, 0..1.

    All of `preferences` is fitted, but for ALS where it is given; what a user has there is not listed, nor an item that `allowed`
    (item_id) does not have. A user without a preference in the catalogue of EASE has no row. `with_reason` adds because_item_id,
    the item of the history with the largest weight for the listed one (null where none speaks for it), and `parts`, a map of PARTS.
    `content` of the items: see `as_content`; None where nothing is known of them.
    Cost: `fit_parts`, then one pass over the users; with `allowed` at most the numbers of the catalogue are collected.
    """
    fitted = fit_parts(preferences, settings, als, content)
    catalogue = fitted.catalogue
    context = preferences.sparkSession.sparkContext
    hidden = np.zeros(len(catalogue), np.bool_)
    if allowed is not None:
        hidden[:] = True
        for row in catalogue.numbers.join(allowed.select("item_id").distinct(), "item_id").select("item").collect():
            hidden[row["item"]] = False
    shared = context.broadcast(fitted.parts)
    coefficients = np.array([expert.coefficients for expert in experts], np.float64)
    intercepts = np.array([expert.intercept for expert in experts], np.float64)
    shares = shares_of(experts, settings.hidden_share)

    def load() -> Score:
        known = shared.value

        def score(one: History) -> Floats:
            logits = coefficients @ parts_of(known, one).astype(np.float64) + intercepts[:, None]
            found = np.asarray(shares @ (1 / (1 + np.exp(-logits))), np.float32)
            found[hidden] = np.nan
            return found

        return score

    def explain() -> Explain:
        known = shared.value

        def explained(one: History, best: Ints) -> tuple[Ints, Floats]:
            terms = one.strengths[:, None] * known.weights[np.ix_(one.items, best)]
            because = np.where(terms.max(axis=0) > 0, one.items[terms.argmax(axis=0)], -1)
            return because, parts_of(known, one, best).T

        return explained

    rows = fitted.rows.join(users.select("user_id").distinct(), "user_id", "left_semi")
    if not with_reason:
        return rank_histories(rows, catalogue.ids, load, k)
    listed = rank_histories(rows, catalogue.ids, load, k, explain)
    return listed.withColumn("parts", F.map_from_arrays(F.array(*[F.lit(part) for part in PARTS]), "parts"))
