"""The descriptor: what counts and what does not; a sample of real pictures by their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.image.descriptor import LENGTH, LIGHT_WEIGHT, TEXTURE_WEIGHT, descriptor
from shoal.mine.image.opening import Limits, open_file
from shoal.mine.image.picture_vectors import picture_vectors

from tests.mine.image.test_picture_features import scene


def test_it_has_its_length_whatever_the_size() -> None:
    large, small = descriptor(scene(1, 640, 480)), descriptor(scene(1, 320, 240))
    assert LENGTH >= 512 and large.shape == small.shape == (LENGTH,)
    whole = 1 + TEXTURE_WEIGHT**2 + LIGHT_WEIGHT**2
    assert float(large @ large) == pytest.approx(whole, rel=1e-5)
    assert float(large @ small) > 0.98 * whole > float(large @ descriptor(scene(2)))
    assert np.isfinite(descriptor(Image.new("RGB", (1, 1)))).all()


def test_an_item_has_the_vector_of_its_first_readable_picture(spark: SparkSession) -> None:
    rows = [("1", "a", "p2", "ok", [2.0]), ("2", "a", "p1", "ok", [1.0]), ("3", "a", "p0", "unreadable", None),
            ("4", "b", "p", "missing", None), ("5", "c", "p", "ok", [3.0])]  # fmt: skip
    frame = spark.createDataFrame(rows, "image_id string, item_id string, path string, status string, embedding array<float>")
    frame = frame.withColumn("is_current", F.col("image_id") != "5")
    assert [tuple(row) for row in picture_vectors(frame).collect()] == [("a", [1.0])]


def test_neighbours_are_often_of_the_same_kind_of_clothes(data: Path) -> None:
    files = sorted((data / "clothing_images" / "validation").glob("*/*.jpg"))
    if not files:
        pytest.skip(f"no pictures in {data / 'clothing_images'}")
    kinds = np.array([file.parent.name for file in files])
    opened = [open_file(str(file), Limits(50_000_000, 1 << 26)).picture for file in files]
    rows = np.array([descriptor(one) for one in opened if one is not None])
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T
    np.fill_diagonal(alike, -1)
    near = np.argsort(-alike, axis=1)[:, :5]
    # Ten kinds of ten: by chance .09.
    assert (kinds[near] == kinds[:, None]).mean() > 0.2
