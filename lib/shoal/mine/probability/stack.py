"""Members' words as one probability: a logistic regression with weights that are not negative and not far from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F
from scipy.optimize import minimize
from scipy.special import expit

from shoal.arrays import Doubles

# Pulls the members' weights towards each other.
STACK_PENALTY = 0.001


@dataclass(frozen=True)
class Stack:
    """Log odds = intercept + sum of weight x (member - mean) / deviation; weights are not negative."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def probability(self, members: Doubles) -> Doubles:
        """The probability of rows of members."""
        scaled = (members - np.asarray(self.means)) / np.asarray(self.deviations)
        return np.asarray(expit(scaled @ np.asarray(self.weights) + self.intercept), np.float64)

    def column(self, members: list[Column]) -> Column:
        """The same as a column."""
        odds = F.lit(self.intercept)
        for member, mean, deviation, weight in zip(members, self.means, self.deviations, self.weights, strict=True):
            odds = odds + (member - mean) / deviation * weight
        return 1.0 / (1.0 + F.exp(-odds))


def fit_stack(members: Doubles, label: Doubles) -> Stack:
    """Weights of least log loss, with a small penalty on their differences. Rows of one label only, or none, give their share."""
    width = members.shape[1]
    share = (label.sum() + 0.5) / (len(label) + 1.0)
    flat = Stack((0.0,) * width, (1.0,) * width, (0.0,) * width, float(np.log(share / (1 - share))))
    if len(label) == 0 or label.min() == label.max():
        return flat
    means, deviations = members.mean(axis=0), members.std(axis=0)
    deviations = np.where(deviations > 1e-9, deviations, 1.0)
    scaled = (members - means) / deviations

    def loss(found: Doubles) -> float:
        weights = found[1:]
        odds = scaled @ weights + found[0]
        uneven = STACK_PENALTY * float(((weights - weights.mean()) ** 2).sum())
        return float(np.mean(np.logaddexp(0.0, odds) - label * odds)) + uneven + 1e-4 * float((weights**2).sum())

    start = np.r_[np.log(share / (1 - share)), np.full(width, 1.0 / width)]
    best = minimize(loss, start, method="L-BFGS-B", bounds=[(None, None), *([(0.0, None)] * width)]).x
    means_, deviations_, weights = (tuple(float(x) for x in part) for part in (means, deviations, best[1:]))
    return Stack(means_, deviations_, weights, float(best[0]))
