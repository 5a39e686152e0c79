"""`shoal train images` and `shoal score images` on tiny pictures made here, and on a sample of real ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from shoal.cli.pictures import score_images, train_images
from shoal.errors import InputError, UsageError
from shoal.mine.image.classifier import Chosen, choose_penalty, fit_classifier, fit_in_spark
from shoal.mine.image.training import held_out

from tests.mine.image.test_network import network_file
from tests.mine.image.test_opening import write_bad


def draw(folder: Path, count: int) -> None:
    """Stripes that stand, that lie, and none, each with noise of its own."""
    rng = np.random.default_rng(7)
    for label in ("lying", "plain", "upright"):
        (folder / label).mkdir(parents=True)
        for n in range(count):
            lines = np.tile(np.arange(32) // (3 + n % 3) % 2 * 120.0, (32, 1)) if label != "plain" else np.full((32, 32), 60.0)
            grey = (lines.T if label == "lying" else lines) + rng.integers(0, 100, (32, 32))
            Image.fromarray(grey.astype(np.uint8)).save(folder / label / f"{n:02}.png")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_train_then_score(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "train", 10)
    # The same bytes again, hidden files and bad ones.
    (tmp_path / "train/plain/again.png").write_bytes((tmp_path / "train/plain/00.png").read_bytes())
    (tmp_path / "train/plain/.hidden.png").write_bytes(b"x")
    (tmp_path / "train/plain/notes.txt").write_text("no picture")
    (tmp_path / "train/lying/words.jpg").write_text("no picture")
    train_images(tmp_path / "train", tmp_path / "model")
    said = json.loads(capsys.readouterr().out)
    assert (said["labels"], said["statuses"]) == (["lying", "plain", "upright"], {"ok": 31, "unreadable": 1})
    assert (said["rows"], said["train_rows"] + said["test_rows"]) == (31, 31) and said["test_rows"] in (6, 7)
    assert said["metrics"]["accuracy"] == 1.0 and said["embedding"] == "descriptor/1"

    draw(tmp_path / "new", 3)
    (tmp_path / "new/bad").mkdir()
    expected = {
        str(tmp_path / "new/bad" / n): s for n, s in write_bad(tmp_path / "new/bad").items() if not n.startswith(("gone", "folder"))
    }
    (tmp_path / "new/bad/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    expected[str(tmp_path / "new/bad/gone.jpg")] = "missing"
    sets = ["max_pixels=2000000", "max_file_bytes=1000000"]
    score_images(tmp_path / "new", tmp_path / "model", tmp_path / "scored.csv", sets=sets)
    summary, rows = json.loads(capsys.readouterr().out), read(tmp_path / "scored.csv")
    assert list(rows[0]) == ["path", "predicted_label", "probability_lying", "probability_plain", "probability_upright",
                             "model_version", "status"]  # fmt: skip
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows) and summary["rows"] == len(rows) == 16
    good = [row for row in rows if row["status"] == "ok"]
    assert [Path(row["path"]).parent.name for row in good] == [row["predicted_label"] for row in good] and len(good) == 9
    assert all(sum(float(row[f"probability_{n}"]) for n in said["labels"]) == pytest.approx(1) for row in good)
    assert {row["path"]: row["status"] for row in rows if row["status"] != "ok"} == expected
    assert {row["predicted_label"] for row in rows if row["status"] != "ok"} == {""}
    assert {row["model_version"] for row in rows} == {said["model_version"]} == {summary["model_version"]}


def test_mistakes_are_one_line(spark: SparkSession, tmp_path: Path) -> None:
    one = tmp_path / "one"
    (one / "a").mkdir(parents=True)
    with pytest.raises(InputError, match="no such folder"):
        train_images(tmp_path / "nowhere", tmp_path / "model")
    with pytest.raises(InputError, match="no picture there"):
        train_images(one, tmp_path / "model")
    Image.new("L", (4, 4)).save(one / "a" / "1.png")
    with pytest.raises(InputError, match="one class only, 'a'"):
        train_images(one, tmp_path / "model")
    (one / "b").mkdir()
    (one / "b" / "1.png").write_text("no")
    with pytest.raises(InputError, match="1 labels have a picture that can be read"):
        train_images(one, tmp_path / "model")
    Image.new("L", (4, 4)).save(one / "loose.png")
    with pytest.raises(InputError, match=r"loose\.png: lies in no class"):
        train_images(one, tmp_path / "model")
    with pytest.raises(InputError, match=r"no model there \(no model\.json\); `shoal train images"):
        score_images(one, tmp_path / "model", tmp_path / "out.csv")
    with pytest.raises(UsageError, match="expected a name that ends in"):
        score_images(one, tmp_path / "model", tmp_path / "out.docx")


def test_two_pictures_are_enough_to_train(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "train", 1)
    train_images(tmp_path / "train", tmp_path / "model")
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["test_rows"], said["metrics"]) == (3, 0, None)
    score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")
    assert [row["predicted_label"] for row in read(tmp_path / "out.csv")] == ["lying", "plain", "upright"]
    # Vectors of another kind mean something else.
    about = json.loads((tmp_path / "model/model.json").read_text())
    for changed, message in (({"embedding_version": "descriptor/0"}, "was trained on vectors of descriptor/0"),
                             ({"format": "other"}, "the model's format is 'other'")):  # fmt: skip
        (tmp_path / "model/model.json").write_text(json.dumps(about | changed))
        with pytest.raises(InputError, match=message):
            score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")
    (tmp_path / "model/model.json").write_text(json.dumps(about))
    (tmp_path / "model/weights.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="the model's files are damaged"):
        score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")


def test_a_model_carries_the_network_that_embeds(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "train", 1)
    path = network_file(tmp_path / "net.onnx", ["n", 3, 8, 8], "Flatten")
    train_images(tmp_path / "train", tmp_path / "model", sets=["embedding=onnx", f"model={path}"])
    assert json.loads(capsys.readouterr().out)["embedding"].startswith("onnx/")
    path.unlink()
    score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")
    assert [row["predicted_label"] for row in read(tmp_path / "out.csv")] == ["lying", "plain", "upright"]
    network_file(tmp_path / "model/network.onnx", ["n", 3, 8, 4], "Flatten")
    with pytest.raises(InputError, match=r"network\.onnx: is onnx/\w+; the model was trained on vectors of onnx/"):
        score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")
    (tmp_path / "model/network.onnx").unlink()
    with pytest.raises(InputError, match=r"network\.onnx: no such file"):
        score_images(tmp_path / "train", tmp_path / "model", tmp_path / "out.csv")


def test_equal_pictures_are_on_one_side() -> None:
    contents = [f"c{n % 40}" for n in range(100)]
    target = np.array([n % 40 // 20 for n in range(100)])
    is_test, fold = held_out(contents, target, 0.2, 42)
    assert [len({c for c, t in zip(contents, is_test, strict=True) if t == side}) for side in (0, 1)] == [32, 8]
    assert all(len({t for c, t in zip(contents, is_test, strict=True) if c == one}) == 1 for one in set(contents))
    assert set(fold.tolist()) == {0, 1, 2, 3}
    assert held_out(contents, target, 0.2, 42)[0].tolist() == is_test.tolist() != held_out(contents, target, 0.2, 7)[0].tolist()


def test_the_classifier_is_scikit_learns_and_sparks(spark: SparkSession) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    target = np.arange(60) % 3
    # More columns than rows, as vectors of pictures have.
    vectors = (rng.normal(size=(60, 90)) + 2 * np.eye(3, 90)[target]).astype(np.float32)
    chosen = Chosen(10.0, 1.0)
    made = fit_classifier(vectors, target, ("a", "b", "c"), chosen)
    rows = (vectors - vectors.mean(axis=0)) * made.scale
    assert (rows**2).sum() / 60 == pytest.approx(1)
    oracle = LogisticRegression(C=10.0, max_iter=3000, tol=1e-8).fit(rows, target)
    np.testing.assert_allclose(made.probabilities(vectors), oracle.predict_proba(rows), atol=2e-3)
    frame = spark.createDataFrame(
        [(row.tolist(), float(t)) for row, t in zip(vectors, target, strict=True)], "features array<float>, target double"
    )
    np.testing.assert_allclose(
        fit_in_spark(frame, ("a", "b", "c"), 90).probabilities(vectors), made.probabilities(vectors), atol=2e-2
    )
    two = fit_classifier(vectors, target % 2, ("a", "b"), chosen)
    assert two.probabilities(vectors).shape == (60, 2)
    np.testing.assert_allclose(
        two.probabilities(vectors)[:, 1],
        LogisticRegression(C=10.0, max_iter=3000, tol=1e-8).fit(rows, target % 2).predict_proba(rows)[:, 1],
        atol=2e-3,
    )
    assert choose_penalty(vectors, target, np.arange(60) // 3 % 4).inverse_penalty in (1.0, 3.0, 10.0, 30.0, 100.0)


@pytest.mark.slow
def test_clothes_are_classified(data: Path, spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data / "clothing_images"
    if not folder.is_dir():
        pytest.skip(f"no pictures in {folder}")
    train_images(folder / "train", tmp_path / "model")
    score_images(folder / "validation", tmp_path / "model", tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert sum(row["predicted_label"] == Path(row["path"]).parent.name for row in rows) / len(rows) >= 0.53
