"""What a source computes from its own texts in a round: the sum of its people's clipped gradients, or of their label counts. No
Spark.

A unit is whose contribution is bounded: a person, or a text. All rows of a unit lie in one block. The gradient is that of the log
loss of a softmax (of a logistic function for two labels) over texts of length 1, each row times the weight of its label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from shoal.arrays import Doubles, Ints


@dataclass(frozen=True)
class Block:
    """Texts of one source. `features`: a row per text, a column per bucket of terms; `units`: of each text the number of its unit,
    from 0, ascending; `target`: the place of its label."""

    features: csr_matrix
    units: Ints
    target: Ints


@dataclass(frozen=True)
class UnitSums:
    """A sum over units, none adding a vector longer than the bound. `clipped`: units that were shortened to it; `loss`: sum of the
    rows' log losses in nats (0 for counts)."""

    total: Doubles
    rows: int
    units: int
    clipped: int
    loss: float


def block_of(sizes: Ints, columns: Ints, units: Ints, target: Ints, buckets: int) -> Block:
    """The block of texts of which each has `sizes` different buckets, all in `columns`. A text is a vector of length 1, or of zeros
    where it has no word."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    return Block(csr_matrix((values, columns, starts), shape=(len(sizes), buckets)), units, target)


def clipped_gradients(block: Block, parameters: Doubles, label_weights: Doubles, clip_norm: float) -> UnitSums:
    """Sum the units' gradients at `parameters`, each shortened to at most `clip_norm`.

    `parameters` and the total: a row per label (two labels: one row, of the second), a column per bucket and the intercept last.
    Cost: a few passes over the terms a label; the units' sums keep a number per unit, label and bucket that its texts have.
    """
    rows = np.arange(len(block.target))
    margins = block.features @ parameters[:, :-1].T + parameters[:, -1]
    if len(parameters) == 1:
        margins = np.column_stack([np.zeros(len(rows)), margins])
    logs = log_softmax(margins, axis=1)
    errors = np.exp(logs)
    errors[rows, block.target] -= 1
    errors *= label_weights[block.target][:, None]
    if len(parameters) == 1:
        errors = errors[:, 1:]
    by_unit = _by_unit(block)
    offsets = by_unit @ errors
    slopes = [by_unit @ _scaled(block.features, errors[:, label]) for label in range(errors.shape[1])]
    squares = (offsets**2).sum(axis=1)
    for each in slopes:
        squares += np.asarray(each.multiply(each).sum(axis=1)).ravel()
    shares = _shares(np.sqrt(squares), clip_norm)
    total = np.column_stack([np.stack([each.T @ shares for each in slopes]), offsets.T @ shares])
    return UnitSums(total, len(rows), len(shares), int((shares < 1).sum()), float(-logs[rows, block.target].sum()))


def clipped_label_counts(block: Block, labels: int) -> UnitSums:
    """Sum the units' texts by label, each unit's counts shortened to a vector of length 1 at most: one text counts whole."""
    counts = _by_unit(block) @ np.eye(labels)[block.target]
    shares = _shares(np.sqrt((counts**2).sum(axis=1)), 1.0)
    return UnitSums(shares @ counts, len(block.target), len(shares), int((shares < 1).sum()), 0.0)


def _shares(norms: Doubles, bound: float) -> Doubles:
    """What each vector is multiplied by, so that none is longer than the bound."""
    return np.asarray(np.minimum(1.0, bound / np.maximum(norms, 1e-300)))


def _by_unit(block: Block) -> csr_matrix:
    """The matrix that sums rows by unit."""
    rows = len(block.units)
    units = int(block.units[-1]) + 1 if rows else 0
    return csr_matrix((np.ones(rows), (block.units, np.arange(rows))), shape=(units, rows))


def _scaled(features: csr_matrix, factors: Doubles) -> csr_matrix:
    """The rows, each times its factor."""
    made = features.copy()
    made.data *= np.repeat(factors, np.diff(features.indptr))
    return made
