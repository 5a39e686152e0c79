"""How a table that an older contract made becomes one of today's, as statements; or why it cannot.

What only adds or loosens is carried out: a new column that may be null, a column that may now be null, other comments, a CHECK
that every row there passes, other properties. A change that would need unknown values, or would lose some, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql.types import StructType

from shoal.errors import ContractError
from shoal.lake.contract import VERSION, Contract

CONSTRAINT = "delta.constraints."


@dataclass(frozen=True)
class Made:
    """A table as it lies there."""

    schema: StructType
    properties: Mapping[str, str]
    partition_by: Sequence[str]
    cluster_by: Sequence[str]


def literal(text: str) -> str:
    """A string as a SQL literal, for statements that take no parameters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def refuse_types(made: Contract, there: StructType) -> None:
    """Raise ContractError, naming table, column and both types, for the first column of another type than the contract's."""
    for field in there.fields:
        if field.name in made.columns:
            found, wanted = field.dataType.simpleString(), made.data_type(field.name).simpleString()
            if found != wanted:
                raise ContractError(
                    f"{made.name}: column {field.name} is {found} in the table and {wanted} in the contract; a type is not "
                    "changed in place: give the column a new name, or use a new --lake"
                )


def faults(made: Contract, there: Made) -> list[str]:
    """What of the table cannot become what the contract says; empty where all can."""
    names = there.schema.fieldNames()
    found = [f"column {n} is not in the contract any more" for n in names if n not in made.columns]
    for name, column in made.columns.items():
        if name not in names and not column.null:
            found.append(f"column {name} is new and may not be null")
        elif name in names and not column.null and there.schema[name].nullable:
            found.append(f"column {name} may be null in the table and not in the contract")
    if list(there.partition_by) != made.partition_by:
        parts = [", ".join(columns) or "nothing" for columns in (there.partition_by, made.partition_by)]
        found.append(f"the table is partitioned by {parts[0]}, the contract says {parts[1]}")
    return found


def statements(made: Contract, there: Made) -> list[str]:
    """The statements, in order, that make the table today's; each stands alone, so that a killed migration goes on where it
    was. `{table}` stands for the table's name. The last sets the version that says it is done.

    Raises ContractError, one line that names the table and what differs, where that cannot be.
    """
    refuse_types(made, there.schema)
    wrong = faults(made, there)
    if wrong:
        was = there.properties.get(VERSION, "one without a version")
        raise ContractError(
            f"{made.name} was made by another version of its contract ({was}; this is {made.version()}): {'; '.join(wrong)}; "
            "migrate the table or use a new --lake"
        )
    names, wanted = there.schema.fieldNames(), made.table_properties()
    todo: list[str] = []
    # Constraints on a column have to be gone before it can change.
    old = {k: v for k, v in there.properties.items() if k.startswith(CONSTRAINT) and not _same(wanted.get(k), v)}
    todo += [f"ALTER TABLE {{table}} DROP CONSTRAINT IF EXISTS `{k.removeprefix(CONSTRAINT)}`" for k in sorted(old)]
    before = ""
    for name, column in made.columns.items():
        if name not in names:
            place = f"AFTER `{before}`" if before else "FIRST"
            todo.append(f"ALTER TABLE {{table}} ADD COLUMN (`{name}` {column.type} COMMENT {literal(column.comment)} {place})")
        else:
            field = there.schema[name]
            if column.null and not field.nullable:
                todo.append(f"ALTER TABLE {{table}} ALTER COLUMN `{name}` DROP NOT NULL")
            if field.metadata.get("comment") != column.comment:
                todo.append(f"ALTER TABLE {{table}} ALTER COLUMN `{name}` COMMENT {literal(column.comment)}")
        before = name
    if list(there.cluster_by) != made.cluster_by:
        columns = ", ".join(f"`{c}`" for c in made.cluster_by)
        todo.append(f"ALTER TABLE {{table}} CLUSTER BY {f'({columns})' if columns else 'NONE'}")
    for key, sql in wanted.items():
        if key.startswith(CONSTRAINT) and not _same(there.properties.get(key), sql):
            todo.append(f"ALTER TABLE {{table}} ADD CONSTRAINT `{key.removeprefix(CONSTRAINT)}` CHECK ({sql})")
    stats = "delta.dataSkippingStatsColumns"
    if stats in there.properties and stats not in wanted:
        todo.append(f"ALTER TABLE {{table}} UNSET TBLPROPERTIES IF EXISTS ({literal(stats)})")
    other = {k: v for k, v in wanted.items() if not k.startswith(CONSTRAINT) and there.properties.get(k) != v}
    if other:
        pairs = ", ".join(f"{literal(k)} = {literal(v)}" for k, v in other.items())
        todo.append(f"ALTER TABLE {{table}} SET TBLPROPERTIES ({pairs})")
    return todo


def _same(one: str | None, other: str | None) -> bool:
    """Whether two CHECKs are one; Delta puts blanks between the tokens of one that is added later."""
    return one is not None and other is not None and "".join(one.split()) == "".join(other.split())
