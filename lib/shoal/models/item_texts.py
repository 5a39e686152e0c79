"""The vectors of what is written in items and about them, by the representation of features.texts."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.mine.text.representation import with_vectors, words_of
from shoal.models.text_terms import terms_of_version
from shoal.recommend.candidates.text_vectors import item_words


def item_text_parts(
    lake: Lake, items: DataFrame, as_of: date, made_until: date | None = None
) -> tuple[str, DataFrame] | None:
    """The model_version that most current rows of features.texts have, and one row per text: item_id, indices, values. None where
    features.texts has no current row of a text about one of `items` that was known by as_of.

    Texts are those of silver.texts with an item_id (captions, reviews, comments), and, where the representation has learned terms,
    the item's own title, text, hashtags and categories as one more: a network reads texts only. With `made_until` only vectors made
    up to that day count: later ones are by terms that later texts have taught. Cost: a shuffle by text, a small aggregate; that of
    `terms_of_version`.
    """
    held, texts = lake.read_if_exists("features.texts"), lake.read_if_exists("silver.texts", before=as_of)
    if held is None or texts is None:
        return None
    about = texts.where("item_id is not null").select("text_id", "item_id").join(items.select("item_id"), "item_id", "left_semi")
    if made_until is not None:
        held = held.where(F.col("as_of") <= F.lit(made_until))
    vectors = held.where("is_current").select("text_id", "model_version", "indices", "values").join(about, "text_id")
    counted = vectors.groupBy("model_version").count().orderBy(F.desc("count"), "model_version").first()
    if counted is None:
        return None
    version = str(counted["model_version"])
    parts = vectors.where(F.col("model_version") == version).select("item_id", "indices", "values")
    terms = terms_of_version(lake, version)
    if terms is None:
        return version, parts
    own = with_vectors(words_of(item_words(items), lake.settings.texts.max_text_length), terms)
    return version, parts.unionByName(own.select("item_id", "indices", "values"))
