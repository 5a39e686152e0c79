"""Communities and follows: exact counts, no doubles, the mixing parameter, bounds of strata."""

from __future__ import annotations

import numpy as np
import pytest
from shoal.simulate import people
from shoal.simulate.world import WorldConf


@pytest.mark.parametrize(
    "conf",
    [
        WorldConf(users=2_000, mu=0.3, seed=1),
        WorldConf(users=10, items=10, communities=1, follows_per_user=9),  # one community, nobody outside it
        WorldConf(users=40, communities=8, follows_per_user=25, mu=0.5),  # more follows than fit into a community
        WorldConf(users=500, mu=0.0),
        WorldConf(users=500, mu=1.0),
        WorldConf(users=300, follows_per_user=0),
    ],
)
def test_nobody_follows_twice_or_themselves_and_the_inside_is_the_community(conf: WorldConf) -> None:
    planted, everybody = people.plant_communities(conf), np.arange(conf.users)
    follows = people.followers_of_users(conf, planted, everybody)
    assert (follows.source != follows.target).all()
    assert ((follows.source >= 0) & (follows.source < conf.users)).all()
    pairs = set(zip(follows.source.tolist(), follows.target.tolist(), strict=True))
    assert len(pairs) == len(follows.source)
    home = people.communities_of_users(conf, planted, everybody)
    assert ((home[follows.source] != home[follows.target]) == follows.is_outside).all()


def test_mu_is_the_share_of_follows_across_communities() -> None:
    conf = WorldConf(users=20_000, mu=0.3, seed=5)
    follows = people.followers_of_users(conf, people.plant_communities(conf), np.arange(conf.users))
    # 140,000 follows: a standard error of 0.0012; communities too small for their stars lose a few inside follows.
    assert follows.is_outside.mean() == pytest.approx(0.3, abs=0.01)


def test_follower_counts_are_heavy_tailed_and_add_up() -> None:
    conf = WorldConf(users=20_000, seed=5)
    planted, everybody = people.plant_communities(conf), np.arange(conf.users)
    outside, inside = people.follower_counts(conf, planted, everybody)
    counts = outside + inside
    # Some stars of small communities have fewer followers than planned.
    assert 0.97 * 140_000 <= counts.sum() <= 140_000
    assert counts.max() > 10 * counts.mean()
    follows = people.followers_of_users(conf, planted, everybody)
    assert np.bincount(follows.target, minlength=conf.users).tolist() == counts.tolist()
    following = np.bincount(follows.source, minlength=conf.users)
    assert following.max() > 5 * following.mean()  # a Poisson of mean 7 does not get beyond 3 times


def test_a_subset_of_users_has_the_same_followers_as_in_the_whole() -> None:
    conf = WorldConf(users=300)
    planted = people.plant_communities(conf)
    whole, part = (people.followers_of_users(conf, planted, np.arange(n, 300)) for n in (0, 250))
    of_part = whole.target >= 250
    assert whole.source[of_part].tolist() == part.source.tolist()
    assert whole.followed_at[of_part].tolist() == part.followed_at.tolist()


def test_community_sizes_are_a_power_law_of_the_stated_span() -> None:
    conf = WorldConf(users=100_000, communities=100, community_span=10)
    sizes = np.diff(people.plant_communities(conf).user_bounds)
    assert sizes.sum() == 100_000
    assert sizes[0] / sizes[-1] == pytest.approx(10, rel=0.1)


def test_members_of_a_community_have_a_like_taste() -> None:
    conf = WorldConf(users=5_000, closeness=0.75)
    planted, everybody = people.plant_communities(conf), np.arange(conf.users)
    home = people.communities_of_users(conf, planted, everybody)
    taste = people.tastes(conf, planted, "user-taste", everybody, home)
    np.testing.assert_allclose(np.linalg.norm(taste, axis=1), 1, atol=1e-5)
    to_centre = np.einsum("ni,ni->n", taste, planted.centres[home])
    assert to_centre.mean() == pytest.approx(0.75, abs=0.03)
