"""Which statements the gate of `shoal sql-server` answers, by Spark's own parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.errors import UsageError
from shoal.publish.api.tokens import VARIABLE
from shoal.publish.sql import server as sql_server
from shoal.publish.sql.compiled import compiled_class, new_instance


@pytest.fixture(scope="module")
def refusal(spark: SparkSession) -> Callable[[str], str | None]:
    jvm: Any = spark._jvm
    made = compiled_class(spark, sql_server.SOURCE, "shoal.publish.sql.Gate")
    parser = spark._jsparkSession.sessionState().sqlParser()
    gate = new_instance(spark, made, None, parser, jvm.java.util.HashMap(), jvm.java.util.HashMap())
    return lambda statement: gate.refusal(statement)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "statement",
    [
        "select a, count(*) from gold.t group by 1 having count(*) > 1 order by 1 limit 3 offset 1",
        "with a as (select * from s.t) select * from a x join a y using (id) where x.id in (select id from s.u)",
        "select * from s.t union all select * from s.u except select * from s.v intersect select * from s.w",
        "select * from s.t version as of 3",
        "select * from s.t timestamp as of '2024-03-01'",
        "select rank() over (partition by a order by b) from s.t lateral view explode(c) d as e",
        "select * from s.t tablesample (10 percent) pivot (sum(a) for b in (1, 2))",
        "select * from range(3), lateral (select id + 1)",
        "from s.t select transform(a, x -> x + 1), sum(b) over w window w as (partition by c)",
        "select /*+ broadcast(t) */ distinct * from s.t cluster by a",
        "values (1), (2)",
        "table s.t",
        "select 'delete from s.t; drop table s.t'",
        "show tables in gold",
        "show databases",
        "show columns in gold.t",
        "describe gold.t",
        "describe extended gold.t a",
        "use gold",
        "set spark.sql.session.timeZone = Europe/Berlin",
        "set time zone 'UTC'",
    ],
)
def test_what_reads_is_answered(refusal: Callable[[str], str | None], statement: str) -> None:
    assert refusal(statement) is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("delete from s.t", "DeleteFromTable"),
        ("insert into s.t select 1", "InsertIntoStatement"),
        ("from s.t insert into s.u select * insert into s.v select *", "InsertIntoStatement"),
        ("with a as (select 1) insert into s.t select * from a", "InsertIntoStatement"),
        ("insert overwrite local directory '/tmp/x' using csv select 1", "InsertIntoDir"),
        ("update s.t set a = 1", "UpdateTable"),
        ("merge into s.t a using s.u b on a.i = b.i when matched then delete", "MergeIntoTable"),
        ("drop table s.t", "DropTable"),
        ("drop schema s cascade", "DropNamespace"),
        ("create table s.t as select 1", "CreateTableAsSelect"),
        ("create temporary view v as select 1", "CreateViewCommand"),
        ("create function f as 'java.lang.String'", "CreateFunction"),
        ("alter table s.t add columns (x int)", "AddColumns"),
        ("truncate table s.t", "TruncateTable"),
        # Delta's own, two of which are no commands to Spark.
        ("restore table s.t to version as of 0", "RestoreTableStatement"),
        ("create table s.t shallow clone s.u", "CloneTableStatement"),
        ("vacuum s.t retain 0 hours", "VacuumTableCommand"),
        ("optimize s.t", "OptimizeTableCommand"),
        ("describe history '/tmp/x'", "DescribeDeltaHistory"),
        # A program of the machine, wherever it stands in a query.
        ("select transform(a) using 'cat' from s.t", "ScriptTransformation"),
        ("with a as (select transform(a) using 'cat' from s.t) select * from a", "ScriptTransformation"),
        ("select (select max(x) from (select transform(a) using 'cat' as (x) from s.t))", "ScriptTransformation"),
        ("select * from s.t where a in (select transform(a) using 'cat' as (x) from s.t)", "ScriptTransformation"),
        ("cache table s.t", "CacheTable"),
        ("explain delete from s.t", "ExplainCommand"),
        ("add jar '/tmp/x.jar'", "AddJarsCommand"),
        ("reset", "ResetCommand"),
    ],
)
def test_what_does_not_only_read_is_refused_by_name(refusal: Callable[[str], str | None], statement: str, named: str) -> None:
    assert refusal(statement) == (
        f"only queries, SHOW, DESCRIBE, USE and some SET are answered here, not {named}; tables are written by jobs"
    )


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("set spark.sql.runSQLOnFiles = true", "SET is answered for spark.sql.session.timeZone, "),
        ("set", "SET is answered for "),
        ("set -v", "SET is answered for "),
        ("select reflect('java.lang.System', 'exit', 1)", "the function reflect is not answered here"),
        ("select 1 where exists (select Java_Method('java.lang.System', 'getenv', 'A'))", "the function Java_Method is not"),
        ("select * from table_changes_by_path('/tmp/x', 0)", "the table function table_changes_by_path is not answered here"),
        ("select 1; delete from s.t", "not SQL: "),
        ("selekt", "not SQL: "),
        ("", "not SQL: "),
    ],
)
def test_settings_calls_and_what_is_no_statement(refusal: Callable[[str], str | None], statement: str, says: str) -> None:
    line = refusal(statement)
    assert line is not None and line.startswith(says) and "\n" not in line


def test_users_are_the_tokens_with_the_scope_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "bi:0123456789abcdef:read+sql,web:0123456789abcdef:read")
    assert [token.name for token in sql_server.sql_tokens()] == ["bi"]
    # Spark's Java, which starts later, gets the environment without it.
    with pytest.raises(UsageError, match="SHOAL_TOKENS has no token with the scope sql"):
        sql_server.sql_tokens()
