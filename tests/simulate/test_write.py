"""A world's files: formats that the product's own reader takes, counts, reruns, spoiled lines, the truth beside them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.ingest.formats.files import read_rows
from shoal.simulate import tables
from shoal.simulate.world import WorldConf
from shoal.simulate.write import FOLDERS, write_world

CONF = WorldConf(users=200, items=80, events=3_000, texts=150, days=40, seed=4)
HEADERS = {
    "events": ["event_id", "user_id", "item_id", "event", "value", "occurred_at"],
    "edges": ["src", "dst", "weight", "followed_at"],
    "assignments": ["experiment", "user_id", "variant", "assigned_at"],
}


def lines(folder: Path) -> list[str]:
    """All lines of a folder's files but the headers, sorted."""
    found = []
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8").splitlines()
        found += text[1:] if path.suffix == ".csv" else text
    return sorted(found)


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A small clean world on disk: output, truth, and what write_world said."""
    root = tmp_path_factory.mktemp("world")
    return root / "raw", root / "truth", write_world(spark, CONF, root / "raw", root / "truth")


def test_folders_files_and_headers(written: tuple[Path, Path, dict[str, Any]]) -> None:
    output, truth, facts = written
    assert sorted(p.name for p in output.iterdir()) == sorted(FOLDERS)
    assert sorted(p.name for p in truth.iterdir()) == ["communities", "items", "likes", "texts", "users", "world.json"]
    for folder, header in HEADERS.items():
        for path in (output / folder).iterdir():
            assert path.name.startswith("part-")
            with path.open(newline="", encoding="utf-8") as file:
                assert next(csv.reader(file)) == header
    assert json.loads((truth / "world.json").read_text(encoding="utf-8")) == facts


def test_every_line_is_counted(written: tuple[Path, Path, dict[str, Any]]) -> None:
    output, _, facts = written
    for folder in FOLDERS:
        assert facts["files"][folder] == {"rows": len(lines(output / folder)), "spoiled": 0}
    assert facts["files"]["events"]["rows"] == pytest.approx(3_000, rel=0.1)


def test_json_lines_have_arrays_and_nulls(written: tuple[Path, Path, dict[str, Any]]) -> None:
    items = [json.loads(line) for line in lines(written[0] / "items")]
    assert list(items[0]) == list(tables.ITEM_COLUMNS)
    assert all(isinstance(item["hashtags"], list) and isinstance(item["categories"], list) for item in items)
    assert {type(item["price_usd"]) for item in items} <= {float, type(None)}
    texts = [json.loads(line) for line in lines(written[0] / "texts")]
    assert list(texts[0]) == list(tables.TEXT_COLUMNS)
    assert {text["label"] for text in texts} == {"positive", "negative", "neutral", None}


@pytest.mark.parametrize(
    ("folder", "columns"),
    [*HEADERS.items(), ("items", list(tables.ITEM_COLUMNS)), ("texts", list(tables.TEXT_COLUMNS))],
)
def test_the_products_own_reader_takes_them(
    spark: SparkSession, written: tuple[Path, Path, dict[str, Any]], folder: str, columns: list[str]
) -> None:
    rows = read_rows(spark, written[0] / folder, columns)
    assert rows.columns == columns
    assert rows.count() == written[2]["files"][folder]["rows"]


def test_the_files_hold_the_tables_of_the_world(spark: SparkSession, written: tuple[Path, Path, dict[str, Any]]) -> None:
    read = {
        (row.event_id, row.user_id, row.item_id, row.event, float(row.value) if row.value else None, row.occurred_at)
        for row in read_rows(spark, written[0] / "events", HEADERS["events"]).collect()
    }
    made = {
        (*row[:5], row.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ")) for row in tables.events(spark, CONF, partitions=3).collect()
    }
    assert read == made


def test_the_same_command_again_gives_the_same_files(
    spark: SparkSession, written: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    output, truth = tmp_path / "raw", tmp_path / "truth"
    (output / "events").mkdir(parents=True)
    (output / "events" / "left-over.csv").write_text("old", encoding="utf-8")
    (output / ".items.partial").mkdir()  # what a killed run leaves
    reported: list[tuple[str, int]] = []
    assert write_world(spark, CONF, output, truth, 5, lambda folder, rows: reported.append((folder, rows))) == written[2]
    assert [name for name, _ in reported[-5:]] == list(FOLDERS)
    assert sorted(p.name for p in output.iterdir()) == sorted(FOLDERS)
    for folder in FOLDERS:
        assert lines(output / folder) == lines(written[0] / folder)


def test_spoiled_lines_are_as_many_as_the_truth_says(
    spark: SparkSession, written: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    dirty = CONF.model_copy(update={"dirty_ratio": 0.1})
    facts = write_world(spark, dirty, tmp_path / "raw", tmp_path / "truth")
    for folder in ("items", "texts", "edges", "events"):
        good, rows = set(lines(written[0] / folder)), lines(tmp_path / "raw" / folder)
        assert facts["files"][folder]["rows"] == len(rows)
        # What is not a line of the clean world, or is there for the second time, is spoiled.
        assert facts["files"][folder]["spoiled"] == len(rows) - len(set(rows) & good) > 0
    assert facts["files"]["assignments"]["spoiled"] == 0


def test_a_folder_without_rows_is_left_out(spark: SparkSession, tmp_path: Path) -> None:
    # A header without rows would be an error for the reader.
    conf = CONF.model_copy(update={"events": 0, "texts": 0, "follows_per_user": 0.0})
    facts = write_world(spark, conf, tmp_path / "raw", tmp_path / "truth")
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == ["assignments", "items"]
    assert facts["files"]["events"] == {"rows": 0, "spoiled": 0}
    assert spark.read.parquet(str(tmp_path / "truth" / "likes")).isEmpty()
