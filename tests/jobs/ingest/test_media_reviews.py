"""Reviews, IMDb's tables and TMDb's records; one film is one item in whatever order its sources come."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.ingest.sources.media_reviews import names_in

from tests.jobs.ingest.test_ingest_files import World

BASICS = (
    "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n"
    "tt0114709\tmovie\tToy Story\tToy Story\t0\t1995\t\\N\t81\tAdventure,Animation\n"
    'tt0000002\tshort\t"The" clown\t\\N\t0\t\\N\t\\N\t5\t\\N\n'  # a quote is a letter
    "tt0000003\ttvEpisode\tPilot\tPilot\t0\tsoon\t\\N\t\\N\tDrama\n"
    "tt0000004\ttvSeries\t\\N\tX\t0\t1999\t\\N\t\\N\tDrama\n"
)
RATINGS = "tconst\taverageRating\tnumVotes\ntt0114709\t8.3\t1000000\ntt0000002\t11\t3\n"
TMDB = [
    {"id": 862, "imdb_id": "tt0114709", "title": "Toy Story", "overview": "Toys live.", "genres": [{"id": 16, "name": "Animation"}],
     "keywords": {"keywords": [{"id": 1, "name": "Jealousy"}]}, "release_date": "1995-10-30", "popularity": 21.9,
     "vote_average": 7.7, "vote_count": 5415},
    {"id": 949, "imdb_id": None, "title": "Heat", "overview": "", "genres": [], "release_date": "1995-12-15"},
    {"id": None, "title": "nobody"},
]  # fmt: skip
COLUMNS = ("item_id", "kind", "title", "text", "hashtags", "categories", "created_at", "source")


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def metadata(world: World) -> Path:
    world.file(gzip.compress(BASICS.encode()), "meta/title.basics.tsv.gz")
    world.file(RATINGS, "meta/title.ratings.tsv")
    world.file(json.dumps({"results": TMDB}), "meta/tmdb.json")
    world.file("userId,movieId,rating,timestamp,review\nu9,tt0114709,9,1000000000,Fine film\n", "meta/reviews.csv")
    return world.folder / "meta"


def movielens(world: World) -> Path:
    world.file("userId,movieId,rating,timestamp\n7,1,4.0,964982703\n", "ml/ratings.csv")
    world.file("movieId,title,genres\n1,Toy Story (1995),(no genres listed)\n6,Heat (1995),Crime\n", "ml/movies.csv")
    world.file("movieId,imdbId,tmdbId\n1,0114709,862\n6,0113277,949\n", "ml/links.csv")
    return world.folder / "ml"


def test_metadata_alone_lands_imdb_and_tmdb_are_one_and_movielens_that_comes_later_has_the_same_films(world: World) -> None:
    result = world.ingest(metadata(world), "media_reviews")
    assert result.status == "succeeded", result.message
    assert world.rows("silver.items", *COLUMNS) == [
        ("tmdb-949", "film", "Heat", None, [], [], datetime(1995, 12, 15), "media_reviews"),
        ("tt0000002", "film", '"The" clown', None, [], [], None, "media_reviews"),
        ("tt0114709", "film", "Toy Story", "Toys live.", ["jealousy"], ["Adventure", "Animation"], datetime(1995, 1, 1),
         "media_reviews"),
    ]  # fmt: skip
    assert world.rows("silver.item_external_ratings", "item_id", "catalogue", "rating", "votes", "popularity") == [
        ("tt0114709", "imdb", 8.3, 1_000_000, None),
        ("tt0114709", "tmdb", 7.7, 5415, 21.9),
    ]
    reported = sorted((Path(file).name, line, rule) for file, line, rule in world.rows("ops.quarantine", "file", "line", "rule"))
    assert reported == [
        ("title.basics.tsv.gz", 4, "type"), ("title.basics.tsv.gz", 5, "required"), ("title.ratings.tsv", 3, "check"),
        ("tmdb.json", 3, "required"),
    ]  # fmt: skip
    assert sorted(world.counts()) == [
        ("reviews.csv", 0, 0, 0, 0), ("reviews.csv", 1, 1, 0, 0), ("title.basics.tsv.gz", 4, 2, 0, 2),
        ("title.ratings.tsv", 2, 1, 0, 1), ("tmdb.json", 3, 2, 0, 1),
    ]  # fmt: skip
    result = world.ingest(movielens(world), "movielens")
    assert result.status == "succeeded", result.message
    assert_one_film_is_one_item(world)


# The items of both sources, whichever came first.
FILMS = [
    ("1", "film", "Toy Story (1995)", "Toys live.", ["jealousy"], ["Animation"], datetime(1995, 10, 30), "movielens"),
    ("6", "film", "Heat (1995)", None, [], ["Crime"], datetime(1995, 12, 15), "movielens"),
    ("tt0000002", "film", '"The" clown', None, [], [], None, "media_reviews"),
]


def assert_one_film_is_one_item(world: World) -> None:
    assert world.rows("silver.items", *COLUMNS) == FILMS
    assert world.rows("silver.interactions", "user_id", "item_id", "value") == [("7", "1", 4.0), ("u9", "1", 9.0)]
    assert world.rows("silver.texts", "author_id", "item_id", "text") == [("u9", "1", "Fine film")]
    assert world.rows("silver.item_external_ratings", "item_id", "catalogue") == [("1", "imdb"), ("1", "tmdb")]
    ids = [row[0] for row in world.rows("silver.item_external_ids", "item_id")]
    assert ids == ["1", "6", "tmdb-862", "tmdb-949", "tt0000002", "tt0114709"]


def test_metadata_that_comes_after_movielens_is_of_the_same_films(world: World) -> None:
    for source, path in (("movielens", movielens(world)), ("media_reviews", metadata(world))):
        result = world.ingest(path, source)
        assert result.status == "succeeded", result.message
    assert_one_film_is_one_item(world)
    # A later movies.csv updates the row; what IMDb and TMDb know is filled in again.
    movies = "movieId,title,genres\n1,Toy Story! (1995),Comedy\n"
    world.ingest(world.file(movies, "later/movies.csv"), "movielens")
    again = ("1", "film", "Toy Story! (1995)", "Toys live.", ["jealousy"], ["Comedy"], datetime(1995, 10, 30), "movielens")
    assert world.rows("silver.items", *COLUMNS) == [again, *FILMS[1:]]


def test_reviews_of_a_shop_land_as_texts_and_ratings_and_none_is_lost(world: World, data: Path) -> None:
    result = world.ingest(data / "amazon_fine_food_5k", "media_reviews")
    assert result.status == "succeeded", result.message
    first = ("review-1", "review", "A3SGXH7AUHU8GW", "B001E4KFG0", datetime(2011, 4, 27))
    assert first in world.rows("silver.texts", "text_id", "kind", "author_id", "item_id", "created_at")
    assert ("A3SGXH7AUHU8GW", "B001E4KFG0", 5.0) in world.rows("silver.interactions", "user_id", "item_id", "value")
    counts = sorted(world.counts())
    assert counts == [("Reviews.csv", 0, 0, 0, 0), ("Reviews.csv", 5003, 5003, 0, 0)]
    # Two rows have no score: their words are there, a rating is not.
    rated = {row[0] for row in world.rows("bronze.reviews", "review_id", "rating") if row[1] is None}
    assert len(rated) == 2


def test_ratings_without_words_and_out_of_range(world: World) -> None:
    rows = ["a,u1,i1,4,,,10", "b,u1,i2,11,t,x,10", "c,u2,i1,,,Good,10", "d,u3,i1,,,,10", "c,u2,i1,,,Bad,10", "e,u4,i1,12,,,10"]
    content = "id,user_id,item_id,stars,summary,text,time\n" + "\n".join(rows) + "\n"
    world.ingest(world.file(content, "in/some.csv"), "media_reviews")
    assert world.rows("silver.interactions", "user_id", "item_id", "value") == [("u1", "i1", 4.0)]
    assert world.rows("silver.texts", "text_id", "text") == [("review-c", "Good")]
    assert [row[:2] for row in world.quarantined()] == [(3, "range"), (5, "required"), (6, "duplicate_key"), (7, "range")]


LISTS = {
    '[{"id": 1, "name": "A \\"b\\""}, {"id": 2, "name": "C"}]': ['A "b"', "C"],
    "[{'id': 1, 'name': 'Drama'}, {'id': 2, 'name': \"Men's\"}]": ["Drama", "Men's"],
    '{"results": [{"name": "x"}]}': ["x"],
    "[1, 2]": [],
    "no list": [],
    "[{": [],
    None: [],
}


def test_names_of_lists(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(text,) for text in LISTS], "t string")
    assert {row["t"]: row["names"] for row in frame.select("t", names_in(F.col("t")).alias("names")).collect()} == LISTS
