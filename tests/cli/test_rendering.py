"""Rows as text: every digit, every column, every character, and times in UTC."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pyspark.sql import Row
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DoubleType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)
from shoal.cli.rendering import csv_cell, csv_line, render, table_cell
from shoal.lake.json_values import distinct_names, json_line, json_value

NOON = datetime(2024, 3, 10, 12, 0, 0, 250000)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1234567.891, DoubleType(), 1234567.891),
        (math.nan, DoubleType(), "NaN"),
        (math.inf, DoubleType(), "Infinity"),
        (-math.inf, DoubleType(), "-Infinity"),
        (True, None, True),
        (None, TimestampType(), None),
        (NOON, TimestampType(), "2024-03-10T12:00:00.250000Z"),
        (NOON, TimestampNTZType(), "2024-03-10T12:00:00.250000"),
        (datetime(2024, 3, 10, 14, tzinfo=timezone(timedelta(hours=2))), TimestampType(), "2024-03-10T12:00:00Z"),
        (date(2024, 3, 10), DateType(), "2024-03-10"),
        (bytearray(b"\x00\xff"), BinaryType(), "AP8="),
        (Decimal("1.10"), None, "1.10"),
        ({date(2024, 3, 10): math.nan}, MapType(DateType(), DoubleType()), {"2024-03-10": "NaN"}),
        ({1: b"a", None: b"b"}, None, {"1": "YQ==", "null": "Yg=="}),
        ([NOON], ArrayType(TimestampType()), ["2024-03-10T12:00:00.250000Z"]),
        ([NOON], ArrayType(TimestampNTZType()), ["2024-03-10T12:00:00.250000"]),
        (
            Row(a=NOON, b="x"),
            StructType([StructField("a", TimestampNTZType()), StructField("b", StringType())]),
            {"a": "2024-03-10T12:00:00.250000", "b": "x"},
        ),
        (Row("a", "a")(1, 2), None, {"a": 1, "a_2": 2}),
    ],
)
def test_json_has_values_that_every_parser_reads(value: object, kind: DataType | None, expected: object) -> None:
    made = json_value(value, kind)
    assert made == expected

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(json_line(made), parse_constant=refuse) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
    ],
)
def test_no_column_is_lost_under_anothers_name(names: list[str], expected: list[str]) -> None:
    assert distinct_names(names) == expected


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1234567.891, DoubleType(), "1234567.891"),
        (0.1 + 0.2, DoubleType(), "0.30000000000000004"),
        (math.nan, DoubleType(), "NaN"),
        (None, StringType(), ""),
        (True, None, "true"),
        (NOON, TimestampType(), "2024-03-10T12:00:00.250000Z"),
        ([1.5, None], None, "[1.5, null]"),
        (bytearray(b"\x00\xff"), BinaryType(), "AP8="),
        ("a\tb", StringType(), "a\tb"),
    ],
)
def test_csv_has_every_digit(value: object, kind: DataType | None, expected: str) -> None:
    assert csv_cell(value, kind) == expected
    assert next(csv.reader(io.StringIO(csv_line([csv_cell(value, kind), "x"])))) == [expected, "x"]


HOSTILE = [":fire: [bold]x[/bold]", "\\[b]", "a\\[/b]c", "[/]", "a\tb", "line\nbreak", "\x1b[31mred", "日本 é", "x" * 300]


def test_a_table_shows_texts_as_they_are_one_row_a_line() -> None:
    lines = render(["[red]name", "n"], [[text, str(n)] for n, text in enumerate(HOSTILE)]).splitlines()
    assert lines[0].split() == ["[red]name", "n"]
    shown = [line.rsplit(maxsplit=1)[0].rstrip() for line in lines[1:]]
    escaped = {"a\tb": "a\\tb", "line\nbreak": "line\\nbreak", "\x1b[31mred": "\\x1b[31mred"}
    assert shown == [escaped.get(text, text) for text in HOSTILE]


def test_a_table_rounds_numbers_for_people() -> None:
    assert [table_cell(v) for v in (1 / 3, math.nan, None, NOON)] == ["0.333333", "NaN", "", "2024-03-10T12:00:00.250000Z"]
