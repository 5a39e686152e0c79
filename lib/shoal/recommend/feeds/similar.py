"""Similar items and similar users: by whom or what they share, by words, pictures and price."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import SimilarConf
from shoal.recommend.candidates.configured import word_settings
from shoal.recommend.candidates.content import ContentSettings, as_content, content_neighbours, content_terms, kept_terms
from shoal.recommend.candidates.histories import catalogue_of, with_places
from shoal.recommend.candidates.neighbours import NeighbourSettings, as_pairs, item_neighbours
from shoal.recommend.candidates.price_vectors import price_vectors
from shoal.recommend.candidates.text_vectors import mean_vectors, summed_weights
from shoal.recommend.candidates.vector_neighbours import VectorSettings, nearest_vectors
from shoal.recommend.candidates.word_vectors import word_vectors
from shoal.recommend.ranking.caching import Keep

# A price and a category of 0 mean something. Words and pictures share a mean that tells no two items apart.
CENTRED = ("text", "word2vec", "image")


@dataclass(frozen=True)
class ItemContent:
    """What items are about: `terms` (see `content_terms`), the terms that count, and their weights (see `as_content`)."""

    terms: DataFrame
    kept: list[str]
    weights: DataFrame


def item_content(items: DataFrame, settings: ContentSettings, keep: Keep) -> ItemContent:
    """The content of `items`. Cost: that of `kept_terms`; the weights are cached when they are first used."""
    terms = keep(content_terms(items))
    kept = kept_terms(terms, settings)
    return ItemContent(terms, kept, keep(as_content(terms, settings, kept)))


def neighbours_by_events(preferences: DataFrame, conf: SimilarConf, keep: Keep) -> DataFrame:
    """item_id, rank, similar_item_id, similarity, kind: each item's `neighbours` nearest by the users they share.

    Of a user only the newest `max_history` preferences count. An item without a neighbour has no row. Cost: that of
    `item_neighbours`.
    """
    placed = keep(with_places(preferences, conf.max_history))
    catalogue = catalogue_of(placed, conf.max_catalogue)
    settings = NeighbourSettings(conf.kind, conf.shrink, 0.0, conf.neighbours)
    return as_pairs(item_neighbours(placed, catalogue, settings), catalogue).withColumn("kind", F.lit(conf.kind))


def neighbours_by_content(lonely: DataFrame, content: ItemContent, conf: SimilarConf) -> DataFrame:
    """As `neighbours_by_events`, for the items of `lonely` (item_id) and of kind `content`: by words, categories and hashtags.
    Cost: that of `content_neighbours`."""
    pairs = content_neighbours(content.weights, conf.max_catalogue, conf.neighbours, conf.max_term_share)
    return pairs.join(lonely, "item_id", "left_semi").withColumn("kind", F.lit("content"))


def neighbours_by_vectors(vectors: dict[str, DataFrame], settings: VectorSettings, keep: Keep) -> list[DataFrame]:
    """As `neighbours_by_events`, a frame for each kind of `vectors` (kind -> item_id, features). Cost: that of
    `nearest_vectors`."""
    return [
        nearest_vectors(keep(rows), settings, kind in CENTRED).withColumn("kind", F.lit(kind)) for kind, rows in vectors.items()
    ]


def neighbours_by_texts(parts: DataFrame, conf: SimilarConf, settings: VectorSettings, keep: Keep) -> DataFrame:
    """As `neighbours_by_events`, of kind `text`: by the texts in and about items (`shoal.recommend.candidates.text_vectors`).

    Sparse vectors have the bounds of `neighbours_by_content` (`max_catalogue`, `max_term_share`), others those of
    `nearest_vectors`; both have its cost. One job asks which of the two they are.
    """
    parts = keep(parts)
    first = parts.select("indices").first()
    if first is not None and first["indices"] is None:
        return neighbours_by_vectors({"text": mean_vectors(parts)}, settings, keep)[0]
    pairs = content_neighbours(keep(summed_weights(parts)), conf.max_catalogue, conf.neighbours, conf.max_term_share)
    return pairs.withColumn("kind", F.lit("text"))


def item_vectors(
    items: DataFrame, content: ItemContent | None, pictures: DataFrame | None, conf: SimilarConf, settings: ContentSettings
) -> dict[str, DataFrame]:
    """Kind -> item_id, features, for the kinds of `conf.vectors`. `content`: needed for word2vec; `pictures`: vectors of pictures,
    None without any."""
    found: dict[str, DataFrame] = {}
    if "word2vec" in conf.vectors and content is not None:
        found["word2vec"] = word_vectors(content.terms, word_settings(conf), settings, (content.kept, content.weights))
    if "image" in conf.vectors and pictures is not None:
        found["image"] = pictures
    if "price" in conf.vectors:
        found["price"] = price_vectors(items)
    return found
