"""Names and words of known data sets: which of a file's columns is which of ours, and which event a word means. One Spark job."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import InputError
from shoal.ingest.columns import columns_of
from shoal.ingest.fields import match_columns
from shoal.ingest.formats.listing import Survey
from shoal.ingest.record_type import RecordType
from shoal.ingest.sources import fashion_catalog, media_reviews
from shoal.ingest.sources.general import EDGES, EVENTS, ITEMS, RATINGS, TEXTS, named_event, rating_in_range

PRODUCTS, REVIEWS = fashion_catalog.PARTS[0], media_reviews.PARTS[0]
# Headers as REES46, Retailrocket, Amazon (2018), the airline tweets, Flipkart, SNAP, Goodreads and a list of songs have them.
HEADERS: list[tuple[RecordType, str, dict[str, str]]] = [
    (EVENTS, "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
     {"user_id": "user_id", "item_id": "product_id", "event": "event_type", "value": "price", "occurred_at": "event_time"}),
    (EVENTS, "timestamp,visitorid,event,itemid,transactionid",
     {"user_id": "visitorid", "item_id": "itemid", "event": "event", "occurred_at": "timestamp"}),
    (RATINGS, "overall,reviewTime,reviewerID,asin,unixReviewTime",
     {"user_id": "reviewerID", "item_id": "asin", "rating": "overall", "occurred_at": "unixReviewTime"}),
    (TEXTS, "tweet_id,airline_sentiment,airline,name,text,tweet_created",
     {"text_id": "tweet_id", "text": "text", "label": "airline_sentiment", "created_at": "tweet_created"}),
    (PRODUCTS, "_id,actual_price,brand,category,pid,selling_price,title",
     {"product_id": "pid", "title": "title", "brand": "brand", "category": "category", "price": "selling_price"}),
    # A song has its own id where its artist has one too.
    (ITEMS, "id,artist_id,name", {"item_id": "id", "title": "name"}),
    (EDGES, "FromNodeId,ToNodeId,value", {"src_id": "FromNodeId", "dst_id": "ToNodeId", "weight": "value"}),
    (REVIEWS, "Id,ProductId,UserId,Score,Time,Summary,Text",
     {"review_id": "Id", "user_id": "UserId", "item_id": "ProductId", "rating": "Score", "title": "Summary", "text": "Text",
      "occurred_at": "Time"}),
]  # fmt: skip


def survey(header: str) -> Survey:
    return Survey("in/a.csv", "csv", ",", 10, "0", tuple(header.split(",")), ())


@pytest.mark.parametrize(("part", "header", "expected"), HEADERS)
def test_columns_of_known_data_sets(part: RecordType, header: str, expected: dict[str, str]) -> None:
    conf = load().ingest
    assert match_columns(survey(header), header.split(","), part.fields, conf) == expected
    ours = {theirs: name for name, theirs in expected.items()}
    columns, unknown = columns_of(part, survey(header), conf)
    assert columns == tuple(ours.get(theirs) for theirs in header.split(","))
    assert unknown == [theirs for theirs in header.split(",") if theirs not in ours]


def test_an_event_without_a_time_must_be_asked_for() -> None:
    header = "User-ID,ISBN,Book-Rating"
    with pytest.raises(InputError, match="no column occurred_at; .* or, where events have no time, --set allow_missing_time=true"):
        match_columns(survey(header), header.split(","), RATINGS.fields, load().ingest)
    conf = load("local", ["ingest.allow_missing_time=true"]).ingest
    matched = match_columns(survey(header), header.split(","), RATINGS.fields, conf)
    assert matched == {"user_id": "User-ID", "item_id": "ISBN", "rating": "Book-Rating"}
    with pytest.raises(InputError, match="no column user_id"):
        match_columns(survey("ISBN,stars"), ["ISBN", "stars"], RATINGS.fields, conf)


# Word: the event it means (itself where none), and the rule that a value of 11 breaks with it.
WORDS = {
    "view": ("view", None), "cart": ("save", None), "addtocart": ("save", None), "transaction": ("purchase", None),
    "remove_from_cart": ("remove_from_cart", None), "rated": ("rating", "range"), "rating": ("rating", "range"),
}  # fmt: skip


def test_words_of_events_and_the_range_of_ratings(spark: SparkSession) -> None:
    words = spark.createDataFrame([(word, 11.0) for word in WORDS], "word string, value double")
    named = words.withColumn("event", named_event(F.col("word")))
    found = named.select("word", "event", rating_in_range(load().ingest)["rule"].alias("rule")).collect()
    assert {row["word"]: (row["event"], row["rule"]) for row in found} == WORDS
