"""Literal rows of a contract's table, from the columns that matter to a test."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from shoal.lake.contract import contract

FILLERS = {
    "string": "x", "bigint": 1, "int": 1, "double": 1.0, "boolean": False, "date": date(2024, 3, 1),
    "timestamp": datetime(2024, 3, 1),
}  # fmt: skip


def rows(spark: SparkSession, name: str, *values: dict[str, Any]) -> DataFrame:
    """One row a dict, without as_of and run_id; a column that is not named is null, or made up where it must not be null."""
    made, struct = contract(name), contract(name).struct()
    full = []
    for value in values:
        assert set(value) <= set(made.columns)
        row = []
        for field in struct:
            kind = field.dataType.simpleString()
            made_up = {} if kind.startswith("map") else [] if kind.startswith("array") else FILLERS.get(kind)
            row.append(value.get(field.name, None if field.nullable else made_up))
        full.append(tuple(row))
    return spark.createDataFrame(full, struct).drop("run_id", *(["as_of"] if "as_of" in made.columns else []))
