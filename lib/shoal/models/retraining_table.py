"""ops.retraining: what was tried when, and the rows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from datetime import date

from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.models.retraining import Outcome

TABLE = "ops.retraining"
ATTEMPTS = ("kept", "failed", "rolled_back")


def last_attempts(lake: Lake, as_of: date) -> dict[str, date]:
    """Of each task the day of the last attempt that changed nothing, or of a return to an earlier version, up to as_of."""
    if not lake.exists(TABLE):
        return {}
    tried = lake.read_current(TABLE).where(F.col("decision").isin(*ATTEMPTS) & (F.col("as_of") <= F.lit(as_of)))
    return {row["task"]: row["day"] for row in tried.groupBy("task").agg(F.max("as_of").alias("day")).collect()}


def write_outcomes(lake: Lake, outcomes: Sequence[Outcome]) -> None:
    """Add a row an outcome, one a task. One small commit."""
    kept = StructType([field for field in contract(TABLE).struct() if field.name != "run_id"])
    rows = [astuple(each) for each in outcomes]
    lake.append(TABLE, lake.spark.createDataFrame(rows, kept).coalesce(1), unique=True)
