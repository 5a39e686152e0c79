"""One round of each algorithm on a compressed sparse row matrix: the arithmetic that the local and Spark engines share.

Row i of a matrix holds what node i pulls from: columns are neighbours in index order, so every sum has one order whatever
the number of blocks, and both engines add alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import igraph
import numpy as np
from scipy.sparse import csr_matrix

from shoal.arrays import Doubles, Ints

# Sums within this of the heaviest count as tied: 0.1 + 0.2 against 0.3 must not depend on the order of adding.
TIE_RATIO = 1e-9


def shifted_ranks(pulled: Doubles, pulled_total: float, damping: float, shares: Doubles | float) -> Doubles:
    """Ranks from the mass `pulled` along edges: damped, and what is missing from 1 by the nodes' `shares`, which sum to 1; one
    number where all are the same.

    What is missing is the teleport share (1 - damping) and the damped mass of sinks, which have no edge to send it along:
    Langville and Meyer, Google's PageRank and Beyond (2006), section 4.5.
    """
    return damping * pulled + (1.0 - damping * pulled_total) * shares


def rank_error(change: float, damping: float) -> float:
    """A bound on the summed distance of all ranks from the exact ones, given the summed change of the last round.

    A round brings any two rank vectors nearer by the factor `damping` in the sum of absolute differences, so the rest of
    the way is at most the geometric series: Langville and Meyer (2006), section 4.7.
    """
    return change * damping / (1.0 - damping)


def heaviest_labels(matrix: csr_matrix, neighbour_labels: Ints, own_labels: Ints) -> Ints:
    """Each row's label of greatest summed weight among its neighbours, the smallest one where several tie.

    `neighbour_labels` has one label a column of `matrix`. A row without neighbours, or with weight 0 only, keeps its own.
    """
    if not matrix.nnz:
        return own_labels.copy()
    votes = csr_matrix(
        (matrix.data, neighbour_labels[matrix.indices], matrix.indptr),
        shape=(matrix.shape[0], int(neighbour_labels.max()) + 1),
        copy=True,
    )
    votes.sum_duplicates()  # labels ascend within a row afterwards
    sizes = np.diff(votes.indptr)
    filled = np.flatnonzero(sizes)
    starts = votes.indptr[filled]
    heaviest = np.maximum.reduceat(votes.data, starts)
    is_best = votes.data >= np.repeat(heaviest * (1.0 - TIE_RATIO), sizes[filled])
    labels = np.where(is_best, votes.indices, np.iinfo(np.int64).max)
    best = np.minimum.reduceat(labels, starts)
    result = own_labels.copy()
    has_weight = heaviest > 0
    result[filled[has_weight]] = best[has_weight]
    return result


def h_indices(matrix: csr_matrix, neighbour_values: Ints) -> Ints:
    """Each row's h-index: the greatest h such that h of its neighbours have a value of h or more; 0 without neighbours.

    `neighbour_values` has one value a column of `matrix`; its data do not matter. O(entries log entries).
    """
    sizes = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), sizes)
    values = neighbour_values[matrix.indices]
    order = np.lexsort((-values, rows))
    place = np.arange(len(rows), dtype=np.int64) - np.repeat(matrix.indptr[:-1].astype(np.int64), sizes)
    # Values fall and places rise within a row, so those that hold are its first ones.
    holds = values[order] > place
    return np.bincount(rows[holds], minlength=matrix.shape[0]).astype(np.int64)


def pivot_sums(network: igraph.Graph, pivots: Sequence[int]) -> tuple[Doubles, Doubles, Doubles]:
    """Of each node: `through`, half the shares of shortest paths from the pivots that lead through it (Brandes 2001); `reached`,
    from how many other pivots a path leads to it; `distance`, the sum of their lengths. O(pivots x edges) time."""
    through = np.asarray(network.betweenness(directed=False, sources=list(pivots)), np.float64)
    reached, distance = np.zeros(network.vcount()), np.zeros(network.vcount())
    for pivot in pivots:
        steps = np.asarray(network.distances(source=[pivot])[0], np.float64)
        is_reached = np.isfinite(steps) & (steps > 0)
        reached += is_reached
        distance += np.where(is_reached, steps, 0.0)
    return through, reached, distance


def drawn_pivots(nodes: int, pivots: int, seed: int) -> Ints:
    """Indices of the pivots in id order: the same with every engine."""
    return np.sort(np.random.default_rng(seed).choice(nodes, min(pivots, nodes), replace=False)).astype(np.int64)
