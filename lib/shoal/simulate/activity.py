"""What people do of their own accord: batches of events for batches of users (numpy, no state).

A user's events have numbers 0, 1, 2 ... and each draw of an event depends on nothing but (seed, stream, user, number). An
event takes place at a time of day that people have, on one of CANDIDATES popular items: half of them from the user's own
community, the chance growing with exp(taste_strength * affinity) (a multinomial logit by the Gumbel-max trick).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoal.arrays import Doubles
from shoal.simulate.catalogue import (
    are_products,
    are_spam,
    created_at,
    draw_anywhere,
    draw_popular,
    item_tastes,
    prices_usd,
    qualities,
)
from shoal.simulate.draws import Hashes, Longs, hash_array, normal_array, uniform_array
from shoal.simulate.people import (
    Communities,
    activity_ranks,
    communities_of_users,
    repeat_with_place,
    tastes,
)
from shoal.simulate.tails import counts_by_rank
from shoal.simulate.world import MAX_GENERATION, WorldConf

KINDS = ("view", "click", "like", "comment", "share", "save", "purchase", "rating")
VIEW, CLICK, LIKE, COMMENT, SHARE, SAVE, PURCHASE, RATING = range(len(KINDS))
# Items an event chooses from; a choice of eight is enough for taste to show and cheap enough for fifty million events.
CANDIDATES = 8
# Events computed at once: arrays of this length stay in a core's second-level cache.
BATCH_EVENTS = 16_384
# People sleep: the share of a day's events in each hour (UTC), read off no data, two humps at noon and in the evening.
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 13, 12, 10, 9, 10, 12, 15, 18, 20, 18, 12, 6)
# A spam post is chosen as if its affinity logit were lower by this.
_SPAM_PENALTY = 1.5
# Stars: the mean, for each unit of affinity above its usual value, of quality, of the user's mood, and of chance.
RATING_MEAN = 3.4
_BY_AFFINITY, _USUAL_AFFINITY, _BY_QUALITY, _BY_USER, _BY_CHANCE = 1.6, 0.5, 0.5, 0.3, 0.5


@dataclass(frozen=True)
class Events:
    """Events in parallel arrays; `kind` is an index into KINDS, `value` is NaN where the kind has none."""

    user: Longs
    number: Longs
    item: Longs
    at: Longs
    kind: npt.NDArray[np.int8]
    value: Doubles


def planned_events(conf: WorldConf) -> tuple[int, int]:
    """How many likes, and how many other events, people make of their own accord.

    The likes that are expected to spread (a geometric series in transmission_rate * followers, Kempe et al. 2003 for the
    model) are taken off the likes, so that all events together come near `conf.events`.
    """
    reproduction = conf.transmission_rate * conf.follows_per_user * conf.old_follow_share
    likes = conf.events * conf.like_share / sum(reproduction**generation for generation in range(MAX_GENERATION + 1))
    return round(likes), conf.events - round(conf.events * conf.like_share)


def event_counts(conf: WorldConf, users: Longs, total: int) -> Longs:
    """How many of `total` events each user makes: bounded Pareto over the users, in all exactly `total`."""
    return counts_by_rank(activity_ranks(conf, users), conf.users, total, conf.activity_tail, conf.activity_span)


def batches_of_users(users: Longs, counts: Longs) -> Iterator[tuple[Longs, Longs]]:
    """Users and their counts in batches of about BATCH_EVENTS events; one user's events are never split."""
    ends = np.cumsum(counts)
    batch = (ends - counts) // BATCH_EVENTS
    borders = [0, *(np.flatnonzero(np.diff(batch)) + 1).tolist(), len(users)]
    for start, end in itertools.pairwise(borders):
        if counts[start:end].any():
            yield users[start:end], counts[start:end]


def make_likes(conf: WorldConf, communities: Communities, users: Longs, counts: Longs) -> Events:
    """Likes of the users' own accord; a user may meet an item twice here, `spread` keeps the first."""
    user, number, keys = _event_keys(conf, "like", users, counts)
    item, at, _ = _choose_items(conf, communities, user, keys)
    return Events(user, number, item, at, np.full(len(user), LIKE, dtype=np.int8), np.full(len(user), np.nan))


def make_other_events(conf: WorldConf, communities: Communities, users: Longs, counts: Longs) -> Events:
    """Views, clicks, comments, shares, saves, purchases and ratings.

    A user rates an item once, only products are bought: what would be a second rating or the purchase of a post is a view or
    a click. From `shift_at` on ratings, the mix of kinds and the hours are changed as `conf` says.
    """
    user, number, keys = _event_keys(conf, "event", users, counts)
    item, at, affinity = _choose_items(conf, communities, user, keys)
    is_shifted = at >= conf.shift_at

    kind = _draw_kinds(conf, keys)
    kind[(kind == PURCHASE) & ~are_products(conf, item)] = VIEW
    ratings = np.flatnonzero(kind == RATING)
    first = np.unique(user[ratings] * conf.items + item[ratings], return_index=True)[1]
    kind[np.delete(ratings, first)] = VIEW
    seen = kind == VIEW
    kind[seen & is_shifted & (uniform_array(conf.seed, "mix-shift", keys) < conf.mix_shift)] = SAVE
    seen = kind == VIEW
    kind[seen & (uniform_array(conf.seed, "click", keys) < click_rates(conf, user, at))] = CLICK

    rated, bought = kind == RATING, kind == PURCHASE
    value = np.full(len(user), np.nan)
    value[rated] = _stars(conf, user[rated], item[rated], keys[rated], affinity[rated], is_shifted[rated])
    value[bought] = prices_usd(conf, item[bought])
    return Events(user, number, item, at, kind, value)


def are_treated(conf: WorldConf, users: Longs) -> npt.NDArray[np.bool_]:
    """Whether each user is in the experiment's treatment; one half is."""
    return uniform_array(conf.seed, "experiment", users) < 0.5


def click_rates(conf: WorldConf, users: Longs, at: Longs) -> Doubles:
    """The chance that what is seen is clicked; lifted for treated users while the experiment runs."""
    start, end = conf.experiment_window
    is_lifted = (at >= start) & (at < end) & are_treated(conf, users)
    return np.where(is_lifted, conf.click_rate * (1 + conf.lift), conf.click_rate)


def user_tastes(conf: WorldConf, communities: Communities, users: Longs, groups: Longs) -> npt.NDArray[np.float32]:
    """Each user's taste: a unit vector near the centre of the user's community (`groups`)."""
    return tastes(conf, communities, "user-taste", users, groups)


def _event_keys(conf: WorldConf, stream: str, users: Longs, counts: Longs) -> tuple[Longs, Longs, Hashes]:
    """The events' users, their numbers within the user, and a hash that stands for the event in all further draws."""
    user, number = repeat_with_place(users, counts)
    return user, number, hash_array(conf.seed, stream, user, number)


def _choose_items(conf: WorldConf, communities: Communities, user: Longs, keys: Hashes) -> tuple[Longs, Longs, Doubles]:
    """The item, the time (unix seconds) and the affinity of each event. No event is earlier than its item."""
    at = _draw_times(conf, keys)
    groups, group_of_row = np.unique(user, return_inverse=True)
    community = communities_of_users(conf, communities, groups)
    taste = user_tastes(conf, communities, groups, community)[group_of_row]
    community = community[group_of_row]

    candidates = np.empty((CANDIDATES, len(user)), dtype=np.int64)
    for place in range(CANDIDATES):
        draw = uniform_array(conf.seed, f"candidate/{place}", keys)
        anywhere = draw_anywhere(communities, uniform_array(conf.seed, f"place/{place}", keys), draw, conf)
        own = draw_popular(communities, community, draw, conf) if place < CANDIDATES // 2 else anywhere
        candidates[place] = np.where(own < 0, anywhere, own)

    affinity = np.einsum("cni,ni->cn", item_tastes(conf, communities, candidates), taste)
    gumbel = np.stack([uniform_array(conf.seed, f"choice/{place}", keys) for place in range(CANDIDATES)])
    score = conf.taste_strength * affinity - np.log(-np.log(gumbel + 2.0**-54))
    score -= _SPAM_PENALTY * are_spam(conf, candidates)
    appeared = created_at(conf, candidates)
    score[appeared > at] = -np.inf

    best = np.argmax(score, axis=0)
    rows = np.arange(len(user))
    item, born = candidates[best, rows], appeared[best, rows]
    # All eight are yet to come (at most once in some thousand events, early in the window): the event waits for its item.
    late = born > at
    at[late] = born[late] + np.floor((conf.ends_at - born[late]) * uniform_array(conf.seed, "wait", keys[late])).astype(int)
    return item, at, affinity[best, rows].astype(np.float64)


def _draw_times(conf: WorldConf, keys: Hashes) -> Longs:
    """Times in the window, in unix seconds: any day alike, hours as people keep them, later after the shift."""
    day = np.floor(uniform_array(conf.seed, "day", keys) * conf.days).astype(np.int64)
    upto = np.cumsum(HOUR_WEIGHTS) / sum(HOUR_WEIGHTS)
    hour = np.searchsorted(upto, uniform_array(conf.seed, "hour", keys), side="right")
    midnight = conf.starts_at + day * 86_400
    hour = np.where(midnight >= conf.shift_at, (hour + conf.hour_shift) % 24, hour)
    return midnight + hour * 3_600 + np.floor(uniform_array(conf.seed, "second", keys) * 3_600).astype(np.int64)


def _draw_kinds(conf: WorldConf, keys: Hashes) -> npt.NDArray[np.int8]:
    """Kinds in their usual shares; VIEW stands for whatever is seen, clicked or not."""
    kinds = np.array([RATING, COMMENT, SHARE, SAVE, PURCHASE, VIEW], dtype=np.int8)
    shares = [conf.rating_share, conf.comment_share, conf.share_share, conf.save_share, conf.purchase_share]
    return kinds[np.searchsorted(np.cumsum(shares), uniform_array(conf.seed, "kind", keys), side="right")]


def _stars(
    conf: WorldConf, user: Longs, item: Longs, keys: Hashes, affinity: Doubles, is_shifted: npt.NDArray[np.bool_]
) -> Doubles:
    """Ratings of 0.5 to 5 stars in half stars: linear in affinity, quality and the user's mood, plus chance."""
    stars = (
        RATING_MEAN
        + _BY_AFFINITY * (affinity - _USUAL_AFFINITY)
        + _BY_QUALITY * (qualities(conf, item) - 2.0 * are_spam(conf, item))
        + _BY_USER * normal_array(conf.seed, "mood", user)
        + _BY_CHANCE * normal_array(conf.seed, "chance", keys)
        + conf.rating_shift * is_shifted
    )
    return np.clip(np.round(stars * 2) / 2, 0.5, 5.0)
