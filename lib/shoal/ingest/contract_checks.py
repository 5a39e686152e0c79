"""Whether a row fits its contract, as a column: null, or the first rule it breaks and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.ingest.fields import broken_rule
from shoal.lake.contract import Contract


def fault_of(made: Contract, columns: Sequence[str]) -> Column:
    """struct(rule, reason): the first of the contract's rules that a row of `columns` breaks; null where it breaks none.

    Rules: required (a null in a column that may have none), check (a CHECK that is false; one that is null passes, as SQL has
    it). A reason names the column, the value found (60 characters of it) and what the contract says. No shuffle.
    """
    verdict = F.when(F.lit(False), broken_rule("", F.lit("")))
    for name in columns:
        spec = made.columns[name]
        if not spec.null:
            verdict = verdict.when(F.col(name).isNull(), broken_rule("required", F.lit(f"{name}: empty, expected a value")))
        if spec.check:
            shown = F.substring(F.col(name).cast("string"), 1, 60) if "<" not in spec.type else F.lit("a nested value")
            reason = F.concat(F.lit(f"{name}: found '"), shown, F.lit(f"', expected {spec.check}"))
            verdict = verdict.when(~F.expr(spec.check), broken_rule("check", reason))
    for rule, check in made.checks.items():
        if set(re.findall(r"[a-z_][a-z0-9_]*", check)) & set(made.columns) <= set(columns):
            verdict = verdict.when(~F.expr(check), broken_rule(rule, F.lit(f"expected {check}")))
    return verdict


def fault_of_rows(made: Contract, columns: Sequence[str], rows: str) -> Column:
    """struct(rule, reason): the first rule that an element of the column `rows`, an array of structs of `columns`, breaks.

    Null where none does, or where the array is null. The rules are those of `fault_of`; a reason names table and column.
    """
    verdict = F.when(F.lit(False), broken_rule("", F.lit("")))

    def broken(condition: str) -> Column:
        return F.expr(f"exists(`{rows}`, _row -> {condition})")

    for name in columns:
        spec = made.columns[name]
        if not spec.null:
            reason = F.lit(f"{made.name}.{name}: empty, expected a value")
            verdict = verdict.when(broken(f"_row.`{name}` is null"), broken_rule("required", reason))
        if spec.check:
            reason = F.lit(f"{made.name}.{name}: expected {spec.check}")
            verdict = verdict.when(broken(f"not coalesce({_of_row(spec.check, columns)}, true)"), broken_rule("check", reason))
    for rule, check in made.checks.items():
        if set(re.findall(r"[a-z_][a-z0-9_]*", check)) & set(made.columns) <= set(columns):
            reason = F.lit(f"{made.name}: expected {check}")
            verdict = verdict.when(broken(f"not coalesce({_of_row(check, columns)}, true)"), broken_rule(rule, reason))
    return verdict


def _of_row(check: str, columns: Sequence[str]) -> str:
    """A CHECK with its columns as fields of `_row`; what stands in quotes stays."""
    names = re.compile(rf"\b({'|'.join(columns)})\b")
    pieces = re.split(r"('(?:[^'\\]|\\.)*')", check)
    return "".join(p if p.startswith("'") else names.sub(r"_row.`\1`", p) for p in pieces)
