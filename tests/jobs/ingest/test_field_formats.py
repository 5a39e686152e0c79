"""Files as the field hands them out, where our own simulation writes them otherwise: every row as a sensible person expects it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.ingest.sources.instagram_archives import NEW, mojibake, write_zip
from tests.jobs.ingest.test_ingest_files import World

TIME = datetime(2023, 1, 4, 23, 4, 4)


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def lines(*objects: object) -> str:
    return "\n".join(json.dumps(each) for each in objects) + "\n"


def test_posts_with_hidden_likes_printed_places_and_the_webs_nested_form(world: World) -> None:
    world.file(
        ",owner_id,owner_username,shortcode,type,caption,comments,likes,created_at,location,imageUrl,followers\n"
        '0,36,ann,C1,Image,"Fall 🍂\nSecond, #Fall ""q""","1,234",12.3k,1672873444.0,'
        "\"{'id': '2', 'name': \"\"Ann's Bar, NY\"\", 's': 'x'}\",https://x.test/1.jpg,1.2M\n"
        "1,36,ann,C2,Video,Hidden,-1,-1,1672873444,None,,1.2M\n"
        '2,36,ann,C3,Sidecar,,nan,5,1672873444,,i/3.JPG,"1 200 000"\n',
        "in/posts.csv",
    )
    node = {
        "__typename": "GraphVideo", "shortcode": "C4", "taken_at_timestamp": 1672873444, "display_url": "https://x.test/4.jpg",
        "owner": {"id": "77", "username": "gina"}, "edge_media_to_caption": {"edges": [{"node": {"text": "Nested #Sun"}}]},
        "edge_media_to_comment": {"count": 7}, "edge_liked_by": {"count": 70}, "location": {"name": "Porto"},
    }  # fmt: skip
    world.file(lines({"node": node}), "in/nodes.jsonl")
    world.file(json.dumps({"GraphImages": [{**node, "shortcode": "C5"}], "GraphProfileInfo": {}}), "in/whole.json")
    result = world.ingest(world.folder / "in", "instagram_influencers")
    assert (result.status, result.tags["rejected"]) == ("succeeded", "0"), result.message
    columns = ("item_id", "owner_id", "text", "is_video", "image_count", "location", "created_at")
    nested = ("77", "Nested #Sun", True, 0, "Porto", TIME)
    assert world.rows("silver.items", *columns) == [
        ("C1", "36", 'Fall 🍂\nSecond, #Fall "q"', False, 1, "Ann's Bar, NY", TIME),
        ("C2", "36", "Hidden", True, 0, None, TIME),
        ("C3", "36", None, None, None, None, TIME),
        ("C4", *nested),
        ("C5", *nested),
    ]
    assert world.rows("silver.item_engagement", "item_id", "likes", "comments") == [
        ("C1", 12_300, 1_234), ("C3", 5, None), ("C4", 70, 7), ("C5", 70, 7),
    ]  # fmt: skip
    assert world.rows("silver.users", "user_id", "username", "followers") == [("36", "ann", 1_200_000), ("77", "gina", None)]


def test_parquet_as_pandas_writes_it(world: World) -> None:
    table = pa.table({
        "owner_id": pa.array([36063641.0, None], pa.float64()), "shortcode": ["P1", "P2"],
        "created_at": pa.array([datetime(2023, 1, 4, 23, 4, 4, 123456), None], pa.timestamp("ns")),
        "location": pa.array([{"name": "Rome"}, None]),
    })  # fmt: skip
    pq.write_table(table, world.folder / "p.parquet")
    assert world.ingest(world.folder / "p.parquet", "instagram_influencers").status == "succeeded"
    assert world.rows("silver.items", "item_id", "owner_id", "location", "created_at") == [
        ("P1", "36063641", "Rome", TIME.replace(microsecond=123456))
    ]
    assert world.quarantined()[0][:2] == (2, "required")
    clock = pa.table({"shortcode": ["P3"], "owner_id": ["1"], "t": pa.array([5], pa.time64("ns"))})
    pq.write_table(clock, world.folder / "t.parquet")
    refused = world.ingest(world.folder / "t.parquet", "instagram_influencers")
    assert (refused.exit_code, "t.parquet: Illegal Parquet type" in refused.message) == (3, True), refused.message


def test_tweets_in_pages_a_line_whole_texts_and_retweets(world: World) -> None:
    user = {"id": "11", "username": "ann", "public_metrics": {"followers_count": 10, "following_count": 5}}
    old = {"created_at": "Wed Oct 10 20:19:24 +0000 2018", "user": {"id_str": "7", "screen_name": "bob"}, "retweet_count": 284}

    def new(number: int, **more: Any) -> dict[str, Any]:
        metrics = {"retweet_count": 5, "like_count": 3, "impression_count": 12}
        tweet = {"id": str(number), "text": "Cut…", "author_id": "11", "created_at": "2018-10-10T20:19:24Z"}
        return {**tweet, "public_metrics": metrics, **more}

    repeats = new(2, text="RT @bob: hello", referenced_tweets=[{"type": "retweeted", "id": "9"}])
    errors = [{"detail": "Could not find tweet", "resource_id": "99"}]
    world.file(lines(
        {"data": [new(1, note_tweet={"text": "Whole #end"}), repeats], "includes": {"users": [user]}, "errors": errors, "meta": {}},
        {"data": new(3), "includes": {"users": [user]}, "matching_rules": []},
        {"meta": {"result_count": 0}},
    ), "in/v2.jsonl")  # fmt: skip
    whole = {"full_text": "Whole &amp; #Emoji"}
    cut = {"id": 1050118621198921728, "text": "Cut…", "truncated": True, "extended_tweet": whole, **old}
    repeat = {"id_str": "5", "text": "RT @bob: Cut…", "retweeted_status": cut, **old}
    world.file(lines(cut, repeat, {"delete": {}}, {"id": 8, "text": {"not": "a text"}}), "in/v1.jsonl")
    # The archive of a person with the assignment cut away.
    archived = {"id_str": "7", "full_text": "Rest &amp; soup #Sea", "created_at": old["created_at"], "favorite_count": "3"}
    world.file(json.dumps([{"tweet": archived}, {"note": archived}], indent=1), "in/tweets_stripped.json")
    world.file(json.dumps({"statuses": [{"id_str": "6", "full_text": "Found", **old}], "search_metadata": {}}), "in/search.json")
    result = world.ingest(world.folder / "in", "twitter_activity")
    assert result.status == "succeeded", result.message
    assert world.rows("silver.items", "item_id", "owner_id", "text", "hashtags") == [
        ("1", "11", "Whole #end", ["end"]),
        ("1050118621198921728", "7", "Whole &amp; #Emoji", ["emoji"]),
        ("2", "11", "RT @bob: hello", []),
        ("3", "11", "Cut…", []),
        ("5", "7", "RT @bob: Cut…", []),
        ("6", "7", "Found", []),
        ("7", None, "Rest &amp; soup #Sea", ["sea"]),
    ]
    # The retweets of a retweet are those of the tweet that it repeats.
    assert world.rows("silver.item_engagement", "item_id", "likes", "shares") == [
        ("1", 3, 5), ("1050118621198921728", None, 284), ("2", 3, None), ("3", 3, 5), ("6", None, 284), ("7", 3, None),
    ]  # fmt: skip
    assert world.rows("silver.users", "user_id", "username", "followers") == [("11", "ann", 10), ("7", "bob", None)]
    # What has none of the known names, or an object where the text belongs, is no tweet.
    assert [(line, rule) for line, rule, _ in world.quarantined()] == [(2, "no_known_name"), (3, "no_known_name"), (4, "type")]
    assert world.counts() == [
        ("search.json", 1, 1, 0, 0), ("tweets_stripped.json", 2, 1, 0, 1), ("v1.jsonl", 4, 2, 0, 2), ("v2.jsonl", 3, 3, 0, 0),
    ]  # fmt: skip


def test_old_films_beside_casts_and_records_that_a_line_break_broke(world: World) -> None:
    named = json.dumps([{"id": 28, "name": "Action"}]).replace('"', '""')
    world.file(
        f'budget,genres,id,keywords,title,overview,release_date\n1,"{named}",19995,"[]",Avatar,"A ""big"" one",2009-12-10\n',
        "in/tmdb_5000_movies.csv",
    )
    world.file("movie_id,title,cast,crew\n19995,Avatar,[],[]\n", "in/tmdb_5000_credits.csv")
    world.file(
        "adult,id,imdb_id,title\nFalse,862,tt0114709,Toy Story\n - Written,1997-08-20,0,False\nFalse,863,0,B\n",
        "in/movies_metadata.csv",
    )
    world.file('tconst\ttitleType\tprimaryTitle\tstartYear\tgenres\ntt1\tshort\t"Rolling\t1894\t\\N\n', "in/title.basics.tsv")
    world.file("nconst\tprimaryName\nnm1\tFred\n", "in/name.basics.tsv")
    result = world.ingest(world.folder / "in", "media_reviews")
    assert (result.status, result.tags.get("unmatched_files")) == ("succeeded", "2"), result.message
    assert world.rows("silver.items", "item_id", "kind", "title", "text", "categories") == [
        ("tmdb-19995", "film", "Avatar", 'A "big" one', ["Action"]),
        ("tmdb-862", "film", "Toy Story", None, []),
        ("tt1", "film", '"Rolling', None, []),
    ]
    # Spark's calendars part ways before 1900.
    assert ("tt1", datetime(1894, 1, 1)) in world.rows("silver.items", "item_id", "created_at")
    assert world.rows("ops.quarantine", "line", "rule", "reason") == [
        (3, "type", "tmdb_id: found '1997-08-20', expected a number"), (4, "type", "imdb_id: found '0', expected tt and digits"),
    ]  # fmt: skip


def test_prices_with_thousands_signs_and_decimal_commas(world: World) -> None:
    world.file(
        'sku,name,price,currency\np1,A,"1,299.00",USD\np2,B,"€ 1.299,00",\np3,C,"35,90",EUR\np4,D,£5,\np5,E,free,USD\n',
        "shop/products.csv",
    )
    world.file("customer_id,FN\nu1,1\n", "shop/customers.csv")
    world.file(b"what the files came from", "shop/shop.zip")
    world.file(
        'customer_id,sku,price,quantity,discount,currency,t_dat\nu1,p1,"1,299.00",2,$99.00,USD,2023-11-15\n'
        'u1,p3,"35,90",1,10%,EUR,2023-11-15\nu2,p3,€ 20,3,12.5% off,,2023-11-16\nu2,p1,10,1,110%,USD,2023-11-17\n',
        "shop/purchases.csv",
    )
    result = world.ingest(world.folder / "shop", "fashion_catalog", "usd_exchange_rates.EUR=2")
    assert result.status == "succeeded", result.message
    assert (result.tags["unmatched_files"], result.tags["zip_files_unread"]) == ("1", "1")
    assert world.rows("silver.items", "item_id", "price_usd") == [("p1", 1299.0), ("p2", 2598.0), ("p3", 71.8)]
    assert world.rows("silver.interactions", "item_id", "value") == [
        ("p1", 2499.0),
        ("p3", 105.0),  # 3 of 20, less an eighth, at 2 dollars
        ("p3", 64.62),  # 35.90, less a tenth, at 2 dollars
    ]
    assert world.rows("ops.quarantine", "line", "rule", "reason") == [
        (
            5,
            "currency",
            "currency: found 'GBP', expected USD, EUR; --set usd_exchange_rates.CODE=RATE gives another's worth in US dollars",
        ),
        (5, "type", "discount: found '110%', expected a price as 1299, 1,299.00, 1.299,00 or € 12, or 10%"),
        (6, "type", "price: found 'free', expected a price as 1299, 1,299.00, 1.299,00 or € 12"),
    ]


def test_an_archive_in_two_parts_is_of_one_person_and_who_is_gone_takes_no_message_along(world: World) -> None:
    talks = {name: value for name, value in NEW.items() if name.endswith("message_1.json")}
    gone = {"sender_name": "Bob", "timestamp_ms": 1577959200999, "content": "!", "reactions": [{"reaction": "x", "actor": ""}]}
    (thread,) = talks
    talks = {thread: {**talks[thread], "messages": [*talks[thread]["messages"], gone]}}
    (world.folder / "parts").mkdir()
    write_zip(talks, world.folder / "parts" / "instagram-ann-2024-01-01-part1.zip")
    rest = {name: value for name, value in NEW.items() if name not in talks}
    write_zip(rest, world.folder / "parts" / "instagram-ann-2024-01-01-part2.zip")
    result = world.ingest(world.folder / "parts", "instagram_export")
    assert (result.status, result.tags["ingested"], result.tags["rejected"]) == ("succeeded", "14", "0"), result.message
    users = {row[0] for row in world.rows("silver.users", "user_id")}
    assert {"ann", "Bob"} < users
    assert not {"Ann Müller", mojibake("Ann Müller"), ""} & users
    assert ("Bob", "!") in world.rows("silver.texts", "author_id", "text")
