"""Likes that spread, against a search over the live edges that shares no code with the product's."""

from __future__ import annotations

import numpy as np
from shoal.simulate.draws import hash_array, to_unit, uniform_array
from shoal.simulate.people import followers_of_users, plant_communities
from shoal.simulate.spread import spread_likes
from shoal.simulate.world import MAX_GENERATION, WorldConf

CONF = WorldConf(
    users=60, items=10, follows_per_user=6, communities=3, transmission_rate=0.14, days=30, events=0, texts=0, seed=3,
    old_follow_share=0.7,
)  # fmt: skip


def first_likes(conf: WorldConf, user: np.ndarray, item: np.ndarray, at: np.ndarray) -> dict[tuple[int, int], int]:
    """(user, item) to the earliest time among all rows of `spread_likes`."""
    made = spread_likes(conf, plant_communities(conf), user, item, at)
    found: dict[tuple[int, int], int] = {}
    for u, i, t in zip(made.user.tolist(), made.item.tolist(), made.at.tolist(), strict=True):
        found[u, i] = min(t, found.get((u, i), t))
    return found


def test_every_like_comes_at_its_earliest_time_over_live_edges() -> None:
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 60, 25), rng.integers(0, 4, 25)
    at = CONF.starts_at + rng.integers(0, 29 * 86_400, 25)

    # Oracle: Bellman and Ford's rounds over the follows that pass this item, one round a generation.
    follows = followers_of_users(CONF, plant_communities(CONF), np.arange(60))
    expected: dict[tuple[int, int], int] = {}
    for number in range(4):
        live = []
        for target, place, source, since in zip(follows.target, follows.place, follows.source, follows.followed_at, strict=True):
            key = hash_array(CONF.seed, "transmission", np.array([target]), np.array([place]), np.array([number]))
            if to_unit(key)[0] < 0.14 and since < CONF.starts_at:
                wait = -np.log1p(-uniform_array(CONF.seed, "delay", key)[0]) * 12 * 3_600
                live.append((int(target), int(source), 1 + int(wait)))
        times: dict[int, int] = {}
        for u, t in zip(user[item == number].tolist(), at[item == number].tolist(), strict=True):
            times[u] = min(t, times.get(u, t))
        for _ in range(MAX_GENERATION):
            before = dict(times)
            for target, source, wait_seconds in live:
                if target in before and before[target] + wait_seconds < CONF.ends_at:
                    times[source] = min(before[target] + wait_seconds, times.get(source, 2**62))
        expected |= {(u, number): t for u, t in times.items()}

    found = first_likes(CONF, user, item, at)
    assert found == expected
    assert len(found) > len({*zip(user.tolist(), item.tolist(), strict=True)})  # something did spread


def test_without_transmission_nothing_spreads() -> None:
    conf = CONF.model_copy(update={"transmission_rate": 0.0})
    made = spread_likes(conf, plant_communities(conf), np.array([5]), np.array([0]), np.array([conf.starts_at]))
    assert made.user.tolist() == [5]
    assert (made.generation[0], made.parent[0]) == (0, -1)


def test_a_certain_transmission_reaches_every_follower_once_and_only_before_the_end() -> None:
    conf = CONF.model_copy(update={"transmission_rate": 1.0, "spread_delay_hours": 0.01, "old_follow_share": 1.0})
    planted = plant_communities(conf)
    made = spread_likes(conf, planted, np.array([5]), np.array([0]), np.array([conf.starts_at]))
    first = made.generation == 1
    assert sorted(made.user[first]) == sorted(followers_of_users(conf, planted, np.array([5])).source)
    assert set(made.parent[first]) == {5}
    late = spread_likes(conf, planted, np.array([5]), np.array([0]), np.array([conf.ends_at - 1]))
    assert len(late.user) == 1


def test_no_likes_no_spread() -> None:
    none = np.array([], dtype=np.int64)
    assert len(spread_likes(CONF, plant_communities(CONF), none, none, none).user) == 0
