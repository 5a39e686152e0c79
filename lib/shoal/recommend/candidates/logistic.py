"""Logistic regression on a few features, by Newton's method."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles

ROUNDS = 100


def fit_logistic(features: Doubles, labels: Doubles, weights: Doubles, penalty: float) -> tuple[Doubles, float]:
    """Coefficients and intercept that minimise the weighted mean of the log-loss plus `penalty` / 2 times the squared
    coefficients of the standardised features (as MLlib's LogisticRegression with regParam `penalty`).

    `features`: examples x features; a feature without variance has the coefficient 0. `labels`: 0 or 1; `weights`: above 0.
    Cost: ROUNDS times examples x features^2 operations at most, in one thread.
    """
    with threadpool_limits(1, "blas"):
        return _fit(features, labels, weights, penalty)


def _fit(features: Doubles, labels: Doubles, weights: Doubles, ridge: float) -> tuple[Doubles, float]:
    share = weights / weights.sum()
    mean = share @ features
    scale = np.sqrt(share @ (features - mean) ** 2)
    # What rounding leaves of a constant is no variance.
    varies = scale > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    design = np.ones((len(features), int(varies.sum()) + 1))
    design[:, :-1] = (features[:, varies] - mean[varies]) / scale[varies]
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 0.0
    rate = min(max(float(share @ labels), 1e-12), 1 - 1e-12)
    found = np.zeros(design.shape[1])
    found[-1] = np.log(rate / (1 - rate))
    loss = _loss(design, labels, share, penalty, found)
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-(design @ found)))
        slope = design.T @ (share * (chance - labels)) + penalty * found
        curve = (design.T * (share * chance * (1 - chance))) @ design + np.diag(penalty + 1e-12)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while size > 1e-6 and _loss(design, labels, share, penalty, found - size * step) > loss:
            size /= 2
        found = found - size * step
        before, loss = loss, _loss(design, labels, share, penalty, found)
        if before - loss < 1e-12 * max(1.0, abs(before)):
            break
    coefficients = np.zeros(features.shape[1])
    coefficients[varies] = found[:-1] / scale[varies]
    return coefficients, float(found[-1] - coefficients @ mean)


def _loss(design: Doubles, labels: Doubles, share: Doubles, penalty: Doubles, found: Doubles) -> float:
    logits = design @ found
    return float(share @ (np.logaddexp(0.0, logits) - labels * logits) + 0.5 * penalty @ found**2)
