"""Logistic regression beside scipy's minimiser."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from shoal.recommend.candidates.logistic import fit_logistic

PENALTY = 0.05


def test_as_a_general_minimiser_finds_it() -> None:
    rng = np.random.default_rng(2)
    features = np.column_stack([rng.normal(5, 3, 400), rng.random(400) / 100, np.full(400, 0.7), rng.normal(0, 1, 400)])
    logits = 0.5 * features[:, 0] - 200 * features[:, 1] - features[:, 3] - 1.5
    labels = (rng.random(400) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    weights = rng.random(400) + 0.1
    share = weights / weights.sum()
    scale = np.sqrt(share @ (features - share @ features) ** 2)[[0, 1, 3]]
    varied = features[:, [0, 1, 3]] / scale

    def loss(found: np.ndarray) -> float:  # type: ignore[type-arg]
        z = varied @ found[:3] + found[3]
        return float(share @ (np.logaddexp(0, z) - labels * z) + PENALTY / 2 * found[:3] @ found[:3])

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    coefficients, intercept = fit_logistic(features, labels, weights, PENALTY)
    np.testing.assert_allclose(coefficients[[0, 1, 3]], best[:3] / scale, rtol=1e-4)
    assert coefficients[2] == 0  # a constant
    assert abs(intercept - best[3]) < 1e-3


def test_what_can_be_told_apart_without_an_error_has_finite_coefficients() -> None:
    features = np.array([[0.0], [1.0], [2.0], [3.0]])
    coefficients, intercept = fit_logistic(features, np.array([0.0, 0, 1, 1]), np.ones(4), 1e-6)
    assert np.isfinite(coefficients).all() and np.isfinite(intercept)
    assert -intercept / coefficients[0] == 1.5 or abs(-intercept / coefficients[0] - 1.5) < 1e-6
