"""A model as a folder: model.json, numbers.npz, words.json, and a Parquet folder a table. Whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from shoal.arrays import Doubles
from shoal.errors import InputError, UsageError, one_line
from shoal.mine.text.saved import replaced_folder
from shoal.spark.driver_files import read_parquet_folder, written_by_tasks

FORMAT = "shoal-parts-1"
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def check_model_folder(folder: Path) -> None:
    """Nothing, where a model can be saved as `folder`. Raises UsageError for a folder of other files, a file, or a place without a
    parent folder."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / "model.json").is_file()):
        raise UsageError(f"--model {folder}: something else is there; expected a new folder, or one with a model to replace")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"--model {folder}: the folder {folder.absolute().parent} does not exist; create it first")


@dataclass(frozen=True)
class Saved:
    """What a folder holds besides model.json: tables, arrays of numbers and lists of words, by name."""

    tables: Mapping[str, DataFrame] = field(default_factory=dict)
    numbers: Mapping[str, Doubles] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)


def save_parts(folder: Path, about: Mapping[str, Any], saved: Saved, searched: Mapping[str, Any] | None = None) -> None:
    """Write `about` (JSON values), the rest, and search.json where a search was made; what was at `folder` is replaced at the
    end."""
    with tempfile.TemporaryDirectory(prefix="shoal-model-") as name:
        # Hadoop reads commas, braces and blanks of a path in ways of its own: it writes where there are none.
        place = Path(name)
        for table, rows in saved.tables.items():
            with written_by_tasks(rows.sparkSession, place / table) as target:
                rows.write.parquet(target)
        np.savez(place / "numbers.npz", **saved.numbers)  # type: ignore[arg-type]
        (place / "words.json").write_text(json.dumps(saved.words, ensure_ascii=False), "utf-8")
        said = {"format": FORMAT, "tables": list(saved.tables), **about}
        (place / "model.json").write_text(json.dumps(said, indent=2) + "\n", "utf-8")
        if searched is not None:
            (place / "search.json").write_text(json.dumps(searched, indent=2) + "\n", "utf-8")
        with replaced_folder(folder) as made:
            shutil.copytree(place, made, dirs_exist_ok=True)


def read_about(folder: Path, task: str) -> dict[str, Any]:
    """model.json of a folder. Raises InputError, one line, for a folder that has none, a damaged one, or one of another task."""
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        found = (about.get("format"), about.get("task")) if isinstance(about, dict) else (None, None)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no model there (no model.json); `shoal train {task} --model DIR` makes one") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/model.json: not the description of a model: {one_line(error)}") from None
    if found != (FORMAT, task):
        raise InputError(
            f"{folder}: a model of {found[1] or 'another kind'}; expected one of {task}: `shoal train {task} --model DIR`"
        )
    return dict(about)


def load_parts(spark: SparkSession, folder: Path, about: Mapping[str, Any]) -> Saved:
    """What a folder holds. Raises InputError for files that are damaged. Tables are read lazily,
    on a cluster into the driver's memory."""
    place = folder.resolve()
    if not _PLAIN.fullmatch(str(place)):
        # It goes with the process: tables are read from it later.
        holder = tempfile.mkdtemp(prefix="shoal-model-")
        place = Path(shutil.copytree(place, Path(holder) / "model"))
    try:
        tables = {name: read_parquet_folder(spark, place / name) for name in about["tables"]}
        words = json.loads((place / "words.json").read_text(encoding="utf-8"))
        with np.load(place / "numbers.npz") as arrays:
            numbers = {name: np.asarray(arrays[name], np.float64) for name in arrays.files}
    except (Py4JError, PySparkException, OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}; train it again") from None
    return Saved(tables, numbers, words)
