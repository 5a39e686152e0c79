"""Asking the lake: names resolve, results are exact, and nothing but a query is answered."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

import pytest
from pyspark.sql import SparkSession
from shoal.cli.rendering import as_text
from shoal.errors import UsageError
from shoal.lake.contract import contract_names
from shoal.lake.lake import Lake
from shoal.lake.query import answer, describe, table_overview, tables_named

from tests.lake.test_lake import TABLE, users

DAY = date(2024, 1, 1)


@pytest.fixture
def filled(spark: SparkSession, lake: Lake) -> Lake:
    """A lake of two users, one with a name that needs quoting."""
    lake.replace(TABLE, users(spark, "a", 'b, "b"'), on=DAY)
    return lake


def test_tables_go_by_their_names(filled: Lake) -> None:
    rows = answer(filled, "select user_id, event_count from features.users where user_id = 'a'").collect()
    assert [tuple(row) for row in rows] == [("a", 1)]
    quoted = answer(filled, "with u as (select * from `features`.`users`) select count(*) n from u").collect()
    assert quoted[0]["n"] == 2


def test_names_are_found_in_any_spelling() -> None:
    query = "select * from Features.USERS u join `features`.`items` i where gold.nothing = 1"
    assert tables_named(query) == ["features.users", "features.items"]


@pytest.mark.parametrize(
    "statement",
    [
        "delete from features.users",
        "insert into features.users select * from features.users",
        "with x as (select * from features.users) insert into features.users select * from x",
        "update features.users set event_count = 2",
        "merge into features.users t using features.users s on t.user_id = s.user_id when matched then delete",
        "drop table features.users",
        "create table t as select * from features.users",
        "set spark.sql.runSQLOnFiles = true",
        "truncate table features.users",
        "restore table features.users to version as of 0",
        "create table features.x shallow clone features.users",
    ],
)
def test_statements_are_refused_and_change_nothing(filled: Lake, statement: str) -> None:
    with pytest.raises(UsageError, match="only queries are answered here"):
        answer(filled, statement)
    assert filled.read(TABLE).count() == 2


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("selec 1", "not SQL"),
        ("select * from features.user", "did you mean features.users"),
        ("select * from features.items", "features.items has not been made in this lake yet"),
        ("select nothing from features.users", "nothing"),
        ("select * from text.`/etc/hostname`", "cannot be found|not supported|UNSUPPORTED"),
        ("select * from features.`x'; drop`", "cannot be found"),
    ],
)
def test_mistakes_are_one_line(filled: Lake, query: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        answer(filled, query)
    assert "\n" not in str(caught.value)


def test_formats(filled: Lake) -> None:
    rows = answer(filled, "select user_id, mean_rating, first_event_at from features.users order by user_id")
    assert list(csv.reader(io.StringIO("".join(as_text(rows, "csv", None)))))[2] == ['b, "b"', "1.0", "2024-01-01T00:00:00Z"]
    lines = [json.loads(line) for line in "".join(as_text(rows, "json", None)).splitlines()]
    assert lines[0] == {"user_id": "a", "mean_rating": 1.0, "first_event_at": "2024-01-01T00:00:00Z"}
    table = "".join(as_text(rows, "table", 1)).splitlines()
    assert table[0].split() == ["user_id", "mean_rating", "first_event_at"]
    assert table[1].split() == ["a", "1", "2024-01-01T00:00:00Z"]
    assert table[2] == "(the first 1 rows; --limit shows more)"


def test_values_that_json_has_no_word_for(spark: SparkSession) -> None:
    query = """select double('nan') as x, 1 as x, map(date'2024-03-10', double('-infinity')) as m, X'00FF' as b,
               timestamp'2024-03-10 02:30:00' as t, timestamp_ntz'2024-03-10 02:30:00' as n, struct(1 as a, 2 as a) as s"""
    (line,) = as_text(spark.sql(query), "json", None)
    assert json.loads(line, parse_constant=pytest.fail) == {
        "x": "NaN", "x_2": 1, "m": {"2024-03-10": "-Infinity"}, "b": "AP8=", "t": "2024-03-10T02:30:00Z",
        "n": "2024-03-10T02:30:00", "s": {"a": 1, "a_2": 2},
    }  # fmt: skip


def test_the_overview_has_every_table(filled: Lake) -> None:
    overview = {row["table"]: row["rows"] for row in table_overview(filled)}
    assert list(overview) == contract_names()
    assert overview["features.users"] == 2
    assert overview["features.items"] is None


def test_a_description_tells_rows_and_columns(filled: Lake) -> None:
    reported = describe(filled, TABLE)
    assert (reported["rows"], reported["version"], reported["key"]) == (2, 1, ["as_of", "user_id"])
    assert next(c for c in reported["columns"] if c["column"] == "user_id")["pii"] is True
    assert reported["last_run"] is None  # rows were written outside a job's run
