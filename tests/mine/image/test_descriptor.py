"""Pictures made in the test, by hand; a sample of real ones by their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from shoal.mine.image.descriptor import COLOUR_WEIGHT, LENGTH, SIDE, colours, descriptor, shapes
from shoal.mine.image.picture_vectors import picture_vectors

MANY = 1_000_000


def stripes(period: int, upright: bool) -> Image.Image:
    """Black and white stripes, without an edge on the border of a cell of the grid."""
    lines = np.broadcast_to((np.arange(SIDE) // period % 2 * 255).astype(np.uint8), (SIDE, SIDE))
    return Image.fromarray(np.ascontiguousarray(lines if upright else lines.T))


def test_colours_by_hand() -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (255, 0, 0))
    # A quarter is dark grey: hue 0, saturation 0, value 80 of 255, which is the first third.
    picture.paste((80, 80, 80), (0, 0, SIDE, SIDE // 4))
    found = colours(picture)
    # Red is hue 0, the last third of saturation and of value.
    assert {int(n): round(float(found[n]), 5) for n in np.flatnonzero(found)} == {0: 0.5, 8: round(0.75**0.5, 5)}


def test_shapes_know_which_way_edges_run() -> None:
    upright, lying = (shapes(stripes(4, way)).reshape(16, 8) for way in (True, False))
    # Every cell has the same edges, so each has 1/16 of the squares; all of orientation 0, or of 4, a right angle on.
    np.testing.assert_allclose(upright[:, 0] ** 2, 1 / 16, rtol=0.2)
    np.testing.assert_allclose(lying[:, 4] ** 2, 1 / 16, rtol=0.2)
    assert np.count_nonzero(upright[:, 1:]) == 0
    assert np.linalg.norm(lying) == pytest.approx(1.0)
    # From light to dark or from dark to light is the same.
    edge = np.zeros((SIDE, SIDE), np.uint8)
    edge[:, SIDE // 2 :] = 255
    np.testing.assert_allclose(shapes(Image.fromarray(edge)), shapes(Image.fromarray(255 - edge)))
    assert not shapes(Image.new("L", (SIDE, SIDE), 200)).any()


def test_size_format_and_transparency_do_not_count(tmp_path: Path) -> None:
    picture = stripes(8, True).convert("RGB")
    picture.save(tmp_path / "a.png")
    picture.resize((640, 640), Image.Resampling.NEAREST).save(tmp_path / "b.bmp")
    # The same black stripes on nothing.
    see_through = picture.convert("RGBA")
    see_through.putalpha(Image.eval(picture.convert("L"), lambda grey: 255 - grey))
    see_through.save(tmp_path / "c.png")
    vectors = [descriptor(str(tmp_path / name), MANY) for name in ("a.png", "b.bmp", "c.png")]
    assert all(one is not None and len(one) == LENGTH for one in vectors)
    assert np.linalg.norm(vectors[0]) == pytest.approx((1 + COLOUR_WEIGHT**2) ** 0.5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)
    assert float(vectors[0] @ vectors[1]) > 0.99 * (1 + COLOUR_WEIGHT**2)


def test_what_is_no_picture_has_no_vector(spark: SparkSession, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    stripes(8, True).save(good)
    (tmp_path / "words.png").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.effect_noise((300, 300), 80).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:3000])
    Image.new("1", (2000, 1001)).save(tmp_path / "huge.png")
    names = ["words.png", "empty.jpg", "cut.jpg", "huge.png", "missing.png", "."]
    assert [descriptor(str(tmp_path / name), 2_000_000) for name in names] == [None] * len(names)
    assert descriptor(str(good), SIDE * SIDE - 1) is None
    rows = [(f"i{n}", str(tmp_path / name), "found") for n, name in enumerate(names)]
    # The first by path that can be read counts; what was not found is not opened.
    rows += [("i0", str(good), "found"), ("far", str(good), "remote"), ("listed", str(good), "listed")]
    found = picture_vectors(spark.createDataFrame(rows, "item_id string, path string, status string"), 2_000_000).collect()
    assert [row["item_id"] for row in found] == ["i0"]
    np.testing.assert_array_equal(np.float32(found[0]["features"]), descriptor(str(good), 2_000_000))


def test_neighbours_are_often_of_the_same_kind_of_clothes(data: Path) -> None:
    files = sorted((data / "clothing_images" / "validation").glob("*/*.jpg"))
    if not files:
        pytest.skip(f"no pictures in {data / 'clothing_images'}")
    kinds = np.array([file.parent.name for file in files])
    rows = np.array([descriptor(str(file), 50_000_000) for file in files])
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T
    np.fill_diagonal(alike, -1)
    near = np.argsort(-alike, axis=1)[:, :5]
    # Ten kinds of ten: by chance .09.
    assert (kinds[near] == kinds[:, None]).mean() > 0.2
