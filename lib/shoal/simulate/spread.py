"""Likes that spread along follows: the independent cascade model, for a batch of likes at a time (numpy, no state).

Each follow that is older than the window passes a given item's like on at most once, with the chance `transmission_rate`,
after an exponential delay. Whether and how late it would pass is drawn for (follow, item) and not for a moment: the
live-edge view of the model (Kempe, Kleinberg and Tardos 2003, "Maximizing the spread of influence through a social
network", section 2.2). So each like can be followed on its own, and the earliest time at which any path reaches a user is
the time of that user's like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.simulate.draws import Longs, hash_array, to_unit, uniform_array
from shoal.simulate.people import Communities, are_old_follows, follower_counts, followers_at_places, repeat_with_place
from shoal.simulate.world import MAX_GENERATION, WorldConf


@dataclass(frozen=True)
class Likes:
    """Likes in parallel arrays: times in unix seconds; own likes have generation 0 and parent -1."""

    user: Longs
    item: Longs
    at: Longs
    generation: Longs
    parent: Longs


def spread_likes(conf: WorldConf, communities: Communities, user: Longs, item: Longs, at: Longs) -> Likes:
    """The given likes and those they cause, up to MAX_GENERATION steps away and before the window ends.

    A user reached by several paths has several rows: the one with the smallest (at, generation, parent) is the like.
    """
    generation = Likes(user, item, at, np.zeros_like(user), np.full_like(user, -1))
    generations = [generation]
    while len(generation.user) and len(generations) <= MAX_GENERATION:
        generation = _next_generation(conf, communities, generation, len(generations))
        generations.append(generation)
    return Likes(*(np.concatenate(arrays) for arrays in zip(*(_arrays(g) for g in generations), strict=True)))


def _next_generation(conf: WorldConf, communities: Communities, likes: Likes, number: int) -> Likes:
    """The likes that followers make because of `likes`."""
    outside, inside = follower_counts(conf, communities, likes.user)
    row, place = repeat_with_place(np.arange(len(likes.user)), outside + inside)
    target, item = likes.user[row], likes.item[row]
    keys = hash_array(conf.seed, "transmission", target, place, item)
    passes = np.flatnonzero(to_unit(keys) < conf.transmission_rate)
    row, place, target, item, keys = row[passes], place[passes], target[passes], item[passes], keys[passes]

    wait = -np.log1p(-uniform_array(conf.seed, "delay", keys)) * conf.spread_delay_hours * 3_600
    at = likes.at[row] + 1 + np.floor(wait).astype(np.int64)
    keep = are_old_follows(conf, target, place) & (at < conf.ends_at)
    source = followers_at_places(conf, communities, target[keep], place[keep]).source
    return Likes(source, item[keep], at[keep], np.full(len(source), number, dtype=np.int64), target[keep])


def _arrays(likes: Likes) -> tuple[Longs, ...]:
    """The arrays of `likes`, in the order of its fields."""
    return likes.user, likes.item, likes.at, likes.generation, likes.parent
