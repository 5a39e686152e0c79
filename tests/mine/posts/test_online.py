"""Predictions that follow an author: the past corrects them, the post itself does not."""

from __future__ import annotations

import numpy as np
from shoal.mine.posts.engagement import whole_authors
from shoal.mine.posts.online import follow_author

SPREAD = np.array([0.0, 1.0, 2.0])


def shifted(posts: int = 600, seed: int = 0) -> tuple[np.ndarray, ...]:
    """times, truth, model, recent of an author whose level rises by 3 after half of the posts, which the model does not know."""
    draw = np.random.default_rng(seed)
    truth = 5 + draw.normal(0, 0.5, posts) + np.where(np.arange(posts) >= posts // 2, 3.0, 0.0)
    recent = np.array([truth[max(0, i - 5) : i].mean() if i else 5.0 for i in range(posts)])
    return np.arange(posts), truth, np.full(posts, 5.0), recent


def test_intervals_hold_their_share_through_a_shift_of_level() -> None:
    times, truth, model, recent = shifted()
    found = follow_author(times, truth, model, recent, SPREAD, 0.8)
    held = (found.low <= truth) & (truth <= found.high)
    assert 0.76 < held.mean() < 0.84
    assert held[400:].mean() > 0.74
    # A fixed interval of the model's early errors misses nearly all after the shift.
    fixed = np.quantile(np.abs(truth - model)[:300], 0.8)
    assert (np.abs(truth - model) <= fixed)[300:].mean() < 0.01


def test_never_much_worse_than_the_mean_of_the_last_five() -> None:
    times, truth, model, recent = shifted()
    wrong = model + np.random.default_rng(1).normal(0, 3, len(model))
    found = follow_author(times, truth, wrong, recent, SPREAD, 0.8)
    assert np.abs(found.predicted - truth)[100:].mean() < 1.05 * np.abs(recent - truth)[100:].mean()


def test_a_post_changes_only_later_predictions_and_not_those_of_its_moment() -> None:
    times, truth, model, recent = shifted(50)
    times[21] = times[20]
    other = truth.copy()
    other[20] += 10
    before, after = (follow_author(times, t, model, recent, SPREAD, 0.8).predicted for t in (truth, other))
    assert np.array_equal(before[:22], after[:22])
    assert before[22] != after[22]


def test_hidden_counts_teach_nothing_and_an_unknown_author_has_the_model_and_the_general_spread() -> None:
    hidden = follow_author(np.arange(3), np.full(3, np.nan), np.array([1.0, 2.0, 3.0]), np.zeros(3), SPREAD, 0.5)
    assert hidden.predicted.tolist() == [1.0, 2.0, 3.0]
    assert (hidden.high - hidden.predicted).tolist() == [1.0, 1.0, 1.0]
    assert hidden.confidence.tolist() == [0.5, 0.5, 0.5]
    assert hidden.low.tolist() == [0.0, 1.0, 2.0]
    assert len(follow_author(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0), SPREAD, 0.8).low) == 0


def test_authors_are_whole_whatever_the_batches_are() -> None:
    import pandas as pd

    frame = pd.DataFrame({"author_id": list("aaabbc"), "n": range(6)})
    for size in (1, 2, 4, 6):
        batches = [frame.iloc[i : i + size] for i in range(0, 6, size)]
        assert [group["n"].tolist() for group in whole_authors(batches)] == [[0, 1, 2], [3, 4], [5]]
    assert list(whole_authors([frame.iloc[:0]])) == []
