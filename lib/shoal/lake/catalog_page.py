"""docs/tables.md, from the contracts and from what the jobs declare to read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.lake.contract import LAYERS, Column, Contract, contract, contract_names

MEANING = {
    "bronze": "raw records with their provenance",
    "silver": "what is true",
    "features": "what is known of a user, an item, a node at a day",
    "gold": "what people query",
    "ops": "what happened",
}


@dataclass(frozen=True)
class Users:
    """The jobs that write and read each table, by the table's name."""

    writers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    readers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def tables_page(users: Users) -> str:
    """The whole page as Markdown: a section a layer, a table a contract. Ends with a newline."""
    made_from = "Made from `lib/shoal/lake/contracts/` and the jobs' READS and WRITES by `make docs`; edit these, not this page.\n"
    parts = ["# Tables\n", made_from]
    for layer in LAYERS:
        names = [name for name in contract_names() if name.startswith(f"{layer}.")]
        if names:
            parts.append(f"## {layer}: {MEANING[layer]}\n")
            parts += [_section(contract(name), users) for name in names]
    return "\n".join(parts)


def _section(made: Contract, users: Users) -> str:
    facts = [f"{made.grain[0].upper()}{made.grain[1:]}.", f"Key: {_codes(made.key)}."]
    facts += [f"Partitioned by {_codes(made.partition_by)}."] * bool(made.partition_by)
    facts += [f"Clustered by {_codes(made.cluster_by)}."] * bool(made.cluster_by)
    facts += [f"Check {name}: `{sql}`." for name, sql in made.checks.items()]
    if made.retention_days:
        facts.append(f"Kept for {made.retention_days:,} days by {_codes([made.age_column() or ''])}.")
    facts += [f"Erased with {_codes([each.table])} by {_codes(list(each.by))}." for each in made.erased_with]
    jobs = (("Written", users.writers), ("Read", users.readers))
    facts += [f"{verb} by {_codes(list(of[made.name]))}." for verb, of in jobs if of.get(made.name)]
    facts += [f"Drift compares the rows with `{made.drift_rows}`."] * bool(made.drift_rows)
    facts += [f"Drift divides rates by the age in `{made.drift_age}`."] * bool(made.drift_age)
    lines = [f"### {made.name}\n", " ".join(facts) + "\n", "| column | type | null | meaning |", "|---|---|---|---|"]
    for name, column in made.columns.items():
        extra = (f"; check `{column.check}`" if column.check else "") + _personal(column)
        extra += f"; drift: {column.drift}" if column.drift else ""
        meaning = (column.comment + extra).replace("|", "\\|")
        lines.append(f"| {name} | {column.type} | {'yes' if column.null else 'no'} | {meaning} |")
    return "\n".join(lines) + "\n"


def _personal(column: Column) -> str:
    if not column.pii:
        return ""
    return "; personal" + (f" ({column.pii})" if isinstance(column.pii, str) else "")


def _codes(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
