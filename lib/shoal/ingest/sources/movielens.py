"""MovieLens, as GroupLens hands it out: a folder of ratings.csv, movies.csv, tags.csv and links.csv (all but the first may
be absent)."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field
from shoal.ingest.record_type import RecordType, id_from, unlabelled
from shoal.ingest.sources.general import RATING_FIELDS, TIME, USER, item_of, made_ratings, rating_in_range

MOVIE = Field("item_id", "id", True, ("movie_id",))


def _movies(conf: IngestConf) -> dict[str, Column]:
    """A film: its title with the year, as listed; its genres, none for `(no genres listed)`."""
    genres = F.filter("categories", lambda genre: genre != "(no genres listed)")
    return item_of({
        "item_id": F.col("item_id"), "kind": F.lit("film"), "title": F.col("title"),
        "categories": F.coalesce(genres, F.array().cast("array<string>")),
    })  # fmt: skip


def _tags(conf: IngestConf) -> dict[str, Column]:
    """A tag that a user gave a film: a text of kind `tag`."""
    return {
        "text_id": id_from("user_id", "item_id", "text", "occurred_at"), "kind": F.lit("tag"), "author_id": F.col("user_id"),
        "item_id": F.col("item_id"), "conversation_id": F.lit(None).cast("string"), "text": F.col("text"),
        **unlabelled(), "created_at": F.col("occurred_at"),
    }  # fmt: skip


def _links(conf: IngestConf) -> dict[str, Column]:
    """The film's ids elsewhere; IMDb's with its seven digits and tt, as IMDb writes it."""
    imdb = F.when(F.col("imdb_id").isNotNull(), F.concat(F.lit("tt"), F.lpad("imdb_id", 7, "0")))
    return {"item_id": F.col("item_id"), "imdb_id": imdb, "tmdb_id": F.col("tmdb_id")}


def _ratings(conf: IngestConf) -> dict[str, Column]:
    return made_ratings("movielens")


PARTS = (
    RecordType(
        "ratings",
        "bronze.ratings",
        "silver.interactions",
        RATING_FIELDS,
        _ratings,
        "ratings.csv",
        False,
        rating_in_range,
        key_from="occurred_at",
    ),
    RecordType(
        "movies",
        "bronze.items",
        "silver.items",
        (MOVIE, Field("title", "text", True), Field("categories", "list", False, ("genres",))),
        _movies,
        "movies.csv",
    ),
    RecordType(
        "tags", "bronze.texts", "silver.texts", (USER, MOVIE, Field("text", "text", True, ("tag",)), TIME), _tags, "tags.csv"
    ),
    RecordType(
        "links",
        "bronze.links",
        "silver.item_external_ids",
        (MOVIE, Field("imdb_id", "id"), Field("tmdb_id", "id")),
        _links,
        "links.csv",
    ),
)
