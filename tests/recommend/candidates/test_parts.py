"""Parts and features of one history, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from shoal.recommend.candidates.parts import (
    BREADTH_CENTRE,
    FEATURES,
    HISTORY_CENTRE,
    PARTS,
    RANK_LIMIT,
    REASONS,
    SCORES,
    Parts,
    context_of,
    contributions_of,
    features_of,
    larger,
    logits_of,
    parts_of,
    scores_of,
    with_products,
)
from shoal.recommend.ranking.history_top_k import History

# Three items: 0 and 1 are met, the newest is 0, and 1 lies two events before it.
ONE = History(
    np.array([0, 1]), np.array([1, 1], np.float32), np.array([0, 2]), np.array([2.0], np.float32),
    np.array([4.0, np.nan], np.float32), np.array([100.0, 90.0]), (np.array([2, 0]), np.array([3.0, 0.5], np.float32)),
    np.array([0, 1]),
)  # fmt: skip
KNOWN = Parts(
    weights=np.array([[0, 1, 2], [4, 0, 8], [0, 0, 0]], np.float32),
    transitions=csr_matrix(np.array([[0, 0, 5], [1, 0, 3], [9, 9, 9]], np.float32)),
    walk=csr_matrix(np.array([[0, 2, 4], [6, 0, 0], [9, 9, 9]], np.float32)),
    terms=csr_matrix(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)),
    item_factors=np.array([[1], [2], [3]], np.float32),
    log_popularity=np.log1p(np.array([1, 2, 4], np.float32)),
    item_history=np.array([1, 2, 3], np.float32),
    item_rating=np.array([0.5, 0.6, 0.7], np.float32),
    first_day=np.array([10.0, 90.0, 103.0]),
    last_day=np.array([97.0, 90.0, 103.0]),
    max_rating=5.0,
    # Item 0 has two events on day 40, item 1 one the day before the last of the history, item 2 nine on that day itself.
    daily=csr_matrix(np.array([[2, 0, 0], [0, 1, 0], [0, 0, 9]], np.float32)),
    daily_days=np.array([40.0, 99.0, 100.0]),
    group_counts=csr_matrix(np.array([[2, 0, 1], [0, 3, 0]], np.float32)),
    group_names=("country=pt", "language=pt"),
)


def test_parts_of_a_history_by_hand() -> None:
    # Item 1 is two events back: it counts 2 ** -(2 / life).
    five = 2**-0.4
    # Of the items with both terms each term has half. Users: 1, 2 and 4; so 3 events of the one term and 4 of the other.
    usual = np.array([3 / 7, 4 / 7])
    odds = np.log((0.5 + 0.02 * usual) / (1.02 * usual))
    expected = {
        "whole": [4, 1, 10], "recent_2": [2, 1, 6], "recent_5": [4 * five, 1, 2 + 8 * five],
        "recent_20": [4 * 2**-0.1, 1, 2 + 8 * 2**-0.1],
        # 4 of 5 points for item 0; item 1 has no rating.
        "rated": [4, 0.8, 1.6 + 8], "nearest": [4, 1, 8],
        # Both events lie in one window.
        "best_window_10": [4, 1, 10], "best_window_30": [4, 1, 10],
        "transitions": [five, 0, 5 + 3 * five],
        "als": [2, 4, 6],
        # From either item of the history as often: (6, 2, 4) / 2.
        "walk": [3, 1, 2],
        # Of the newest events a share of 1 and one of 2 ** -0.4, together 1.
        "content": [1 / (1 + five), five / (1 + five), (0.6 + 0.8 * five) / (1 + five)],
        "content_whole": [0.5, 0.5, 0.7],
        # Of 0.8 and 1 the mean is 0.9.
        "content_rated": [-0.05, 0.05, -0.05 * 0.6 + 0.05 * 0.8],
        "affinity": [odds[0], odds[1], odds.mean()],
        # Day 40 is more than five weeks before the last event; the last day is not over. It ends 59 days after day 40.
        "followed": [0.5, 0, 3], "trending": [0, np.log(2), 0], "trend_60": [np.log1p(2 * 2 ** (-59 / 60)), np.log(2), 0],
        # Three preferences of either group, of which items of 1, 2 and 4 of 7 preferences would have 3/7, 6/7 and 12/7.
        "demographic": np.log([7, 5, 6]) + np.log([5, 8, 5]) - 2 * np.log(np.array([3, 6, 12]) / 7 + 5),
        "log_popularity": np.log([2, 3, 5]), "log_history": [np.log(3)] * 3,
        "item_history": [1, 2, 3], "item_rating": [0.5, 0.6, 0.7],
        "popularity_match": -np.abs(np.log([2, 3, 5]) - np.log([2, 3]).mean()),
        "history_match": -np.abs(np.array([1, 2, 3]) - np.log(3)),
        # Item 2 is first met three days after the last event; item 0 was new 90 days before it and last met 3 days before it.
        "log_unborn": [0, 0, np.log(4)], "log_age": [np.log(91), np.log(11), 0], "log_idle": [np.log(4), np.log(11), 0],
        # Two terms in equal shares.
        "breadth": [np.log(2)] * 3,
    }  # fmt: skip
    found = parts_of(KNOWN, ONE)
    for row, part in enumerate(PARTS):
        np.testing.assert_allclose(found[row], expected[part], rtol=1e-5, atol=1e-6, err_msg=part)
    np.testing.assert_allclose(parts_of(KNOWN, ONE, np.array([2, 0])), found[:, [2, 0]], rtol=1e-5)


def test_what_was_met_and_not_liked_speaks_for_nothing() -> None:
    disliked = replace(ONE, strengths=np.array([1, 0], np.float32))
    found = dict(zip(PARTS, parts_of(KNOWN, disliked), strict=True))
    np.testing.assert_array_equal(found["nearest"], [0, 1, 2])
    # One term is left.
    np.testing.assert_array_equal(found["breadth"], 0)
    sparse = dict(zip(PARTS, parts_of(replace(KNOWN, weights=csr_matrix(KNOWN.weights)), disliked), strict=True))
    np.testing.assert_array_equal(sparse["nearest"], [0, 1, 2])


def test_trends_are_of_the_time_that_is_asked_for() -> None:
    place = [PARTS.index("trending"), PARTS.index("trend_60")]
    # A day later the ninth event of item 2 counts; without a time nothing does.
    later = np.log1p([[0, 2 ** (-1 / 7), 9], [2 * 2 ** (-60 / 60), 2 ** (-1 / 60), 9]])
    np.testing.assert_allclose(parts_of(KNOWN, replace(ONE, asked=101.5))[place], later, rtol=1e-6)
    np.testing.assert_array_equal(parts_of(KNOWN, replace(ONE, days=None))[place], 0)
    # A model of before knows one number an item, of the end of its data.
    old = replace(KNOWN, daily=None, daily_days=None, trend=np.array([0.1, 0.2, 0.3], np.float32))
    np.testing.assert_allclose(parts_of(old, ONE)[place], [[0.1, 0.2, 0.3], [0, 0, 0]], rtol=1e-6)
    assert (KNOWN.last_moment, old.last_moment) == (101.0, None)


def test_the_best_window_is_two_neighbouring_halves() -> None:
    # Twenty events, the one `back` places from the end weighs 1 for item 0; four old ones weigh 5.
    weights = np.zeros((21, 21), np.float32)
    weights[:20, 20] = 1
    weights[[12, 13, 16, 17], 20] = 5
    places = np.arange(20)
    many = History(places, np.ones(20, np.float32), places, None, None, places.astype(np.float64))
    known = replace(
        KNOWN, weights=weights, transitions=csr_matrix((21, 21)), walk=csr_matrix((21, 21)), terms=csr_matrix((21, 2)),
        item_factors=np.zeros((21, 1), np.float32), log_popularity=np.zeros(21, np.float32), item_history=np.zeros(21, np.float32),
        item_rating=np.zeros(21, np.float32), first_day=np.full(21, np.nan), last_day=np.full(21, np.nan),
        daily=None, daily_days=None, group_counts=None,
    )  # fmt: skip
    found = dict(zip(PARTS, parts_of(known, many)[:, 20], strict=True))
    # Events 10 to 19: six of 1 and four of 5; there are not two windows of 30.
    assert (found["best_window_10"], found["best_window_30"], found["whole"]) == (26, 36, 36)
    timeless = dict(zip(PARTS, parts_of(known, replace(many, days=np.full(20, np.nan)))[:, 20], strict=True))
    assert (timeless["best_window_10"], timeless["log_age"]) == (0, 0)


def test_features_are_standard_over_unseen_items_and_products_with_the_length() -> None:
    parts = np.zeros((len(PARTS), 4), np.float32)
    parts[SCORES.index("whole")] = [100, 1, 2, 3]
    parts[SCORES.index("als")] = 7  # the same for all
    parts[PARTS.index("log_history")] = 5.0
    parts[PARTS.index("log_popularity")] = [1, 2, 3, 4]
    parts[SCORES.index("affinity")] = [9, 6, 4, 2]
    parts[PARTS.index("breadth")] = 3.0
    scores, context = parts[: len(SCORES)], parts[len(SCORES) :]
    found = features_of(scores, context, np.array([0]))
    own = list(FEATURES[: len(found)])
    spread = np.sqrt(2 / 3)
    np.testing.assert_allclose(found[own.index("whole"), 1:], [-1 / spread, 0, 1 / spread], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found[own.index("log_rank_whole"), 1:], np.log([3, 2, 1]), rtol=1e-5)
    np.testing.assert_array_equal(found[own.index("als")], 0)
    np.testing.assert_array_equal(found[own.index("log_popularity")], [1, 2, 3, 4])
    expected = (np.array([6, 2]) - 4) / np.sqrt(8 / 3) * (3 - BREADTH_CENTRE)
    np.testing.assert_allclose(found[own.index("affinity*breadth")][[1, 3]], expected, rtol=1e-5)
    np.testing.assert_array_equal(features_of(scores, context[:, [3, 1]], np.array([0]), np.array([3, 1])), found[:, [3, 1]])
    rows = with_products(found.T.astype(np.float64))
    assert rows.shape == (4, len(FEATURES))
    assert rows[3, FEATURES.index("log_popularity*log_history")] == 4 * (5 - HISTORY_CENTRE)
    coefficients = np.random.default_rng(1).normal(size=(2, len(FEATURES)))
    expected = coefficients @ rows.T + np.array([[1.0], [2.0]])
    np.testing.assert_allclose(logits_of(found, coefficients, np.array([1.0, 2.0])), expected, rtol=1e-4, atol=1e-4)


def test_contributions_of_the_reasons_are_the_logit_beside_the_other_candidates() -> None:
    rng = np.random.default_rng(3)
    own = [name for name in FEATURES if not name.endswith("*log_history")]
    features = rng.normal(size=(len(own), 5)).astype(np.float32)
    features[own.index("log_history")] = 5.5
    coefficients, shares = rng.normal(size=(2, len(FEATURES))), np.array([0.7, 0.3], np.float32)
    found = contributions_of(features, coefficients, shares)
    logits = shares @ logits_of(features, coefficients, np.zeros(2))
    np.testing.assert_allclose(found.sum(axis=0), logits - logits.mean(), rtol=1e-4, atol=1e-4)
    # Transitions alone: the score, its rank, and both times the length.
    alone = np.zeros(len(FEATURES))
    alone[[FEATURES.index(name) for name in ("transitions", "log_rank_transitions", "transitions*log_history")]] = 1.0
    only = contributions_of(features, np.array([alone]), np.ones(1, np.float32))
    score, rank = features[own.index("transitions")], features[own.index("log_rank_transitions")]
    expected = (1 + 5.5 - HISTORY_CENTRE) * score + rank
    np.testing.assert_allclose(only[list(REASONS).index("next")], expected - expected.mean(), rtol=1e-4, atol=1e-5)
    assert not only[[n for n, name in enumerate(REASONS) if name != "next"]].any()


def test_ranks_beyond_the_limit_are_one() -> None:
    scores = np.arange(RANK_LIMIT + 10, dtype=np.float32)[::-1].copy()
    found = larger(scores, np.array([0, 1]))
    # Two seen items count for nobody; a tie has one rank.
    np.testing.assert_array_equal(found[:5], [0, 0, 0, 1, 2])
    assert found.max() == RANK_LIMIT - 1
    np.testing.assert_array_equal(larger(np.array([3, 1, 3, 0], np.float32), np.array([], np.int64)), [0, 2, 0, 3])


@pytest.mark.parametrize("seen", [[0, 1, 2], []])
def test_a_user_who_has_met_everything_or_nothing_is_defined(seen: list[int]) -> None:
    empty = np.array(seen, np.int64)
    one = History(empty, np.ones(len(seen), np.float32), np.arange(len(seen)), None)
    found = features_of(scores_of(KNOWN, one), context_of(KNOWN, one), empty)
    assert found.shape[1] == 3 and np.isfinite(found).all()
