"""Sums over units that no unit changes by more than the bound: literal texts, gradients worked out by hand, and numerically."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_softmax
from shoal.mine.text.clipped_updates import Block, block_of, clipped_gradients, clipped_label_counts

HALF = 0.5 / math.sqrt(2)


def three_texts() -> Block:
    """Unit 0 has texts of buckets 0 and 1, and of 0, both of label 1; unit 1 has one of bucket 2 and label 0."""
    return block_of(np.array([2, 1, 1]), np.array([0, 1, 0, 2]), np.array([0, 0, 1]), np.array([1, 1, 0]), 4)


def test_a_texts_vector_has_length_one_or_is_zero() -> None:
    block = block_of(np.array([4, 0, 1]), np.array([0, 1, 2, 3, 2]), np.array([0, 1, 2]), np.array([0, 0, 1]), 5)
    assert block.features.toarray().tolist() == [[0.5, 0.5, 0.5, 0.5, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_gradients_by_hand() -> None:
    """At zero every label has probability 1/2: the error is -1/2 for a text of label 1, and 1/2 for one of label 0."""
    whole = clipped_gradients(three_texts(), np.zeros((1, 5)), np.ones(2), 10.0)
    assert whole.total.tolist() == [pytest.approx([-HALF - 0.5, -HALF, 0.5, 0.0, -0.5])]
    assert (whole.rows, whole.units, whole.clipped, whole.loss) == (3, 2, 0, pytest.approx(3 * math.log(2)))
    # Unit 0 alone is sqrt(.8536^2 + .3536^2 + 1) = 1.3615 long, unit 1 .7071: the first is shortened to 1.
    share = 1 / math.sqrt((HALF + 0.5) ** 2 + HALF**2 + 1)
    clipped = clipped_gradients(three_texts(), np.zeros((1, 5)), np.ones(2), 1.0)
    assert clipped.total.tolist() == [pytest.approx([-share * (HALF + 0.5), -share * HALF, 0.5, 0.0, 0.5 - share])]
    assert clipped.clipped == 1
    # The weight of a label is that of its texts' gradients: label 0 has unit 1 alone, three times .7071 is shortened too.
    weighted = clipped_gradients(three_texts(), np.zeros((1, 5)), np.array([3.0, 1.0]), 1.0)
    assert weighted.total[0, 2] == pytest.approx(1 / math.sqrt(2))
    assert weighted.clipped == 2


def test_without_clipping_it_is_the_gradient_of_the_log_loss() -> None:
    """Three labels, against differences of the loss itself."""
    drawn = np.random.default_rng(3)
    sizes = drawn.integers(0, 4, 30)
    columns = np.concatenate([drawn.permutation(6)[:size] for size in sizes])
    units, target = np.sort(drawn.integers(0, 9, 30)), drawn.integers(0, 3, 30)
    block = block_of(sizes, columns, np.unique(units, return_inverse=True)[1], target, 6)
    at = drawn.normal(size=(3, 7))

    def loss(parameters: np.ndarray) -> float:
        margins = block.features.toarray() @ parameters[:, :-1].T + parameters[:, -1]
        return -float(log_softmax(margins, axis=1)[np.arange(30), target].sum())

    found = clipped_gradients(block, at, np.ones(3), 1e9)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-6
        assert found.total[place] == pytest.approx((loss(at + step) - loss(at - step)) / 2e-6, abs=1e-6)
    assert found.loss == pytest.approx(loss(at))


def test_no_unit_changes_a_sum_by_more_than_the_bound() -> None:
    """A person with a thousand texts of one kind counts as any other. Each unit's texts are taken away in turn."""
    drawn = np.random.default_rng(5)
    units = np.sort(np.concatenate([np.zeros(1000, int), drawn.integers(1, 8, 60)]))
    sizes, target = np.ones(len(units), int), drawn.integers(0, 2, len(units))
    columns = np.where(units == 0, 0, drawn.integers(0, 5, len(units)))
    at, weights = drawn.normal(size=(1, 6)), np.array([1.0, 4.0])

    def sums(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        block = block_of(sizes[kept], columns[kept], np.unique(units[kept], return_inverse=True)[1], target[kept], 5)
        return clipped_gradients(block, at, weights, 0.5).total, clipped_label_counts(block, 2).total

    gradient, counts = sums(units >= 0)
    longest = [[np.linalg.norm(gradient - without), np.linalg.norm(counts - fewer)]
               for without, fewer in (sums(units != unit) for unit in range(8))]  # fmt: skip
    assert np.max(longest, axis=0).tolist() == pytest.approx([0.5, 1.0])


def test_counts_of_labels_by_hand() -> None:
    """Unit 0 has two texts of label 1 and counts as one; unit 1 one of label 0; (1, 1) would become (.7071, .7071)."""
    found = clipped_label_counts(three_texts(), 3)
    assert found.total.tolist() == pytest.approx([1, 1, 0])
    assert (found.rows, found.units, found.clipped, found.loss) == (3, 2, 1, 0.0)
    both = Block(three_texts().features, np.array([0, 0, 1]), np.array([0, 1, 2]))
    assert clipped_label_counts(both, 3).total.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 1])
