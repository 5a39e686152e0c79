"""A simulated world in Instagram's forms through ingest: what the world did is what silver has."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.simulate import tables
from shoal.simulate.formats import FORMATS
from shoal.simulate.instagram import person_archives, write_archives
from shoal.simulate.world import WorldConf

from tests.jobs.ingest.test_ingest_files import World

pytestmark = pytest.mark.slow
CONF = WorldConf(users=30, items=40, events=900, texts=80, days=30, seed=5)


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake with the world's posts and the archives of all its users, one of them zipped."""
    world = World(spark, tmp_path_factory.mktemp("world"))
    FORMATS["instagram_influencers"](spark, CONF, world.folder / "posts")
    users = [row[0] for row in tables.users(spark, CONF).select("user_id").orderBy("user_id").collect()]
    archives = person_archives(spark, CONF, users)
    write_archives(archives, world.folder / "archives", zipped=users[:1])
    for source, path in (
        ("instagram_influencers", "posts"), ("instagram_export", "archives"), ("instagram_export", f"archives/{users[0]}.zip")
    ):  # fmt: skip
        result = execute(
            spark, find_job("ingest_files"), load("local", ["max_reject_ratio=0"], "ingest"), world.root,
            CONF.as_of, {"source": source, "input": str(world.folder / path)},
        )  # fmt: skip
        assert result.status == "succeeded", result.message
    return world


def test_what_the_world_did_is_what_silver_has(world: World) -> None:
    spark = world.spark
    events = tables.events(spark, CONF).where("event in ('like', 'save')").select("user_id", "item_id", "event", "occurred_at")
    silver = Lake(spark, world.root, load(), Run("reader")).read("silver.interactions")
    ours = silver.where("event in ('like', 'save')").join(tables.items_with_truth(spark, CONF), "item_id", "left_semi")
    assert sorted(ours.select(*events.columns).collect()) == sorted(events.collect())
    pairs = tables.follows(spark, CONF).select("src", "dst", "followed_at")
    assert world.rows("silver.follows", "src_id", "dst_id", "followed_at") == sorted(map(tuple, pairs.collect()), key=repr)
    blocks = tables.blocks(spark, CONF).select("src", "dst", "blocked_at").collect()
    assert 0 < len(blocks) < 15
    assert world.rows("silver.blocks", "user_id", "blocked_id", "occurred_at") == sorted(map(tuple, blocks), key=repr)
    comments = tables.texts_with_truth(spark, CONF).groupBy("author_id", "text", "created_at").count().drop("count")
    found = [row[1:] for row in world.rows("silver.texts", "kind", "author_id", "text", "created_at") if row[0] == "comment"]
    assert found == sorted(map(tuple, comments.collect()), key=repr)


def test_counts_are_the_worlds(world: World) -> None:
    spark = world.spark
    likes = tables.likes(spark, CONF).groupBy("item_id").agg(F.count(F.lit(1)).alias("n"))
    posts = tables.items_with_truth(spark, CONF).where("kind = 'post'")
    expected = posts.join(likes, "item_id", "left").select("item_id", F.coalesce("n", F.lit(0)), "created_at")
    assert world.rows("silver.item_engagement", "item_id", "likes", "observed_at") == sorted(
        map(tuple, expected.collect()), key=repr
    )
