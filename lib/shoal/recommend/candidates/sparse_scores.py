"""Scores of one history over a large catalogue, from what is not 0 alone.

Above `blend.max_items` the weights of EASE are sparse, as transitions and walks always are: a history reaches some thousand items
of a hundred thousand, and every other one scores 0. `parts.scores_of` writes all of these zeros for each score and user. Here a
score is one of four kinds of rows, each of which gives what is asked of all items without making them: the sum and the sum of
squares over the items that the user has not met, the best items, how many are larger than a value, and the values of some items.

- SparseRows: values at some columns, 0 elsewhere.
- DenseRow: values of all items that many users share, such as what is trending.
- FactorRow: ALS. The product with all items is made for a block of histories at a time; sums follow from the items' second moments.
- TermRows: likeness by terms. Values where they are asked for; sums from how often two terms are of one item.

Features, candidates and lists are those of the dense scores but for the last digits of sums. docs/adr/0161.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Floats, Ints
from shoal.recommend.candidates.parts import (
    BLOCK,
    FADING,
    OF_WEIGHTS,
    RANK_LIMIT,
    RANKED,
    SCORES,
    SMALLEST,
    Parts,
    by_groups,
    by_time,
    by_weights,
    count_larger,
    entries,
    faded,
    log_odds,
    nth_largest,
    rated,
    spread_of,
    standardised,
    term_profiles,
)
from shoal.recommend.ranking.history_top_k import History, best_unseen

Flags = npt.NDArray[np.bool_]
_RANKED = [SCORES.index(name) for name in RANKED]
OF_TIME = ("trending", "trend_60")
OF_TERMS = ("content", "content_whole", "content_rated", "affinity")
# Products with all items that are made at once: histories x items x 4 bytes, which stay in a processor's cache for the most part.
BLOCK_BYTES, BLOCK_HISTORIES = 8 << 20, 64
# Sums of a long history's blocks of events that are made at once.
WINDOW_BYTES = 64 << 20
# How often two terms are of one item, for both weights; above it the products with all items are made instead.
PAIR_BYTES = 512 << 20
# Entries of items that are gone through in the time of one pair of terms: 3.7 as measured at 100,000 items with eight terms.
ENTRIES_A_PAIR = 4


class Rows(Protocol):
    """Some scores of every item for one history. `names`: those of SCORES that it has, in the order of what the methods give."""

    @property
    def names(self) -> tuple[str, ...]:
        """The scores."""

    def at(self, items: Ints) -> Floats:
        """len(names) x items: the scores of these."""

    def sums(self) -> tuple[Doubles, Doubles]:
        """Of each score the sum over all items, and that of squares."""


class Ranking(Rows, Protocol):
    """Rows whose best items and ranks are asked for."""

    def best(self, name: str, shown: Shown, count: int, is_positive: bool) -> Ints:
        """The `count` best items that may be listed, best first, ties by number; with `is_positive` only those above 0."""

    def larger(self, name: str, shown: Shown, values: Floats) -> Floats:
        """For each of the `values` how many unseen items have a larger score: see `parts.count_larger`."""


@dataclass(frozen=True)
class Shown:
    """Which items of a catalogue a history has not met, and which of them may be listed."""

    seen: Ints
    is_seen: Flags
    is_blocked: Flags

    @staticmethod
    def of(seen: Ints, items: int, hidden: Flags | None) -> Shown:
        """Of a catalogue of so many items; the `hidden` ones are not listed, though they count where scores are standardised."""
        is_seen = np.zeros(items, np.bool_)
        is_seen[seen] = True
        return Shown(seen, is_seen, is_seen if hidden is None else is_seen | hidden)


@dataclass(frozen=True)
class SparseRows:
    """`values` (names x columns) at the `columns`, ascending; 0 at all other of `items` items."""

    names: tuple[str, ...]
    columns: Ints
    values: Floats
    items: int

    def at(self, items: Ints) -> Floats:
        """See `Rows`."""
        if not len(self.columns):
            return np.zeros((len(self.names), len(items)), np.float32)
        place = np.minimum(np.searchsorted(self.columns, items), len(self.columns) - 1)
        return np.where(self.columns[place] == items, self.values[:, place], np.float32(0))

    def sums(self) -> tuple[Doubles, Doubles]:
        """See `Rows`."""
        exact = self.values.astype(np.float64)
        return exact.sum(axis=1), np.einsum("ij,ij->i", exact, exact)

    def best(self, name: str, shown: Shown, count: int, is_positive: bool) -> Ints:
        """See `Ranking`."""
        own = self.values[self.names.index(name)]
        is_free = ~shown.is_blocked[self.columns]
        columns, values = self.columns[is_free], own[is_free]
        found = _best(columns, values, values > 0, count)
        if is_positive or len(found) == count:
            return found
        # Those without a score come next, the smaller number first, and what speaks against an item last.
        is_taken = shown.is_blocked.copy()
        is_taken[self.columns[own != 0]] = True
        found = np.concatenate([found, np.flatnonzero(~is_taken)[: count - len(found)]])
        return np.concatenate([found, _best(columns, values, values < 0, count - len(found))])

    def larger(self, name: str, shown: Shown, values: Floats) -> Floats:
        """See `Ranking`."""
        own = self.values[self.names.index(name)]
        unseen = own[~shown.is_seen[self.columns]]
        # More zeros than ranks count change no rank.
        zeros = min(RANK_LIMIT, self.items - len(shown.seen) - len(unseen))
        return count_larger(np.concatenate([unseen, np.zeros(zeros, np.float32)]), values)


def _best(columns: Ints, values: Floats, chosen: Flags, count: int) -> Ints:
    """Of the chosen columns the `count` with the largest values, largest first, ties by column."""
    columns, values = columns[chosen], values[chosen]
    if count < len(values):
        near = values >= nth_largest(values, max(count, 1))
        columns, values = columns[near], values[near]
    return columns[np.lexsort((columns, -values))[:count]]


def _best_of_all(values: Floats, shown: Shown, count: int, is_positive: bool) -> Ints:
    """`_best` of values of all items, of those that may be listed."""
    able = np.where(values > 0, values, np.float32(np.nan)) if is_positive else values
    return best_unseen(able, np.flatnonzero(shown.is_blocked), count)


@dataclass(frozen=True)
class DenseRow:
    """One score of all items; `order`: the numbers of those above 0, best first, where many histories share it."""

    name: str
    values: Floats
    total: float
    squares: float
    order: Ints | None = None

    @staticmethod
    def of(name: str, values: Floats, is_shared: bool = True) -> DenseRow:
        """The row with its sums; sorted where it `is_shared` by histories."""
        order = None
        if is_shared:
            above = np.flatnonzero(values > 0)
            order = above[np.lexsort((above, -values[above]))]
        return DenseRow(name, values, float(values.sum(dtype=np.float64)), _squares(values), order)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Rows`."""
        return (self.name,)

    def at(self, items: Ints) -> Floats:
        """See `Rows`."""
        return self.values[None, items]

    def sums(self) -> tuple[Doubles, Doubles]:
        """See `Rows`."""
        return np.array([self.total]), np.array([self.squares])

    def best(self, name: str, shown: Shown, count: int, is_positive: bool) -> Ints:
        """See `Ranking`."""
        if self.order is None or not is_positive:
            return _best_of_all(self.values, shown, count, is_positive)
        taken = count + len(shown.seen)
        while True:
            found = self.order[:taken]
            found = found[~shown.is_blocked[found]][:count]
            if len(found) == count or taken >= len(self.order):
                return found
            taken *= 4

    def larger(self, name: str, shown: Shown, values: Floats) -> Floats:
        """See `Ranking`."""
        return count_larger(self.values[~shown.is_seen], values)


@dataclass(frozen=True)
class FactorRow:
    """ALS' scores: the product of the user's factors with all items' (`values`), and its sums over all of them."""

    values: Floats
    shown: Shown
    total: float
    squares: float
    names: tuple[str, ...] = ("als",)

    @cached_property
    def near(self) -> tuple[Ints, Floats]:
        """The unseen items of which fewer than RANK_LIMIT have a larger score, and these scores: some RANK_LIMIT."""
        others = self.values.copy()
        others[self.shown.seen] = -np.inf
        items = largest(others, RANK_LIMIT)
        items = items[others[items] > -np.inf]
        return items, others[items]

    def at(self, items: Ints) -> Floats:
        """See `Rows`."""
        return self.values[None, items]

    def sums(self) -> tuple[Doubles, Doubles]:
        """See `Rows`."""
        return np.array([self.total]), np.array([self.squares])

    def best(self, name: str, shown: Shown, count: int, is_positive: bool) -> Ints:
        """See `Ranking`."""
        items, values = self.near
        is_free = ~shown.is_blocked[items]
        found = _best(items, values, is_free & (values > 0) if is_positive else is_free, count)
        return found if len(found) == count else _best_of_all(self.values, shown, count, is_positive)

    def larger(self, name: str, shown: Shown, values: Floats) -> Floats:
        """See `Ranking`."""
        return count_larger(self.near[1], values)


def largest(values: Floats, n: int) -> Ints:
    """The places of the `n` largest values, ascending, with all that equal the last; all places where there are not n.

    Of columns of values the n largest maxima bound the n largest values from below, and a maximum is many comparisons at once: a
    sixth of the time of a partition of all of 100,000.
    """
    columns = 4 * n
    limit, places = np.float32(-np.inf), np.arange(len(values))
    if len(values) >= 2 * columns:
        rows = len(values) // columns
        limit = nth_largest(values[: rows * columns].reshape(rows, columns).max(axis=0), n)
        places = np.flatnonzero(values >= limit)
    near = values[places]
    return places[near >= nth_largest(near, n)]


@dataclass(frozen=True)
class TermRows:
    """Likeness by terms: `profiles` (what each term weighs in all of OF_TERMS but the last) and log `odds` of terms."""

    known: Parts
    sums_of_terms: TermSums
    profiles: Sequence[Floats]
    odds: Floats
    terms: Ints
    names: tuple[str, ...] = OF_TERMS

    def at(self, items: Ints) -> Floats:
        """See `Rows`."""
        places, item = entries(self.known.terms, items)
        terms = self.known.terms.indices[places]
        weights, having = self.known.terms.data[places], self.known.has_term.data[places]
        each = [*(weights * profile[terms] for profile in self.profiles), having * self.odds[terms]]
        return np.array([np.bincount(item, values, len(items)) for values in each], np.float32)

    def sums(self) -> tuple[Doubles, Doubles]:
        """See `Rows`."""
        return self.sums_of_terms.of_all(self.profiles, self.odds, self.terms)


@dataclass(frozen=True)
class TermSums:
    """Over all items the sums of `by_terms` for any history: of a term's weights, and of the products of two terms' weights.

    A score is the product of an item's weights with a profile p, so its sum of squares over items is p . (T' T) p, T being items
    x terms; p is 0 but for the history's terms. Affinity has a value for each term: `absent` is that of terms which a history has
    not, the same for all histories; what differs from it is 0 but for the history's terms."""

    known: Parts
    absent: Floats

    @staticmethod
    def of(known: Parts) -> TermSums:
        """The sums of all items' terms."""
        usual = known.term_shares
        return TermSums(known, log_odds(np.zeros_like(usual), usual))

    @cached_property
    def places(self) -> Ints:
        """Of each term its place among those that some item has."""
        is_used = np.zeros(self.known.terms.shape[1], np.bool_)
        is_used[self.known.terms.indices] = True
        return np.cumsum(is_used) - 1

    @cached_property
    def pairs(self) -> tuple[Doubles, Doubles] | None:
        """T' T of the terms' weights and of `has_term`, by `places`; None where they would take over PAIR_BYTES. Dense, because a
        history asks for a block of it, which takes a sparse matrix six times as long."""
        used = np.unique(self.known.terms.indices)
        if 2 * 8 * len(used) ** 2 > PAIR_BYTES:
            return None
        terms, has_term = (matrix[:, used].astype(np.float64) for matrix in (self.known.terms, self.known.has_term))
        return (terms.T @ terms).toarray(), (has_term.T @ has_term).toarray()

    @cached_property
    def base(self) -> tuple[Doubles, Doubles, Doubles, float]:
        """The sums of the terms' weights and of `has_term`; has_term' x the affinity of a history without a term, and that
        affinity's sum of squares."""
        has_term = self.known.has_term.astype(np.float64)
        nothing = has_term @ self.absent.astype(np.float64)
        weights = np.asarray(self.known.terms.astype(np.float64).sum(axis=0)).ravel()
        return weights, np.asarray(has_term.sum(axis=0)).ravel(), has_term.T @ nothing, float(nothing @ nothing)

    def of_all(self, profiles: Sequence[Floats], odds: Floats, terms: Ints) -> tuple[Doubles, Doubles]:
        """Sums, and sums of squares, over all items; `terms`: those of the history."""
        # A block of pairs is read from everywhere; the products with all items go through the entries in order.
        if ENTRIES_A_PAIR * len(terms) ** 2 > self.known.terms.nnz or self.pairs is None:
            rows = np.vstack([*(self.known.terms @ profile for profile in profiles), self.known.has_term @ odds])
            return rows.sum(axis=1, dtype=np.float64), np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        weights, having, of_nothing, square_of_nothing = self.base
        profile = np.stack([each[terms] for each in profiles]).astype(np.float64)
        more = odds[terms].astype(np.float64) - self.absent[terms]
        block = np.ix_(self.places[terms], self.places[terms])
        squares = [*_quadratic(self.pairs[0][block], profile), *_quadratic(self.pairs[1][block], more[None, :])]
        squares[-1] += square_of_nothing + 2 * float(of_nothing[terms] @ more)
        total = [*(profile @ weights[terms]), float(having @ self.absent.astype(np.float64)) + float(having[terms] @ more)]
        return np.array(total), np.array(squares)


def _quadratic(pairs: Doubles, values: Doubles) -> Doubles:
    """Of each row of `values` its product with itself over `pairs`."""
    return np.asarray(np.einsum("ij,ij->i", values, values @ pairs))


def _squares(values: Floats) -> float:
    return float(np.einsum("i,i->", values, values, dtype=np.float64))


@dataclass(frozen=True)
class SparseScores:
    """The scores of one history, as rows."""

    rows: tuple[Rows, ...]
    shown: Shown

    @cached_property
    def _places(self) -> dict[str, Rows]:
        return {name: rows for rows in self.rows for name in rows.names}

    def at(self, items: Ints) -> Floats:
        """len(SCORES) x items: the scores of these, as `parts.scores_of` has them."""
        return np.vstack([rows.at(items) for rows in self.rows])[self._order]

    @cached_property
    def _order(self) -> list[int]:
        names = [name for rows in self.rows for name in rows.names]
        return [names.index(name) for name in SCORES]

    def best(self, name: str, count: int, is_positive: bool) -> Ints:
        """The `count` best items of a score that may be listed: see `Ranking`."""
        return self._ranking(name).best(name, self.shown, count, is_positive)

    def features(self, context: Floats, chosen: Ints) -> Floats:
        """`parts.features_of` the chosen items."""
        seen = self.shown.seen
        # What was met and what is asked for in one go: of a few hundred items the calls cost more than the sums.
        values = self.at(np.concatenate([seen, chosen]))
        met, values = values[:, : len(seen)].astype(np.float64), values[:, len(seen) :]
        total, squares = (np.concatenate(each)[self._order] for each in zip(*(rows.sums() for rows in self.rows), strict=True))
        unseen = total - met.sum(axis=1), squares - np.einsum("ij,ij->i", met, met)
        spread = spread_of(*unseen, len(self.shown.is_seen) - len(seen))
        ranks = [self._ranking(name).larger(name, self.shown, value) for name, value in zip(RANKED, values[_RANKED], strict=True)]
        return standardised(values, spread, ranks, context)

    def _ranking(self, name: str) -> Ranking:
        rows = self._places[name]
        return rows  # type: ignore[return-value]


@dataclass(frozen=True)
class SparseParts:
    """Parts with sparse weights, and what is summed over all items once."""

    known: Parts

    def __len__(self) -> int:
        return len(self.known.log_popularity)

    @cached_property
    def last_trends(self) -> dict[float, tuple[DenseRow, ...]]:
        """What rises at the moment that was asked for last, sorted: lists of a day ask for one moment."""
        return {}

    @cached_property
    def factor_sums(self) -> tuple[Doubles, Doubles]:
        """The sum of the items' factors and of their outer products."""
        factors = self.known.item_factors
        total, products = np.zeros(factors.shape[1]), np.zeros((factors.shape[1],) * 2)
        # Some items at a time: all of them as doubles would be another catalogue.
        for start in range(0, len(factors), 1 << 16):
            some = factors[start : start + (1 << 16)].astype(np.float64)
            total += some.sum(axis=0)
            products += some.T @ some
        return total, products

    @cached_property
    def term_sums(self) -> TermSums:
        """Sums of what terms say."""
        return TermSums.of(self.known)

    def scored(self, histories: Iterable[History], hidden: Flags | None = None) -> Iterator[tuple[History, SparseScores]]:
        """Each history with its scores; `hidden` items are not listed. Memory: BLOCK_BYTES of products, and one history's rows."""
        size = max(1, min(BLOCK_HISTORIES, BLOCK_BYTES // (4 * max(len(self), 1))))
        left = iter(histories)
        while block := list(islice(left, size)):
            products = self._products(block, size)
            yield from ((one, self._scores(one, values, hidden)) for one, values in zip(block, products, strict=False))

    def _products(self, block: Sequence[History], size: int) -> Floats:
        """Histories x items: ALS' scores; rows of 0 for who has no factors."""
        users = np.zeros((size, self.known.item_factors.shape[1]), np.float32)
        for n, one in enumerate(block):
            if one.factors is not None:
                users[n] = one.factors
        # Always as many rows: a product of another shape has other last digits.
        return np.asarray(users @ self.known.item_factors.T)

    def _scores(self, one: History, products: Floats, hidden: Flags | None) -> SparseScores:
        liking, fading = rated(self.known, one), faded(one, FADING)
        share = one.strengths / np.maximum(one.strengths.sum(), SMALLEST)
        shown = Shown.of(one.items, len(self), hidden)
        rows: tuple[Rows, ...] = (
            by_ease(self.known, one, liking), by_matrix("transitions", self.known.transitions, one, fading),
            self._by_factors(one, products, shown), by_matrix("walk", self.known.walk, one, share),
            self._by_terms(one, fading, liking), self._by_followed(one), *self._by_time(one), self._by_groups(one),
        )  # fmt: skip
        return SparseScores(rows, shown)

    def _by_factors(self, one: History, products: Floats, shown: Shown) -> Rows:
        if one.factors is None:
            return _nothing(("als",), len(self))
        total, squares = self.factor_sums
        exact = one.factors.astype(np.float64)
        return FactorRow(products, shown, float(exact @ total), float(exact @ squares @ exact))

    def _by_terms(self, one: History, fading: Floats, liking: Floats) -> Rows:
        if not self.known.terms.nnz:
            return _nothing(OF_TERMS, len(self))
        profiles, odds = term_profiles(self.known, one, fading, liking)
        terms = np.unique(self.known.terms.indices[entries(self.known.terms, one.items)[0]]).astype(np.int64)
        return TermRows(self.known, self.term_sums, profiles, odds, terms)

    def _by_time(self, one: History) -> tuple[Rows, ...]:
        if one.asked in self.last_trends:
            return self.last_trends[one.asked]
        named = zip(OF_TIME, by_time(self.known, one), strict=True)
        found = tuple(DenseRow.of(name, row, is_shared=one.asked is not None) for name, row in named)
        if one.asked is not None:
            self.last_trends.clear()
            self.last_trends[one.asked] = found
        return found

    def _by_groups(self, one: History) -> Rows:
        if self.known.group_counts is None or one.groups is None:
            return _nothing(("demographic",), len(self))
        return DenseRow.of("demographic", by_groups(self.known, one), is_shared=False)

    def _by_followed(self, one: History) -> Rows:
        if one.followed is None or not len(one.followed[0]):
            return _nothing(("followed",), len(self))
        order = np.argsort(one.followed[0], kind="stable")
        return SparseRows(("followed",), one.followed[0][order], one.followed[1][None, order], len(self))


def _nothing(names: tuple[str, ...], items: int) -> SparseRows:
    return SparseRows(names, np.empty(0, np.int64), np.empty((len(names), 0), np.float32), items)


def by_ease(known: Parts, one: History, liking: Floats) -> SparseRows:
    """The scores by EASE's weights."""
    columns, local, _ = reached(known.weights, one.items)
    asked = replace(one, items=np.arange(len(one.items)))
    blocks = int(one.backs.max(initial=0)) // BLOCK + 1
    width = max(1, WINDOW_BYTES // (4 * blocks))
    found = []
    for start in range(0, max(len(columns), 1), width):
        some = local if width >= len(columns) else local[:, start : start + width]
        found.append(by_weights(some, asked, liking))
    return SparseRows(OF_WEIGHTS, columns, np.hstack(found), len(known.log_popularity))


def by_matrix(name: str, matrix: csr_matrix, one: History, counts: Floats) -> SparseRows:
    """One score: the sum of the rows of the matrix, so counted."""
    columns, local, row = reached(matrix, one.items)
    found = np.bincount(local.indices, local.data * counts[row], len(columns))
    return SparseRows((name,), columns, found.astype(np.float32)[None, :], matrix.shape[1])


def reached(matrix: csr_matrix, rows: Ints) -> tuple[Ints, csr_matrix, Ints]:
    """The columns that some of the rows have an entry in, ascending; the rows over these columns alone; and of each entry which of
    the rows it is of."""
    places, row = entries(matrix, rows)
    indices = matrix.indices[places]
    is_reached = np.zeros(matrix.shape[1], np.bool_)
    is_reached[indices] = True
    columns = np.flatnonzero(is_reached)
    place = np.empty(matrix.shape[1], np.int32)
    place[columns] = np.arange(len(columns), dtype=np.int32)
    starts = np.searchsorted(row, np.arange(len(rows) + 1)).astype(np.int32)
    return columns, csr_matrix((matrix.data[places], place[indices], starts), shape=(len(rows), len(columns))), row
