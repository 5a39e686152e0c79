"""Contracts: every one loads, says what the frame needs, and docs/tables.md is made from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.query import table_users
from shoal.errors import UsageError
from shoal.lake.catalog_page import tables_page
from shoal.lake.contract import FOLDER, contract, contract_names

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


@pytest.mark.parametrize("name", contract_names())
def test_a_contract_is_whole(spark: SparkSession, name: str) -> None:
    made = contract(name)
    assert made.struct().fieldNames() == list(made.columns)  # every type parses
    assert made.key
    assert all(not made.columns[k].null for k in made.key)
    assert "run_id" in made.columns
    if made.layer in ("features", "gold"):
        assert made.columns["as_of"].type == "date"
        assert made.partition_by == ["as_of"]
        # What a model says of a content holds until content or model change, whatever the day; then a column says which row counts.
        assert "as_of" in made.key or ("model_version" in made.key and "is_current" in made.columns)


def test_personal_columns_are_kept_out_of_file_statistics() -> None:
    listed = contract("features.users").table_properties()["delta.dataSkippingStatsColumns"].split(",")
    assert "user_id" not in listed
    assert "event_count" in listed
    assert "as_of" not in listed  # Delta refuses statistics of a partition column


def test_bronze_and_silver_keep_statistics_of_what_rows_are_found_by() -> None:
    kept = {name: contract(name).table_properties()["delta.dataSkippingStatsColumns"] for name in contract_names()
            if name.startswith(("bronze.", "silver."))}  # fmt: skip
    assert kept["bronze.ratings"] == "_batch_id,_line"
    assert kept["silver.interactions"] == "occurred_at"
    assert kept["silver.items"] == "item_id,created_at"
    assert all(kept.values())  # Delta takes no empty list


@pytest.mark.parametrize("name", ["gold.recomendations", "gold.a`b", "../etc.passwd", "gold.x; drop table y", "gold", "gold.'", ""])
def test_a_name_without_a_contract_is_refused_before_any_path_or_sql_is_made(name: str) -> None:
    with pytest.raises(UsageError, match="no table"):
        contract(name)


def test_the_nearest_table_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean features.users"):
        contract("features.user")


def test_every_file_is_a_contract() -> None:
    assert sorted(p.name for p in FOLDER.iterdir() if p.suffix != ".py" and p.name != "__pycache__") == sorted(
        f"{name}.yaml" for name in contract_names()
    )


def test_the_page_of_tables_is_the_contracts_of_today() -> None:
    assert DOCS.read_text(encoding="utf-8") == tables_page(table_users()), "run `make docs`"
