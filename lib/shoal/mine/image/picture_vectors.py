"""Items by what they look like."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def picture_vectors(features: DataFrame) -> DataFrame:
    """One row per item with a picture that could be read: item_id, features (array<float>, the embedding of its first picture).

    `features`: rows of features.images, of which the current ones count; of several pictures the first by path counts, then by
    image_id. Cost: one shuffle by item.
    """
    readable = features.where("is_current AND status = 'ok'")
    first = F.min_by("embedding", F.struct("path", "image_id")).alias("features")
    return readable.groupBy("item_id").agg(first)
