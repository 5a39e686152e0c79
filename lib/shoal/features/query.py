"""Feature queries: one .sql file, one named result, built from named steps (CTEs).

A query names its input frames in braces (`{events}`) and its values with colons (`:end`): frames are handed over, not
found in a catalog; values are bound, never pasted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

FOLDER = Path(__file__).resolve().parent / "sql"


def query(spark: SparkSession, name: str, values: dict[str, Any], **frames: DataFrame) -> DataFrame:
    """The result of <name>.sql over `frames`, with `values` bound; lazy, its cost is the query's."""
    return spark.sql((FOLDER / f"{name}.sql").read_text(encoding="utf-8"), args=values, **frames)
