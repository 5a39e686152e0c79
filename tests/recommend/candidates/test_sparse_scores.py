"""Scores of what a history reaches beside the scores of every item, on drawn parts of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as drawn_matrix
from shoal.recommend.candidates import sparse_scores
from shoal.recommend.candidates.blend import Blend, Expert, nominated, union_of
from shoal.recommend.candidates.experts import examples
from shoal.recommend.candidates.parts import FEATURES, RANKED, SCORES, Parts, context_of, features_of, larger, moments, scores_of
from shoal.recommend.candidates.sparse_scores import DenseRow, Flags, Shown, SparseParts, SparseScores, largest
from shoal.recommend.ranking.history_top_k import History

# More than the ranks that count.
ITEMS, TERMS, RANK, GROUPS, CANDIDATES = 1500, 40, 4, 3, 30


def drawn_parts(items: int = ITEMS, seed: int = 5) -> Parts:
    """Weights of both signs and many ties; some items without terms, without factors, without a time, or not trending."""
    rng = np.random.default_rng(seed)

    def matrix(columns: int, density: float, low: float) -> csr_matrix:
        found = csr_matrix(drawn_matrix(items, columns, density, "csr", np.float64, rng))
        found.data = np.round(low + found.data, 2)
        return found.astype(np.float32)

    days = np.where(rng.random((2, items)) < 0.1, np.nan, rng.uniform(0, 100, (2, items)))
    first, last = np.minimum(*days), np.maximum(*days)
    made = Parts(
        matrix(items, 0.02, -0.2), matrix(items, 0.02, 0.1), matrix(items, 0.03, 0.1), matrix(TERMS, 0.08, 0.1),
        (rng.normal(size=(items, RANK)) * (rng.random(items) < 0.9)[:, None]).astype(np.float32),
        np.log1p(rng.integers(1, 50, items)).astype(np.float32), rng.uniform(1, 5, items).astype(np.float32),
        rng.random(items).astype(np.float32), first, last, 5.0, np.maximum(rng.normal(size=items), 0).astype(np.float32),
    )  # fmt: skip
    met = [csr_matrix(rng.poisson(mean, (rows, items)), dtype=np.float32) for rows, mean in ((30, 0.02), (GROUPS, 0.5))]
    return replace(made, daily=met[0], daily_days=np.arange(60.0, 120, 2), group_counts=met[1])


def drawn_history(length: int, seed: int = 1, items: int = ITEMS) -> History:
    """Items of everywhere, some without a rating or a time, and places with gaps."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(items, length, replace=False))
    backs = rng.permutation(length + 5)[:length].astype(np.int64)
    ratings = np.where(rng.random(length) < 0.2, np.nan, rng.integers(1, 6, length)).astype(np.float32)
    days = np.where(rng.random(length) < 0.2, np.nan, 100.0 - backs)
    followed = rng.choice(items, 40, replace=False), rng.integers(1, 4, 40).astype(np.float32)
    strengths = rng.uniform(0.5, 2, length).astype(np.float32)
    factors = rng.normal(size=RANK).astype(np.float32)
    return History(chosen, strengths, backs, factors, ratings, days, followed, np.array([0, 2]), 110.0)


KNOWN = drawn_parts()
MANY = drawn_history(60)
HISTORIES = {
    "many": MANY,
    "bare": replace(MANY, factors=None, ratings=None, days=None, followed=None, groups=None, asked=None),
    "timeless": replace(MANY, days=np.full(60, np.nan), followed=(np.empty(0, np.int64), np.empty(0, np.float32))),
    "one": drawn_history(1),
    "disliked": replace(MANY, strengths=np.zeros(60, np.float32)),
    "everything": drawn_history(ITEMS),
    "all but few": drawn_history(ITEMS - 20),
    "right after the last event": replace(MANY, asked=None),
    "nothing": drawn_history(0),
}


def sparse_of(known: Parts, one: History, hidden: Flags | None = None) -> SparseScores:
    """What `SparseParts` makes of one history."""
    ((same, scores),) = SparseParts(known).scored([one], hidden)
    assert same is one
    return scores


def assert_equal_to_dense(known: Parts, one: History, hidden: Flags | None = None) -> None:
    """Scores, candidates and features of one history are those of `scores_of`."""
    sparse, dense = sparse_of(known, one, hidden), scores_of(known, one)
    everything = np.arange(len(known.log_popularity))
    np.testing.assert_allclose(sparse.at(everything), dense, rtol=1e-5, atol=1e-5)
    away = one.items if hidden is None else np.concatenate([one.items, np.flatnonzero(hidden)])
    expected = nominated(dense, away, CANDIDATES)
    found = nominated(sparse, away, CANDIDATES)
    assert [list(best) for best in found] == [list(best) for best in expected]
    chosen = union_of(expected)
    context = context_of(known, one, chosen)
    features = features_of(dense, context, one.items, chosen)
    np.testing.assert_allclose(sparse.features(context, chosen), features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", HISTORIES)
def test_what_a_history_reaches_scores_as_the_whole_catalogue_does(name: str) -> None:
    assert_equal_to_dense(KNOWN, HISTORIES[name])
    hidden = np.random.default_rng(2).random(ITEMS) < 0.7
    assert_equal_to_dense(KNOWN, HISTORIES[name], hidden)


@pytest.mark.parametrize("name", ["many", "one"])
def test_parts_without_anything_score_nothing(name: str) -> None:
    empty = csr_matrix((ITEMS, ITEMS), dtype=np.float32)
    bare = replace(
        KNOWN, weights=empty, transitions=empty, walk=empty, terms=csr_matrix((ITEMS, TERMS), dtype=np.float32), trend=None,
        item_factors=np.zeros((ITEMS, RANK), np.float32), daily=None, daily_days=None, group_counts=None,
    )  # fmt: skip
    assert_equal_to_dense(bare, replace(HISTORIES[name], followed=None))


def test_a_model_of_before_has_one_trend_and_no_groups() -> None:
    assert_equal_to_dense(replace(KNOWN, daily=None, daily_days=None, group_counts=None), MANY)


def test_two_moments_one_after_the_other_have_trends_of_their_own() -> None:
    known = SparseParts(KNOWN)
    asked = [replace(MANY, asked=moment) for moment in (80.0, 110.0, 80.0)]
    found = [scores.at(np.arange(ITEMS)) for _, scores in known.scored(asked)]
    for one, scores in zip(asked, found, strict=True):
        np.testing.assert_allclose(scores, scores_of(KNOWN, one), rtol=1e-5, atol=1e-5)
    assert (found[0] != found[1]).any()


def test_a_catalogue_of_one_item_and_a_small_one() -> None:
    one = replace(drawn_history(1, items=1000), items=np.array([0]), followed=None)
    assert_equal_to_dense(drawn_parts(1), one)
    assert_equal_to_dense(drawn_parts(12), replace(one, items=np.array([4]), followed=(np.array([4, 7]), np.ones(2, np.float32))))


def test_what_all_items_share_has_no_variance() -> None:
    """The same terms and factors everywhere: what rounding leaves is not standardised."""
    alike = replace(
        KNOWN, terms=csr_matrix(np.tile(np.array([[0.6, 0.8] + [0.0] * (TERMS - 2)], np.float32), (ITEMS, 1))),
        item_factors=np.tile(np.array([[0.3, 0.1, 0.7, 0.9]], np.float32), (ITEMS, 1)),
    )  # fmt: skip
    features = sparse_of(alike, MANY).features(context_of(alike, MANY, np.arange(50)), np.arange(50))
    for part in ("als", "content", "content_whole", "content_rated", "affinity"):
        np.testing.assert_array_equal(features[FEATURES.index(part)], 0, err_msg=part)


@pytest.mark.parametrize("entries", [0, 1e9])
def test_the_sums_of_terms_by_pairs_and_by_products(monkeypatch: pytest.MonkeyPatch, entries: float) -> None:
    monkeypatch.setattr(sparse_scores, "ENTRIES_A_PAIR", entries)
    assert SparseParts(KNOWN).term_sums.pairs is not None
    for one in HISTORIES.values():
        assert_equal_to_dense(KNOWN, one)


def test_pieces_of_windows_and_terms_without_their_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_scores, "WINDOW_BYTES", 20_000)
    monkeypatch.setattr(sparse_scores, "PAIR_BYTES", 0)
    known = drawn_parts()
    assert SparseParts(known).term_sums.pairs is None
    assert_equal_to_dense(known, MANY)


def test_a_row_of_values_of_all_items() -> None:
    """Shared by histories or made for one: its sums, and the best and the ranks of unseen items."""
    values = KNOWN.item_history - np.float32(2)
    seen = np.array([3, 700, 1499])
    shown = Shown.of(seen, ITEMS, np.arange(ITEMS) % 3 == 0)
    unseen = np.setdiff1d(np.arange(ITEMS), seen)
    free = unseen[unseen % 3 != 0]
    expected = free[np.lexsort((free, -values[free]))]
    ranks = larger(values, seen)
    for row in (DenseRow.of("trending", values), DenseRow.of("trending", values, is_shared=False)):
        total, squares = row.sums()
        exact = values.astype(np.float64)
        np.testing.assert_allclose([total[0], squares[0]], [exact.sum(), (exact**2).sum()])
        above = expected[values[expected] > 0]
        assert list(row.best("trending", shown, 10_000, True)) == list(above) and len(above) < len(expected)
        assert list(row.best("trending", shown, 7, True)) == list(above[:7])
        assert list(row.best("trending", shown, 10_000, False)) == list(expected)
        np.testing.assert_array_equal(row.larger("trending", shown, values[unseen]), ranks[unseen])


@pytest.mark.parametrize("count", [0, 3, 10, 79, 80, 1000, 1001])
def test_the_largest_of_many_numbers_and_their_equals(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 50, count).astype(np.float32)
    limit = np.sort(values)[::-1][:10]
    expected = np.flatnonzero(values >= limit[-1]) if count >= 10 else np.arange(count)
    assert list(largest(values, 10)) == list(expected)


def brute_force_ranks(values: np.ndarray, seen: np.ndarray, items: np.ndarray) -> list[int]:
    """How many unseen values are larger than each, counted; equals of the thousandth count as it does."""
    others = np.sort(np.delete(values, seen))[::-1]
    counted = others[others > others[999]] if len(others) >= 1000 else others
    return [int((counted > value).sum()) for value in values[items]]


def test_ranks_are_counts() -> None:
    sparse, dense = sparse_of(KNOWN, MANY), scores_of(KNOWN, MANY)
    items = np.setdiff1d(np.arange(ITEMS), MANY.items)[::7]
    for part in RANKED:
        found = sparse._ranking(part).larger(part, sparse.shown, sparse.at(items)[SCORES.index(part)])
        assert list(found) == brute_force_ranks(dense[SCORES.index(part)], MANY.items, items), part


def blends() -> tuple[Blend, Blend]:
    """The same blend with sparse and with dense weights, of two drawn experts."""
    rng = np.random.default_rng(8)
    experts = tuple(Expert(name, tuple(rng.normal(0, 0.2, len(FEATURES))), -1.0, True) for name in ("random_holdout", "next_item"))
    ids = pa.array([f"i{n:04d}" for n in range(ITEMS)])
    sparse = Blend(ids, KNOWN, experts, 0.6, 1000, CANDIDATES)
    return sparse, replace(sparse, parts=replace(KNOWN, weights=KNOWN.weights.toarray()))


@pytest.mark.parametrize("is_explained", [False, True])
def test_lists_are_those_of_dense_weights_whatever_block_a_user_is_in(monkeypatch: pytest.MonkeyPatch, is_explained: bool) -> None:
    monkeypatch.setattr(sparse_scores, "BLOCK_HISTORIES", 3)
    sparse, dense = blends()
    hidden = np.arange(ITEMS) % 2 == 0
    histories = list(HISTORIES.values())[:-1]  # a user without a history has no row
    for away in (None, hidden):
        found = list(sparse.ranker(10, away, is_explained)(iter(histories)))
        expected = list(dense.ranker(10, away, is_explained)(iter(histories)))
        assert len(found) == len(histories)
        for name, own, theirs in zip(HISTORIES, found, expected, strict=False):
            assert list(own.items) == list(theirs.items), name
            np.testing.assert_allclose(own.scores, theirs.scores, rtol=1e-3, err_msg=name)
            if is_explained:
                np.testing.assert_array_equal(own.because, theirs.because, err_msg=name)
                np.testing.assert_allclose(own.parts, theirs.parts, rtol=1e-3, atol=1e-3, err_msg=name)
        assert [len(one.items) for one in found][5] == 0  # who has met everything
    alone = next(sparse.ranker(10)([histories[4]]))
    assert list(alone.items) == list(next(iter(sparse.ranker(10)(iter(histories[4:])))).items)


def test_a_block_is_read_as_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three histories at a time, not a whole partition's."""
    monkeypatch.setattr(sparse_scores, "BLOCK_HISTORIES", 3)
    read = []

    def histories() -> Iterator[History]:
        for n in range(7):
            read.append(n)
            yield MANY

    scored = SparseParts(KNOWN).scored(histories())
    next(scored)
    assert read == [0, 1, 2]
    assert len(list(scored)) == 6


def test_examples_of_sparse_scores_are_those_of_dense_ones() -> None:
    held = np.array([item for item in range(20) if item not in MANY.items])
    made = [examples(KNOWN, MANY, scores, "u", held, ("log_age",), CANDIDATES) for scores in
            (sparse_of(KNOWN, MANY), scores_of(KNOWN, MANY))]  # fmt: skip
    for column in ("user_id", "item", "label", "weight", "named", "held"):
        assert made[0].column(column) == made[1].column(column)
    features = [np.frombuffer(b"".join(each.column("features").to_pylist()), np.float32) for each in made]
    assert len(features[0]) > 100
    np.testing.assert_allclose(*features, rtol=1e-3, atol=1e-3)


def test_moments_of_the_dense_path_are_those_of_numpy() -> None:
    """The oracle beside an oracle of its own."""
    scores, unseen = scores_of(KNOWN, MANY), np.setdiff1d(np.arange(ITEMS), MANY.items)
    mean, deviation = moments(scores, MANY.items)
    np.testing.assert_allclose(mean, scores[:, unseen].mean(axis=1, dtype=np.float64), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(deviation, scores[:, unseen].std(axis=1, dtype=np.float64), rtol=1e-5)
