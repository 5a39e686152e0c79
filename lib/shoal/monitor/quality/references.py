"""Rows that name a row of another table which is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.lake.contract import contract


@dataclass(frozen=True)
class Reference:
    """Rows of `table` that name rows of `parent`: our columns to theirs; `when`: SQL of those of our rows that do."""

    table: str
    parent: str
    by: tuple[tuple[str, str], ...]
    when: str | None = None

    @property
    def columns(self) -> str:
        """Our columns as one name."""
        return ",".join(ours for ours, _ in self.by)


# What erased_with does not say, because a row goes with the person who made it, whatever it is about.
OF_RECORDS = (
    Reference("silver.interactions", "silver.items", (("item_id", "item_id"),)),
    Reference("silver.texts", "silver.items", (("item_id", "item_id"),)),
)


def references(tables: Iterable[str]) -> list[Reference]:
    """The references among these tables: those of the contracts' erased_with, and OF_RECORDS. Sorted."""
    there = set(tables)
    found = {
        Reference(name, each.table, tuple(each.by.items()), each.when)
        for name in there for each in contract(name).erased_with if each.table in there
    }  # fmt: skip
    found |= {each for each in OF_RECORDS if {each.table, each.parent} <= there}
    return sorted(found, key=lambda each: (each.table, each.columns, each.parent))


def measure_gap(rows: DataFrame, parents: DataFrame, reference: Reference) -> DataFrame:
    """One row `table_name`, `column_name`, `parent`, `row_count` (rows that name a parent), `missing` (those whose parent is not
    there). A null names nothing. Two shuffles of the different names of both sides."""
    ours, theirs = [a for a, _ in reference.by], [b for _, b in reference.by]
    naming = rows.where(reference.when) if reference.when else rows
    named = naming.select(*[F.col(a).alias(f"k{n}") for n, a in enumerate(ours)]).dropna()
    keys = named.columns
    counted = named.groupBy(*keys).agg(F.count("*").alias("rows"))
    known = parents.select(*[F.col(b).alias(f"k{n}") for n, b in enumerate(theirs)]).distinct().withColumn("is_known", F.lit(True))
    return counted.join(known, keys, "left").agg(
        F.lit(reference.table).alias("table_name"), F.lit(reference.columns).alias("column_name"),
        F.lit(reference.parent).alias("parent"), F.coalesce(F.sum("rows"), F.lit(0)).alias("row_count"),
        F.coalesce(F.sum(F.when(F.col("is_known").isNull(), F.col("rows"))), F.lit(0)).alias("missing"),
    )  # fmt: skip
