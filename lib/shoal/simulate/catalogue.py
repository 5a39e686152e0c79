"""Items of the world: owner, topic, time, price and taste, as functions of an item's number (numpy, no state).

An item's number is 0..items-1: consecutive within a community, the most popular of each first. The public id shows another
number, `public_numbers`, so that an id carries no information about popularity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shoal.arrays import Doubles
from shoal.simulate.draws import Longs, normal_array, permute, uniform_array
from shoal.simulate.people import Communities, draw_members, tastes
from shoal.simulate.tails import position_of_share
from shoal.simulate.words import TOPICS
from shoal.simulate.world import ITEM_HISTORY_DAYS, WorldConf

# Posts are on their community's topic this often, else on any.
_ON_TOPIC = 0.85
# Log-normal prices: median 20 dollars, two thirds between 9 and 45.
_MEDIAN_PRICE_USD, _PRICE_SPREAD = 20.0, 0.8


def public_numbers(conf: WorldConf, items: Longs) -> Longs:
    """The number in each item's public id."""
    return permute(conf.seed, "item-id", items, conf.items)


def communities_of_items(communities: Communities, items: Longs) -> Longs:
    """The community each item was made in."""
    return np.searchsorted(communities.item_bounds, items, side="right").astype(np.int64) - 1


def owners_of_items(conf: WorldConf, communities: Communities, items: Longs) -> Longs:
    """The user who made each item: a member of its community, some far more often than others."""
    draw = uniform_array(conf.seed, "owner", items)
    return draw_members(conf, communities, communities_of_items(communities, items), draw)


def topics_of_items(conf: WorldConf, communities: Communities, items: Longs) -> Longs:
    """Each item's topic, an index into words.TOPICS: mostly the community's."""
    own = communities.topics[communities_of_items(communities, items)]
    other = np.floor(uniform_array(conf.seed, "other-topic", items) * len(TOPICS)).astype(np.int64)
    return np.where(uniform_array(conf.seed, "on-topic", items) < _ON_TOPIC, own, other)


def created_at(conf: WorldConf, items: Longs) -> Longs:
    """When each item appeared, in unix seconds: before the window or within it."""
    draw = uniform_array(conf.seed, "item-time", items)
    before = conf.starts_at - 1 - draw * ITEM_HISTORY_DAYS * 86_400
    within = conf.starts_at + draw * (conf.ends_at - conf.starts_at)
    is_old = uniform_array(conf.seed, "item-era", items) < conf.old_item_share
    return np.floor(np.where(is_old, before, within)).astype(np.int64)


def qualities(conf: WorldConf, items: Longs) -> Doubles:
    """Each item's quality, standard normal: half a star of its ratings for each unit."""
    return normal_array(conf.seed, "quality", items)


def are_spam(conf: WorldConf, items: Longs) -> npt.NDArray[np.bool_]:
    """Whether each item is spam; no product is."""
    return (uniform_array(conf.seed, "item-spam", items) < conf.spam_share) & ~are_products(conf, items)


def are_products(conf: WorldConf, items: Longs) -> npt.NDArray[np.bool_]:
    """Whether each item is a product (it has a price and can be bought) rather than a post."""
    return uniform_array(conf.seed, "product", items) < conf.product_share


def prices_usd(conf: WorldConf, items: Longs) -> Doubles:
    """The price each item would have as a product, in US dollars to the cent."""
    return np.round(_MEDIAN_PRICE_USD * np.exp(_PRICE_SPREAD * normal_array(conf.seed, "price", items)), 2)


def item_tastes(conf: WorldConf, communities: Communities, items: Longs) -> npt.NDArray[np.float32]:
    """Each item's taste: a unit vector near its community's centre."""
    return tastes(conf, communities, "item-taste", items, communities_of_items(communities, items))


def draw_popular(communities: Communities, groups: Longs, draw: Doubles, conf: WorldConf) -> Longs:
    """An item of each given community, in proportion to popularity; -1 where the community has none."""
    first = communities.item_bounds[groups]
    count = communities.item_bounds[groups + 1] - first
    position = position_of_share(draw, conf.popularity_tail, conf.popularity_span)
    return np.where(count > 0, first + np.floor(count * position).astype(np.int64), -1)


def draw_anywhere(communities: Communities, pick: Doubles, draw: Doubles, conf: WorldConf) -> Longs:
    """An item of the whole world, in proportion to popularity: `pick` chooses the community by its number of items."""
    groups = communities_of_items(communities, np.floor(pick * conf.items).astype(np.int64))
    return draw_popular(communities, groups, draw, conf)
