"""conf/databricks/grants.sql is what the contracts give, and masks every personal column."""

from __future__ import annotations

import re
from pathlib import Path

from shoal.contract import contract, contract_names
from shoal.grants import grants_sql
from shoal.people import REQUESTS

FILE = Path(__file__).resolve().parents[1] / "conf" / "databricks" / "grants.sql"


def test_the_file_is_the_contracts_of_today() -> None:
    assert FILE.read_text(encoding="utf-8") == grants_sql(), "run `shoal grants`"


def test_every_personal_column_is_masked_and_no_other() -> None:
    masks = r"ALTER TABLE `shoal`\.`(\w+)`\.`(\w+)` ALTER COLUMN `(\w+)` SET MASK `shoal`\.`ops`\.`(\w+)`;"
    found = re.findall(masks, grants_sql())
    wanted = {
        (*name.split("."), column)
        for name in contract_names() if name != REQUESTS
        for column, spec in contract(name).columns.items() if spec.pii
    }  # fmt: skip
    assert {each[:3] for each in found} == wanted
    assert len(found) == len(wanted)
    made = re.findall(r"CREATE OR REPLACE FUNCTION `shoal`\.`ops`\.`(\w+)`\(value ([^)]+)\) RETURNS", grants_sql())
    functions = {mask: kind.lower() for mask, kind in made}
    for layer, table, column, mask in found:
        assert functions[mask] == contract(f"{layer}.{table}").columns[column].type.lower()


def test_gold_readers_read_gold_and_nothing_else() -> None:
    granted = re.findall(r"GRANT (.+) ON SCHEMA `shoal`\.`(\w+)` TO `shoal_gold_readers`", grants_sql())
    assert granted == [("USE SCHEMA, SELECT", "gold")]
