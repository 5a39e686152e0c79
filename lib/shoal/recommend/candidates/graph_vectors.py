"""Items by who has met them, and new items by whose they are and what they are tagged with.

Users have random signs (`candidates.projection`); an item is the mean of its users, a user then the mean of their items, an item
again the mean of its users, and so on: items that are a few steps apart in the graph of users and items get like vectors (Chen et
al., Fast and Accurate Network Representation Learning with Very Sparse Random Projection, CIKM 2019). Nothing is learned, so that
vectors of a day come from the events before it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.recommend.candidates.histories import with_places
from shoal.recommend.candidates.projection import mean_by, signs
from shoal.recommend.candidates.vector_neighbours import directions
from shoal.recommend.ranking.caching import Keep


@dataclass(frozen=True)
class GraphVectorSettings:
    """`size`: numbers of a vector; `rounds`: steps from items to users and back; `max_history`: the newest items of a user that
    count; `seed`: of the users' signs."""

    size: int
    rounds: int
    max_history: int
    seed: int


def graph_vectors(met: DataFrame, items: DataFrame, settings: GraphVectorSettings, keep: Keep) -> DataFrame:
    """One row per item of `items` that a user has met, or whose owner or hashtag has such an item: item_id, features.

    `met`: preferences; `items`: item_id, owner_id, hashtags. Each vector has length 1, without what all have in common. An item
    that nobody has met is the mean of its owner's and its hashtags' items. Cost: 2 x rounds shuffles of the preferences with a
    vector each.
    """
    placed = with_places(met, settings.max_history).select("user_id", "item_id")
    placed = keep(placed.join(items.select("item_id"), "item_id", "left_semi"))
    vectors = keep(met_vectors(placed, settings, keep))
    new = items.join(vectors.select("item_id"), "item_id", "left_anti")
    return vectors.unionByName(_by_owner_and_tags(new, items, vectors))


def met_vectors(placed: DataFrame, settings: GraphVectorSettings, keep: Keep) -> DataFrame:
    """One row per item of `placed` (user_id, item_id, each pair once) with a direction: item_id, features."""
    items = directions(mean_by(_with_signs(placed, settings), "item_id"), keep)
    for _ in range(settings.rounds - 1):
        users = mean_by(placed.join(items, "item_id"), "user_id")
        # A user of many tastes is the mean of them, and short: it says little of an item.
        items = directions(mean_by(placed.join(users, "user_id"), "item_id"), keep)
    return items


def _with_signs(placed: DataFrame, settings: GraphVectorSettings) -> DataFrame:
    """The pairs with the signs of their user over the root of how many items the user has met: as in a cosine of users, one who
    meets everything counts little. One shuffle by user."""
    counts = placed.groupBy("user_id").agg(F.count(F.lit(1)).cast("double").alias("_items"))

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = signs(batch.column("user_id").to_pylist(), settings.size, settings.seed)
            found = found / np.sqrt(batch.column("_items").to_numpy())[:, None]
            features = pa.array(list(found.astype(np.float32)), pa.list_(pa.float32()))
            yield pa.RecordBatch.from_arrays([batch.column("user_id"), features], names=["user_id", "features"])

    return placed.join(counts.mapInArrow(made, "user_id string, features array<float>"), "user_id")


def _by_owner_and_tags(new: DataFrame, items: DataFrame, vectors: DataFrame) -> DataFrame:
    """Of `new` those with an owner or a hashtag that a row of `vectors` has: the mean over these of the mean of their items."""
    known = mean_by(_places(items).join(vectors, "item_id"), "place")
    return mean_by(_places(new).join(known, "place"), "item_id")


def _places(items: DataFrame) -> DataFrame:
    """item_id, place: the item's owner and each of its hashtags, once."""
    tags = F.transform(F.coalesce("hashtags", F.array().cast("array<string>")), lambda tag: F.concat(F.lit("#"), F.lower(tag)))
    owner = F.when(F.col("owner_id").isNotNull(), F.array(F.concat(F.lit("@"), "owner_id")))
    places = F.array_distinct(F.concat(tags, F.coalesce(owner, F.array().cast("array<string>"))))
    return items.select("item_id", F.explode(places).alias("place"))
