"""Predictions that follow an author from post to post: bias corrected, experts weighted, intervals by adaptive conformal inference.

A model that was fitted once is wrong as soon as an author's level shifts, and so are the quantiles of its residuals: on two
accounts of Twitter a fixed split covers .54 to .70 of posts with 80% intervals. What is known of an author when a post appears, and
nothing later, corrects both (Gibbs and Candes, Adaptive conformal inference under distribution shift, 2021).
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles, Ints

# Residuals that correct the bias: on two accounts of Twitter 20 to 100 are within .01 of each other in MAE.
BIAS_WINDOW = 50
# Up to so many residuals of its own an author's bias is held back, and its quantiles are mixed with those of all authors.
PRIOR_POSTS = 10
# Residuals whose quantile is the half width of an interval, and whose mean weighs the experts.
ERROR_WINDOW = 100
# How strongly an expert is preferred: one with a mean error 10% larger counts e^-2 as much (1.1^-20).
SHARPNESS = 20.0
# The step by which the quantile's level follows misses (gamma of the paper).
STEP = 0.02


@dataclass(frozen=True)
class Online:
    """Per post: the prediction, the ends of its interval, and the confidence, from 0 to 1 (see `follow_author`)."""

    predicted: Doubles
    low: Doubles
    high: Doubles
    confidence: Doubles


def follow_author(times: Ints, truth: Doubles, model: Doubles, recent: Doubles, spread: Doubles, coverage: float) -> Online:
    """The predictions of one author's posts, in ascending order of `times` (any unit; equal times do not know each other).

    truth: what happened, NaN where it is hidden. model: what the model says. recent: the mean of the author's last five posts, the
    other expert. spread: absolute residuals of all authors on posts that the model has not seen, in ascending order, at least one.
    All on one scale, such as log1p of likes. coverage: the share of posts that intervals shall hold, 0 to 1.

    The model's prediction is corrected by the median of its last BIAS_WINDOW residuals; model and `recent` are weighted by their
    mean absolute errors over the last ERROR_WINDOW posts. The half width is the quantile of the last ERROR_WINDOW absolute errors
    of what was predicted, at a level that rises after a miss and falls after a hit; below PRIOR_POSTS it is mixed with that of
    `spread`. confidence = 1 / (1 + half width): 1 for a certain prediction, .5 where the interval reaches a factor of e each way.
    Cost: proportional to the posts.
    """
    count = len(times)
    out = Online(*(np.empty(count) for _ in range(4)))
    residuals, errors, ours, theirs = _Window(BIAS_WINDOW), _Window(ERROR_WINDOW), _Window(ERROR_WINDOW), _Window(ERROR_WINDOW)
    level, start = coverage, 0
    while start < count:
        end = start + 1
        while end < count and times[end] == times[start]:
            end += 1
        share, half = _share_of_model(ours, theirs), _half_width(errors, spread, level)
        here = slice(start, end)
        corrected = model[here] + residuals.quantile(0.5) * residuals.held
        predicted = np.maximum(share * corrected + (1.0 - share) * recent[here], 0.0)
        out.predicted[here], out.low[here], out.high[here] = predicted, np.maximum(predicted - half, 0.0), predicted + half
        out.confidence[here] = 1.0 / (1.0 + half)
        for i in range(start, end):
            found = float(truth[i])
            if math.isnan(found):
                continue
            error = abs(found - float(predicted[i - start]))
            residuals.add(found - float(model[i]))
            ours.add(abs(found - float(corrected[i - start])))
            theirs.add(abs(found - float(recent[i])))
            errors.add(error)
            level = min(max(level + STEP * ((error > half) - (1.0 - coverage)), 0.01), 0.99)
        start = end
    return out


class _Window:
    """The last `size` numbers, in their order and sorted, and their sum."""

    def __init__(self, size: int) -> None:
        self.size, self.sorted, self.total = size, list[float](), 0.0
        self.recent: deque[float] = deque()

    def add(self, value: float) -> None:
        """Take a number in, and the oldest of more than `size` out."""
        if len(self.recent) == self.size:
            oldest = self.recent.popleft()
            del self.sorted[bisect_left(self.sorted, oldest)]
            self.total -= oldest
        self.recent.append(value)
        insort(self.sorted, value)
        self.total += value

    def quantile(self, level: float) -> float:
        """The quantile by linear interpolation; 0 where there is no number."""
        if not self.sorted:
            return 0.0
        place = level * (len(self.sorted) - 1)
        below = int(place)
        above = min(below + 1, len(self.sorted) - 1)
        return self.sorted[below] + (place - below) * (self.sorted[above] - self.sorted[below])

    @property
    def held(self) -> float:
        """What the window counts beside a prior of PRIOR_POSTS: 0 to 1."""
        return len(self.recent) / (len(self.recent) + PRIOR_POSTS)


def _share_of_model(ours: _Window, theirs: _Window) -> float:
    """The weight of the model beside the author's recent mean, by the two windows of their errors: 1 for an author of whom nothing
    is known."""
    if not ours.recent:
        return 1.0
    # Sums of a window drift by rounding, a hair below 0 too.
    first, second = max(ours.total, 0.0) + 1e-9, max(theirs.total, 0.0) + 1e-9
    ratio = math.exp(-SHARPNESS * min(max(math.log(first / second), -30.0), 30.0))
    # With few posts behind it a comparison says little.
    held = min(1.0, len(ours.recent) / (2 * PRIOR_POSTS))
    return held * ratio / (1.0 + ratio) + (1.0 - held)


def _half_width(errors: _Window, spread: Doubles, level: float) -> float:
    """The quantile of the absolute errors at `level`, mixed with that of `spread` where there are few."""
    if len(errors.recent) == ERROR_WINDOW:
        return errors.quantile(min(1.0, level * (1 + 1 / ERROR_WINDOW)))
    general = float(np.quantile(spread, level))
    if not errors.recent:
        return general
    own = errors.quantile(min(1.0, level * (1 + 1 / len(errors.recent))))
    return errors.held * own + (1.0 - errors.held) * general
