"""Features of pictures: a share of the 100,000 that are asked for, as files, described in Spark as build_images does, beside
reading the same pixels with Pillow in one process, which everything else comes on top of."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.mine.image.embedding import embedding_of
from shoal.mine.image.features import Describing, describe_files
from shoal.mine.image.opening import Limits

from bench.ingest import seconds

# A fiftieth of what is asked for; as large as a picture of a feed.
PICTURES, WIDTH, HEIGHT = 2_000, 640, 480


def drawn(number: int) -> Image.Image:
    """Blocks of colour, enlarged, with a little noise: as many bytes as a photograph has."""
    rng = np.random.default_rng(number)
    blocks = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    noise = rng.integers(-12, 13, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(blocks).astype(np.int16) + noise, 0, 255).astype(np.uint8))


def read(path: Path) -> None:
    """The picture's pixels."""
    with Image.open(path) as picture:
        picture.convert("RGB").load()


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row."""
    conf, cores = load().images, spark.sparkContext.defaultParallelism
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n:05}.jpg" for n in range(PICTURES)]
        for n, path in enumerate(paths):
            drawn(n).save(path, quality=85)
        frame = spark.createDataFrame([(path.stem, str(path)) for path in paths], "image_id string, path string")
        rows = frame.repartition(cores, "image_id")
        embedding = embedding_of(conf.embedding, None, conf.pixel_mean, conf.pixel_spread)
        describing = Describing(Limits(conf.max_pixels, conf.max_file_bytes), embedding, None)
        spent = seconds(lambda: describe_files(rows, "path", describing).write.format("noop").mode("overwrite").save())
        peer = seconds(lambda: [read(path) for path in paths])
    rate, theirs = PICTURES / spent / cores, PICTURES / peer
    return [{
        "what": f"features of {PICTURES:,} pictures of {WIDTH} x {HEIGHT} (of 100,000), {embedding.version}; Pillow reading them",
        "ours": rate, "peer": theirs, "ratio": rate / theirs, "unit": "rows/s/core", "target": "",
        "note": f"{spent:.1f} s on {cores} cores",
    }]  # fmt: skip
