"""People of the world: communities, tastes and who follows whom, as functions of a user's number (numpy, no state).

A user's number is 0..users-1 and is what the public id shows; seeded permutations give the user's rank by activity, the rank by
followers and the slot, which places the user in a community. The three are independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoal.arrays import Doubles
from shoal.simulate.draws import Longs, noise_array, permute, uniform_array
from shoal.simulate.tails import bounds_of_groups, counts_by_rank
from shoal.simulate.words import TOPICS
from shoal.simulate.world import FOLLOW_HISTORY_DAYS, WorldConf

# Dimensions of a taste: enough for a dozen topics to be far apart, and two hashes' worth of noise.
FACTORS = 8
# How much of a community's centre is its topic's direction; the rest is its own.
_TOPIC_WEIGHT = 0.85
# A member's chance to be the follower or the owner falls as 1/sqrt(position), which gives counts with density x^-3.
_POSITION_POWER = 2.0


@dataclass(frozen=True)
class Communities:
    """The planted communities: at most 20,000 rows, so every task holds them.

    `user_bounds` and `item_bounds` (one longer than the communities): community c has the user slots and the items from
    bounds[c] to bounds[c + 1] - 1. `topics`: index into words.TOPICS. `centres`: unit vectors of FACTORS numbers.
    """

    user_bounds: Longs
    item_bounds: Longs
    topics: Longs
    centres: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Follows:
    """Follows in parallel arrays: `source` follows `target`, as the target's follower number `place`."""

    target: Longs
    place: Longs
    source: Longs
    followed_at: Longs
    is_outside: npt.NDArray[np.bool_]


def plant_communities(conf: WorldConf) -> Communities:
    """The communities of a world, largest first; topics go round, so that each topic has its share."""
    count = conf.community_count
    numbers = np.arange(count, dtype=np.int64)
    topics = numbers % len(TOPICS)
    topic_part = _unit(noise_array(conf.seed, "topic-direction", FACTORS, topics))
    own_part = _unit(noise_array(conf.seed, "community-direction", FACTORS, numbers))
    return Communities(
        user_bounds=bounds_of_groups(count, conf.users, conf.community_tail, conf.community_span),
        item_bounds=bounds_of_groups(count, conf.items, conf.community_tail, conf.community_span),
        topics=topics,
        centres=_unit(np.float32(_TOPIC_WEIGHT) * topic_part + np.float32((1 - _TOPIC_WEIGHT**2) ** 0.5) * own_part),
    )


def slots_of_users(conf: WorldConf, users: Longs) -> Longs:
    """Each user's slot: communities are runs of consecutive slots."""
    return permute(conf.seed, "slot", users, conf.users)


def users_of_slots(conf: WorldConf, slots: Longs) -> Longs:
    """The user at each slot."""
    return permute(conf.seed, "slot", slots, conf.users, back=True)


def communities_of_slots(communities: Communities, slots: Longs) -> Longs:
    """The community of each slot."""
    return np.searchsorted(communities.user_bounds, slots, side="right").astype(np.int64) - 1


def communities_of_users(conf: WorldConf, communities: Communities, users: Longs) -> Longs:
    """The community of each user."""
    return communities_of_slots(communities, slots_of_users(conf, users))


def activity_ranks(conf: WorldConf, users: Longs) -> Longs:
    """Each user's rank by activity; 0 is the most active."""
    return permute(conf.seed, "activity", users, conf.users)


def follower_counts(conf: WorldConf, communities: Communities, users: Longs) -> tuple[Longs, Longs]:
    """How many followers each user has outside and inside the community.

    The sum is bounded Pareto over the users; the share outside is mu, rounded at random. What does not fit (a community has
    fewer members, the world outside too) is dropped.
    """
    ranks = permute(conf.seed, "followers", users, conf.users)
    total = round(conf.users * conf.follows_per_user)
    counts = counts_by_rank(ranks, conf.users, total, conf.follower_tail, conf.follower_span)
    members = np.diff(communities.user_bounds)[communities_of_users(conf, communities, users)]
    outside = np.floor(conf.mu * counts + uniform_array(conf.seed, "outside", users)).astype(np.int64)
    return np.minimum(outside, conf.users - members), np.minimum(counts - outside, members - 1)


def followers_of_users(conf: WorldConf, communities: Communities, users: Longs) -> Follows:
    """All follows of the given users by others: no pair twice, no user follows themselves."""
    outside, inside = follower_counts(conf, communities, users)
    target, place = repeat_with_place(users, outside + inside)
    return followers_at_places(conf, communities, target, place)


def repeat_with_place(values: Longs, counts: Longs) -> tuple[Longs, Longs]:
    """Each value as often as its count says, and beside it 0, 1, 2 ... anew for each value."""
    starts = np.cumsum(counts) - counts
    return np.repeat(values, counts), np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts, counts)


def followers_at_places(conf: WorldConf, communities: Communities, target: Longs, place: Longs) -> Follows:
    """The follows of the given targets at the given places (0 .. number of followers - 1; the outside ones come first).

    One follower is drawn from each of as many strata as there are followers, so all are different.
    """
    outside, inside = follower_counts(conf, communities, target)
    slots = slots_of_users(conf, target)
    groups = communities_of_slots(communities, slots)
    first = communities.user_bounds[groups]
    members = communities.user_bounds[groups + 1] - first
    is_outside = place < outside
    draw = uniform_array(conf.seed, "follower", target, place)

    far = _draw_in_stratum(place, outside, conf.users - members, 1.0, draw)
    far = far + np.where(far >= first, members, 0)
    near = _draw_in_stratum(place - outside, inside, members - 1, _POSITION_POWER, draw)
    near = first + near + (near >= slots - first)

    source = users_of_slots(conf, np.where(is_outside, far, near))
    return Follows(target, place, source, followed_at(conf, target, place), is_outside)


def followed_at(conf: WorldConf, target: Longs, place: Longs) -> Longs:
    """When each follow was made, in unix seconds: most in the two years before the window, the rest within it."""
    draw = uniform_array(conf.seed, "follow-time", target, place)
    before = conf.starts_at - 1 - draw * FOLLOW_HISTORY_DAYS * 86_400
    within = conf.starts_at + draw * (conf.ends_at - conf.starts_at)
    return np.floor(np.where(are_old_follows(conf, target, place), before, within)).astype(np.int64)


def are_old_follows(conf: WorldConf, target: Longs, place: Longs) -> npt.NDArray[np.bool_]:
    """Whether each follow is older than the window."""
    return uniform_array(conf.seed, "follow-era", target, place) < conf.old_follow_share


def draw_members(conf: WorldConf, communities: Communities, groups: Longs, draw: Doubles) -> Longs:
    """A user of each given community; low positions are drawn more often."""
    first = communities.user_bounds[groups]
    members = communities.user_bounds[groups + 1] - first
    return users_of_slots(conf, first + np.floor(members * draw**_POSITION_POWER).astype(np.int64))


def tastes(conf: WorldConf, communities: Communities, stream: str, numbers: Longs, groups: Longs) -> npt.NDArray[np.float32]:
    """Unit vectors (FACTORS numbers a row) around the centres of `groups`; the mean cosine is `closeness`."""
    noise = _unit(noise_array(conf.seed, stream, FACTORS, numbers))
    near, far = np.float32(conf.closeness), np.float32((1 - conf.closeness**2) ** 0.5)
    return _unit(near * communities.centres[groups] + far * noise)


def _draw_in_stratum(stratum: Longs, strata: Longs, size: Longs, power: float, draw: Doubles) -> Longs:
    """A position in 0..size-1 within the given one of `strata` strata; strata widen with `power` and never share a position.

    Needs strata <= size. The border of stratum j is max(size * (j / strata)^power, j), which increases by at least 1 each time.
    """
    some = np.maximum(strata, 1)
    low = np.maximum(np.floor(size * np.clip(stratum / some, 0, 1) ** power).astype(np.int64), stratum)
    high = np.maximum(np.floor(size * np.clip((stratum + 1) / some, 0, 1) ** power).astype(np.int64), stratum + 1)
    return low + np.floor((high - low) * draw).astype(np.int64)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each row at length 1."""
    return vectors / np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., np.newaxis]
