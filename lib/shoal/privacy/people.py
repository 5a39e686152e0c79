"""Where a person stands in the lake, by the contracts: their rows, and the rows that go with those.

`people` is a frame of value, person, is_name: what is looked for (an id, or a name that a person has besides), and whose it
is. It is small (privacy.max_people) and goes to every table as a broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.contract import LAYERS, Contract, contract, contract_names
from shoal.lake.lake import Lake
from shoal.spark.checkpoints import cut_lineage

REQUESTS = "ops.erasure_requests"
PEOPLE = "value string, person string, is_name boolean"


def people_of(lake: Lake, ids: Sequence[str]) -> DataFrame:
    """`people` for ids: the ids, and the names that rows with these ids give them (silver only). Collects the names: one an id,
    which is the key of silver.users, the only table with names; so at most privacy.max_people."""
    rows = [(i, i, False) for i in ids]
    found = lake.spark.createDataFrame(rows, PEOPLE)
    names: set[tuple[str, str]] = set()
    for table in contract_names():
        made = contract(table)
        if made.layer != "silver" or not made.personal("name") or not lake.exists(table):
            continue
        for column in made.personal("name"):
            known = own_rows(lake, made, found, [column]).where(F.col(column).isNotNull())
            names |= {(row[0], row[1]) for row in known.select(column, "person").distinct().collect()}
    named = sorted((name, person, True) for name, person in names if name != person)
    return lake.spark.createDataFrame(rows + named, PEOPLE) if named else found


def own_rows(lake: Lake, made: Contract, people: DataFrame, columns: Sequence[str]) -> DataFrame:
    """`columns` and `person` of the rows that a person's id or name stands in; a row of two persons comes twice."""
    rows, frames = lake.read_current(made.name), []
    for name in made.personal("id", "name"):
        spec = made.columns[name]
        some = rows.where(spec.pii_when) if spec.pii_when else rows
        value = F.explode(name) if spec.type.startswith("array") else F.col(name)
        wanted = F.broadcast(people.where(F.col("is_name") == F.lit(spec.pii == "name")).drop("is_name"))
        frames.append(some.select(*columns, value.alias("_value")).join(wanted, F.col("_value") == wanted["value"]))
    kept = [frame.select(*columns, "person") for frame in frames]
    return reduce(DataFrame.unionAll, kept).distinct()


def rows_of_people(lake: Lake, name: str, people: DataFrame) -> DataFrame | None:
    """The keys of the table's rows that are a person's, or go with a row that is (`erased_with`), and `person`; None where the
    table does not exist or holds no such rows by its contract. One pass over the table, one more for each `erased_with`."""
    made = contract(name)
    if not lake.exists(name):
        return None
    frames = [own_rows(lake, made, people, made.key)] if made.personal("id", "name") else []
    # A parent is asked once: each asking repeats the plans of all that it goes with itself.
    # with.
    asked: dict[str, DataFrame | None] = {}
    for each in made.erased_with:
        rows = lake.read_current(name)
        rows = (rows.where(each.when) if each.when else rows).select(*dict.fromkeys([*made.key, *each.by]))
        for parent in parents(each.table):
            if parent not in asked:
                found = rows_of_people(lake, parent, people)
                asked[parent] = found if found is None or len(made.erased_with) < 2 else found.transform(cut_lineage)
            theirs = asked[parent]
            if theirs is not None:
                renamed = theirs.select(*[F.col(t).alias(f"_their_{m}") for m, t in each.by.items()], "person")
                same = [F.col(m) == F.col(f"_their_{m}") for m in each.by]
                frames.append(rows.join(renamed, reduce(lambda a, b: a & b, same)).select(*made.key, "person"))
    return reduce(DataFrame.unionAll, frames).distinct() if frames else None


def parents(table: str) -> list[str]:
    """The tables that `erased_with` names: one, or all of a layer (`bronze.*`)."""
    layer, _, rest = table.partition(".")
    return [n for n in contract_names() if n.startswith(f"{layer}.")] if rest == "*" else [table]


def tables_of_people() -> list[str]:
    """Every table with a personal column or with rows that go with a person's, those that go with others before them: who is
    cut off in the middle finds the rest again from what is left."""
    order = [*reversed(LAYERS)]
    names = [n for n in contract_names() if (contract(n).is_personal() or contract(n).erased_with) and n != REQUESTS]
    return sorted(names, key=lambda n: (order.index(contract(n).layer), not contract(n).erased_with, n))
