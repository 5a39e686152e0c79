"""features.item_vectors: which parts an item has, and that later rows change nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

from tests.mine.image.test_opening import noise
from tests.publish.report.literal import rows as literal_rows

DAY, LATER = date(2024, 3, 1), date(2024, 3, 5)
BEFORE, AFTER = datetime(2024, 2, 1), datetime(2024, 3, 2)


def add(lake: Lake, titles: dict[str, str | None], users: dict[str, str], at: datetime) -> None:
    """Items with these titles and an owner each, and likes of them, made at that time."""
    spark = lake.spark
    lake.append("silver.items", literal_rows(spark, "silver.items", *[
        {"item_id": item, "kind": "post", "title": title, "owner_id": f"o-{item[0]}", "created_at": at, "source": "test"}
        for item, title in titles.items()
    ]))  # fmt: skip
    lake.append("silver.interactions", literal_rows(spark, "silver.interactions", *[
        {"event_id": f"{user}-{item}", "user_id": user, "item_id": item, "event": "like", "occurred_at": at, "source": "test"}
        for user, items in users.items() for item in items.split()
    ]))  # fmt: skip


def vectors_of(lake: Lake) -> dict[str, tuple[list[str], list[float]]]:
    rows = lake.read_current("features.item_vectors").where(F.col("as_of") == F.lit(DAY)).collect()
    return {row["item_id"]: (row["parts"], row["vector"]) for row in rows}


def test_parts_of_each_item_and_nothing_of_later_days(
    spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path
) -> None:
    lake, job = make_lake(), find_job("build_item_vectors")
    conf = lake.settings.item_vectors.model_copy(update={"size": 32})
    with pytest.raises(SkippedError, match="silver.items"):
        job.run(lake, conf, DAY)
    titles = {"s1": "sail sea", "s2": "sea mast", "h1": "brim hat", "h2": "hat felt", "w": None}
    add(lake, titles, {"u1": "s1 s2", "u2": "s1 s2", "v1": "h1", "v2": "h1"}, BEFORE)
    pictures = []
    for n, item in enumerate(("s1", "w")):
        noise(40, 40, n).save(tmp_path / f"{item}.png")
        pictures.append({"image_id": f"p-{item}", "item_id": item, "path": str(tmp_path / f"{item}.png"), "status": "found"})
    lake.append("silver.images", literal_rows(spark, "silver.images", *pictures))
    find_job("build_images").run(lake, lake.settings.images, DAY)
    lake = make_lake("run-1")
    job.run(lake, conf, DAY)
    first = vectors_of(lake)
    # h2 is by the owner of h1; nothing is known of w but its picture. Two items and more share sea and hat.
    assert {item: parts for item, (parts, _) in first.items()} == {
        "s1": ["text", "image", "graph"], "s2": ["text", "graph"], "h1": ["text", "graph"], "h2": ["text", "graph"], "w": ["image"],
    }  # fmt: skip
    numbers = {item: np.array(vector) for item, (_, vector) in first.items()}
    assert all(len(v) == 96 and np.linalg.norm(v) == pytest.approx(1, abs=1e-5) for v in numbers.values())
    assert numbers["s1"] @ numbers["s2"] > 0.5
    assert numbers["s1"] @ numbers["h1"] < 0
    assert {k: lake.run.tags[k] for k in ("text_version", "image_version")} == {
        "text_version": "content", "image_version": "descriptor/1",
    }  # fmt: skip
    # Tomorrow's items and likes would join what lies apart today.
    add(lake, {"late": "sail hat sea"}, {"u3": "s1 h1 h2 late", "u4": "s1 h1 late"}, AFTER)
    # What is written before the day gets its vectors after it, by terms that texts after it have taught.
    written = [("t1", "h1", "hat and brim", BEFORE), ("t2", "h2", "hat and felt", BEFORE), ("t3", "s1", "hat sea brim", AFTER)]
    lake.append("silver.texts", literal_rows(spark, "silver.texts", *[
        {"text_id": text, "kind": "comment", "item_id": item, "text": words, "created_at": at, "source": "test"}
        for text, item, words, at in written
    ]))  # fmt: skip
    find_job("build_texts").run(make_lake("run-3"), lake.settings.texts, LATER)
    job.run(make_lake("run-4"), conf, DAY)
    assert vectors_of(lake) == first
    job.run(make_lake("run-5"), conf, LATER)
    later = {row["item_id"]: row for row in make_lake("run-6").read("features.item_vectors", on=LATER).collect()}
    assert set(later) == {*titles, "late"} and later["s1"]["text_version"].startswith("tfidf-")
    assert later["late"]["parts"] == ["text", "graph"]
