"""A file with a column that nothing is made of: kept raw and told, or refused, by bronze's contract; and many small files."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import shoal.contract
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf import load
from shoal.contract import contract
from shoal.lake import Lake, Run
from shoal.runs import Result, execute, find_job

DAY = date(2024, 1, 1)


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """bronze.ratings takes no unknown column."""
    folder = tmp_path / "contracts"
    shutil.copytree(shoal.contract.FOLDER, folder)
    path = folder / "bronze.ratings.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "unknown_columns: refuse\n", encoding="utf-8")
    monkeypatch.setattr(shoal.contract, "FOLDER", folder)
    contract.cache_clear()
    yield
    contract.cache_clear()


def ingest(spark: SparkSession, root: Path, path: Path) -> Result:
    return execute(spark, find_job("ingest_files"), load(), root, DAY, {"source": "ratings", "input": str(path)})


def test_an_unknown_column_is_kept_raw_and_told(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user_id,item_id,rating,timestamp,mood\nu,i,4,1700000000,glad\n", encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path)
    assert (result.status, result.facts["ratings_columns_left_raw"]) == ("succeeded", "mood")
    rows = Lake(spark, tmp_path / "lake", load(), Run("r")).read("bronze.ratings").select("raw").collect()
    assert [row["raw"] for row in rows] == ["u,i,4,1700000000,glad"]


def test_an_unknown_column_is_refused_where_the_contract_says_so(spark: SparkSession, tmp_path: Path, refusing: None) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user_id,item_id,rating,timestamp,mood,weather\nu,i,4,1700000000,glad,rain\n", encoding="utf-8")
    result = ingest(spark, tmp_path / "lake", path)
    assert result.exit_code == 3
    assert f"{path}:1: unknown column mood, weather; bronze.ratings takes none" in (result.message or "")
    assert not (tmp_path / "lake" / "bronze").exists()


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
    assert [result.facts[k] for k in ("files", "ingested", "rejected")] == ["2000", "2000", "2000"]
    lake = Lake(spark, tmp_path / "lake", load(), Run("r"))
    assert lake.read("ops.ingest_files").where(F.expr("records = 2 and ingested = 1 and rejected = 1")).count() == 2000
    # ru_maxrss is in KiB: what the driver's Python came to hold of 2,000 files.
    assert grown < 100 * 1024
