"""Alternating least squares in numpy, for data that one machine fits in seconds: the model of MLlib's ALS, without its Spark jobs.

Each half round solves one regularised system per user (or item). Implicit (Hu, Koren and Volinsky, ICDM 2008): preference 1 with
confidence 1 + alpha * weight for what was met, preference 0 with confidence 1 for the rest. Explicit: the ratings that are there.
Regularisation is scaled by the number of a user's (an item's) ratings, as MLlib's is. Sums have a fixed order: the same rows
give the same factors, to the last digit, on the same machine.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Floats, Ints

# Systems solved at once: 512 of rank 64 are 17 MB.
BATCH = 512


def solve_als(
    users: Ints, items: Ints, ratings: Doubles, rank: int, reg_param: float, alpha: float | None, rounds: int, seed: int
) -> tuple[Floats, Floats]:
    """Factors of the users and of the items: numbers x rank, float32.

    `users`, `items`: dense numbers from 0, one pair a rating, each number at least once; `ratings`: weights above 0 (implicit) or
    values. `alpha` None is explicit. Starts from the items' half, from users drawn by `seed`. Cost: `rounds` times
    2 x ratings x rank^2 + (users + items) x rank^3 operations; memory (users + items) x rank, and BATCH systems.
    """
    rng = np.random.default_rng(seed)
    user_factors = _drawn(rng, int(users.max()) + 1, rank)
    item_factors = _drawn(rng, int(items.max()) + 1, rank)
    by_item, by_user = _Grouped(items, users, ratings), _Grouped(users, items, ratings)
    # One thread: the systems are small, and threads that wait for each other beside other jobs took a hundred times as long.
    with threadpool_limits(1, "blas"):
        for _ in range(rounds):
            item_factors = by_item.solved(user_factors, reg_param, alpha)
            user_factors = by_user.solved(item_factors, reg_param, alpha)
    return user_factors.astype(np.float32), item_factors.astype(np.float32)


def solve_users(users: Ints, items: Ints, ratings: Doubles, item_factors: Floats, reg_param: float, alpha: float | None) -> Floats:
    """The users' half of a round: the factors of users 0, 1 ... that fit `item_factors` best; users x rank, float32.

    `users`: dense numbers from 0, each at least once; `items`: rows of `item_factors`. Of users that the items were fitted with it
    gives their factors again, once the rounds have converged. Cost: as one half of `solve_als`.
    """
    with threadpool_limits(1, "blas"):
        return _Grouped(users, items, ratings).solved(item_factors.astype(np.float64), reg_param, alpha).astype(np.float32)


class _Grouped:
    """Ratings by what is solved for: `others[start[n]:start[n + 1]]` are those that number n has a rating with."""

    def __init__(self, own: Ints, others: Ints, ratings: Doubles) -> None:
        order = np.lexsort((others, own))
        self.others, self.ratings = others[order], ratings[order].astype(np.float64)
        self.start = np.searchsorted(own[order], np.arange(int(own.max()) + 2))

    def solved(self, factors: Doubles, reg_param: float, alpha: float | None) -> Doubles:
        """The factors that fit `factors` best."""
        count, rank = len(self.start) - 1, factors.shape[1]
        shared = factors.T @ factors if alpha is not None else np.zeros((rank, rank))
        found = np.empty((count, rank))
        for first in range(0, count, BATCH):
            last = min(first + BATCH, count)
            normal, target = np.empty((last - first, rank, rank)), np.empty((last - first, rank))
            for n in range(first, last):
                here = slice(self.start[n], self.start[n + 1])
                met, rating = factors[self.others[here]], self.ratings[here]
                if alpha is None:
                    normal[n - first], target[n - first] = met.T @ met, rating @ met
                else:
                    extra = alpha * rating
                    normal[n - first], target[n - first] = shared + (met.T * extra) @ met, (1 + extra) @ met
            counts = np.diff(self.start[first : last + 1])
            normal[:, np.arange(rank), np.arange(rank)] += (reg_param * counts)[:, None]
            found[first:last] = np.linalg.solve(normal, target[..., None])[..., 0]
        return found


def _drawn(rng: np.random.Generator, count: int, rank: int) -> Doubles:
    """Random directions of length 1, as MLlib starts."""
    drawn = rng.standard_normal((count, rank))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
