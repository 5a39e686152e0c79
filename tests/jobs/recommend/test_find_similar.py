"""Neighbours of items and of users, by hand."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from shoal.errors import SkippedError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.recommend.candidates.configured import vector_settings
from shoal.recommend.feeds.similar import neighbours_by_texts
from shoal.recommend.ranking.caching import caching
from shoal.runner.job import find_job

from tests.publish.report.literal import rows as literal_rows

DAY = date(2024, 3, 1)
VERDICTS = "item_id string, decided_at timestamp, verdict string, source string"
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"


def fill(spark: SparkSession, lake: Lake, histories: dict[str, str], day: int = 1) -> None:
    rows = [
        (f"{user}-{item}-{day}", user, item, "like", None, datetime(2024, 2, day, n), "test")
        for user, items in histories.items()
        for n, item in enumerate(items)
    ]
    lake.append("silver.interactions", spark.createDataFrame(rows, EVENTS))


def find(lake: Lake) -> None:
    conf = lake.settings.similar.model_copy(update={"shrink": 0.0, "neighbours": 2})
    find_job("find_similar").run(lake, conf, DAY)


def test_both_tables_by_hand_and_the_same_twice(spark: SparkSession, lake: Lake) -> None:
    fill(spark, lake, {"u1": "abc", "u2": "ab", "u3": "b", "u4": "d"})
    fill(spark, lake, {"u1": "a"}, day=2)  # a second like of a: one user still
    late = spark.createDataFrame([("x", "u4", "a", "like", None, datetime(2024, 3, 2), "test")], EVENTS)
    lake.append("silver.interactions", late)  # after as_of
    for _ in range(2):
        find(lake)
        items = lake.read("gold.similar_items", on=DAY).orderBy("item_id", "rank").collect()
        # cosine: a, b: 2 / sqrt(2 x 3); a, c: 1 / sqrt(2); b, c: 1 / sqrt(3). Nobody met d and another.
        assert [(r["item_id"], r["rank"], r["similar_item_id"], round(r["similarity"], 4)) for r in items] == [
            ("a", 1, "b", 0.8165), ("a", 2, "c", 0.7071), ("b", 1, "a", 0.8165), ("b", 2, "c", 0.5774),
            ("c", 1, "a", 0.7071), ("c", 2, "b", 0.5774),
        ]  # fmt: skip
        users = lake.read("gold.similar_users", on=DAY).orderBy("user_id", "rank").collect()
        # u1, u2: 2 / sqrt(3 x 2); u1, u3: 1 / sqrt(3); u2, u3: 1 / sqrt(2).
        assert [(r["user_id"], r["rank"], r["similar_user_id"], round(r["similarity"], 4)) for r in users] == [
            ("u1", 1, "u2", 0.8165), ("u1", 2, "u3", 0.5774), ("u2", 1, "u1", 0.8165), ("u2", 2, "u3", 0.7071),
            ("u3", 1, "u2", 0.7071), ("u3", 2, "u1", 0.5774),
        ]  # fmt: skip


def test_an_item_that_shares_nobody_has_those_about_the_same(spark: SparkSession, lake: Lake) -> None:
    fill(spark, lake, {"u1": "abr", "u2": "abr", "u3": "d"})
    # r, removed, would be as near to a and b as they are to each other, and speaks of the sea.
    verdict = ("r", datetime(2024, 2, 1), "removed", "test")
    lake.append("silver.moderation", spark.createDataFrame([verdict], VERDICTS))
    columns = {n: c.type for n, c in contract("silver.items").columns.items() if n != "run_id"}
    # d and e speak of the sea, nothing else shares a word that few have.
    about = {"a": "war film", "b": "love film", "c": "old film", "d": "sea film", "e": "sea film", "r": "sea film"}
    given = [{"item_id": item, "kind": "film", "text": text, "source": "test"} for item, text in about.items()]
    rows = [tuple(row.get(name) for name in columns) for row in given]
    lake.append("silver.items", spark.createDataFrame(rows, ", ".join(f"{n} {t}" for n, t in columns.items())))
    conf = lake.settings.similar.model_copy(update={"shrink": 0.0, "neighbours": 2, "max_term_share": 0.5, "vectors": []})
    find_job("find_similar").run(lake, conf, DAY)
    found = [tuple(r)[1:6] for r in lake.read("gold.similar_items", on=DAY).orderBy("item_id", "rank").collect()]
    assert found == [
        ("a", 1, "b", 1.0, "cosine"), ("b", 1, "a", 1.0, "cosine"),
        ("d", 1, "e", pytest.approx(1.0), "content"), ("e", 1, "d", pytest.approx(1.0), "content"),
    ]  # fmt: skip


def test_no_event_up_to_the_day_is_skipped(spark: SparkSession, lake: Lake) -> None:
    late = spark.createDataFrame([("x", "u4", "a", "like", None, datetime(2024, 3, 2), "test")], EVENTS)
    lake.append("silver.interactions", late)
    with pytest.raises(SkippedError, match="no event up to this day"):
        find(lake)


def test_items_that_nobody_shares_give_empty_tables(spark: SparkSession, lake: Lake) -> None:
    fill(spark, lake, {"u1": "a", "u2": "b"})
    find(lake)
    assert lake.read("gold.similar_items", on=DAY).count() == 0


def test_words_pictures_and_prices_make_neighbours_of_unmet_items(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    # Ships and hats; the first of each is blue and striped upright, the second red and striped the other way. h2 has no picture.
    words = {"s0": "sail mast sea", "s1": "sail keel sea", "s2": "mast keel sea", "h0": "brim felt head", "h1": "brim crown head",
             "h2": "felt crown head"}  # fmt: skip
    prices = {"s0": 1000.0, "s1": 1100.0, "s2": 8000.0, "h0": 10.0, "h1": 11.0, "h2": None}
    columns = {n: c.type for n, c in contract("silver.items").columns.items() if n != "run_id"}
    given = [{"item_id": item, "kind": "product", "text": text, "price_usd": prices[item], "source": "test",
              "categories": ["ships" if item[0] == "s" else "hats"]} for item, text in words.items()]  # fmt: skip
    rows = [tuple(row.get(name) for name in columns) for row in given]
    lake.append("silver.items", spark.createDataFrame(rows, ", ".join(f"{n} {t}" for n, t in columns.items())))
    pictures = []
    for item, upright in {"s0": True, "s1": False, "s2": False, "h0": True, "h1": False}.items():
        lines = np.zeros((32, 32, 3), np.uint8)
        lines[(slice(None), slice(0, None, 8)) if upright else (slice(0, None, 8),)] = (0, 0, 255) if upright else (255, 0, 0)
        Image.fromarray(lines).save(tmp_path / f"{item}.png")
        pictures.append((f"p-{item}", item, str(tmp_path / f"{item}.png"), 32, 32, "found", "test"))
    for item, path in (("h2", str(tmp_path / "gone.png")), ("nobodys", pictures[0][2])):
        pictures.append((f"p-{item}", item, path, 32, 32, "found", "test"))
    schema = "image_id string, item_id string, path string, width_px int, height_px int, status string, source string"
    lake.append("silver.images", spark.createDataFrame(pictures, schema))
    # Nobody has met anything up to the day.
    late = spark.createDataFrame([("x", "u4", "s0", "like", None, datetime(2024, 3, 2), "test")], EVENTS)
    lake.append("silver.interactions", late)
    conf = lake.settings.similar.model_copy(update={"word_size": 8})
    find_job("build_images").run(lake, lake.settings.images, DAY)
    find_job("find_similar").run(lake, conf, DAY)
    rows = lake.read("gold.similar_items", on=DAY).where("rank = 1").collect()
    assert lake.read("gold.similar_users", on=DAY).isEmpty()
    near = {(row["kind"], row["item_id"]): row["similar_item_id"] for row in rows}
    assert {item: other[0] for (kind, item), other in near.items() if kind == "word2vec"} == {item: item[0] for item in words}
    # The first by id of those that look the same.
    looks = {item: other for (kind, item), other in near.items() if kind == "image"}
    assert looks == {"s0": "h0", "h0": "s0", "s1": "h1", "s2": "h1", "h1": "s1"}
    assert {item: other for (kind, item), other in near.items() if kind == "price"} == {
        "s0": "s1", "s1": "s0", "s2": "s1", "h0": "h1", "h1": "h0",
    }  # fmt: skip
    assert lake.run.tags["text_vectors"] == "none in features.texts: own words"


def test_texts_about_items_and_their_words_make_neighbours_of_kind_text(spark: SparkSession, lake: Lake) -> None:
    fill(spark, lake, {"u1": "a", "u2": "b"})
    version, written = "tfidf-0a1b2c3d/2024-02-01", datetime(2024, 2, 1)
    # d is new: it has a title and no text. e says what no text does.
    titles = {"a": None, "b": None, "c": None, "d": "Red!", "e": "blue"}
    lake.append("silver.items", literal_rows(spark, "silver.items", *[
        {"item_id": item, "kind": "post", "title": title, "source": "test"} for item, title in titles.items()
    ]))  # fmt: skip
    about = {"t1": "a", "t2": "a", "t3": "b", "t4": "c", "late": "c", "alone": None, "untouched": "z"}
    lake.append("silver.texts", literal_rows(spark, "silver.texts", *[
        {"text_id": text, "kind": "comment", "item_id": item, "text": "-", "source": "test",
         "created_at": datetime(2024, 3, 2) if text == "late" else written} for text, item in about.items()
    ]))  # fmt: skip
    vectors = {"t1": ([0], [1.0]), "t2": ([1], [1.0]), "t3": ([0, 1], [0.6, 0.8]), "t4": ([2], [1.0]), "late": ([0], [1.0]),
               "alone": ([0], [1.0]), "untouched": ([0], [1.0])}  # fmt: skip
    held = [{"text_id": text, "content_hash": 1, "size": 3, "indices": places, "values": values, "is_current": True,
             "model_version": version} for text, (places, values) in vectors.items()]  # fmt: skip
    held.append({**held[0], "indices": [2], "is_current": False, "model_version": "tfidf-0/2024-01-01"})
    lake.replace("features.texts", literal_rows(spark, "features.texts", *held), on=date(2024, 2, 1))
    terms = [{"term": term, "number": n, "texts": 2, "weight": 2.0, "learned_texts": 7, "model_version": version}
             for n, term in enumerate(("cat", "dog", "red"))]  # fmt: skip
    lake.replace("features.text_terms", literal_rows(spark, "features.text_terms", *terms), on=date(2024, 2, 1))
    conf = lake.settings.similar.model_copy(update={"neighbours": 2, "max_term_share": 0.5, "vectors": ["text"]})
    find_job("find_similar").run(lake, conf, DAY)
    found = lake.read("gold.similar_items", on=DAY).where("kind = 'text'").orderBy("item_id", "rank").collect()
    # a: (1, 1, 0), b: (.6, .8, 0): 1.4 / sqrt(2). c: (0, 0, 1), which is what d's title has.
    assert [(r["item_id"], r["rank"], r["similar_item_id"], r["similarity"]) for r in found] == [
        ("a", 1, "b", pytest.approx(1.4 / 2**0.5)), ("b", 1, "a", pytest.approx(1.4 / 2**0.5)),
        ("c", 1, "d", pytest.approx(1.0)), ("d", 1, "c", pytest.approx(1.0)),
    ]  # fmt: skip
    assert lake.run.tags["text_vectors"] == version


def test_dense_texts_are_compared_by_their_mean_less_that_of_all(spark: SparkSession, lake: Lake) -> None:
    parts = [("a", [4.0, 1.0]), ("a", [2.0, 1.0]), ("a", [0.0, 0.0]), ("b", [1.0, 2.0]), ("c", [-1.0, -3.0]), ("none", [0.0, 0.0])]
    frame = spark.createDataFrame([(i, None, v) for i, v in parts], "item_id string, indices array<int>, values array<float>")
    with caching() as keep:
        found = neighbours_by_texts(frame, lake.settings.similar, vector_settings(lake.settings.similar, 256), keep).collect()
    # a: (3, 1), b: (1, 2), c: (-1, -3); less their mean, (1, 0): (2, 1), (0, 2), (-2, -3). Only a and b lie on one side.
    assert sorted(tuple(r) for r in found) == [
        ("a", 1, "b", pytest.approx(1 / 5**0.5), "text"), ("b", 1, "a", pytest.approx(1 / 5**0.5), "text"),
    ]  # fmt: skip


def test_vectors_of_all_parts_make_neighbours_of_kind_multimodal(spark: SparkSession, lake: Lake) -> None:
    fill(spark, lake, {"u1": "a", "u2": "b"})
    lake.append("silver.items", literal_rows(spark, "silver.items", *[
        {"item_id": item, "kind": "post", "source": "test"} for item in "abcd"
    ]))  # fmt: skip
    # d has no part; gone is no item of the day.
    vectors = {"a": [0.6, 0.8, 0.0], "b": [1.0, 0.0, 0.0], "c": [0.0, 0.0, -1.0], "d": [0.0, 0.0, 0.0], "gone": [0.6, 0.8, 0.0]}
    held = [{"item_id": item, "vector": vector, "model_version": "v"} for item, vector in vectors.items()]
    lake.replace("features.item_vectors", literal_rows(spark, "features.item_vectors", *held), on=DAY)
    conf = lake.settings.similar.model_copy(update={"vectors": ["multimodal"]})
    find_job("find_similar").run(lake, conf, DAY)
    found = lake.read("gold.similar_items", on=DAY).where("kind = 'multimodal'").orderBy("item_id").collect()
    # As they are: without a part an item has nothing to take a mean from.
    assert [(r["item_id"], r["rank"], r["similar_item_id"], r["similarity"]) for r in found] == [
        ("a", 1, "b", pytest.approx(0.6)), ("b", 1, "a", pytest.approx(0.6)),
    ]  # fmt: skip
