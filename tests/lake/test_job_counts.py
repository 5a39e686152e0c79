"""How many Spark jobs each call of the lake takes, on a local lake with tables of a few rows. The counts do not depend on the
machine: a number that rises is a cost that every run pays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from shoal.lake.contract import contract
from shoal.lake.lake import Lake
from shoal.lake.maintenance import sizes
from shoal.spark.job_count import counted_jobs

DAY = date(2024, 1, 1)
FOLLOWS, QUARANTINE = "silver.follows", "ops.quarantine"


def follows(spark: SparkSession, *sources: str, weight: float = 1.0) -> DataFrame:
    rows = [(source, "x", weight, None, "t") for source in sources]
    return spark.createDataFrame(rows, "src_id string, dst_id string, weight double, followed_at timestamp, source string")


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


def test_jobs_of_calls_on_a_table_with_a_key(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    count, lake = Counts(spark), make_lake()
    count.of("create", lambda: lake.create(FOLLOWS))
    count.of("exists", lambda: lake.exists(FOLLOWS))
    count.of("version", lambda: lake.version(FOLLOWS))
    assert count.of("insert, empty", lambda: lake.insert_if_absent(FOLLOWS, follows(spark, "a", "b"), unique=True)) == 2
    assert count.of("insert", lambda: lake.insert_if_absent(FOLLOWS, follows(spark, "b", "c"), unique=True)) == 1
    assert count.of("insert, checked", lambda: lake.insert_if_absent(FOLLOWS, follows(spark, "c", "d"))) == 1
    assert count.of("insert, none new", lambda: lake.insert_if_absent(FOLLOWS, follows(spark, "a"), unique=True)) == 0
    assert count.of("upsert", lambda: lake.upsert(FOLLOWS, follows(spark, "a", "e", weight=2.0), unique=True)) == 2
    assert count.of("upsert, checked", lambda: lake.upsert(FOLLOWS, follows(spark, "a", "f", weight=3.0))) == 2
    at = lake.version(FOLLOWS)
    assert count.of("append_known_new", lambda: lake.append_known_new(FOLLOWS, follows(spark, "g"), at)) == 1
    assert count.of("append_once", lambda: lake.append_once(FOLLOWS, follows(spark, "h"), ("app", 0))) is not None
    assert count.of("append_once, again", lambda: lake.append_once(FOLLOWS, follows(spark, "h"), ("app", 0))) is None
    assert count.of("append", lambda: lake.append(FOLLOWS, follows(spark, "i"))) == 1
    assert count.of("append, unique", lambda: lake.append(FOLLOWS, follows(spark, "j"), unique=True)) == 1
    reader = make_lake(run_id="reader")
    assert len(count.of("read, collect", lambda: reader.read(FOLLOWS).collect())) == 10
    assert len(count.of("read before, collect", lambda: reader.read(FOLLOWS, before=DAY).collect())) == 10
    count.of("read", lambda: reader.read(FOLLOWS))
    assert count.of("row_count", lambda: reader.row_count(FOLLOWS)) == 10
    assert len(count.of("read_current, collect", lambda: reader.read_current(FOLLOWS).collect())) == 10
    count.of("sizes", lambda: sizes(reader, FOLLOWS))
    assert count.of("delete", lambda: lake.delete(FOLLOWS, follows(spark, "a").select("src_id", "dst_id"))) == 1
    assert count.of("overwrite", lambda: lake.overwrite(FOLLOWS, follows(spark, "a"))) == 1
    assert count.found == {
        "create": 0,
        "exists": 0,
        "version": 0,
        "insert, empty": 1,
        "insert": 2,
        "insert, checked": 3,
        "insert, none new": 2,
        "upsert": 6,
        "upsert, checked": 6,
        "append_known_new": 1,
        "append_once": 2,
        "append_once, again": 1,
        "append": 2,
        "append, unique": 1,
        "read, collect": 1,
        "read before, collect": 1,
        "read": 0,
        "row_count": 0,
        "read_current, collect": 1,
        "sizes": 0,
        "delete": 8,
        "overwrite": 4,
    }


def test_jobs_of_calls_that_replace(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    count, lake = Counts(spark), make_lake()
    lake.create(QUARANTINE)
    write = lambda *batches: lake.replace_where(QUARANTINE, rejected(spark, *batches), "batch_id", [*batches], unique=True)  # noqa: E731
    assert count.of("replace_where, empty", lambda: write("a", "b")) == 2
    assert count.of("replace_where, new value", lambda: write("c")) == 1
    assert count.of("replace_where", lambda: write("a")) == 1
    assert sorted(row["batch_id"] for row in lake.read_current(QUARANTINE).collect()) == ["a", "b", "c"]
    assert count.found == {"replace_where, empty": 1, "replace_where, new value": 1, "replace_where": 6}
