"""A shop's products, events and pictures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyspark.sql import SparkSession
from shoal.ingest.formats.pictures import look

from tests.jobs.ingest.test_ingest_files import World


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def picture(world: World, name: str, width: int, height: int) -> Path:
    path = world.file("", name)
    Image.new("RGB", (width, height), (width % 256, height % 256, 7)).save(path)
    return path


def test_products_events_and_pictures_reach_their_tables(world: World) -> None:
    world.file(
        "id,name,description,brand,category,color,price,currency,image\n"
        "p1,Red shoe,Runs #fast,Acme,sport|shoes,red,89.5,USD,pictures/p1.jpg\n"
        "p2,Sock,,Acme,,blue,10,eur,pictures/other.png\n"
        "p3,Hat,,,hats,,5,XAU,\n"  # a currency without a rate
        "p4,Cap,,,hats,,,XAU,https://x.test/p4.jpg\n"  # no price: the currency does not matter
        "p5,Tie,,,,,-1,,\n",
        "shop/products.csv",
    )
    world.file(
        '{"user_id": "u1", "product_id": "p1", "event": "browse", "price": 89.5, "timestamp": 10}\n'
        '{"user_id": "u1", "product_id": "p1", "event": "buy", "price": 89.5, "quantity": 2, "discount": 9, "timestamp": 20}\n'
        '{"user_id": "u2", "product_id": "p2", "price": 10, "currency": "EUR", "timestamp": 30, "id": "e3"}\n'
        '{"user_id": "u2", "product_id": "p2", "price": 10, "discount": 11, "timestamp": 40}\n'
        '{"user_id": "u2", "product_id": "p2", "price": 10, "currency": "XAU", "timestamp": 50}\n'
        '{"user_id": "u2", "product_id": "p2", "event": "hug", "timestamp": 60}\n',
        "shop/events.jsonl",
    )
    first, other = picture(world, "shop/pictures/p1.jpg", 40, 30), picture(world, "shop/pictures/other.png", 7, 9)
    broken = world.file(b"\xff\xd8\xff no picture", "shop/pictures/p4.jpeg")
    empty = world.file(b"", "shop/pictures/p5.png")
    result = world.ingest(world.folder / "shop", "fashion_catalog", "usd_exchange_rates.EUR=1.1")
    assert result.status == "succeeded", result.message
    items = ["item_id", "kind", "title", "text", "hashtags", "categories", "price_usd", "image_count", "source"]
    assert world.rows("silver.items", *items) == [
        ("p1", "product", "Red shoe", "Runs #fast", ["fast"], ["sport", "shoes"], 89.5, 1, "fashion_catalog"),
        ("p2", "product", "Sock", None, [], [], 11.0, 1, "fashion_catalog"),
        ("p4", "product", "Cap", None, [], ["hats"], None, 1, "fashion_catalog"),
    ]
    assert world.rows("bronze.products", "product_id", "brand", "colour")[0] == ("p1", "Acme", "red")
    assert world.rows("silver.interactions", "user_id", "item_id", "event", "value", "occurred_at") == [
        ("u1", "p1", "purchase", 170.0, datetime(1970, 1, 1, 0, 0, 20)),
        ("u1", "p1", "view", None, datetime(1970, 1, 1, 0, 0, 10)),
        ("u2", "p2", "purchase", 11.0, datetime(1970, 1, 1, 0, 0, 30)),
    ]
    assert world.rows("silver.images", "item_id", "path", "width_px", "height_px", "status") == [
        ("p1", str(first.resolve()), 40, 30, "found"),
        ("p2", str(other.resolve()), 7, 9, "found"),  # by its record, not by its name
        ("p4", str(broken.resolve()), None, None, "damaged"),
        ("p4", "https://x.test/p4.jpg", None, None, "remote"),
        ("p5", str(empty.resolve()), None, None, "damaged"),
    ]
    reported = sorted((Path(file).name, line, rule) for file, line, rule in world.rows("ops.quarantine", "file", "line", "rule"))
    assert reported == [
        ("events.jsonl", 4, "range"), ("events.jsonl", 5, "currency"), ("events.jsonl", 6, "check"),
        ("products.csv", 4, "currency"), ("products.csv", 6, "check"),
    ]  # fmt: skip
    rows = world.rows("ops.quarantine", "file", "line", "reason")
    reasons = {(Path(file).name, line): reason for file, line, reason in rows}
    assert reasons["products.csv", 4] == (
        "currency: found 'XAU', expected USD, EUR; --set usd_exchange_rates.CODE=RATE gives another's worth in US dollars"
    )
    assert sorted(world.counts()) == [
        ("events.jsonl", 6, 3, 0, 3), ("other.png", 1, 1, 0, 0), ("p1.jpg", 1, 1, 0, 0), ("p4.jpeg", 1, 1, 0, 0),
        ("p5.png", 1, 1, 0, 0), ("products.csv", 5, 3, 0, 2),
    ]  # fmt: skip


def test_a_folder_of_real_pictures(world: World, data: Path) -> None:
    folder = data / "clothing_images" / "train" / "hat"
    result = world.ingest(folder, "fashion_catalog")
    assert result.status == "succeeded", result.message
    expected = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            expected.append((path.stem, *opened.size, "found"))
    assert world.rows("silver.images", "item_id", "width_px", "height_px", "status") == expected
    assert len(expected) > 10


STARTS = [b"", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"GIF89a", b"BM",
          b"RIFF\x00\x00\x00\x00WEBPVP8 "]  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=100))
def test_any_bytes_are_a_picture_or_damaged(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    path.write_bytes(start + rest)
    width, height, status = look(str(path))
    assert (status == "found") == (width is not None and height is not None)
    assert status in ("found", "damaged")
    assert look(str(path) + ".none") == (None, None, "missing")
