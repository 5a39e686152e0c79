"""What each feature adds to the log odds of a stacked probability, from what it adds to each member."""

from __future__ import annotations

import numpy as np

from shoal.arrays import Doubles
from shoal.mine.probability.stack import Stack

BASE, OTHER = "base", "other"
# A row a feature of what is explained.
EXPLAINED = "position bigint, rank int, feature string, contribution double"


def vote_odds(share: Doubles, trees: int) -> Doubles:
    """The log odds of a forest's share of votes; a forest that is all of one mind has those of `trees` votes to a half."""
    safe = (share * trees + 0.5) / (trees + 1)
    return np.asarray(np.log(safe / (1.0 - safe)), np.float64)


def odds_contributions(base: float, parts: Doubles, trees: int) -> tuple[float, Doubles]:
    """What adds to a forest's log odds, from what adds to its share of votes.

    The log odds are no sum of the shares: their whole distance from those of the base is divided among the features as the share's
    distance is. A row whose share is that of the base has the slope there as its factor.
    """
    share = base + parts.sum(axis=1)
    start = float(vote_odds(np.array([base]), trees)[0])
    off = share - base
    safe = (base * trees + 0.5) / (trees + 1)
    slope = trees / (trees + 1) / (safe * (1.0 - safe))
    factor = np.where(np.abs(off) > 1e-9, (vote_odds(share, trees) - start) / np.where(np.abs(off) > 1e-9, off, 1.0), slope)
    return start, parts * factor[:, None]


def stack_scales(stack: Stack) -> tuple[float, Doubles]:
    """The log odds where all members are 0, and what a unit of each member adds."""
    units = np.asarray(stack.weights) / np.asarray(stack.deviations)
    return float(stack.intercept - units @ np.asarray(stack.means)), units


def ranked(base: float, sums: dict[str, float], shown: int) -> list[tuple[int, str, float]]:
    """Rank, feature, contribution: the base, the `shown` largest in size (ties by name), and the rest as one.

    >>> ranked(1.0, {"a": 0.5, "b": -2.0, "c": 0.25}, 1)
    [(0, 'base', 1.0), (1, 'b', -2.0), (2, 'other', 0.75)]
    """
    order = sorted(sums, key=lambda name: (-abs(sums[name]), name))
    rows = [(0, BASE, float(base)), *((rank, name, sums[name]) for rank, name in enumerate(order[:shown], 1))]
    return [*rows, (len(rows), OTHER, float(sum(sums[name] for name in order[shown:])))]
