"""Whether a row fits its contract, as a column: null, or the first rule it breaks and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.contract import Contract
from shoal.sources.fields import told


def fault_of(made: Contract, columns: Sequence[str]) -> Column:
    """struct(rule, reason): the first of the contract's rules that a row of `columns` breaks; null where it breaks none.

    Rules: required (a null in a column that may have none), check (a CHECK that is false; one that is null passes, as SQL has
    it). A reason names the column, the value found (60 characters of it) and what the contract says. No shuffle.
    """
    verdict = F.when(F.lit(False), told("", F.lit("")))
    for name in columns:
        spec = made.columns[name]
        if not spec.null:
            verdict = verdict.when(F.col(name).isNull(), told("required", F.lit(f"{name}: empty, expected a value")))
        if spec.check:
            shown = F.substring(F.col(name).cast("string"), 1, 60) if "<" not in spec.type else F.lit("a nested value")
            reason = F.concat(F.lit(f"{name}: found '"), shown, F.lit(f"', expected {spec.check}"))
            verdict = verdict.when(~F.expr(spec.check), told("check", reason))
    for rule, check in made.checks.items():
        if set(re.findall(r"[a-z_][a-z0-9_]*", check)) & set(made.columns) <= set(columns):
            verdict = verdict.when(~F.expr(check), told(rule, F.lit(f"expected {check}")))
    return verdict
