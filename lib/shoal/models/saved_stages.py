"""A model of MLlib stages as a folder: model.json, a folder a stage, a Parquet folder a table. Whole or not at all."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from shoal.errors import InputError, UsageError, one_line

FORMAT = "shoal-stages-1"
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def check_model_folder(folder: Path) -> None:
    """Nothing, where a model can be saved as `folder`. Raises UsageError for a folder of other files, a file, or a place without a
    parent folder."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / "model.json").is_file()):
        raise UsageError(f"--model {folder}: something else is there; expected a new folder, or one with a model to replace")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"--model {folder}: the folder {folder.absolute().parent} does not exist; create it first")


def save_stages(
    folder: Path, about: Mapping[str, Any], stages: Mapping[str, Sequence[Any]], tables: Mapping[str, DataFrame] | None = None
) -> None:
    """Write `about` (JSON values), named lists of fitted stages, and tables; what was at `folder` is replaced at the end."""
    target = folder.absolute()
    made = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="shoal-model-") as name:
        # Hadoop reads commas, braces and blanks of a path in ways of its own: it writes where there are none.
        place = Path(name)
        for stage, fitted in stages.items():
            PipelineModel(list(fitted)).write().overwrite().save(f"file://{place / stage}")
        for table, rows in (tables or {}).items():
            rows.write.parquet(f"file://{place / table}")
        (place / "model.json").write_text(
            json.dumps({"format": FORMAT, "stages": list(stages), "tables": list(tables or {}), **about}, indent=2) + "\n", "utf-8"
        )
        try:
            shutil.copytree(place, made)
            if target.exists():
                shutil.rmtree(target)
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)


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


def load_stages(spark: SparkSession, folder: Path, about: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, DataFrame]]:
    """The stages and tables of a folder by their names. Raises InputError for files that are damaged. Tables are read lazily."""
    place = folder.resolve()
    if not _PLAIN.fullmatch(str(place)):
        # It goes with the process: tables are read from it later.
        holder = tempfile.mkdtemp(prefix="shoal-model-")
        place = Path(shutil.copytree(place, Path(holder) / "model"))
    try:
        stages = {name: list(PipelineModel.load(f"file://{place / name}").stages) for name in about["stages"]}
        tables = {name: spark.read.parquet(f"file://{place / name}") for name in about["tables"]}
    except (Py4JError, PySparkException, OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}; train it again") from None
    return stages, tables
