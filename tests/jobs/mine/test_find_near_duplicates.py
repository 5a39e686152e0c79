"""gold.near_duplicates from texts and pictures of a lake, with their groups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from PIL import Image
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

from tests.jobs.features.test_build_images import put
from tests.jobs.mine.test_score_texts import put_texts
from tests.mine.image.test_picture_features import scene

DAY, OLD = date(2024, 3, 1), datetime(2024, 1, 1)


def test_campaigns_and_copies_are_found(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake, job = make_lake(), find_job("find_near_duplicates")
    with pytest.raises(SkippedError, match=r"no silver\.texts and no features\.images"):
        job.run(lake, lake.settings.near_duplicates, DAY)
    spam = " ".join(f"buy{n}" for n in range(22))
    texts = {"t1": spam, "t2": f"{spam} now", "t3": f"{spam} now today", "t4": "something else that someone said once",
             "t5": "nice", "t6": "nice"}  # fmt: skip
    put_texts(lake, [(name, "tweet", text, None, OLD, "test") for name, text in texts.items()])
    put_texts(lake, [("t0", "tweet", spam, None, datetime(2024, 6, 1), "test")])
    for name, seed in (("a", 1), ("b", 2)):
        scene(seed).save(tmp_path / f"{name}.png")
    scene(1).resize((80, 60)).save(tmp_path / "c.jpg")
    for name in ("d", "e"):
        Image.new("RGB", (30, 20), "white").save(tmp_path / f"{name}.png")
    put(lake, [(path.name, "i", str(path), "found") for path in tmp_path.iterdir() if path.is_file()])
    find_job("build_images").run(lake, lake.settings.images, DAY)
    job.run(lake, lake.settings.near_duplicates, DAY)
    rows = {(r["kind"], r["id"], r["other_id"]): r for r in lake.read("gold.near_duplicates", on=DAY).collect()}
    assert set(rows) == {("text", "t1", "t2"), ("text", "t2", "t3"), ("text", "t1", "t3"), ("image", "a.png", "c.jpg")}
    assert {row["group_id"] for key, row in rows.items() if key[0] == "text"} == {"t1"}
    assert rows["image", "a.png", "c.jpg"]["group_id"] == "a.png"
    assert rows["text", "t1", "t2"]["similarity"] == pytest.approx(20 / 21)
