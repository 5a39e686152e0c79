"""A trained classifier of pictures as a folder of files, and back: model.json (format, version, labels, embedding, facts) and
weights.npz (mean, scale, coefficients, intercepts)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from shoal.errors import InputError, one_line
from shoal.mine.image.classifier import PictureClassifier
from shoal.mine.text.saved import check_model_output, replaced_folder

FORMAT = "shoal picture classifier 1"


def save_picture_classifier(classifier: PictureClassifier, folder: str | Path, facts: Mapping[str, Any]) -> None:
    """Write the classifier; an older one in that place is replaced once the new one is whole. `facts` go into model.json: version,
    embedding and embedding_version must be among them."""
    check_model_output(folder)
    about = {"format": FORMAT, "labels": list(classifier.labels), **facts}
    with replaced_folder(folder) as made:
        np.savez(
            made / "weights.npz", mean=classifier.mean, scale=classifier.scale, coefficients=classifier.coefficients,
            intercepts=classifier.intercepts,
        )  # fmt: skip
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
