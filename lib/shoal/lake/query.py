"""Questions to the lake: SQL over its tables, the list of tables, one table's description. Reads only."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.errors import UsageError, one_line
from shoal.lake.contract import LAYERS, contract, contract_names
from shoal.lake.lake import Lake

_NAMED = re.compile(rf"\b({'|'.join(LAYERS)})`?\s*\.\s*`?([A-Za-z_][A-Za-z0-9_]*)", re.IGNORECASE)
# Delta's RESTORE and CLONE, which are no commands to Spark's parser.
_WRITES = ("RestoreTableStatement", "CloneTableStatement")


def tables_named(query: str) -> list[str]:
    """The tables with a contract that a query names, in the order of their first naming."""
    names = [f"{layer.lower()}.{table.lower()}" for layer, table in _NAMED.findall(query)]
    return [name for name in dict.fromkeys(names) if name in contract_names()]


def refuse_statements(spark: SparkSession, query: str) -> None:
    """Raise UsageError for anything but a query: the lake is written by jobs, under contracts, and by nothing else."""
    jvm, parser = spark._jvm, spark._jsparkSession.sessionState().sqlParser()
    try:
        open_plans = [parser.parsePlan(query)]
    except ParseException as error:
        raise UsageError(f"not SQL: {sql_fault(error)}") from None
    logical = "org.apache.spark.sql.catalyst.plans.logical"
    find = jvm.org.apache.spark.util.Utils.classForName
    writes = [find(f"{logical}.{kind}", True, True) for kind in ("Command", "ParsedStatement")]
    while open_plans:
        plan = open_plans.pop()
        if any(kind.isInstance(plan) for kind in writes) or plan.nodeName() in _WRITES:
            raise UsageError(f"only queries are answered here, not {plan.nodeName()}; tables are written by jobs")
        children = plan.children()
        open_plans += [children.apply(i) for i in range(children.size())]


def sql_fault(error: Exception) -> str:
    """What Spark found wrong with a query, in one line: its error class and first sentence."""
    return re.sub(r"\s*SQLSTATE: \w+", "", one_line(error))


def answer(lake: Lake, query: str) -> DataFrame:
    """The result of a query in which every table of the lake goes by its name (`gold.recommendations`).

    Raises UsageError, one line, for SQL that cannot be parsed or resolved, for a statement that is no query, and for a
    table that is not there: with the nearest name, or with what makes it where it has a contract but was not made yet.
    """
    refuse_statements(lake.spark, query)
    named = tables_named(query)
    present = lake.register(named)
    absent = [name for name in named if name not in present]
    if absent:
        raise UsageError(f"{absent[0]} has not been made in this lake yet ({lake.root}); `shoal tables` lists what is there")
    try:
        return lake.spark.sql(query)
    except AnalysisException as error:
        unknown = [f"{x.lower()}.{t.lower()}" for x, t in _NAMED.findall(query) if f"{x}.{t}".lower() not in named]
        near = difflib.get_close_matches(unknown[0], contract_names(), n=1) if unknown else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{sql_fault(error)}{hint}") from None


def table_overview(lake: Lake) -> list[dict[str, Any]]:
    """One row per contract: table, rows (None where it was not made), grain. Rows come from the log's statistics."""
    return [
        {
            "table": name,
            "rows": lake.row_count(name) if lake.exists(name) else None,
            "grain": contract(name).grain,
        }
        for name in contract_names()
    ]


def describe(lake: Lake, name: str) -> dict[str, Any]:
    """A table's contract, rows, version and the last successful run that wrote it (None where it was not made)."""
    made = contract(name)
    found: dict[str, Any] = {"table": name, "grain": made.grain, "key": made.key, "rows": None, "version": None}
    if lake.exists(name):
        found |= {"rows": lake.row_count(name), "version": lake.version(name)}
    found["last_run"] = _last_run(lake, name)
    found["columns"] = [
        {"column": n, "type": c.type, "null": c.null, "pii": bool(c.pii), "check": c.check, "comment": c.comment}
        for n, c in made.columns.items()
    ]
    return found


def _last_run(lake: Lake, name: str) -> dict[str, Any] | None:
    if not lake.exists("ops.runs"):
        return None
    wrote = lake.read("ops.runs").where(F.col("rows_out").getItem(name).isNotNull() & (F.col("status") == "succeeded"))
    rows = wrote.orderBy(F.desc("started_at")).select("run_id", "job", "as_of", "ended_at").limit(1).collect()
    return rows[0].asDict() if rows else None
