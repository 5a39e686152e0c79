"""Posts of influencers in every form they come in, to every silver table they give rows of."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.ingest import derived_tables
from shoal.ingest.derived_tables import DerivedRows
from shoal.lake.lake import Lake

from tests.jobs.ingest.test_ingest_files import World

POST = {
    "owner_id": "11", "owner_username": "ann", "shortcode": "Ab-1", "is_video": False, "caption": "Été #Plage", "comments": "1,234",
    "likes": "12.3k", "created_at": 1700000000, "location": "Nice", "imageUrl": "https://x.test/a.jpg", "multiple_images": False,
    "username": "ann", "followers": "1.2m", "following": 300,
}  # fmt: skip
TIME = datetime(2023, 11, 14, 22, 13, 20)


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def test_a_post_is_an_item_a_user_counts_a_text_and_a_picture(world: World) -> None:
    other = {**POST, "shortcode": "Ab-2", "caption": None, "likes": "5", "comments": None, "isVideo": True, "imageUrl": "img/b.jpg"}
    del other["is_video"]
    bad = [{**POST, "shortcode": "Ab-3", "likes": "many"}, {**POST, "shortcode": None}, "no post"]
    result = world.ingest(world.file(json.dumps([POST, other, *bad, POST]), "in/posts.json"), "instagram_influencers")
    assert result.status == "succeeded", result.message
    items = ["item_id", "kind", "owner_id", "text", "hashtags", "is_video", "image_count", "image_path", "location", "created_at"]
    assert world.rows("silver.items", *items) == [
        ("Ab-1", "post", "11", "Été #Plage", ["plage"], False, 1, "https://x.test/a.jpg", "Nice", TIME),
        ("Ab-2", "post", "11", None, [], True, 0, "img/b.jpg", "Nice", TIME),
    ]
    assert world.rows("silver.users", "user_id", "username", "followers", "following", "source") == [
        ("11", "ann", 1_200_000, 300, "instagram_influencers")
    ]
    assert world.rows("silver.item_engagement", "item_id", "observed_at", "likes", "comments", "shares", "views") == [
        ("Ab-1", TIME, 12_300, 1_234, None, None), ("Ab-2", TIME, 5, None, None, None),
    ]  # fmt: skip
    assert world.rows("silver.texts", "text_id", "kind", "author_id", "item_id", "text", "created_at") == [
        ("caption-Ab-1", "caption", "11", "Ab-1", "Été #Plage", TIME)
    ]
    assert world.rows("silver.images", "item_id", "path", "status") == [
        ("Ab-1", "https://x.test/a.jpg", "remote"), ("Ab-2", "img/b.jpg", "listed"),
    ]  # fmt: skip
    assert [(line, rule) for line, rule, _ in world.quarantined()] == [(3, "type"), (4, "required"), (5, "bad_json")]
    assert dict(world.rows("ops.quarantine", "line", "reason"))[3] == (
        "likes: found 'many', expected a count as 1234, 1,234 or 12.3k"
    )
    assert world.counts() == [("posts.json", 6, 2, 1, 3)]


FORMS = {
    "a.csv": 'shortcode,ownerId,likes,createdAt,isVideo,followers\na,1,"1,234",2023-11-14T22:13:20Z,True,1234.0\n',
    "b.jsonl": '{"shortcode": "b", "ownerId": 2, "likes": 1234, "createdAt": 1700000000, "isVideo": true, "followers": "1,234"}\n',
    # Lines in a .json file; the second lacks its owner.
    "c.json": '{"shortcode": "c", "owner_id": 3, "likes": 1234, "created_at": 1700000000, "is_video": true, "followers": 1234}\n'
              '{"shortcode": "c2"}\n',
    "d.json": '[{"shortcode": "d", "owner_id": "4", "likes": 1234.0, "created_at": "2023-11-14 22:13:20", "is_video": "true", '
              '"followers": 1.234E3}]',
    "e.json": '{"shortcode": "e", "owner_id": "5",\n "likes": "1,234", "created_at": 1700000000.0, "is_video": 1, '
              '"followers": 1234}',
    "f.tsv": "shortcode\towner_id\tlikes\tcreated_at\tis_video\tfollowers\nf\t6\t1234\t1700000000\ttrue\t1.234k\n",
    "broken.json": '[{"shortcode": "g", "owner_id": "7"}',
}  # fmt: skip


def test_every_form_and_both_styles_of_names_are_the_same_rows(world: World, spark: SparkSession) -> None:
    for name, content in FORMS.items():
        world.file(content, f"in/{name}")
    types = "shortcode string, ownerId long, likes double, createdAt long, isVideo boolean, followers int"
    frame = spark.createDataFrame([("h", 8, 12_345_678.0, 1_700_000_000, True, 1234)], types)
    frame.write.parquet(str(world.folder / "in" / "parquet"))
    result = world.ingest(world.folder / "in", "instagram_influencers")
    assert result.status == "succeeded", result.message
    owners = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "h": "8"}
    assert world.rows("silver.items", "item_id", "owner_id", "is_video", "created_at") == [
        (item, owner, True, TIME) for item, owner in owners.items()
    ]
    assert world.rows("silver.item_engagement", "item_id", "observed_at", "likes") == [
        (item, TIME, 12_345_678 if item == "h" else 1234) for item in owners
    ]
    assert world.rows("silver.users", "user_id", "followers") == [(owner, 1234) for owner in owners.values()]
    rejected = [(Path(file).name, line, rule) for file, line, rule in world.rows("ops.quarantine", "file", "line", "rule")]
    assert rejected == [("broken.json", 1, "bad_json"), ("c.json", 2, "required")]


def test_a_run_that_died_between_its_tables_is_finished_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.file(json.dumps([POST, {**POST, "shortcode": "Ab-2", "followers": 7}]), "posts.json")
    tables = ("silver.items", "silver.users", "silver.item_engagement", "silver.texts", "silver.images")
    whole = derived_tables._write_small

    def dies(lake: Lake, source: str, derived: DerivedRows, *rest: Any) -> None:
        if derived.silver == "silver.texts":
            raise OSError("killed")
        whole(lake, source, derived, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(derived_tables, "_write_small", dies)
        assert world.ingest(path, "instagram_influencers").status == "failed"
    assert [len(world.rows(table, "source")) for table in tables] == [2, 1, 2, 0, 0]
    assert world.counts() == []
    result = world.ingest(path, "instagram_influencers")
    assert result.status == "succeeded", result.message
    assert [len(world.rows(table, "source")) for table in tables] == [2, 1, 2, 2, 2]
    assert world.counts() == [("posts.json", 2, 2, 0, 0)]
    # The last by line, whichever run wrote it.
    assert world.rows("silver.users", "user_id", "followers") == [("11", 7)]
