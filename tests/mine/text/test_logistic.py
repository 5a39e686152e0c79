"""The driver's logistic regression against scikit-learn's, which solves the same problem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from shoal.mine.text.logistic import fit
from sklearn.linear_model import LogisticRegression


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("inverse_penalty", [0.5, 30.0])
def test_the_optimum_is_scikit_learns(labels: int, inverse_penalty: float) -> None:
    rng = np.random.default_rng(labels)
    rows, size = 300, 40
    features = csr_matrix(rng.random((rows, size)) * (rng.random((rows, size)) < 0.2))
    target = (features.toarray()[:, :labels] + rng.random((rows, labels)) * 0.5).argmax(axis=1)
    weights = [1.0 + 0.5 * label for label in range(labels)]
    found = fit(features, target, weights, 1.0 / (inverse_penalty * rows), 500)
    # The penalty is relative to the mean loss; scikit-learn's to the sum of the weighted losses.
    total = float(np.asarray(weights)[target].sum())
    peer = LogisticRegression(C=inverse_penalty * rows / total, class_weight=dict(enumerate(weights)), tol=1e-9, max_iter=5_000)
    expected = peer.fit(features, target).predict_proba(features)
    assert np.exp(found.log_probabilities(features)) == pytest.approx(expected, abs=1e-3)
    assert found.coefficients.shape == (1 if labels == 2 else labels, size)


def test_a_text_without_a_known_term_gets_the_shares_of_the_labels() -> None:
    nothing = csr_matrix((4, 1))
    assert np.exp(fit(nothing, np.array([0, 0, 0, 1]), [1.0, 1.0], 0.1, 50).log_probabilities(nothing))[:, 0] == pytest.approx(
        [0.75] * 4
    )
