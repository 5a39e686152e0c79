"""What is known of a user and an item: the parts of a score, and the features that experts weigh.

Parts that score (SCORES): EASE over windows (`candidates.ease`) on the whole history, on histories that fade by half every 2, 5
and 20 events, on one in which each item counts by its rating (`rated`), and on the best window of 10 and of 30 events
(`best_window_10`); transitions from the newest events (`candidates.transitions`); implicit ALS; where a walk over the users of
what was met leads (`candidates.neighbours`); how like the newest events, the whole history, and what was rated above the user's
mean an item is by its terms (`content...`); and by how much the item's terms are more frequent in the history than among all
events (`affinity`).

Context: base rates of the item and of the user, by which the others are to be read (CONTEXT). How long before the user's last
event an item was first met (`log_age`), or how long after (`log_unborn`), and how long nobody had met it by then (`log_idle`),
say what the user can have met.

Scores of different parts, and of one part for different users, have different scales. So an expert sees each score as its
distance from the mean over the items that the user has not met, in standard deviations over these; of some the logarithm of the
rank; the context as it is; and each of these times the length of the history, because long histories are to be trusted otherwise
than short ones. docs/adr/0048.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.candidates.ease import weighted_rows
from shoal.recommend.ranking.history_top_k import History

# What a fading history is worth: half after so many events.
HALF_LIVES = (2.0, 5.0, 20.0)
# Events of a window whose best is a part: each is two neighbouring halves.
WINDOWS = (10, 30)
SCORES = (
    "whole", *(f"recent_{life:g}" for life in HALF_LIVES), "rated", *(f"best_window_{length}" for length in WINDOWS), "transitions",
    "als", "walk", "content", "content_whole", "content_rated", "affinity",
)  # fmt: skip
CONTEXT = (
    "log_popularity", "log_history", "item_history", "item_rating", "popularity_match", "history_match", "log_unborn", "log_age",
    "log_idle",
)  # fmt: skip
PARTS = (*SCORES, *CONTEXT)
# Scores of which the rank is a feature too.
RANKED = ("whole", "recent_5", "transitions", "als", "walk")
_OWN = (*SCORES, *(f"log_rank_{part}" for part in RANKED), *CONTEXT)
_SCALED = tuple(name for name in _OWN if name != "log_history")
# What experts weigh.
FEATURES = (*_OWN, *(f"{name}*log_history" for name in _SCALED))
_IS_SCALED = np.array([name in _SCALED for name in _OWN])
_LENGTH = _OWN.index("log_history")
# The length of a history, as a logarithm, at which products with it are 0: 90 events.
HISTORY_CENTRE = 4.5
# Transitions and likeness by content are asked of a history that fades so.
FADING = 5.0
# A term counts in a history as if so large a share of it were drawn from all events.
TERM_PRIOR = 0.02
# Of what weighs 0 altogether no share can be taken.
SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class Parts:
    """What scores a history, by the numbers of EASE's catalogue: EASE's weights, transitions, neighbours by walks, and per item its
    terms (see `content_matrix`), ALS' factors (zeros where ALS has none), the log of its users, the mean log of the length of
    their histories, its mean rating as a share of `max_rating`, the days since 1970 of its first and last event (NaN without a
    time)."""

    weights: Floats
    transitions: csr_matrix
    walk: csr_matrix
    terms: csr_matrix
    item_factors: Floats
    log_popularity: Floats
    item_history: Floats
    item_rating: Floats
    first_day: Doubles
    last_day: Doubles
    max_rating: float

    @cached_property
    def has_term(self) -> csr_matrix:
        """Items x terms: 1 over the number of the item's terms, for each of them."""
        counts = np.maximum(np.diff(self.terms.indptr), 1)
        data = np.repeat(1.0 / counts, np.diff(self.terms.indptr)).astype(np.float32)
        return csr_matrix((data, self.terms.indices, self.terms.indptr), shape=self.terms.shape)

    @cached_property
    def term_shares(self) -> Floats:
        """Each term's share of all events, an event of an item with n terms counting 1 / n for each."""
        counted = self.has_term.T @ np.expm1(self.log_popularity)
        return np.asarray(counted / max(float(counted.sum()), 1e-30), np.float32)


def parts_of(known: Parts, one: History, chosen: Ints | None = None) -> Floats:
    """len(PARTS) x items: each part of every item, or of the `chosen` ones, for one history."""
    weights, asked = known.weights, one
    at: slice | Ints = slice(None)
    if chosen is not None:
        weights, asked = known.weights[np.ix_(one.items, chosen)], replace(one, items=np.arange(len(one.items)))
        at = chosen
    liking = one.strengths if one.ratings is None else one.strengths * _shares(one.ratings, known.max_rating)
    counts = [one.strengths, *(faded(one, life) for life in HALF_LIVES), liking]
    found = [*weighted_rows(weights, asked, counts), *best_windows(weights, asked)]
    fading = faded(one, FADING)
    found += [
        (known.transitions[one.items].T @ fading)[at],
        known.item_factors[at] @ one.factors if one.factors is not None else np.zeros_like(known.log_popularity[at]),
        (known.walk[one.items].T @ (one.strengths / np.maximum(one.strengths.sum(), SMALLEST)))[at],
        *by_terms(known, one, fading, liking, at),
        *context_of(known, one, at),
    ]
    return np.vstack([np.asarray(part, np.float32)[None, :] for part in found])


def faded(one: History, half_life: float) -> Floats:
    """How much each item of the history counts where it is worth half after so many events."""
    return one.strengths * np.float32(2.0) ** (-one.backs.astype(np.float32) / np.float32(half_life))


def best_windows(weights: Floats, one: History) -> list[Floats]:
    """For each of WINDOWS the largest sum of rows of `weights` over so many neighbouring events, half overlapping; 0 without times,
    where nothing says what was met together."""
    if one.days is None or not np.isfinite(one.days).any():
        return [np.zeros(weights.shape[1], np.float32) for _ in WINDOWS]
    half = WINDOWS[0] // 2
    block = one.backs // half
    order = np.argsort(block, kind="stable")
    names, starts = np.unique(block[order], return_index=True)
    # One row a block of 5 events; events outside the catalogue leave gaps, which stay gaps.
    sums = np.zeros((int(names[-1]) + 1, weights.shape[1]), np.float32)
    ends = np.append(starts[1:], len(order))
    for name, start, end in zip(names, starts, ends, strict=True):
        rows = order[start:end]
        sums[name] = one.strengths[rows] @ weights[one.items[rows]]
    return [_best_pair(sums, length // 2 // half) for length in WINDOWS]


def _best_pair(sums: Floats, size: int) -> Floats:
    """The largest sum of two neighbouring groups of `size` rows; all rows where there are not so many."""
    grouped = np.add.reduceat(sums, np.arange(0, len(sums), size), axis=0)
    return np.asarray(grouped.sum(axis=0) if len(grouped) < 3 else (grouped[1:] + grouped[:-1]).max(axis=0), np.float32)


def by_terms(known: Parts, one: History, fading: Floats, liking: Floats, at: slice | Ints) -> list[Floats]:
    """content, content_whole, content_rated, affinity: 0 where items have no terms."""
    if not known.terms.nnz:
        return [np.zeros_like(known.log_popularity[at])] * 4
    met, terms = known.terms[one.items], known.terms[at]
    total = np.maximum(one.strengths.sum(), SMALLEST)
    above = (liking - one.strengths * (liking.sum() / total)) / total
    profiles = [fading / np.maximum(fading.sum(), SMALLEST), one.strengths / total, above]
    share = known.has_term[one.items].T @ (one.strengths / total)
    usual = known.term_shares
    odds = np.log((share + TERM_PRIOR * usual + SMALLEST) / ((1 + TERM_PRIOR) * usual + SMALLEST))
    return [*(terms @ (met.T @ profile) for profile in profiles), known.has_term[at] @ odds]


def context_of(known: Parts, one: History, at: slice | Ints) -> list[Floats]:
    """CONTEXT of the items."""
    popular, history = known.log_popularity[at], known.item_history[at]
    length = np.float32(np.log1p(len(one.items)))
    first, last = known.first_day[at], known.last_day[at]
    now = np.float64(np.nan) if one.days is None or not np.isfinite(one.days).any() else np.nanmax(one.days)
    ages = [np.log1p(np.nan_to_num(np.maximum(days, 0.0))) for days in (first - now, now - first, now - last)]
    usual = known.log_popularity[one.items].mean() if len(one.items) else np.float32(0)
    return [
        popular, np.full_like(popular, length), history, known.item_rating[at], -np.abs(popular - usual), -np.abs(history - length),
        *[np.asarray(age, np.float32) for age in ages],
    ]  # fmt: skip


def features_of(parts: Floats, seen: Ints, chosen: Ints | None = None) -> Floats:
    """FEATURES without products, of every item or of the `chosen` ones, from `parts_of` of every item; `seen`: the history's items.

    A score's mean and deviation are those of unseen items; a score without variance there is 0. Ranks count the unseen items with a
    larger score.
    """
    unseen = np.ones(parts.shape[1], bool)
    unseen[seen] = False
    at: slice | Ints = slice(None) if chosen is None else chosen
    scores = parts[: len(SCORES)].astype(np.float64)
    if not unseen.any():
        return np.zeros((len(_OWN), scores[:, at].shape[1]), np.float32)
    others = scores[:, unseen]
    mean, deviation = others.mean(axis=1), others.std(axis=1)
    # What rounding leaves of a constant is no variance.
    flat = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    standard = (scores[:, at] - mean[:, None]) / np.where(flat, 1.0, deviation)[:, None]
    standard[flat] = 0.0
    ranks = []
    for part in RANKED:
        row = SCORES.index(part)
        ranks.append(np.log1p(np.searchsorted(np.sort(-others[row]), -scores[row, at], side="left")))
    return np.vstack([standard, ranks, parts[len(SCORES) :, at]]).astype(np.float32)


def with_products(features: Doubles) -> Doubles:
    """Examples x FEATURES from examples x the features without products."""
    length = features[:, [_LENGTH]] - HISTORY_CENTRE
    return np.hstack([features, features[:, _IS_SCALED] * length])


def logits_of(features: Floats, coefficients: Doubles, intercepts: Doubles) -> Doubles:
    """Experts x items: the logits from `features_of` (not empty), and experts x FEATURES coefficients."""
    own = coefficients[:, : len(_OWN)].copy()
    length = (float(features[_LENGTH, 0]) if features.shape[1] else HISTORY_CENTRE) - HISTORY_CENTRE
    own[:, _IS_SCALED] += length * coefficients[:, len(_OWN) :]
    return np.asarray(own @ features.astype(np.float64) + intercepts[:, None])


def _shares(ratings: Floats, most: float) -> Floats:
    """Ratings as shares of the largest one, 1 where there is none."""
    return np.asarray(np.clip(np.nan_to_num(ratings / np.float32(most), nan=1.0), 0.0, 1.0), np.float32)
