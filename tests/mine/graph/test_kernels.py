"""One round of the arithmetic, against the words of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from shoal.mine.graph.kernels import heaviest_labels, rank_error, shifted_ranks


@st.composite
def votes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix of small whole weights, some 0, a label for each column, and own labels."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    weights = draw(st.lists(st.lists(st.integers(0, 3), min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 4), min_size=columns, max_size=columns))
    return np.array(weights, float), np.array(labels), np.arange(100, 100 + rows)


@given(votes())
@settings(max_examples=200, deadline=None)
def test_the_heaviest_label_wins_and_the_smallest_of_ties(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    weights, labels, own = case
    expected = []
    for row, mine in zip(weights, own, strict=True):
        sums = {int(label): row[labels == label].sum() for label in labels}
        most = max(sums.values())
        expected.append(min(label for label, total in sums.items() if total == most) if most > 0 else mine)
    assert heaviest_labels(csr_matrix(weights), labels, own).tolist() == expected


def test_votes_leave_the_matrix_as_it_was() -> None:
    matrix = csr_matrix(np.array([[1.0, 2.0, 3.0]]))
    heaviest_labels(matrix, np.array([7, 5, 7]), np.array([0]))
    assert matrix.data.tolist() == [1.0, 2.0, 3.0]
    assert matrix.indices.tolist() == [0, 1, 2]


def test_what_is_missing_from_one_is_spread_evenly() -> None:
    # Two of four nodes pulled 0.3 and 0.2; the other half of the mass sat on sinks: 0.85 * 0.5 + 0.15 over four nodes.
    ranks = shifted_ranks(np.array([0.3, 0.2, 0.0, 0.0]), 0.5, 0.85, 1 / 4)
    assert ranks == pytest.approx([0.85 * 0.3 + 0.14375, 0.85 * 0.2 + 0.14375, 0.14375, 0.14375])
    assert ranks.sum() == pytest.approx(1.0)


def test_the_error_is_the_rest_of_the_series() -> None:
    assert rank_error(1.0, 0.5) == pytest.approx(sum(0.5**n for n in range(1, 60)))
