"""A trained classifier of pictures as a folder of files, and back: model.json (format, version, labels, embedding, facts) and
weights.npz (mean, scale, coefficients, intercepts), and network.onnx where a network embeds the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from shoal.errors import InputError, one_line
from shoal.mine.image.classifier import PictureClassifier
from shoal.mine.image.descriptor import DESCRIPTOR
from shoal.mine.image.embedding import Embedding, network_embedding
from shoal.mine.image.network import read_network
from shoal.mine.text.saved import check_model_output, replaced_folder

FORMAT = "shoal picture classifier 1"
NETWORK = "network.onnx"


def save_picture_classifier(
    classifier: PictureClassifier, embedding: Embedding, folder: str | Path, facts: Mapping[str, Any]
) -> None:
    """Write the classifier with its embedding; an older one in that place is replaced once the new one is whole. `facts` go into
    model.json: version must be among them."""
    check_model_output(folder)
    network = embedding.network
    channels = {} if network is None else {"pixel_mean": network.mean, "pixel_spread": network.spread}
    about = {"format": FORMAT, "labels": list(classifier.labels), "embedding_version": embedding.version, **channels, **facts}
    with replaced_folder(folder) as made:
        np.savez(
            made / "weights.npz", mean=classifier.mean, scale=classifier.scale, coefficients=classifier.coefficients,
            intercepts=classifier.intercepts,
        )  # fmt: skip
        if network is not None:
            (made / NETWORK).write_bytes(network.data)
        (made / "model.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_picture_classifier(folder: str | Path) -> tuple[PictureClassifier, dict[str, Any]]:
    """The classifier of a folder, and its model.json. Raises InputError, one line, for a folder without a model or with a damaged
    one."""
    path = Path(folder)
    try:
        about = json.loads((path / "model.json").read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(f"{folder}: the model's format is {about['format']!r}; expected {FORMAT!r}")
        labels, _ = tuple(map(str, about["labels"])), (str(about["embedding_version"]), str(about["version"]))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no model there (no model.json); `shoal train images --model DIR` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/model.json: not the description of a model: {one_line(error)}") from None
    try:
        with np.load(path / "weights.npz") as numbers:
            made = PictureClassifier(
                labels, numbers["mean"], float(numbers["scale"]), numbers["coefficients"], numbers["intercepts"]
            )  # fmt: skip
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}") from None
    if not made.coefficients.shape == (len(labels), len(made.mean)) or len(made.intercepts) != len(labels):
        raise InputError(
            f"{folder}: the model's files are damaged: {made.coefficients.shape} coefficients for {len(labels)} labels"
        )
    return made, about


def load_embedding(folder: str | Path, about: Mapping[str, Any]) -> Embedding:
    """The embedding that a saved classifier was trained on; `about` is its model.json. Raises InputError for a descriptor
    of another version, and for a network that is missing, damaged or another one."""
    version = str(about["embedding_version"])
    if "pixel_mean" not in about:
        if version != DESCRIPTOR:
            raise InputError(
                f"--model {folder}: was trained on vectors of {version}, and they are now {DESCRIPTOR}; train it again"
            )
        return Embedding(DESCRIPTOR)
    path = Path(folder) / NETWORK
    network = read_network(path, about["pixel_mean"], about["pixel_spread"])
    found = network_embedding(network, version.partition("/")[0], str(path))
    if found.version != version:
        raise InputError(f"{path}: is {found.version}; the model was trained on vectors of {version}")
    return found
