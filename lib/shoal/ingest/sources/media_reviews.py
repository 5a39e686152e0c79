"""Reviews of films and other things, events with them, and what IMDb and TMDb know of the films.

In a folder, `title.basics` and `title.ratings` are IMDb's public tables, files with `tmdb` in their names or called
`movies_metadata` TMDb's records, those with `event`, `interaction` or `history` events, all others reviews. Films that several
sources have are brought together afterwards: `films`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.fields import Field, broken_rule
from shoal.ingest.record_type import DerivedTable, RecordType, id_from, unlabelled
from shoal.ingest.sources.general import (
    EVENTS,
    ITEM,
    RATING,
    TEXT,
    TIME,
    USER,
    item_of,
    made_ratings,
    rating_in_range,
    rating_range,
)

SOURCE = "media_reviews"
_EVENTS = ("*event*", "*interaction*", "*history*", "events/*")
_BASICS, _RATINGS = ("title.basics*", "title.basics/*"), ("title.ratings*", "title.ratings/*")
_TMDB = ("*tmdb*", "movies_metadata*", "tmdb/*")
# Tables that come in the same folders and say nothing of what is read here: people, casts, other catalogues' ids.
_UNREAD = ("name.basics*", "*credits*", "*keywords*", "links*")
_OTHERS = (*_EVENTS, "title.*", *_BASICS, *_RATINGS, *_TMDB, *_UNREAD, "readme*", "license*")
_NULL = "\\N"
# IMDb's kinds of titles that are films to us; a series and its episodes are kinds of their own.
_FILMS = ("movie", "tvmovie", "tvspecial", "video", "short", "tvshort")

REVIEW_FIELDS = (
    Field("review_id", "id", False, ("id",)),
    replace(USER, aliases=(*USER.aliases, "author_id", "author", "username")),
    Field("item_id", "id", True, (*ITEM.aliases, "imdb_id", "tconst")),
    replace(RATING, required=False),
    Field("title", "text", False, ("summary", "headline", "subject")),
    replace(TEXT, required=False),
    TIME,
)
BASICS_FIELDS = (
    Field("tconst", "id", True),
    Field("title_type", "word"),
    Field("primary_title", "text", True, people="none"),
    Field("is_adult", "flag"),
    Field("start_year", "whole"),
    Field("genres", "text", people="none"),
)
SCORE_FIELDS = (
    Field("tconst", "id", True),
    Field("average_rating", "number"),
    Field("num_votes", "count"),
)
TMDB_FIELDS = (
    Field("tmdb_id", "id", True, ("id",)),
    Field("imdb_id", "id"),
    Field("title", "text", False, ("original_title", "name"), people="none"),
    Field("overview", "text", people="none"),
    # Lists of {id, name}.
    Field("genres", "text", people="none"),
    Field("keywords", "text", people="none"),
    # A text: films are announced, and a time may not lie in the future.
    Field("release_date", "text", people="none"),
    Field("popularity", "number"),
    Field("vote_average", "number"),
    Field("vote_count", "count"),
)


def films_of(document: object, path: str) -> Iterator[object]:
    """The films of a TMDb document: a film, a page of results, or an array of these."""
    for each in document if isinstance(document, list) else [document]:
        if isinstance(each, dict) and isinstance(each.get("results"), list):
            yield from each["results"]
        else:
            yield each


# -- reviews


def _has_words() -> Column:
    return F.coalesce(F.trim(F.coalesce("text", "title")) != "", F.lit(False))


def _is_for_reviews() -> Column:
    """Whatever is no bare rating: also a record that cannot be read."""
    return ~_is_bare_rating()


def _is_bare_rating() -> Column:
    return ~_has_words() & F.col("rating").isNotNull()


def _texts(conf: IngestConf) -> dict[str, Column]:
    """A review; its headline stands for it where it has no other words."""
    made = id_from("user_id", "item_id", "text", "title", "occurred_at")
    return {
        "text_id": F.concat(F.lit("review-"), F.coalesce("review_id", made)), "kind": F.lit("review"),
        "author_id": F.col("user_id"), "item_id": F.col("item_id"), "conversation_id": F.lit(None),
        "text": F.when(F.trim("text") != "", F.col("text")).otherwise(F.col("title")), **unlabelled(),
        "created_at": F.col("occurred_at"),
    }  # fmt: skip


def _rating_of_review_in_range(conf: IngestConf) -> Column:
    """Rule `range`: a rating outside ingest.rating_min to rating_max. A review without one is sound."""
    rating = F.col("_fields.rating")
    return F.when(rating.isNotNull(), rating_range(rating, conf))


def _ratings(conf: IngestConf) -> dict[str, Column]:
    return made_ratings(SOURCE)


# -- what the catalogues know


def _link_of_title(conf: IngestConf) -> dict[str, Column]:
    return {"item_id": F.col("tconst"), "imdb_id": F.col("tconst"), "tmdb_id": F.lit(None)}


def _title(conf: IngestConf) -> dict[str, Column]:
    """A title of IMDb; of its time only the year is known."""
    kind = F.when(F.col("title_type").isin(*_FILMS), "film").when(F.col("title_type").isin("tvseries", "tvminiseries"), "series")
    year = F.when(F.col("start_year").between(1, 9999), F.lpad(F.col("start_year").cast("string"), 4, "0"))
    return item_of({
        "item_id": F.col("tconst"), "title": F.col("primary_title"),
        "created_at": F.concat(year, F.lit("-01-01")).cast("timestamp"),
        "kind": F.coalesce(kind, F.regexp_replace("title_type", "^tv", ""), F.lit("film")),
        "categories": F.coalesce(F.filter(F.split("genres", " *, *"), lambda g: g != ""), F.array().cast("array<string>")),
    })  # fmt: skip


def _score_of_title(conf: IngestConf) -> dict[str, Column]:
    return {"item_id": F.col("tconst"), "catalogue": F.lit("imdb"), "rating": F.col("average_rating"), "votes": F.col("num_votes"),
            "popularity": F.lit(None)}  # fmt: skip


def _tmdb_item() -> Column:
    """A film's id of its own: IMDb's and TMDb's rows of a film are brought together by item_external_ids, whatever comes first."""
    return F.concat(F.lit("tmdb-"), "tmdb_id")


def _link_of_film(conf: IngestConf) -> dict[str, Column]:
    return {"item_id": _tmdb_item(), "imdb_id": F.col("imdb_id"), "tmdb_id": F.col("tmdb_id")}


def _wrong_ids(conf: IngestConf) -> Column:
    """Rule `type`: a film whose ids are none, as where a line break broke a record and its values stand in other columns."""
    tmdb, imdb = F.col("_fields.tmdb_id"), F.col("_fields.imdb_id")
    no_number = F.concat(F.lit("tmdb_id: found '"), F.substring(tmdb, 1, 60), F.lit("', expected a number"))
    no_title = F.concat(F.lit("imdb_id: found '"), F.substring(imdb, 1, 60), F.lit("', expected tt and digits"))
    of_tmdb = F.when(~tmdb.rlike(r"^\d+$"), broken_rule("type", no_number))
    return of_tmdb.when(~imdb.rlike(r"^tt\d+$"), broken_rule("type", no_title))


def names_in(text: Column) -> Column:
    """The names in a list of {id, name}, as JSON or as Python prints it, bare or under one key; none of another text."""
    # A name in single quotes holds none; one with an apostrophe is printed in double quotes.
    named = r"""["']name["']: *(?:'([^']*)'|"((?:[^"\\]|\\.)*)")"""
    single, double = F.regexp_extract_all(text, F.lit(named), F.lit(1)), F.regexp_extract_all(text, F.lit(named), F.lit(2))
    listed = F.from_json(text, "array<struct<name: string>>")["name"]
    held = F.coalesce(*[F.from_json(F.get_json_object(text, f"$.{key}"), "array<struct<name: string>>")["name"]
                        for key in ("keywords", "results")])  # fmt: skip
    printed = F.zip_with(single, double, lambda one, two: F.when(one != "", one).otherwise(two))
    names = F.when(text.startswith("["), F.coalesce(F.when(text.rlike("^\\[ *\\{ *'"), printed), listed)).otherwise(held)
    return F.coalesce(F.filter(names, lambda name: F.length(name) > 0), F.array().cast("array<string>"))


def _tmdb_film(conf: IngestConf) -> dict[str, Column]:
    return item_of({
        "item_id": _tmdb_item(), "kind": F.lit("film"), "title": F.col("title"),
        "text": F.when(F.trim("overview") != "", F.col("overview")),
        "categories": names_in(F.col("genres")), "hashtags": F.transform(names_in(F.col("keywords")), F.lower),
        "created_at": F.when(F.substring("release_date", 5, 1) == "-", F.col("release_date").cast("timestamp")),
    })  # fmt: skip


def _score_of_film(conf: IngestConf) -> dict[str, Column]:
    return {"item_id": _tmdb_item(), "catalogue": F.lit("tmdb"), "rating": F.col("vote_average"), "votes": F.col("vote_count"),
            "popularity": F.col("popularity")}  # fmt: skip


def _is_scored() -> Column:
    return F.coalesce("vote_average", "vote_count", "popularity").isNotNull()


# What is there is not gone over: metadata fills what is missing.
TITLES = DerivedTable("silver.items", _title, keeps_newest=False)
FILMS = DerivedTable("silver.items", _tmdb_film, keeps_newest=False)

PARTS = (
    RecordType(
        "reviews", "bronze.reviews", "silver.texts", REVIEW_FIELDS, _texts, keeps_newest=False, is_optional=True,
        checked=_rating_of_review_in_range, excluding=_OTHERS, takes=_is_for_reviews,
        also=(DerivedTable("silver.interactions", _ratings, lambda: F.col("rating").isNotNull(), keeps_newest=False),),
    ),
    # A rating without words: the same files, the other records.
    RecordType(
        "ratings", "bronze.ratings", "silver.interactions", REVIEW_FIELDS, _ratings, None, False, rating_in_range,
        excluding=_OTHERS, takes=_is_bare_rating,
    ),
    replace(EVENTS, name="interactions", file=_EVENTS),
    RecordType(
        "titles", "bronze.imdb_titles", "silver.item_external_ids", BASICS_FIELDS, _link_of_title, _BASICS, also=(TITLES,),
        null=_NULL,
        has_quotes=False,
    ),
    RecordType(
        "title_ratings", "bronze.item_external_ratings", "silver.item_external_ratings", SCORE_FIELDS, _score_of_title,
        _RATINGS, null=_NULL,
        has_quotes=False,
    ),
    RecordType(
        "films", "bronze.tmdb_films", "silver.item_external_ids", TMDB_FIELDS, _link_of_film, _TMDB, records_of=films_of,
        pages=frozenset({"results"}), checked=_wrong_ids, excluding=("*credits*", "*keywords*"),
        also=(FILMS, DerivedTable("silver.item_external_ratings", _score_of_film, _is_scored)),
    ),
)  # fmt: skip
