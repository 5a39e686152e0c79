"""A classifier of one set of texts as the prior of another: refitted on few texts of another domain, or with other labels.

The margins of the new classifier are A m(x) + V x + b, m being those of the first. Of the penalised log loss,

    sum of weight x log loss + |V|^2 / 2C + |A - A0|^2 / 2 + |b|^2 / 2,

the minimum is the most probable classifier under a Gaussian prior around the first one (A0 is the identity where the labels are the
same, else 0: then the first one's margins are features). A m(x) + V x is linear in the terms, so the result is a classifier as any
other. Evgeniou and Pontil, "Regularized Multi-Task Learning", KDD 2004, have the distance to a common model as the penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedGroupKFold

from shoal.arrays import Doubles, Ints
from shoal.mine.text.linear import Weights
from shoal.mine.text.search import label_weights
from shoal.mine.text.term_matrix import TermMatrix, Weighting

FOLDS = 5
# C of the distance to the prior; below 1 the first classifier hardly changes, above 100 the small set decides alone.
INVERSE_PENALTIES = (1.0, 10.0, 100.0)
# Up to so many rows are fitted in the space that they span, which has no more numbers than rows: 8 MB.
SPANNED_ROWS = 1000


@dataclass(frozen=True)
class Prior:
    """A trained linear classifier: its vocabulary, idf, and a row of coefficients and an intercept for each label."""

    labels: tuple[str, ...]
    vocabulary: tuple[str, ...]
    idf: Doubles
    coefficients: Doubles
    intercepts: Doubles


@dataclass(frozen=True)
class Space:
    """A small set over the terms of the prior and its own (`vocabulary`, `idf`): its `vectors`, and the prior's `coefficients` (a
    row per label, a column per term, 0 for new ones) and `intercepts`."""

    vocabulary: tuple[str, ...]
    idf: Doubles
    vectors: csr_matrix
    coefficients: Doubles
    intercepts: Doubles

    @property
    def margins(self) -> Doubles:
        """The first classifier's, a row per text."""
        return np.asarray(self.vectors @ self.coefficients.T + self.intercepts)


@dataclass(frozen=True)
class _Map:
    """A minimum: `mixing` (A), `change` (V), `intercepts` (b)."""

    mixing: Doubles
    change: Doubles
    intercepts: Doubles

    def margins(self, first: Doubles, vectors: csr_matrix | Doubles) -> Doubles:
        return np.asarray(first @ self.mixing.T + vectors @ self.change.T + self.intercepts)


def prior_of(labels: Sequence[str], vocabulary: Sequence[str], idf: Doubles, coefficients: Doubles, intercepts: Doubles) -> Prior:
    """The prior of a classifier's numbers; of two labels with one row of coefficients the first label's are 0."""
    if len(coefficients) == 1:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([[0.0], intercepts])
    return Prior(tuple(labels), tuple(vocabulary), idf, coefficients, intercepts)


def space_of(matrix: TermMatrix, rows: np.ndarray, prior: Prior, min_document_count: int) -> Space:
    """All texts of `matrix` over the prior's terms, with its idf, and those that `min_document_count` of `rows` (boolean) have
    besides, with theirs. The prior's terms that no text has come last: texts that are scored later may have them."""
    known = {term: n for n, term in enumerate(prior.vocabulary)}
    counts = np.bincount(matrix.presence[rows].indices, minlength=len(matrix.vocabulary))
    ours = np.array([known.get(term, -1) for term in matrix.vocabulary], dtype=np.int64)
    kept = np.flatnonzero((ours >= 0) | (counts >= max(1, min_document_count)))
    unseen = np.setdiff1d(np.arange(len(prior.vocabulary)), ours)
    place = np.concatenate([ours[kept], unseen])
    from_prior = place >= 0
    idf = np.log((int(rows.sum()) + 1) / (np.concatenate([counts[kept], np.zeros(len(unseen))]) + 1))
    idf[from_prior] = prior.idf[place[from_prior]]
    coefficients = np.zeros((len(prior.labels), len(place)))
    coefficients[:, from_prior] = prior.coefficients[:, place[from_prior]]
    found = Weighting(kept, idf[: len(kept)]).vectors(matrix.presence)
    vectors = csr_matrix((found.data, found.indices, found.indptr), shape=(found.shape[0], len(place)))
    vocabulary = (*matrix.vocabulary[kept].tolist(), *(prior.vocabulary[n] for n in unseen))
    return Space(vocabulary, idf, vectors, coefficients, prior.intercepts)


def search_and_fit(
    space: Space, target: Ints, rows: np.ndarray, labels: Sequence[str], prior: Prior, powers: Sequence[float], seed: int,
    judge: Callable[[Doubles, Ints], float],
) -> tuple[Weights, dict[str, float], Doubles, Ints]:  # fmt: skip
    """The classifier of `rows` (boolean), its settings, and out-of-fold probabilities of these rows with their targets.

    Settings (C, the power of the labels' weights) are those of the largest `judge(probabilities, targets)` out of FOLDS folds,
    equal texts in one; ties go to the earlier. Few rows: no part of them is spared for the search.
    """
    first, terms, truth = space.margins[rows], space.vectors[rows], target[rows]
    folds = _folds(terms, truth, seed)
    vectors, back = _spanned(terms) if len(truth) <= SPANNED_ROWS else (terms, None)
    mixing = same_labels(labels, prior.labels)

    def out_of_fold(settings: Mapping[str, float]) -> Doubles:
        given = np.zeros((len(truth), len(labels)))
        for train, held in folds:
            weights = _weights(labels, truth[train], settings)
            fitted = fit_map(first[train], vectors[train], truth[train], weights, settings, mixing)
            given[held] = np.exp(log_softmax(fitted.margins(first[held], vectors[held]), axis=1))
        return given

    tried = [{"inverse_penalty": c, "class_weight_power": float(power)} for c in INVERSE_PENALTIES for power in powers]
    found = [(settings, out_of_fold(settings)) for settings in tried]
    settings, given = max(found, key=lambda one: judge(one[1], truth))
    fitted = fit_map(first, vectors, truth, _weights(labels, truth, settings), settings, mixing)
    if back is not None:
        fitted = replace(fitted, change=np.asarray((fitted.change @ back) @ terms))
    return weights_of(fitted, space), settings, given, truth


def _spanned(vectors: csr_matrix) -> tuple[Doubles, Doubles]:
    """The rows as few numbers with the same products among them, and the matrix that leads back: coefficients c of these numbers
    are (c @ it) @ vectors of the terms, of equal length. The optimum of the penalised loss is a sum of rows (the representer
    theorem), so nothing is lost."""
    values, found = np.linalg.eigh((vectors @ vectors.T).toarray())
    kept = values > values[-1] * 1e-10
    roots = np.sqrt(values[kept])
    return found[:, kept] * roots, (found[:, kept] / roots).T


def same_labels(labels: Sequence[str], others: Sequence[str]) -> Doubles:
    """A row per label, a column per other one: 1 where both are the same in any case and all labels are; else all 0."""
    ours, theirs = [name.casefold() for name in labels], [name.casefold() for name in others]
    found = np.array([[float(a == b) for b in theirs] for a in ours])
    return found if set(ours) <= set(theirs) else np.zeros_like(found)


def fit_map(
    first: Doubles, vectors: csr_matrix | Doubles, target: Ints, weights: Sequence[float], settings: Mapping[str, float],
    mixing: Doubles,
) -> _Map:  # fmt: skip
    """The minimum of the penalised loss (module docstring). `first`: margins of the prior; `mixing`: A0; `weights`: of a label's
    rows."""
    labels, others, terms = len(mixing), mixing.shape[1], vectors.shape[1]
    # A term that no text has keeps its coefficient.
    used = np.unique(vectors.indices) if isinstance(vectors, csr_matrix) else np.arange(terms)
    small = vectors[:, used]
    weight, hit = np.asarray(weights)[target], np.eye(labels)[target]
    sizes = labels * others, labels * len(used)

    def parts(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        return (x[: sizes[0]].reshape(labels, others), x[sizes[0] : sum(sizes)].reshape(labels, len(used)), x[sum(sizes) :])

    def loss(x: Doubles) -> tuple[float, Doubles]:
        a, v, b = parts(x)
        logs = log_softmax(first @ a.T + small @ v.T + b, axis=1)
        change = (np.exp(logs) - hit) * weight[:, None]
        penalty = (v**2).sum() / settings["inverse_penalty"] + ((a - mixing) ** 2).sum() + (b**2).sum()
        by_term = (small.T @ change).T + v / settings["inverse_penalty"]
        gradients = (change.T @ first + a - mixing, by_term, change.sum(axis=0) + b)
        return float(-(logs * hit).sum(axis=1) @ weight + penalty / 2), np.concatenate([g.ravel() for g in gradients])

    start = np.concatenate([mixing.ravel(), np.zeros(sizes[1] + labels)])
    a, v, b = parts(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-7}).x)
    change = np.zeros((labels, terms))
    change[:, used] = v
    return _Map(a, change, b)


def weights_of(fitted: _Map, space: Space) -> Weights:
    """The coefficients over the terms of `space`; of two labels one row, of the second."""
    coefficients = fitted.mixing @ space.coefficients + fitted.change
    intercepts = fitted.mixing @ space.intercepts + fitted.intercepts
    if len(coefficients) == 2:
        return Weights(coefficients[1:] - coefficients[:1], intercepts[1:] - intercepts[:1])
    return Weights(coefficients, intercepts)


def _weights(labels: Sequence[str], target: Ints, settings: Mapping[str, float]) -> list[float]:
    counts = {name: int((target == n).sum()) for n, name in enumerate(labels)}
    return label_weights(labels, counts, settings)


def _folds(vectors: csr_matrix, target: Ints, seed: int) -> list[tuple[Ints, Ints]]:
    """Rows to fit and to judge on, FOLDS times, labels spread; equal vectors, which lie beside each other, in one fold."""
    groups = np.zeros(len(target), np.int64)
    for n in range(1, len(target)):
        before, now = (vectors.indices[vectors.indptr[i] : vectors.indptr[i + 1]] for i in (n - 1, n))
        groups[n] = groups[n - 1] + int(not np.array_equal(before, now))
    folds = min(FOLDS, int(groups[-1]) + 1)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(target)), target, groups)
    return [(train, held) for train, held in split]
