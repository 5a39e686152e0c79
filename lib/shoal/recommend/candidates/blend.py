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

How they learn: `candidates.experts`; how the parts are fitted: `candidates.fitted_parts`.

What weighs 0 (candidates.preferences) was met and not liked: it is never listed, and speaks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Floats, Ints
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.candidates.content import ContentSettings
from shoal.recommend.candidates.ease import (
    EaseSettings,
)
from shoal.recommend.candidates.followed import with_followed
from shoal.recommend.candidates.histories import (
    Catalogue,
    catalogue_from,
    catalogue_numbers,
    histories,
    with_places,
)
from shoal.recommend.candidates.neighbours import NeighbourSettings
from shoal.recommend.candidates.parts import (
    FADING,
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
)
from shoal.recommend.candidates.sparse_scores import Flags, SparseParts, SparseScores
from shoal.recommend.candidates.transitions import TransitionSettings
from shoal.recommend.ranking.history_top_k import Best, History, Rank, Score, best_unseen, list_histories
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
NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True)
class BlendSettings:
    """`holdout`: share of each user's events an expert learns on; `candidates`: items a part nominates for a user;
    `max_users`: users an expert learns from; `max_events`: preferences that its parts are fitted on; `seed`: of the random hold-out
    and of the users; `random_holdout_share`: the weight of the expert `random_holdout` beside `next_item`, 0..1; `experts`: those
    of EXPERTS that are asked; `is_after_last`: whether what comes next is asked right after a user's last event, as when the end
    of each history is held out, and not at one moment for all."""

    ease: EaseSettings
    transitions: TransitionSettings
    walk: NeighbourSettings
    content: ContentSettings
    als: AlsSettings
    holdout: float
    candidates: int
    max_users: int
    max_events: int
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


def list_blend(blend: Blend, rows: DataFrame, k: int, allowed: DataFrame | None = None, with_reason: bool = False) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score: the mean of the experts' probabilities by
    `random_holdout_share`, 0..1.

    `rows`: see `history_rows`, over the blend's catalogue; what a user has there is not listed, nor an item that `allowed`
    (item_id) does not have. `with_reason` adds because_item_id, the item of the history that speaks most for the listed one by its
    strongest reason (null where none does), and `parts`, a map of EXPLAINED. Cost: one pass over the rows; with `allowed` at most
    the ids of the catalogue are collected.
    """
    context = rows.sparkSession.sparkContext
    hidden = None
    if allowed is not None:
        numbers = catalogue_numbers(rows.sparkSession, blend.ids)
        shown = [row["item"] for row in numbers.join(allowed.select("item_id").distinct(), "item_id").select("item").collect()]
        hidden = np.ones(len(blend.ids), np.bool_)
        hidden[shown] = False
    shared = context.broadcast(blend)
    listed = list_histories(rows, blend.ids, lambda: shared.value.ranker(k, hidden, with_reason), k, with_reason)
    if not with_reason:
        return listed
    return listed.withColumn("parts", F.map_from_arrays(F.array(*[F.lit(part) for part in EXPLAINED]), "parts"))
