"""What is known of a user and an item: the parts of a score, and the features that experts weigh.

Parts that score (SCORES): EASE over windows (`candidates.ease`) on the whole history, on histories that fade by half every 2, 5
and 20 events, on one in which each item counts by its rating (`rated`), on the one item that speaks most for it (`nearest`),
and on the best window of 10 and of 30 events (`best_window_10`); transitions from the newest events (`candidates.transitions`);
implicit ALS; where a walk over the users of what was met leads (`candidates.neighbours`); how like the newest events, the whole
history, and what was rated above the user's mean an item is by its terms (`content...`); and by how much the item's terms are
more frequent in the history than among all events (`affinity`); how much the people whom the user follows like it (`followed`);
what rises with all users at the user's time, by events that count half after 7 days (`trending`) and after 60 (`trend_60`;
`candidates.trends`); and how much more than everybody the users of the same country, language or age group met it
(`demographic`; `candidates.demographics`).

Context: base rates of the item and of the user, by which the others are to be read (CONTEXT). How long before the user's last
event an item was first met (`log_age`), or how long after (`log_unborn`), and how long no user had met it by then (`log_idle`),
say what the user can have met. How many interests the history has (`breadth`) tells how much likeness by terms says.

Scores of different parts, and of one part for different users, have different scales. So an expert sees each score as its
distance from the mean over the items that the user has not met, in standard deviations over these; of some the logarithm of the
rank; the context as it is; likeness by terms times the breadth of the history; and each of these times the length of the
history, because long histories are to be trusted otherwise than short ones. docs/adr/0048.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.candidates.demographics import liking_of
from shoal.recommend.candidates.trends import LIVES, DailyEvents, trends_at
from shoal.recommend.ranking.history_top_k import History

# What a fading history is worth: half after so many events.
HALF_LIVES = (2.0, 5.0, 20.0)
# Events of a window whose best is a part: each is two neighbouring halves, which are made of blocks of 5 events.
WINDOWS = (10, 30)
BLOCK = 5
# Scores by the weights of EASE.
OF_WEIGHTS = (
    "whole", *(f"recent_{life:g}" for life in HALF_LIVES), "rated", "nearest", *(f"best_window_{length}" for length in WINDOWS),
)  # fmt: skip
SCORES = (
    *OF_WEIGHTS, "transitions", "als", "walk", "content", "content_whole", "content_rated", "affinity", "followed", "trending",
    "trend_60", "demographic",
)  # fmt: skip
CONTEXT = (
    "log_popularity", "log_history", "item_history", "item_rating", "popularity_match", "history_match", "log_unborn", "log_age",
    "log_idle", "breadth",
)  # fmt: skip
PARTS = (*SCORES, *CONTEXT)
# Scores of which the rank is a feature too.
RANKED = ("whole", "recent_5", "transitions", "als", "walk")
# Likeness by terms that says more of who has few interests.
BY_BREADTH = ("content_whole", "affinity")
_OWN = (*SCORES, *(f"log_rank_{part}" for part in RANKED), *CONTEXT, *(f"{part}*breadth" for part in BY_BREADTH))
_SCALED = tuple(name for name in _OWN if name != "log_history")
# Ranks beyond it are one.
RANK_LIMIT = 1000
# What an item is listed for -> the parts that say so.
REASONS = {
    "history": OF_WEIGHTS, "next": ("transitions",), "people": ("als", "walk"),
    "content": ("content", "content_whole", "content_rated", "affinity"),
    "popularity": (*CONTEXT, "trending", "trend_60"), "followed": ("followed",),
    "demographic": ("demographic",),
}  # fmt: skip
_REASON_OF = [
    next(n for n, parts in enumerate(REASONS.values()) if name.removeprefix("log_rank_").removesuffix("*breadth") in parts)
    for name in _OWN
]
# What experts weigh.
FEATURES = (*_OWN, *(f"{name}*log_history" for name in _SCALED))
_OF_BREADTH = [SCORES.index(part) for part in BY_BREADTH]
_IS_SCALED = np.array([name in _SCALED for name in _OWN])
_LENGTH, _BREADTH = _OWN.index("log_history"), CONTEXT.index("breadth")
# The length of a history, as a logarithm, at which products with it are 0: 90 events.
HISTORY_CENTRE = 4.5
# The breadth of a history at which products with it are 0: that of fifteen terms in equal shares.
BREADTH_CENTRE = 2.7
# Transitions and likeness by content are asked of a history that fades so.
FADING = 5.0
# A term counts in a history as if so large a share of it were drawn from all events.
TERM_PRIOR = 0.02
# Of what weighs 0 altogether no share can be taken.
SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class Parts:
    """What scores a history, by the numbers of EASE's catalogue: EASE's weights (sparse in a large catalogue), transitions,
    neighbours by walks, and per item its terms (see `content_matrix`), ALS' factors (zeros where ALS has none), the log of its
    users, the mean log of the length of their histories, its mean rating as a share of `max_rating`, the days since 1970 of its
    first and last event (NaN without a time)."""

    weights: Floats | csr_matrix
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
    # What a model of before has instead of days: the log of the item's events, each worth half 7 days before the last of all.
    trend: Floats | None = None
    # Days x items: the events of each day (see `trends.DailyEvents`), and which days these are.
    daily: csr_matrix | None = None
    daily_days: Doubles | None = None
    # Groups x items (see `demographics.group_counts`), and the groups' names.
    group_counts: csr_matrix | None = None
    group_names: tuple[str, ...] = ()

    @property
    def last_moment(self) -> float | None:
        """The end of the last day with an event, in days since 1970; None without any."""
        return float(self.daily_days[-1]) + 1 if self.daily_days is not None and len(self.daily_days) else None

    @cached_property
    def shares(self) -> Floats:
        """Each item's share of all preferences."""
        users = np.expm1(self.log_popularity.astype(np.float64))
        return np.asarray(users / max(float(users.sum()), 1e-30), np.float32)

    @cached_property
    def last_trends(self) -> dict[float, Floats]:
        """The trends of the moment that was asked for last: lists of a day ask for one moment."""
        return {}

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
    return np.vstack([scores_of(known, one, chosen), context_of(known, one, chosen)])


def scores_of(known: Parts, one: History, chosen: Ints | None = None) -> Floats:
    """len(SCORES) x items: the scores among `parts_of`."""
    weights, asked = known.weights, one
    at: slice | Ints = slice(None)
    if chosen is not None:
        weights, asked = weights_between(known.weights, one.items, chosen), replace(one, items=np.arange(len(one.items)))
        at = chosen
    liking = rated(known, one)
    fading = faded(one, FADING)
    found = [
        *by_weights(weights, asked, liking),
        (known.transitions[one.items].T @ fading)[at],
        known.item_factors[at] @ one.factors if one.factors is not None else np.zeros_like(known.log_popularity[at]),
        (known.walk[one.items].T @ (one.strengths / np.maximum(one.strengths.sum(), SMALLEST)))[at],
        *by_terms(known, one, fading, liking, at),
        by_followed(one, len(known.log_popularity))[at],
        *(row[at] for row in by_time(known, one)),
        by_groups(known, one)[at],
    ]
    return np.vstack([np.asarray(part, np.float32)[None, :] for part in found])


def rated(known: Parts, one: History) -> Floats:
    """How much each item of the history counts by its rating as a share of the largest one."""
    return one.strengths if one.ratings is None else one.strengths * _shares(one.ratings, known.max_rating)


def faded(one: History, half_life: float) -> Floats:
    """How much each item of the history counts where it is worth half after so many events."""
    return one.strengths * np.float32(2.0) ** (-one.backs.astype(np.float32) / np.float32(half_life))


def weights_between(weights: Floats | csr_matrix, items: Ints, chosen: Ints) -> Floats:
    """items x chosen: the weights of each of `items` for each of the `chosen`, as a dense matrix."""
    if isinstance(weights, csr_matrix):
        return np.asarray(weights[items][:, chosen].toarray(), np.float32)
    return weights[np.ix_(items, chosen)]


def by_weights(weights: Floats | csr_matrix, one: History, liking: Floats) -> Floats:
    """len(OF_WEIGHTS) x items, `liking` being how much each item of the history counts by its rating."""
    counts = [one.strengths, *(faded(one, life) for life in HALF_LIVES), liking]
    totals, blocks, nearest = rows_of_weights(weights, one, counts)
    return np.vstack([totals, nearest, *(best_pair(blocks, length // BLOCK // 2) for length in WINDOWS)])


def rows_of_weights(weights: Floats | csr_matrix, one: History, counts: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """len(counts) x items: for each way of counting the history's items, the sum of their rows of `weights`, so counted;
    blocks x items: the sums over each BLOCK neighbouring events, the newest first, none without times, where nothing says what
    was met together; and of each item the largest weight that one of the history which was liked has for it, 0 at least. Events
    outside the catalogue leave gaps in blocks."""
    order, stacked = np.argsort(one.backs, kind="stable"), np.stack(counts)
    block = one.backs[order] // BLOCK
    totals, nearest = np.zeros((len(counts), weights.shape[1]), np.float32), np.zeros(weights.shape[1], np.float32)
    is_timed = one.days is not None and bool(np.isfinite(one.days).any())
    sums = np.zeros((int(block[-1]) + 1 if is_timed else 0, weights.shape[1]), np.float32)
    # Some rows at a time: a history of thousands of items would copy a large part of the weights.
    for start in range(0, len(order), 256):
        here, names = order[start : start + 256], block[start : start + 256]
        rows = weights[one.items[here]]
        is_liked = one.strengths[here] > 0
        liked = rows if is_liked.all() else rows[is_liked]
        if isinstance(liked, csr_matrix):
            np.maximum.at(nearest, liked.indices, liked.data)
        else:
            np.maximum(nearest, liked.max(axis=0, initial=0), out=nearest)
        if not is_timed:
            totals += _product(stacked[:, here], rows)
            continue
        # One product for both: the blocks' sums are a product with a matrix that has each event in its block's row.
        first, last = int(names[0]), int(names[-1]) + 1
        members = np.zeros((len(counts) + last - first, len(here)), np.float32)
        members[: len(counts)] = stacked[:, here]
        members[len(counts) + names - first, np.arange(len(here))] = one.strengths[here]
        found = _product(members, rows)
        totals += found[: len(counts)]
        sums[first:last] += found[len(counts) :]
    return totals, sums, nearest


def _product(members: Floats, rows: Floats | csr_matrix) -> Floats:
    return np.asarray((rows.T @ members.T).T if isinstance(rows, csr_matrix) else members @ rows, np.float32)


def best_pair(blocks: Floats, size: int) -> Floats:
    """The largest sum of two neighbouring groups of `size` blocks; of all blocks where there are not three groups; 0 without
    any."""
    if not len(blocks):
        return np.zeros(blocks.shape[1], np.float32)
    grouped = blocks
    if size > 1:
        # Sums of whole slices: `reduceat` along the first axis takes several times as long.
        padded = np.zeros((-len(blocks) % size + len(blocks), blocks.shape[1]), np.float32)
        padded[: len(blocks)] = blocks
        grouped = padded[::size].copy()
        for n in range(1, size):
            grouped += padded[n::size]
    if len(grouped) < 3:
        return np.asarray(grouped.sum(axis=0), np.float32)
    best = grouped[0] + grouped[1]
    # A pair at a time stays in the processor's cache; all pairs at once do not.
    for older, newer in zip(grouped[2:], grouped[1:-1], strict=True):
        np.maximum(best, older + newer, out=best)
    return np.asarray(best, np.float32)


def by_terms(known: Parts, one: History, fading: Floats, liking: Floats, at: slice | Ints) -> list[Floats]:
    """content, content_whole, content_rated, affinity: 0 where items have no terms."""
    if not known.terms.nnz:
        return [np.zeros_like(known.log_popularity[at])] * 4
    # A whole slice of a sparse matrix would be a copy.
    terms, has_term = (each if isinstance(at, slice) else each[at] for each in (known.terms, known.has_term))
    profiles, odds = term_profiles(known, one, fading, liking)
    return [*(terms @ profile for profile in profiles), has_term @ odds]


def term_profiles(known: Parts, one: History, fading: Floats, liking: Floats) -> tuple[list[Floats], Floats]:
    """What each term weighs in content, content_whole and content_rated, and its log odds in affinity."""
    places, item = entries(known.terms, one.items)
    terms, width = known.terms.indices[places], known.terms.shape[1]
    total = np.maximum(one.strengths.sum(), SMALLEST)
    above = (liking - one.strengths * (liking.sum() / total)) / total
    counts = [fading / np.maximum(fading.sum(), SMALLEST), one.strengths / total, above]
    met = known.terms.data[places]
    profiles = [np.asarray(np.bincount(terms, met * count[item], width), np.float32) for count in counts]
    return profiles, log_odds(term_share(known, one, places, item).astype(np.float32), known.term_shares)


def term_share(known: Parts, one: History, places: Ints, item: Ints) -> Doubles:
    """Each term's share of the history, from the `entries` of its items, an item with n terms counting 1 / n for each; they sum to
    less than 1 where items have no term."""
    count = one.strengths / np.maximum(one.strengths.sum(), SMALLEST)
    return np.asarray(np.bincount(known.terms.indices[places], known.has_term.data[places] * count[item], known.terms.shape[1]))


def breadth_of(known: Parts, one: History) -> float:
    """How many interests a history has: the entropy, in nats, of its terms (see `term_share`); 0 where no item has any."""
    share = term_share(known, one, *entries(known.terms, one.items))
    share = share[share > 0] / max(float(share.sum()), float(SMALLEST))
    return float(-(share * np.log(share)).sum())


def entries(matrix: csr_matrix, rows: Ints) -> tuple[Ints, Ints]:
    """Where the entries of these rows stand in the matrix' arrays, and of each entry which of the rows it is of. A sparse matrix of
    the rows holds the same and takes half as long again to make."""
    starts, lengths = matrix.indptr[rows].astype(np.int64), matrix.indptr[rows + 1] - matrix.indptr[rows]
    row = np.repeat(np.arange(len(rows)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(row)) + (starts - before)[row], row


def log_odds(share: Floats, usual: Floats) -> Floats:
    """By how much terms are more frequent in a history than among all events, from both shares."""
    odds = np.log((share + TERM_PRIOR * usual + SMALLEST) / ((1 + TERM_PRIOR) * usual + SMALLEST))
    return np.asarray(odds, np.float32)


def by_followed(one: History, items: int) -> Floats:
    """For each of the `items` what the people whom the user follows like it, 0 where that is not known."""
    found = np.zeros(items, np.float32)
    if one.followed is not None:
        found[one.followed[0]] = one.followed[1]
    return found


def by_time(known: Parts, one: History) -> Floats:
    """trending and trend_60 of every item, at the time that the list is for; 0 where no time is known."""
    if known.daily is None or known.daily_days is None:
        of_before = np.zeros((len(LIVES), len(known.log_popularity)), np.float32)
        if known.trend is not None:
            of_before[0] = known.trend
        return of_before
    moment = one.last_day if one.asked is None else one.asked
    found = known.last_trends.get(moment)
    if found is None:
        found = trends_at(DailyEvents(known.daily_days, known.daily), moment)
        known.last_trends.clear()
        known.last_trends[moment] = found
    return found


def by_groups(known: Parts, one: History) -> Floats:
    """For each item how much more than everybody the users of the user's groups met it; 0 where no group is known."""
    if known.group_counts is None or one.groups is None:
        return np.zeros_like(known.log_popularity)
    return liking_of(known.group_counts, known.shares, one.groups)


def context_of(known: Parts, one: History, chosen: Ints | None = None) -> Floats:
    """len(CONTEXT) x items: the context among `parts_of`."""
    at: slice | Ints = slice(None) if chosen is None else chosen
    popular, history = known.log_popularity[at], known.item_history[at]
    length = np.float32(np.log1p(len(one.items)))
    first, last = known.first_day[at], known.last_day[at]
    now = np.float64(one.last_day)
    ages = [np.log1p(np.nan_to_num(np.maximum(days, 0.0))) for days in (first - now, now - first, now - last)]
    usual = known.log_popularity[one.items].mean() if len(one.items) else np.float32(0)
    return np.asarray([
        popular, np.full_like(popular, length), history, known.item_rating[at], -np.abs(popular - usual), -np.abs(history - length),
        *ages, np.full_like(popular, breadth_of(known, one)),
    ], np.float32)  # fmt: skip


def features_of(scores: Floats, context: Floats, seen: Ints, chosen: Ints | None = None) -> Floats:
    """FEATURES without products, of every item or of the `chosen` ones: from `scores_of` of every item, and `context_of` of those
    asked for; `seen`: the history's items.

    A score's mean and deviation are those of unseen items; a score without variance there is 0. Ranks: see `larger`.
    """
    at: slice | Ints = slice(None) if chosen is None else chosen
    ranks = [larger(scores[SCORES.index(part)], seen)[at] for part in RANKED]
    return standardised(scores[:, at], moments(scores, seen), ranks, context)


def standardised(scores: Floats, spread: tuple[Doubles, Doubles], ranks: Sequence[Floats], context: Floats) -> Floats:
    """`features_of` some items from their `scores`, the mean and deviation of each score, their `ranks` by RANKED, and context."""
    mean, deviation = spread
    # What rounding leaves of a constant is no variance.
    flat = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    standard = (scores - mean[:, None].astype(np.float32)) / np.where(flat, 1.0, deviation)[:, None].astype(np.float32)
    standard[flat] = 0.0
    by_breadth = standard[_OF_BREADTH] * (context[_BREADTH] - np.float32(BREADTH_CENTRE))
    return np.vstack([standard, np.log1p(np.asarray(ranks, np.float32)), context, by_breadth])


def moments(scores: Floats, seen: Ints) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of each row over the columns that are not `seen`; 0 where there is none."""
    met = scores[:, seen].astype(np.float64)
    total = scores.sum(axis=1, dtype=np.float64) - met.sum(axis=1)
    squares = np.einsum("ij,ij->i", scores, scores, dtype=np.float64) - np.einsum("ij,ij->i", met, met)
    return spread_of(total, squares, scores.shape[1] - len(seen))


def spread_of(total: Doubles, squares: Doubles, count: int) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of `count` numbers from their sum and their sum of squares; 0 where there is none."""
    if count < 1:
        return np.zeros(len(total)), np.zeros(len(total))
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def larger(scores: Floats, seen: Ints) -> Floats:
    """For each column how many columns that are not `seen` have a larger score, RANK_LIMIT at the most."""
    return count_larger(np.delete(scores, seen), scores)


def count_larger(others: Floats, scores: Floats) -> Floats:
    """For each of `scores` how many of the `others` are larger: the RANK_LIMIT largest count, without the last and its equals."""
    limit = nth_largest(others, RANK_LIMIT)
    best = np.sort(-others[others > limit])
    found = np.full(len(scores), len(best), np.float32)
    near = np.flatnonzero(scores > limit)
    found[near] = np.searchsorted(best, -scores[near], side="left")
    return found


def nth_largest(values: Floats, n: int) -> np.float32:
    """The largest value but n - 1; -inf where there are fewer than n."""
    if len(values) < n:
        return np.float32(-np.inf)
    return np.float32(np.partition(values, len(values) - n)[len(values) - n])


def with_products(features: Doubles) -> Doubles:
    """Examples x FEATURES from examples x the features without products."""
    length = features[:, [_LENGTH]] - HISTORY_CENTRE
    return np.hstack([features, features[:, _IS_SCALED] * length])


def logits_of(features: Floats, coefficients: Doubles, intercepts: Doubles) -> Doubles:
    """Experts x items: the logits from `features_of` (not empty), and experts x FEATURES coefficients."""
    own = coefficients[:, : len(_OWN)].copy()
    length = (float(features[_LENGTH, 0]) if features.shape[1] else HISTORY_CENTRE) - HISTORY_CENTRE
    own[:, _IS_SCALED] += length * coefficients[:, len(_OWN) :]
    return np.asarray(own.astype(np.float32) @ features + intercepts[:, None].astype(np.float32), np.float64)


def contributions_of(features: Floats, coefficients: Doubles, shares: Floats) -> Floats:
    """len(REASONS) x items: what the parts of each reason add to the items' logits, the mean of the experts by `shares`, beside
    their mean over these items: what all candidates have says nothing for one of them. From `features_of`."""
    own = coefficients[:, : len(_OWN)].copy()
    length = (float(features[_LENGTH, 0]) if features.shape[1] else HISTORY_CENTRE) - HISTORY_CENTRE
    own[:, _IS_SCALED] += length * coefficients[:, len(_OWN) :]
    terms = (shares @ own)[:, None] * features
    if terms.shape[1]:
        terms = terms - terms.mean(axis=1, keepdims=True)
    found = np.zeros((len(REASONS), features.shape[1]))
    np.add.at(found, _REASON_OF, terms)
    return np.asarray(found, np.float32)


def _shares(ratings: Floats, most: float) -> Floats:
    """Ratings as shares of the largest one, 1 where there is none."""
    return np.asarray(np.clip(np.nan_to_num(ratings / np.float32(most), nan=1.0), 0.0, 1.0), np.float32)
