"""A small network of pictures: its arithmetic against scipy's, what it learns, and the commands that train and use one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from scipy.signal import correlate2d
from shoal.cli.pictures import score_images, train_images
from shoal.errors import InputError, UsageError
from shoal.mine.image import convolution
from shoal.mine.image.convolution import SHIFT, SIDE, TrainedNetwork, as_onnx, small_pixels, train_network, varied
from shoal.mine.image.embedding import embedding_of

from tests.cli.test_picture_commands import draw, read


def random_network(classes: int) -> TrainedNetwork:
    rng = np.random.default_rng(3)
    shapes = ((32, 3, 3, 3), (64, 32, 3, 3), (64 * 8 * 8, 128), (128, classes))
    sides = (32, 64, 128, classes)
    made = [(rng.standard_normal(shape) * 0.1, rng.standard_normal(side)) for shape, side in zip(shapes, sides, strict=True)]
    return TrainedNetwork(tuple((kernel.astype(np.float32), shift.astype(np.float32)) for kernel, shift in made))


def by_scipy(network: TrainedNetwork, picture: np.ndarray) -> np.ndarray:
    """The embedding of one picture, a plane of a channel at a time."""
    planes = picture.astype(np.float64)
    for kernel, shift in network.weights[:2]:
        made = [
            sum(correlate2d(plane, own, mode="same") for plane, own in zip(planes, kernels, strict=True)) + moved
            for kernels, moved in zip(kernel.astype(np.float64), shift, strict=True)
        ]
        positive = np.maximum(np.stack(made), 0)
        side = positive.shape[1] // 2
        planes = positive.reshape(len(positive), side, 2, side, 2).max(axis=(2, 4))
    kernel, shift = network.weights[2]
    return np.maximum(planes.ravel() @ kernel.astype(np.float64) + shift, 0)


def test_the_network_and_its_file_have_scipys_numbers() -> None:
    network = random_network(4)
    pixels = np.random.default_rng(5).standard_normal((2, 3 * SIDE * SIDE)).astype(np.float32)
    expected = np.stack([by_scipy(network, one.reshape(3, SIDE, SIDE)) for one in pixels])
    session = onnxruntime.InferenceSession(as_onnx(network), providers=["CPUExecutionProvider"])
    features = session.run(None, {"pixels": pixels.reshape(-1, 3, SIDE, SIDE)})[0]
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.max())
    kernel, shift = network.weights[3]
    np.testing.assert_allclose(network.margins(pixels), expected @ kernel + shift, rtol=1e-3, atol=1e-2)


def test_a_picture_is_seen_mirrored_and_moved_and_nothing_else() -> None:
    picture = np.arange(3 * SIDE * SIDE, dtype=np.float32).reshape(3, SIDE, SIDE)
    wide = np.pad(picture, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    places = range(2 * SHIFT + 1)
    moved = [wide[:, top : top + SIDE, left : left + SIDE] for top in places for left in places]
    allowed = {one.tobytes() for one in moved} | {np.ascontiguousarray(one[:, :, ::-1]).tobytes() for one in moved}
    found = {one.tobytes() for one in varied(np.tile(picture.ravel(), (500, 1)), np.random.default_rng(1))}
    assert found <= allowed and len(found) > 90


def test_pixels_are_those_that_a_network_of_a_file_gets() -> None:
    # Half black, half white: (0 - .5) / .25 and (1 - .5) / .25, channels first.
    picture = Image.new("RGB", (SIDE, SIDE))
    picture.paste((255, 255, 255), (0, 0, SIDE, SIDE // 2))
    planes = small_pixels(picture).reshape(3, SIDE, SIDE)
    assert (planes[:, : SIDE // 2] == 2).all() and (planes[:, SIDE // 2 :] == -2).all()


def test_classes_that_differ_in_shape_are_learned_and_equal_seeds_give_equal_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "LEAST_STEPS", 30)
    rng = np.random.default_rng(2)
    lines = np.tile(np.arange(SIDE) // 4 % 2 * 2.0, (SIDE, 1))
    both = (lines, lines.T)
    target = np.arange(60) % 2
    rows = np.stack([np.tile(both[n] + rng.normal(0, 1, (SIDE, SIDE)), (3, 1, 1)).ravel() for n in target]).astype(np.float32)
    network = train_network(rows[:40], target[:40], 2, 1)
    assert (network.margins(rows[40:]).argmax(axis=1) == target[40:]).all()
    again = train_network(rows[:40], target[:40], 2, 1)
    np.testing.assert_array_equal(again.margins(rows), network.margins(rows))


def test_a_folder_of_pictures_trains_a_network_that_scores_and_embeds(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LEAST_STEPS", 40)
    draw(tmp_path / "train", 15)
    train_images(tmp_path / "train", tmp_path / "model", sets=["embedding=cnn"])
    said = json.loads(capsys.readouterr().out)
    # Of 15 pictures a label 3 are held out, and the other 12 go round four folds, of which one calibrates.
    assert (said["rows"], said["train_rows"], said["test_rows"], said["metrics"]["accuracy"]) == (45, 27, 9, 1.0)
    assert said["embedding"].startswith("onnx/")
    draw(tmp_path / "new", 2)
    score_images(tmp_path / "new", tmp_path / "model", tmp_path / "scored.csv")
    rows = read(tmp_path / "scored.csv")
    assert [row["predicted_label"] for row in rows] == [Path(row["path"]).parent.name for row in rows] and len(rows) == 6
    # The file is a network as any other: the same vectors, of the version that the model names.
    used = embedding_of("onnx", str(tmp_path / "model/network.onnx"), [0.5] * 3, [0.25] * 3)
    assert used.version == said["embedding"] and len(used.of(Image.new("RGB", (50, 20)))) == 128


def test_too_many_pictures_too_few_and_a_lake_are_one_line(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "few", 3)
    for n in (1, 2):
        (tmp_path / f"few/lying/{n:02}.png").write_bytes((tmp_path / "few/lying/00.png").read_bytes())
    for most, says in [(5, "9 pictures; a network learns from 5 at most"), (30_000, "two different pictures of each")]:
        monkeypatch.setattr("shoal.mine.image.training.MAX_PICTURES", most)
        with pytest.raises(InputError, match=says):
            train_images(tmp_path / "few", tmp_path / "model", sets=["embedding=cnn"])
    assert not (tmp_path / "model").exists()
    with pytest.raises(UsageError, match="`shoal train images` trains that network"):
        embedding_of("cnn", None, [0.5] * 3, [0.25] * 3)
