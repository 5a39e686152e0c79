"""Each type becomes the number or the category that the rule says."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pyspark.sql import SparkSession
from shoal.monitor.drift.columns import CATEGORY, NUMBER, column_kinds, select_comparable

SCHEMA = (
    "b boolean, i int, l bigint, f float, x double, d decimal(9,2), day date, at timestamp, ntz timestamp_ntz, s string, "
    "list array<int>, map map<string,int>, pair struct<a:int>, raw binary, `odd.name` int"
)


def test_types(spark: SparkSession) -> None:
    time = datetime(1970, 1, 2, 0, 0, 1)
    row = (True, 3, 2**40, 0.5, float("nan"), Decimal("1.25"), date(1969, 12, 31), time, time, "x", [1], {"a": 1}, (1,), b"q", 7)
    rows = spark.createDataFrame([row, (None,) * 15], SCHEMA)
    kinds = column_kinds(rows.schema)
    assert {name for name, kind in kinds.items() if kind == CATEGORY} == {"s"}
    assert [name for name, kind in kinds.items() if kind == NUMBER] == [
        "b", "i", "l", "f", "x", "d", "day", "at", "ntz", "odd.name",
    ]  # fmt: skip
    first, nulls = select_comparable(rows, kinds).collect()
    shown = first.asDict()
    assert str(shown.pop("x")) == "nan"
    assert shown == {
        "b": 1.0, "i": 3.0, "l": float(2**40), "f": 0.5, "d": 1.25, "day": -1.0, "at": 86401.0, "ntz": 86401.0, "s": "x",
        "odd.name": 7.0,
    }  # fmt: skip
    assert set(nulls) == {None}


def test_excluded_columns_are_left_out(spark: SparkSession) -> None:
    schema = spark.createDataFrame([], "user_id string, x int").schema
    assert column_kinds(schema, {"user_id"}) == {"x": NUMBER}


def test_a_long_text_is_cut_and_still_told_apart(spark: SparkSession) -> None:
    texts = ["é" * 128, "é" * 129, "é" * 129 + "!", "x" * 1_000_000]
    rows = spark.createDataFrame([(text,) for text in texts], "s string")
    shown = [row["s"] for row in select_comparable(rows, {"s": CATEGORY}).collect()]
    assert shown[0] == texts[0]
    assert shown[1].startswith("é" * 80 + "...")
    assert len({*shown}) == 4
    assert max(map(len, shown)) == 128
