"""An export as a frame of two columns, key and value: the key's text and its rows as JSON."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.publish.stores.exports import HASHED, MAX_KEY_BYTES, Export

# JSON with every column, null too: a reader can tell a null from a column of another version.
_JSON = {"ignoreNullFields": "false"}


def key_and_value(rows: DataFrame, export: Export) -> DataFrame:
    """One row per key: key (string, a long one by its hash, see shoal.publish.stores.exports.store_key), value (string, JSON).

    Rows whose key is null, empty or has a NUL are not published. `row`: the key must be unique; of equal ones the last by all
    columns is kept. `list`: ordered by `rank` or `order_by`, at most `limit`. Cost: one shuffle by key, of a list by `order_by`
    with a sort; a task holds one key's rows.
    """
    wanted = rows if export.where is None else rows.where(export.where)
    payload = F.struct(*[F.expr(sql).alias(name) for name, sql in export.columns.items()])
    keyed = wanted.select(F.expr(export.key).cast("string").alias("key"), *_order(export), payload.alias("payload"))
    keyed = keyed.where("key IS NOT NULL AND key <> '' AND instr(key, '\\0') = 0")
    long_key = F.concat(F.lit(HASHED), F.sha2(F.col("key").cast("binary"), 256))
    keyed = keyed.withColumn("key", F.when(F.octet_length("key") > MAX_KEY_BYTES, long_key).otherwise(F.col("key")))
    if export.form == "row":
        one = keyed.groupBy("key").agg(F.max("payload").alias("payload"))
        return one.select("key", F.to_json("payload", _JSON).alias("value"))
    if export.rank is not None:
        limited = keyed if export.limit is None else keyed.where(F.col("place") <= export.limit)
    else:
        ordered = Window.partitionBy("key").orderBy(*_sorted(export))
        limited = keyed.withColumn("place", F.row_number().over(ordered))
        limited = limited if export.limit is None else limited.where(F.col("place") <= export.limit)
    lists = limited.groupBy("key").agg(F.sort_array(F.collect_list(F.struct("place", "payload"))).alias("rows"))
    inner = "value" if export.is_plain else None
    values = F.transform("rows", lambda row: row["payload"][inner] if inner else row["payload"])
    return lists.select("key", F.to_json(values, _JSON).alias("value"))


def _order(export: Export) -> list[Column]:
    """The columns that a list is ordered by: `place`, or `_0`, `_1` ..."""
    if export.rank is not None:
        return [F.expr(export.rank).cast("int").alias("place")]
    return [F.expr(sql.removesuffix(" desc")).alias(f"_{i}") for i, sql in enumerate(export.order_by)]


def _sorted(export: Export) -> list[Column]:
    return [
        F.col(f"_{i}").desc_nulls_last() if sql.endswith(" desc") else F.col(f"_{i}").asc_nulls_first()
        for i, sql in enumerate(export.order_by)
    ]
