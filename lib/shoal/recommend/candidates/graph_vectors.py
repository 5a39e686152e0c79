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


def graph_vectors(met: DataFrame, items: DataFrame, settings: GraphVectorSettings, keep: Keep) -> tuple[DataFrame, DataFrame]:
    """Two frames of item_id, features. The first: every item of `items` that a user has met, or that has a row in the second. The
    second, around: every item whose owner or hashtag has another item that a user has met, by these (see `around_vectors`).

    `met`: preferences; `items`: item_id, owner_id, hashtags. Vectors of met items have length 1, without what all have in common;
    an item without events has that of the second frame in the first too. Cost: 2 x rounds shuffles of the preferences with a
    vector each, three of the items' owners and hashtags.
    """
    placed = with_places(met, settings.max_history).select("user_id", "item_id")
    placed = keep(placed.join(items.select("item_id"), "item_id", "left_semi"))
    vectors = keep(met_vectors(placed, settings, keep))
    around = keep(around_vectors(items, vectors))
    return vectors.unionByName(around.join(vectors.select("item_id"), "item_id", "left_anti")), around


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


def around_vectors(items: DataFrame, vectors: DataFrame) -> DataFrame:
    """item_id, features of `items` (item_id, owner_id, hashtags): the mean, over the item's owner and its hashtags, of the mean of
    their items in `vectors` (item_id, features) without the item itself. So a met item has what it had as a new one, and what is
    learned on met items holds for new ones. Who has no such place has no row."""
    places = _places(items)
    own = vectors.withColumnRenamed("features", "_own")
    counts = places.join(own, "item_id").groupBy("place").agg(F.count(F.lit(1)).alias("_items"))
    means = mean_by(places.join(vectors, "item_id"), "place").join(counts, "place")
    each = places.join(means, "place").join(own, "item_id", "left").where("_own is null or _items > 1")
    others = F.zip_with("features", "_own", lambda mean, x: ((F.col("_items") * mean - x) / (F.col("_items") - 1)).cast("float"))
    return mean_by(each.withColumn("features", F.when(F.col("_own").isNull(), F.col("features")).otherwise(others)), "item_id")


def _places(items: DataFrame) -> DataFrame:
    """item_id, place: the item's owner and each of its hashtags, once."""
    tags = F.transform(F.coalesce("hashtags", F.array().cast("array<string>")), lambda tag: F.concat(F.lit("#"), F.lower(tag)))
    owner = F.when(F.col("owner_id").isNotNull(), F.array(F.concat(F.lit("@"), "owner_id")))
    places = F.array_distinct(F.concat(tags, F.coalesce(owner, F.array().cast("array<string>"))))
    return items.select("item_id", F.explode(places).alias("place"))
