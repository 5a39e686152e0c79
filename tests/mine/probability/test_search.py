"""A search under a time budget, by a clock of the test's own; the trees that it may choose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from shoal.errors import InputError
from shoal.mine.probability.forests import Growth, grow
from shoal.mine.probability.plain_forest import predict
from shoal.mine.probability.search import DONE, OUT_OF_TIME, Search, search
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingRegressor


def searched(fits: dict[str, tuple[float, float | None]], seconds: float, refits: float = 0.0) -> tuple[Search[str], float]:
    """The search over candidates that take so long and score so much (None: cannot be fitted), and the clock at its end."""
    now = 1000.0

    def fit(candidate: str) -> float:
        nonlocal now
        taken, score = fits[candidate]
        now += taken
        if score is None:
            raise InputError(f"no {candidate}")
        return score

    clock: Callable[[], float] = lambda: now  # noqa: E731 - read anew at each call
    return search(list(fits), fit, seconds, refits, clock), now - 1000.0


def test_no_fit_begins_that_would_end_too_late() -> None:
    fits = {"a": (10.0, 0.5), "b": (12.0, 0.7), "c": (5.0, 0.9), "d": (1.0, 1.0)}
    # After b 22 are spent, and the longest took 12: c would end at 34 by that.
    found, spent = searched(fits, 33.0)
    assert ([t.candidate for t in found.trials], found.champion, found.ended, spent) == (["a", "b"], "b", OUT_OF_TIME, 22.0)
    found, spent = searched(fits, 34.0)
    assert [t.candidate for t in found.trials] == ["a", "b", "c"] and found.champion == "c" and spent == 27.0
    found, _ = searched(fits, 1000.0)
    assert (found.champion, found.ended, found.candidates, [t.seconds for t in found.trials]) == ("d", DONE, 4, [10, 12, 5, 1])
    # Two more fits are the champion's: 10 + 10 + 20.
    assert len(searched(fits, 39.0, refits=2.0)[0].trials) == 1
    assert len(searched(fits, 40.0, refits=2.0)[0].trials) == 2


def test_the_first_is_always_fitted_and_ties_are_its() -> None:
    found, spent = searched({"a": (60.0, 0.5), "b": (1.0, 0.9)}, -1.0)
    assert (found.champion, spent, found.ended) == ("a", 60.0, OUT_OF_TIME)
    assert searched({"a": (1.0, 0.5), "b": (1.0, None), "c": (1.0, 0.5)}, 99.0)[0].champion == "a"
    facts = searched({"a": (1.0, -0.5), "b": (1.0, None)}, 99.0)[0].facts("minus_error", lambda name: {"name": name})
    assert facts["trials"][1] == {"candidate": {"name": "b"}, "minus_error": None, "seconds": 1.0}
    assert (facts["champion"], facts["metric"], facts["candidates"]) == ({"name": "a"}, "minus_error", 2)
    with pytest.raises(InputError, match="no a"):
        searched({"a": (1.0, None), "b": (1.0, 0.5)}, 99.0)


def test_boosted_and_extra_trees_as_arrays_predict_what_scikit_learn_does() -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(size=(300, 4)).astype(np.float32).astype(np.float64)
    y = x[:, 0] ** 2 + x[:, 1] + draw.normal(0, 0.1, 300)
    order = np.lexsort((y, *x.T[::-1]))
    boosted = grow(x, y, Growth(40, 3, 5, 7, "boosting", 0.2), is_class=False)
    shape = {"n_estimators": 40, "max_depth": 3, "min_samples_leaf": 5, "random_state": 7}
    theirs = GradientBoostingRegressor(max_features=1 / 3, subsample=0.5, learning_rate=0.2, **shape).fit(x[order], y[order])
    assert predict(boosted, x) == pytest.approx(theirs.predict(x), abs=1e-6)
    assert np.mean((predict(boosted, x) - y) ** 2) < 0.5 * np.var(y)
    label = (y > 1).astype(np.float64)
    order = np.lexsort((label, *x.T[::-1]))
    extra = grow(x, label, Growth(40, 3, 5, 7, "extra"), is_class=True)
    forest = ExtraTreesClassifier(max_features="sqrt", **shape).fit(x[order], label[order])
    assert predict(extra, x) == pytest.approx(forest.predict_proba(x)[:, 1], abs=1e-9)
