"""What a model says of a content is computed once: new and changed rows only, one commit a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.lake.lake import Lake


def content_hash(text: Column) -> Column:
    """A number (xxHash64) that is another one where the text is another one; null for null."""
    return F.when(text.isNotNull(), F.xxhash64(text))


def rows_to_score(
    rows: DataFrame, held: DataFrame | None, key: str, version: str, others: Mapping[str, str | None] | None = None
) -> DataFrame:
    """Those of `rows` (`key`, text) that `held` (`key`, content_hash, model_version, is_current) has no current row of this model
    and content for, with their content_hash. `others`: further columns of versions, and what a current row has there. One shuffle,
    none where nothing is held."""
    hashed = rows.withColumn("content_hash", content_hash(F.col("text")))
    if held is None:
        return hashed
    same = F.col("is_current") & (F.col("model_version") == version)
    for name, value in (others or {}).items():
        same &= F.col(name).eqNullSafe(F.lit(value))
    known = held.where(same).select(
        F.col(key).alias("_key"), F.col("content_hash").alias("_hash")
    )
    return hashed.join(known, (F.col(key) == F.col("_key")) & F.col("content_hash").eqNullSafe(F.col("_hash")), "left_anti")


def retired_rows(held: DataFrame, scored: DataFrame, key: str, version: str) -> DataFrame:
    """The current rows of other models for the keys in `scored`, as they are to be: not current."""
    others = held.where(F.col("is_current") & (F.col("model_version") != version)).drop("run_id")
    return others.join(scored.select(key), key, "left_semi").withColumn("is_current", F.lit(False))


def upsert_scores(
    lake: Lake, table: str, rows: DataFrame, key: str, version: str, as_of: date, score: Callable[[DataFrame], DataFrame],
    others: Mapping[str, str | None] | None = None,
) -> int:  # fmt: skip
    """Score those of `rows` (`key`, which is unique, and text) that `table` does not have by this version yet, retire the rows of
    earlier versions in the same commit, and return how many were scored.

    `score` gets `key`, text and content_hash and returns the table's columns but as_of, model_version, those of `others`,
    is_current and run_id. It is not called where nothing is new. `others`: columns with the versions of further models; another one
    there scores the row again, in its place. The run's tags tell it: `scored_<table>`, `unchanged_<table>`, model_version.
    """
    held = lake.read_if_exists(table)
    new = rows_to_score(rows, held, key, version, others).persist()
    try:
        count, short = new.count(), table.partition(".")[2]
        lake.run.note(**{f"scored_{short}": count, f"unchanged_{short}": rows.count() - count, "model_version": version})
        if not count:
            return 0
        marks = {"as_of": F.lit(as_of), "model_version": F.lit(version), "is_current": F.lit(True)}
        further = {name: F.lit(value).cast("string") for name, value in (others or {}).items()}
        made = score(new).withColumns(marks | further)
        # Rows of the same key differ in model_version: the table's keys are unique.
        made = made if held is None else made.unionByName(retired_rows(held, new, key, version))
        lake.upsert(table, made, unique=True)
        return count
    finally:
        new.unpersist()
