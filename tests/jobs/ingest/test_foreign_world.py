"""A simulated world in every foreign form in one lake, through the whole pipeline; and any lines at all through ingest."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.ingest.formats.documents import WRONG_SHAPE
from shoal.ingest.sources import media_reviews, twitter_activity
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job
from shoal.runner.pipeline import jobs_between, run_pipeline
from shoal.simulate import tables
from shoal.simulate.foreign import imdb_id
from shoal.simulate.formats import FORMATS
from shoal.simulate.world import WorldConf

from tests.jobs.ingest.test_ingest_files import World
from tests.support.long import long

CONF = WorldConf(users=30, items=40, events=900, texts=80, days=30, seed=5)
SMALL = ["train_recommender.feedback=implicit", "train_recommender.ranks=[4]", "train_recommender.reg_params=[0.1]",
         "train_recommender.alphas=[1.0]", "train_recommender.max_iter=3", "train_recommender.experts=[]", "recommend.k=3",
         "similar.vectors=[price]"]  # fmt: skip
SOURCES = ("twitter_activity", "media_reviews", "fashion_catalog", "impressions")


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The lake that both tests of the world fill, in their order."""
    return World(spark, tmp_path_factory.mktemp("world"))


@long
@pytest.mark.slow
def test_every_form_of_the_world_is_the_world(spark: SparkSession, world: World) -> None:
    for source in SOURCES:
        written = FORMATS[source](spark, CONF, world.folder / source)
        result = execute(
            spark, find_job("ingest_files"), load("local", ["max_reject_ratio=0"], "ingest"), world.root, CONF.as_of,
            {"source": source, "input": str(world.folder / source)},
        )  # fmt: skip
        assert result.status == "succeeded", (source, result.message)
        # A shop's views are Twitter's views again, under the same ids: duplicates.
        landed, again = (int(result.tags[name]) for name in ("ingested", "duplicates"))
        assert (source, landed + again, again > 0) == (source, written, source == "fashion_catalog")

    events = tables.events(spark, CONF).persist()
    found = world.rows("silver.interactions", "source", "event_id", "user_id", "item_id", "event", "occurred_at")
    for source, kinds in (("twitter_activity", ["like", "share", "comment", "save", "click", "view"]), ("impressions", ["click"])):
        mark = "click-" if source == "impressions" else ""
        wanted = events.where(F.col("event").isin(kinds)).withColumn("event_id", F.concat(F.lit(mark), "event_id"))
        rows = wanted.select("event_id", "user_id", "item_id", "event", "occurred_at").collect()
        assert sorted(row[1:] for row in found if row[0] == source) == sorted(map(tuple, rows))
    rated = events.where("event = 'rating'").select("user_id", imdb_id(F.col("item_id")), "value").collect()
    ratings = [row for row in world.rows("silver.interactions", "event", "user_id", "item_id", "value") if row[0] == "rating"]
    assert [row[1:] for row in ratings] == sorted(map(tuple, rated), key=repr)
    events.unpersist()
    pairs = tables.follows(spark, CONF).select("src", "dst").collect()
    assert world.rows("silver.follows", "src_id", "dst_id") == sorted(map(tuple, pairs), key=repr)
    products = tables.items_with_truth(spark, CONF).where("kind = 'product'").select("item_id", "price_usd").collect()
    assert [r for r in world.rows("silver.items", "item_id", "price_usd") if r[1] is not None] == sorted(map(tuple, products))
    assert [r[0] for r in world.rows("silver.images", "item_id", "status")] == sorted(r[0] for r in products)


@long
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pipeline_goes_through_what_foreign_forms_brought(spark: SparkSession, world: World) -> None:
    products = tables.items_with_truth(spark, CONF).where("kind = 'product'").select("item_id").collect()
    assert {item for (item,) in world.rows("silver.items", "item_id")} > {row["item_id"] for row in products}
    for source in ("instagram_influencers", "instagram_export", "moderation"):
        FORMATS[source](spark, CONF, world.folder / source)
        given = {"source": source, "input": str(world.folder / source)}
        result = execute(spark, find_job("ingest_files"), load(), world.root, CONF.as_of, given)
        assert result.status == "succeeded", (source, result.message)
    settings = load("local", SMALL)
    steps = run_pipeline(spark, settings, world.root, CONF.as_of, jobs_between(settings))
    ended = {step.job: (step.status, step.message) for step in steps if isinstance(step, Result)}
    # Nobody labels a text in these forms, so few decisions and posts teach nothing, and no experiment is defined.
    may_skip = {"train_sentiment", "train_emotion", "train_moderation", "moderate_items", "train_posts", "assign_users",
                "analyse_experiments"}  # fmt: skip
    allowed = {job: {"succeeded", *(["skipped"] if job in may_skip else [])} for job in ended}
    assert {job: reported for job, reported in ended.items() if reported[0] not in allowed[job]} == {}
    assert [ended[job][0] for job in ("train_sentiment", "train_moderation", "moderate_items")] == ["skipped"] * 3
    spam = {row["item_id"] for row in tables.items_with_truth(spark, CONF).where("is_spam").select("item_id").collect()}
    decided = world.rows("silver.moderation", "item_id", "verdict")
    assert spam and {item for item, _ in decided} > spam
    assert {item for item, verdict in decided if verdict == "allowed"} == {item for item, _ in decided} - spam
    assert not spam & {item for (item,) in world.rows("gold.recommendations", "item_id")}
    lists = world.rows("gold.recommendations", "user_id", "rank")
    assert {user for user, _ in lists} >= {row[0] for row in world.rows("silver.follows", "src_id")}
    assert world.rows("features.users", "user_id")


LINES = {
    "twitter_activity": {
        "tweets.jsonl": {"id": "7", "text": "hi #x", "user": {"id_str": "4", "screen_name": "d"}, "created_at": 10,
                         "public_metrics": {"like_count": 4}, "hashtags": ["a"], "likes": "12k"},
        "events.jsonl": {"type": "like", "user_id": "1", "tweet_id": "7", "target_user_id": "4", "created_at": 10},
    },
    "media_reviews": {
        "reviews.jsonl": {"id": "1", "user_id": "1", "item_id": "tt1", "rating": 4, "title": "t", "text": "x", "time": 10},
        "tmdb.jsonl": {"id": 862, "imdb_id": "tt1", "title": "x", "genres": [{"id": 1, "name": "y"}], "keywords": {"keywords": []},
                       "release_date": "1995-10-30", "popularity": 1.5, "vote_count": 3},
    },
    "fashion_catalog": {
        "products.jsonl": {"id": "p", "name": "x", "category": ["c"], "price": 3, "currency": "USD", "image": "a/p.png"},
        "events.jsonl": {"user_id": "1", "product_id": "p", "event": "buy", "price": 3, "quantity": 2, "discount": 1, "time": 10},
    },
    "impressions": {
        "log.jsonl": {"id": "1", "user_id": "1", "item_id": "7", "position": 1, "click": 1, "propensity": 0.5, "timestamp": 10},
    },
}  # fmt: skip
ODD = ["", None, "\ud800", "\0", "é" * 50, -1, 10**30, 1e300, float("nan"), True, [], [None], [[]], {}, {"": {}}, "[{", "{",
       "follow", "1,234", "9e9", "2024-02-30", "Wed Foo 10 20:19:24 +0000 2018", "99/99/99 99:99", "https://x/status/5",
       "\\N"]  # fmt: skip


def spoiled_lines(line: dict[str, object], draw: random.Random, size: int) -> bytes:
    """Lines of bytes without meaning, and of objects of which some values are odd, some names are gone, and some ids are others."""
    lines = []
    for _ in range(size):
        if draw.random() < 0.2:
            lines.append(draw.randbytes(draw.randrange(40)).replace(b"\n", b""))
            continue
        made = dict(line)
        for name in list(made):
            chance = draw.random()
            if chance < 0.1:
                made[name] = draw.choice(ODD)
            elif chance < 0.15:
                del made[name]
            elif isinstance(made[name], str) and chance < 0.5:
                made[name] = f"{made[name]}{draw.randrange(9)}"
        text = json.dumps(made).encode()
        lines.append(text if draw.random() < 0.9 else text[: draw.randrange(len(text))])
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize("source", SOURCES)
def test_any_lines_end_in_silver_duplicates_or_quarantine(spark: SparkSession, tmp_path: Path, source: str) -> None:
    world, draw = World(spark, tmp_path), random.Random(source)
    for name, line in LINES[source].items():
        world.file(spoiled_lines(line, draw, 150), f"in/{name}")
    result = world.ingest(world.folder / "in", source)
    assert result.status == "succeeded", result.message
    records: dict[str, int] = {}
    for name, found, *_ in world.counts():
        records[name] = records.get(name, 0) + found
    # A line that is not blank is a record, of whatever part.
    contents = {path.name: path.read_bytes().split(b"\n") for path in (world.folder / "in").iterdir()}
    assert records == {name: sum(bool(line.strip()) for line in lines) for name, lines in contents.items()}
    assert len(world.quarantined()) == sum(row[4] for row in world.counts())
    assert sum(row[2] for row in world.counts()) > 20


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(["data", "includes", "users", "tweets", "meta", "errors", "id", "author_id", "text", "results", "genres"])
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=25)


@given(ANYTHING)
def test_any_document_is_records_or_of_a_wrong_shape(document: object) -> None:
    for records_of in (twitter_activity.tweets_of, media_reviews.films_of):
        try:
            for record in records_of(document, "any.json"):
                json.dumps(record)
        except WRONG_SHAPE:
            continue
