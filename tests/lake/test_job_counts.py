"""How many Spark jobs each call of the lake takes, on a local lake with tables of a few rows. The counts do not depend on the
machine: a number that rises is a cost that every run pays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.spark.job_count import counted_jobs

QUARANTINE = "ops.quarantine"


def rejected(spark: SparkSession, *batches: str) -> DataFrame:
    columns = [n for n in contract(QUARANTINE).columns if n != "run_id"]
    types = {n: contract(QUARANTINE).columns[n].type for n in columns}
    of_type: dict[str, Any] = {"string": "x", "bigint": 1, "timestamp": datetime(2024, 1, 1)}
    rows = [tuple(batch if n == "batch_id" else of_type[types[n]] for n in columns) for batch in batches]
    return spark.createDataFrame(rows, ", ".join(f"{n} {types[n]}" for n in columns))


class Counts:
    """The jobs of calls, by what they are called."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        self.found: dict[str, int] = {}

    def of(self, what: str, call: Callable[[], Any]) -> Any:
        with counted_jobs(self.spark) as jobs:
            result = call()
        self.found[what] = jobs.number
        return result


def test_jobs_of_calls_that_replace(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    count, lake = Counts(spark), make_lake()
    lake.create(QUARANTINE)
    write = lambda *batches: lake.replace_where(QUARANTINE, rejected(spark, *batches), "batch_id", [*batches], unique=True)  # noqa: E731
    assert count.of("replace_where, empty", lambda: write("a", "b")) == 2
    assert count.of("replace_where, new value", lambda: write("c")) == 1
    assert count.of("replace_where", lambda: write("a")) == 1
    assert sorted(row["batch_id"] for row in lake.read_current(QUARANTINE).collect()) == ["a", "b", "c"]
    assert count.found == {"replace_where, empty": 1, "replace_where, new value": 1, "replace_where": 6}
