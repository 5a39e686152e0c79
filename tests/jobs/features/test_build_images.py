"""features.images: every picture with its status, and a second run that opens nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from hashlib import blake2b
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.mine.image.classifier import PictureClassifier
from shoal.mine.image.embedding import Embedding
from shoal.mine.image.saved import save_picture_classifier
from shoal.runner.job import find_job

from tests.mine.image.test_opening import noise, write_bad

DAY = date(2024, 3, 1)
IMAGES = "image_id string, item_id string, path string, width_px int, height_px int, status string, source string"


def put(lake: Lake, rows: list[tuple[str, str, str, str]]) -> None:
    frame = lake.spark.createDataFrame([(i, item, path, None, None, status, "test") for i, item, path, status in rows], IMAGES)
    lake.upsert("silver.images", frame)


def test_only_what_is_new_or_changed_is_opened(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake, job = make_lake(), find_job("build_images")
    conf = lake.settings.images.model_copy(update={"max_pixels": 2_000_000, "max_file_bytes": 1_000_000})
    put(lake, [("far", "i", "https://pictures.test/a.jpg", "remote"), ("later", "i", "a.jpg", "listed")])
    with pytest.raises(SkippedError, match="no picture that is a file here"):
        job.run(lake, conf, DAY)
    expected = write_bad(tmp_path)
    noise(30, 20).save(tmp_path / "a.png")
    noise(30, 20, 2).save(tmp_path / "b.png")
    put(lake, [(name, "i", str(tmp_path / name), "found") for name in [*expected, "a.png", "b.png"]])
    first = make_lake("run-1")
    job.run(first, conf, DAY)
    assert {k: first.run.tags[k] for k in ("described_images", "unchanged_images")} == {
        "described_images": "10",
        "unchanged_images": "0",
    }
    rows = {row["image_id"]: row for row in lake.read_current("features.images").collect()}
    assert {name: row["status"] for name, row in rows.items()} == {**expected, "a.png": "ok", "b.png": "ok"}
    assert len(rows["a.png"]["embedding"]) == 1568 and rows["a.png"]["model_version"] == "descriptor/1"
    assert (rows["a.png"]["width_px"], rows["a.png"]["height_px"], rows["a.png"]["format"]) == (30, 20, "PNG")
    assert rows["cut.jpg"]["embedding"] is None and rows["gone.jpg"]["file_bytes"] is None

    again = make_lake("run-2")
    job.run(again, conf, DAY)
    assert again.run.tags["described_images"] == "0"
    # b gets other bytes, a file that was missing comes, and a keeps its own with another time.
    noise(31, 20, 3).save(tmp_path / "b.png")
    noise(9, 9).save(tmp_path / "gone.jpg")
    os.utime(tmp_path / "a.png", (1, 1))
    third = make_lake("run-3")
    job.run(third, conf, DAY)
    assert third.run.tags["described_images"] == "3"
    now = {row["image_id"]: row for row in lake.read_current("features.images").collect()}
    assert len(now) == 10 and (now["b.png"]["width_px"], now["gone.jpg"]["status"]) == (31, "ok")
    assert now["a.png"]["content_hash"] == rows["a.png"]["content_hash"] and now["cut.jpg"]["run_id"] == "run-1"


def test_pictures_by_url_are_fetched_where_asked_for(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    noise(30, 20).save(tmp_path / "a.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_address[1]}"
    lake, job = make_lake(), find_job("build_images")
    urls = {"a": f"http://{host}/a.png", "gone": f"http://{host}/b.png", "other": "http://pictures.test/a.png"}
    put(lake, [(name, "i", url, "remote") for name, url in urls.items()])
    conf = lake.settings.images.model_copy(update={"fetch": True, "fetch_private": True, "fetch_retries": 0})
    try:
        with pytest.raises(UsageError, match="images.fetch=true needs the hosts"):
            job.run(lake, conf, DAY)
        job.run(lake, conf.model_copy(update={"fetch_hosts": [host]}), DAY)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    rows = {row["image_id"]: row for row in lake.read_current("features.images").collect()}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", "gone": "missing", "other": "blocked"}
    assert rows["a"]["content_hash"] == blake2b((tmp_path / "a.png").read_bytes(), digest_size=16).hexdigest()
    assert (rows["a"]["width_px"], rows["a"]["file_bytes"]) == (30, None)
    # The server is gone: what is known is not asked for again.
    again = make_lake("run-2")
    job.run(again, conf.model_copy(update={"fetch_hosts": [host]}), DAY)
    assert again.run.tags["described_images"] == "0"


def test_pictures_have_the_class_of_the_classifier_that_is_named(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake, job = make_lake(), find_job("build_images")
    for n in (1, 2):
        noise(20, 20, n).save(tmp_path / f"{n}.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    put(lake, [(name, "i", str(tmp_path / f"{name}.png"), "found") for name in ("1", "2", "cut")])
    job.run(lake, lake.settings.images, DAY)
    known = {row["image_id"]: row for row in lake.read_current("features.images").collect()}
    assert {row["predicted_label"] for row in known.values()} == {None}

    def model(name: str, weight: float) -> str:
        """The second class has a log odds of weight x (the vector's product with that of picture 1)."""
        vector = np.asarray(known["1"]["embedding"], np.float64)
        made = PictureClassifier(("boat", "hat"), np.zeros(1568), 1.0, np.stack([0 * vector, weight * vector]), np.zeros(2))
        save_picture_classifier(made, Embedding("descriptor/1"), tmp_path / name, {"version": name})
        return str(tmp_path / name)

    ones = {name: np.asarray(known[name]["embedding"], np.float64) @ np.asarray(known["1"]["embedding"]) for name in ("1", "2")}
    first, opposite = make_lake("run-2"), make_lake("run-4")
    conf = lake.settings.images.model_copy(update={"classifier": model("m1", 0.5)})
    job.run(first, conf, DAY)
    assert (first.run.tags["described_images"], first.run.tags["labelled_images"]) == ("0", "2")
    rows = {row["image_id"]: row for row in first.read_current("features.images").collect()}
    assert {name: (row["predicted_label"], row["classifier_version"]) for name, row in rows.items()} == {
        "1": ("hat", "m1"), "2": ("hat", "m1"), "cut": (None, None),
    }  # fmt: skip
    for name, product in ones.items():
        assert rows[name]["label_probability"] == pytest.approx(1 / (1 + np.exp(-0.5 * product)), abs=1e-6)
        assert rows[name]["embedding"] == known[name]["embedding"]
    again = make_lake("run-3")
    job.run(again, conf, DAY)
    assert (again.run.tags["labelled_images"], again.run.rows_out) == ("0", {})
    job.run(opposite, conf.model_copy(update={"classifier": model("m2", -0.5)}), DAY)
    after = opposite.read_current("features.images").where("status = 'ok'").collect()
    assert {(row["predicted_label"], row["classifier_version"]) for row in after} == {("boat", "m2")} and len(after) == 2
    other = Embedding("descriptor/0")
    save_picture_classifier(PictureClassifier(("a", "b"), np.zeros(1), 1.0, np.zeros((2, 1)), np.zeros(2)), other, tmp_path / "m3",
                            {"version": "m3"})  # fmt: skip
    with pytest.raises(UsageError, match="reads vectors of descriptor/0, and images.embedding gives descriptor/1; train it"):
        job.run(opposite, conf.model_copy(update={"classifier": str(tmp_path / "m3")}), DAY)


def test_another_embedding_retires_the_rows_of_the_one_before(
    make_lake: Callable[..., Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, job = make_lake(), find_job("build_images")
    noise(20, 20).save(tmp_path / "a.png")
    put(lake, [("a", "i", str(tmp_path / "a.png"), "found")])
    job.run(lake, lake.settings.images, DAY)
    monkeypatch.setitem(job.run.__globals__, "embedding_of", lambda *_: Embedding("descriptor/next"))
    job.run(lake, lake.settings.images, DAY)
    rows = {row["model_version"]: row["is_current"] for row in lake.read_current("features.images").collect()}
    assert rows == {"descriptor/1": False, "descriptor/next": True}
