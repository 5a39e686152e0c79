"""conf/databricks/grants.sql, made from the contracts: who reads what in Unity Catalog, and what they see of people."""

from __future__ import annotations

import re

from shoal.lake.contract import LAYERS, contract, contract_names
from shoal.privacy.people import REQUESTS

CATALOG = "shoal"
# Account groups. Who is in neither reads nothing.
PII_READERS = "shoal_pii_readers"
GOLD_READERS = "shoal_gold_readers"


def mask_name(kind: str) -> str:
    """The masking function for a column type: mask_string, mask_array_string."""
    return "mask_" + re.sub(r"\W+", "_", kind).strip("_")


def mask_value(kind: str) -> str:
    """What others see of a personal value of that type; null stays null."""
    if kind == "string":
        return "CASE WHEN value IS NULL THEN NULL ELSE '(masked)' END"
    return f"CAST(NULL AS {kind.upper()})"


def grants_sql() -> str:
    """The whole file. Groups are granted what they may read; every personal column of every table is masked for all but the
    readers of personal data, in gold too. Statements can be run again. Ends with a newline."""
    # The table of requests comes and goes.
    tables = [contract(name) for name in contract_names() if name != REQUESTS]
    kinds = sorted({c.type for made in tables for c in made.columns.values() if c.pii})
    lines = [
        "-- Made from lib/shoal/lake/contracts/ by `shoal grants`; edit the contracts, not this file.",
        "-- Run it once the tables are there (a table that is not made yet stops it), as an owner of the catalog.",
        f"-- {PII_READERS}: every layer, personal columns as they are.",
        f"-- {GOLD_READERS}: gold only, personal columns masked. Everybody else: nothing.",
        "",
        f"GRANT USE CATALOG ON CATALOG `{CATALOG}` TO `{PII_READERS}`;",
        f"GRANT USE CATALOG ON CATALOG `{CATALOG}` TO `{GOLD_READERS}`;",
    ]
    for layer in LAYERS:
        readers = [PII_READERS, *([GOLD_READERS] if layer == "gold" else [])]
        for group in readers:
            lines.append(f"GRANT USE SCHEMA, SELECT ON SCHEMA `{CATALOG}`.`{layer}` TO `{group}`;")
        if layer != "gold":
            lines.append(f"REVOKE SELECT ON SCHEMA `{CATALOG}`.`{layer}` FROM `{GOLD_READERS}`;")
    lines += ["", "-- What others see of a personal value, by the column's type."]
    for kind in kinds:
        lines += [
            f"CREATE OR REPLACE FUNCTION `{CATALOG}`.`ops`.`{mask_name(kind)}`(value {kind.upper()}) RETURNS {kind.upper()}",
            f"  RETURN CASE WHEN is_account_group_member('{PII_READERS}') THEN value ELSE {mask_value(kind)} END;",
        ]
    for made in tables:
        personal = {n: c for n, c in made.columns.items() if c.pii}
        if personal:
            lines += ["", f"-- {made.name}"]
            table = f"`{CATALOG}`.`{made.layer}`.`{made.table}`"
            lines += [
                f"ALTER TABLE {table} ALTER COLUMN `{n}` SET MASK `{CATALOG}`.`ops`.`{mask_name(c.type)}`;"
                for n, c in personal.items()
            ]
    return "\n".join(lines) + "\n"
