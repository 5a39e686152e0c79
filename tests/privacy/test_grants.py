"""conf/databricks/grants.sql is what the contracts give, and masks every personal column."""

from __future__ import annotations

import re
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.lake.contract import contract, contract_names
from shoal.privacy.grants import grants_sql
from shoal.privacy.people import REQUESTS

FILE = Path(__file__).resolve().parents[2] / "conf" / "databricks" / "grants.sql"


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


def test_who_reads_people_sees_the_value_and_others_only_that_there_is_one(spark: SparkSession) -> None:
    """The bodies of the masks, run by Spark, with the answer of Databricks' function in its place; its other statements are known
    to Unity Catalog alone."""
    bodies = re.findall(r"`(\w+)`\(value ([^)]+)\) RETURNS \S+\n  RETURN (.+);\n", grants_sql())
    pair = F.create_map(F.lit("a"), F.lit("b"))
    values = {"STRING": F.lit("anna"), "ARRAY<STRING>": F.array(F.lit("anna")), "MAP<STRING,STRING>": pair}
    spans = "ARRAY<STRUCT<START:INT,END:INT,TEXT:STRING,WEIGHT:DOUBLE>>"
    span = F.struct(F.lit(0), F.lit(4), F.lit("anna"), F.lit(0.5))
    values |= {"BIGINT": F.lit(7).cast("bigint"), spans: F.array(span).cast(spans)}
    values |= {"ARRAY<INT>": F.array(F.lit(1)), "ARRAY<FLOAT>": F.array(F.lit(0.5).cast("float"))}
    assert {kind for _, kind, _ in bodies} == set(values)
    for name, kind, body in bodies:
        row = spark.range(1).select(values[kind].alias("value"), F.lit(None).cast(kind).alias("nothing"))
        question = "is_account_group_member('shoal_pii_readers')"
        assert body.count(question) == 1
        seen = [
            row.select(F.expr(re.sub(r"\bvalue\b", column, body.replace(question, answer))).alias("v")).collect()[0]["v"]
            for column in ("value", "nothing") for answer in ("true", "false")
        ]  # fmt: skip
        plain = row.select("value").collect()[0]["value"]
        assert seen == [plain, "(masked)" if kind == "STRING" else None, None, None], name
