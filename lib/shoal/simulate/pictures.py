"""Pictures of a world's items: stripes whose direction and width are the topic's, as PNG files named after their items.

Which items have one, which show another's and which are broken are functions of a picture's number, 0..pictures-1.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import catalogue, people, tables
from shoal.simulate.draws import Longs, permute
from shoal.simulate.words import TOPICS
from shoal.simulate.world import WorldConf

SIDE = 64
# What a copy is lighter by, of 255: other bytes, the same picture.
_LIGHTER = 10


def pictures(spark: SparkSession, conf: WorldConf, partitions: int | None = None) -> DataFrame:
    """Truth: one row per picture: item_id, topic (of what it shows), shown (the number that it is drawn from), copied_from (the
    item_id whose picture it is, null for its own), is_broken."""
    planted = people.plant_communities(conf)

    def describe(number: Longs) -> dict[str, object]:
        shown = np.where(number < conf.copied_pictures, number + conf.copied_pictures, number)
        item, source = (permute(conf.seed, "picture", n, conf.items) for n in (number, shown))
        return {
            "item": catalogue.public_numbers(conf, item),
            "source": catalogue.public_numbers(conf, source),
            "topic": catalogue.topics_of_items(conf, planted, source),
            "shown": shown,
            "is_copy": shown != number,
            "is_broken": number >= conf.pictures - conf.broken_pictures,
        }

    schema = "item long, source long, topic long, shown long, is_copy boolean, is_broken boolean"
    rows = tables.map_numbers(spark, conf.pictures, partitions, describe, schema)
    return rows.select(
        tables.item_id(conf, F.col("item")).alias("item_id"),
        tables.topic_name(F.col("topic")).alias("topic"),
        "shown",
        F.when(F.col("is_copy"), tables.item_id(conf, F.col("source"))).alias("copied_from"),
        "is_broken",
    )


def picture(topic: int, number: int) -> Image.Image:
    """Stripes whose direction and width are the topic's, give or take, under as much noise: neighbours in direction are easily
    confused. SIDE x SIDE pixels, RGB; equal arguments give equal pixels."""
    rng = np.random.default_rng([topic, number])
    angle = topic * np.pi / len(TOPICS) + rng.normal(0, 0.14)
    period = 5 + 3 * (topic % 3) + rng.normal(0, 1.0)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    waves = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / max(period, 3) + rng.uniform(0, 6))
    light = 128 + 40 * waves + rng.normal(0, 45, (SIDE, SIDE))
    tint = rng.uniform(0.6, 1.0, 3)
    return Image.fromarray(np.clip(light[:, :, None] * tint, 0, 255).astype(np.uint8))


def write_pictures(rows: DataFrame, folder: Path) -> int:
    """Write the files of `pictures` to <folder>/<item_id>.png, some 10 KB each; how many. The tasks draw; a folder that is there is
    replaced when all are written."""
    partial_folder = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    rows.foreachPartition(partial(_draw, str(partial_folder)))
    shutil.rmtree(folder, ignore_errors=True)
    partial_folder.rename(folder)
    return sum(1 for _ in folder.iterdir())


def _draw(folder: str, rows: Iterable[Row]) -> None:
    """Draw the pictures of a task."""
    topics = [topic.name for topic in TOPICS]
    for row in rows:
        drawn = picture(topics.index(row["topic"]), row["shown"])
        if row["copied_from"] is not None:
            drawn = drawn.point(lambda light: min(light + _LIGHTER, 255))
        content = io.BytesIO()
        drawn.save(content, format="PNG")
        held = content.getvalue()
        Path(folder, f"{row['item_id']}.png").write_bytes(held[: len(held) // 2] if row["is_broken"] else held)
