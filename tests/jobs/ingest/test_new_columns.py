"""Columns that nothing is made of: kept raw and reported, or refused, by bronze's contract; and many small files."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import shoal.lake.contract
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.ingest.formats.json_objects import MOST_NAMES, NAME_LENGTH, Left
from shoal.ingest.formats.messages import message_record
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

DAY = date(2024, 1, 1)


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """bronze.ratings takes no unknown column."""
    folder = tmp_path / "contracts"
    shutil.copytree(shoal.lake.contract.FOLDER, folder)
    path = folder / "bronze.ratings.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "unknown_columns: refuse\n", encoding="utf-8")
    monkeypatch.setattr(shoal.lake.contract, "FOLDER", folder)
    contract.cache_clear()
    yield
    contract.cache_clear()


def ingest(spark: SparkSession, root: Path, path: Path, *sets: str) -> Result:
    settings = load("local", list(sets), "ingest")
    return execute(spark, find_job("ingest_files"), settings, root, DAY, {"source": "ratings", "input": str(path)})


def test_an_unknown_column_is_kept_raw_and_told(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user_id,item_id,rating,timestamp,mood\nu,i,4,1700000000,glad\n", encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path)
    assert (result.status, result.tags["ratings_unmapped_columns"]) == ("succeeded", "mood")
    rows = Lake(spark, tmp_path / "lake", load(), Run("r")).read("bronze.ratings").select("raw").collect()
    assert [row["raw"] for row in rows] == ["u,i,4,1700000000,glad"]


def test_an_unknown_column_is_refused_where_the_contract_says_so(spark: SparkSession, tmp_path: Path, refusing: None) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user_id,item_id,rating,timestamp,mood,weather\nu,i,4,1700000000,glad,rain\n", encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path)
    assert result.exit_code == 3
    assert f"{path}:1: unknown column mood, weather; bronze.ratings takes none" in (result.message or "")
    assert not (tmp_path / "lake" / "bronze").exists()


LINES = """{"user_id": "u", "item_id": "i", "rating": 4, "timestamp": 1700000000}
{"UserID": "u", "item_id": "i", "rating": 5, "timestamp": 1700000001, "mood": "glad", "": {}}
{"user_id": "u", "item_id": "i", "rating": 5, "timestamp": 1700000002, "weather": null, "mood": 1}
"""


def test_unknown_names_in_json_lines_are_kept_raw_and_told_once(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(LINES, encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path)
    assert (result.status, result.tags["ratings_unmapped_columns"]) == ("succeeded", ", mood, weather")
    rows = Lake(spark, tmp_path / "lake", load(), Run("r")).read("bronze.ratings").orderBy("_line").select("raw").collect()
    assert [row["raw"] for row in rows] == LINES.splitlines()
    assert result.tags["ingested"] == "3"


def test_json_lines_with_unknown_names_are_refused_as_other_files_are(spark: SparkSession, tmp_path: Path, refusing: None) -> None:
    """Few or many of the records, and whatever share of rejects is taken."""
    path = tmp_path / "r.jsonl"
    path.write_text(LINES, encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path, "max_reject_ratio=1")
    assert (result.exit_code, "Traceback" in (result.message or "")) == (3, False)
    assert f"{path}:2: unknown column mood, ; its table takes none" in (result.message or "")
    assert "1 more such records; silver is as it was" in (result.message or "")
    lake = Lake(spark, tmp_path / "lake", load(), Run("r"))
    assert not lake.exists("silver.interactions")
    assert not lake.exists("ops.ingest_files")
    rows = lake.read("ops.quarantine").select("line", "rule", "reason").collect()
    assert sorted(map(tuple, rows)) == [
        (2, "unknown_column", "unknown column mood, ; its table takes none (unknown_columns: refuse in the contract)"),
        (3, "unknown_column", "unknown column weather, mood; its table takes none (unknown_columns: refuse in the contract)"),
    ]
    # Put right, the file goes in.
    path.write_text(LINES.splitlines()[0] + "\n", encoding="utf-8")
    assert ingest(spark, tmp_path / "lake", path).tags["ingested"] == "1"


def test_a_message_with_unknown_names_is_kept_or_rejected_as_the_contract_says() -> None:
    value, pairs = b'{"user_id": "u", "mood": 1, "\\ud800": 2}', ["userid=user_id"]
    left = Left()
    assert message_record(value, pairs, 1000, left) == (value.decode(), None, None, {"user_id": "u"})
    assert left.names == {"mood", "?"}
    assert message_record(value, pairs, 1000, Left(is_refused=True))[1] == "unknown_column"


def test_of_names_without_end_a_few_are_told() -> None:
    left = Left()
    for n in range(3000):
        assert message_record(f'{{"user_id": "u", "{n}{"x" * 500}": 1}}'.encode(), ["userid=user_id"], 1000, left)[1] is None
    assert (len(left.names), {len(name) for name in left.names}) == (MOST_NAMES, {NAME_LENGTH})


def test_two_thousand_small_files_lose_nothing_and_hold_no_more_than_their_names(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(2000):
        text = f"user_id,item_id,rating,timestamp\nu{n},i{n % 7},4,1700000000\nu{n},i{n % 7},,1700000001\n"
        (folder / f"{n:04d}.csv").write_text(text, encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = ingest(spark, tmp_path / "lake", folder)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (result.status, result.message) == ("succeeded", None)
    assert [result.tags[k] for k in ("files", "ingested", "rejected")] == ["2000", "2000", "2000"]
    lake = Lake(spark, tmp_path / "lake", load(), Run("r"))
    assert lake.read("ops.ingest_files").where(F.expr("records = 2 and ingested = 1 and rejected = 1")).count() == 2000
    # ru_maxrss is in KiB: what the driver's Python came to hold of 2,000 files.
    assert grown < 100 * 1024
