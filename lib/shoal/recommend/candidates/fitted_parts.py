"""The parts of a blend, fitted on preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Floats
from shoal.recommend.candidates.als import AlsModel, fit_als
from shoal.recommend.candidates.blend import Blend, BlendSettings, Expert
from shoal.recommend.candidates.content import content_matrix
from shoal.recommend.candidates.cooccurrence import as_matrix
from shoal.recommend.candidates.demographics import UserGroups, group_counts
from shoal.recommend.candidates.ease import (
    catalogue_weights,
    gram,
    gram_here,
    sparse_gram,
    sparse_gram_here,
)
from shoal.recommend.candidates.histories import (
    Catalogue,
    Met,
    catalogue_here,
    catalogue_of,
    collect_met,
    days_of,
    with_places,
)
from shoal.recommend.candidates.neighbours import item_neighbours, walks_here
from shoal.recommend.candidates.parts import (
    Parts,
)
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.candidates.transitions import transitions, transitions_here
from shoal.recommend.candidates.trends import DailyEvents, daily_events, daily_here

# Item statistics are rounded: sums over partitions differ in the last digits.
DIGITS = 5
# The closed form of EASE over so many items is a second's work of one thread.
ONE_THREAD_ITEMS = 3000


@dataclass(frozen=True)
class FittedParts:
    """The parts, the catalogue that their columns are, and ALS."""

    catalogue: Catalogue
    parts: Parts
    als: AlsModel


def fit_parts(
    preferences: DataFrame, settings: BlendSettings, als: AlsModel | None = None, content: DataFrame | None = None,
    groups: UserGroups | None = None,
) -> FittedParts | None:
    """Every part over preferences, with ALS as it was fitted on them, else fitted here, `content` (see `as_content`), and what the
    users' `groups` met; None where no item has `ease.min_users` users who like it.

    Cost: that of ALS, of `content_matrix` and of `group_counts`; up to LOCAL_PREFERENCES preferences one collect, and sparse
    products on the driver; above, that of EASE's `gram`, of `transitions`, of `item_neighbours` and of `facts_of`; collects the
    factors of EASE's catalogue, of at most `ease.max_items` items.
    """
    wanted = settings.ease
    here = collect_met(preferences, wanted.max_history)
    if here is not None:
        everything, ids = here
        catalogue, met = catalogue_here(
            preferences.sparkSession, everything.only(everything.strengths > 0), ids, wanted.most_items, wanted.min_users
        )
        if not len(catalogue):
            return None
        # One thread for what takes no second: threads of BLAS that wait for each other beside other jobs take minutes.
        is_small = not ONE_THREAD_ITEMS < len(catalogue) <= wanted.max_items
        with threadpool_limits(1 if is_small else None, "blas"):
            weights = catalogue_weights(
                len(catalogue), wanted, lambda: gram_here(met, len(catalogue), wanted),
                lambda: sparse_gram_here(met, len(catalogue), wanted),
            )  # fmt: skip
        following = transitions_here(met, catalogue, settings.transitions)
        near = walks_here(met, catalogue, settings.walk)
        facts = facts_here(met, len(catalogue))
    else:
        # Gone through seven times, each of them a sort by user; on disk, because the driver's memory is for the sums.
        placed = liked(with_places(preferences, wanted.max_history)).persist(StorageLevel.DISK_ONLY)
        try:
            catalogue = catalogue_of(placed, wanted.most_items, wanted.min_users)
            if not len(catalogue):
                return None
            weights = catalogue_weights(
                len(catalogue), wanted, lambda: gram(placed, catalogue, wanted), lambda: sparse_gram(placed, catalogue, wanted)
            )
            following = transitions(placed, catalogue, settings.transitions)
            near = as_matrix(item_neighbours(placed, catalogue, settings.walk), len(catalogue))
            facts = facts_of(placed, catalogue)
        finally:
            placed.unpersist()
    als = als or fit_als(preferences, settings.als)
    width = settings.content.max_terms
    terms = csr_matrix((len(catalogue), width), dtype=np.float32)
    if content is not None:
        terms = content_matrix(content, catalogue, width)
    popularity = np.log1p(catalogue.users).astype(np.float32)
    met_by = group_counts(preferences, catalogue, groups, wanted.max_history)
    names = () if groups is None else groups.names
    factors = factors_of(als, catalogue)
    parts = Parts(weights, following, near, terms, factors, popularity, group_counts=met_by, group_names=names, **facts)
    return FittedParts(catalogue, parts, als)


def facts_here(met: Met, items: int) -> dict[str, Any]:
    """item_history, item_rating, first_day, last_day, max_rating and the daily events of `Parts`, of histories on the driver."""
    users = np.maximum(np.bincount(met.items, minlength=items), 1)
    lengths = np.log1p(np.bincount(met.users))[met.users]
    rated = np.isfinite(met.ratings)
    values, rated_items = met.ratings[rated].astype(np.float64), met.items[rated]
    days = met.only(met.is_timed)
    first, last = np.full(items, np.inf), np.full(items, -np.inf)
    np.minimum.at(first, days.items, days.days)
    np.maximum.at(last, days.items, days.days)
    return _facts(
        np.bincount(met.items, lengths, minlength=items) / users, np.bincount(rated_items, values, minlength=items),
        np.bincount(rated_items, minlength=items), first, last, float(values.max(initial=0.0)),
        daily_here(met.days, met.items, items),
    )  # fmt: skip


def facts_of(placed: DataFrame, catalogue: Catalogue) -> dict[str, Any]:
    """`facts_here` by Spark. Cost: two shuffles, by user and by item, and that of `daily_events`; collects a row an item of the
    catalogue."""
    numbered = placed.join(F.broadcast(catalogue.numbers), "item_id")
    length = F.log1p(F.count(F.lit(1)).over(Window.partitionBy("user_id")).cast("double"))
    day = days_of("occurred_at")
    made = numbered.select("item", "rating", length.alias("length"), day.alias("day")).groupBy("item")
    columns = {"history": F.avg("length"), "total": F.sum("rating"), "rated": F.count("rating"), "first": F.min("day"),
               "last": F.max("day"), "most": F.max("rating")}  # fmt: skip
    rows = made.agg(*[column.alias(name) for name, column in columns.items()])
    table = pa.Table.from_batches(rows._collect_as_arrow()).sort_by("item").combine_chunks()
    found = {name: table.column(name).to_numpy().astype(np.float64) for name in columns}
    most = float(np.nan_to_num(found["most"]).max(initial=0.0))
    found = {name: np.nan_to_num(values) if name in ("total", "rated") else values for name, values in found.items()}
    daily = daily_events(numbered.select("item", day.alias("day")), len(catalogue))
    return _facts(found["history"], found["total"], found["rated"], found["first"], found["last"], most, daily)


def _facts(
    history: Doubles, total: Any, rated: Any, first: Doubles, last: Doubles, most: float, daily: DailyEvents
) -> dict[str, Any]:
    """The fields, rounded; a mean rating is damped by five at the mean of all."""
    mean = float(total.sum()) / max(float(rated.sum()), 1.0)
    most = most if most > 0 else 1.0
    rating = np.round((total + 5.0 * mean) / (rated + 5.0) / most, DIGITS)
    days = [np.where(np.isfinite(values), values, np.nan) for values in (first, last)]
    return {"item_history": np.round(history, DIGITS).astype(np.float32), "item_rating": rating.astype(np.float32),
            "first_day": days[0], "last_day": days[1], "max_rating": most,
            "daily": daily.counts, "daily_days": daily.days}  # fmt: skip


def factors_of(als: AlsModel, catalogue: Catalogue) -> Floats:
    """The items' factors in the order of the catalogue; zeros where ALS has none. Collects at most the catalogue's."""
    known = als.collected_items(catalogue.numbers)
    place = {name: n for n, name in enumerate(known.ids.to_pylist())}
    at = np.array([place.get(name, -1) for name in catalogue.ids.to_pylist()])
    return np.ascontiguousarray(np.where(at[:, None] >= 0, known.factors[at], np.float32(0)), np.float32)


def blend_of(fitted: FittedParts, experts: Sequence[Expert], settings: BlendSettings) -> Blend:
    """The parts with the experts that read them."""
    share, length = settings.random_holdout_share, settings.ease.max_history
    # A user who comes back after a year meets what rises then, not what rose at the last event.
    asked = None if settings.is_after_last else fitted.parts.last_moment
    return Blend(fitted.catalogue.ids, fitted.parts, tuple(experts), share, length, settings.candidates, asked)
