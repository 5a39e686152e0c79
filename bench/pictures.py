"""Pictures: features a second, in Spark beside the same function in one process. BENCH_SCALE=.1 makes a tenth of the pictures.

Pictures are photographs' like: smooth colours and noise, 1280 x 960, JPEG.
"""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.mine.image.embedding import embedding_of
from shoal.mine.image.features import Describing, describe_files, features_of
from shoal.mine.image.opening import Limits, open_file

from bench.mining import seconds, written

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
PICTURES, ALONE = int(1500 * SCALE), int(150 * SCALE)


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row."""
    conf = load().images
    describing = Describing(Limits(conf.max_pixels, conf.max_file_bytes), embedding_of("descriptor", None, [0] * 3, [1] * 3))
    with tempfile.TemporaryDirectory() as name:
        paths = [draw(Path(name), n) for n in range(PICTURES)]
        rows = spark.createDataFrame([(path,) for path in paths], "path string").repartition(16).persist()
        rows.count()
        spent = written(describe_files(rows, "path", describing))

        def alone() -> None:
            for path in paths[:ALONE]:
                picture = open_file(path, describing.limits).picture
                assert picture is not None
                features_of(picture)
                describing.embedding.of(picture)

        peer = ALONE / seconds(alone)[0]
    ours, cores = PICTURES / spent, spark.sparkContext.defaultParallelism
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [{
        "what": f"features and descriptor of {PICTURES:,} pictures of 1280 x 960, a second", "ours": ours, "peer": peer,
        "ratio": ours / peer, "unit": "pictures/s", "target": "ratio near the cores",
        "note": f"{ours / cores:.1f} a second and core; peer: the same in one process, {ALONE} pictures, {peak:,.0f} MB at most",
    }]  # fmt: skip


def draw(folder: Path, number: int) -> str:
    """A picture's path."""
    rng = np.random.default_rng(number)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((1280, 960), Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth, np.int16) + rng.integers(-12, 13, (960, 1280, 1), dtype=np.int16)
    path = folder / f"{number}.jpg"
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=85)
    return str(path)
