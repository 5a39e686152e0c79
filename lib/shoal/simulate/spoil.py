"""Lines spoiled on purpose, as the field spoils them, and how many.

The ways: `missing_key` (the id is missing), `time_in_milliseconds` (a unix time in milliseconds where an ISO time belongs),
`text_in_number` ("n/a" in a number column), `duplicate_key` (the line is there twice; the second counts as spoiled).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.simulate.draws import stream_key, uniform_column
from shoal.simulate.world import WorldConf

WAYS = ("missing_key", "time_in_milliseconds", "duplicate_key", "text_in_number")


def mark_spoiled(rows: DataFrame, conf: WorldConf, stream: str, key: list[str], *, has_number: bool) -> DataFrame:
    """`rows` with `spoiled`: the way a line is spoiled, null for a good one; a row to be duplicated comes twice.

    A share `dirty_ratio` of the rows is spoiled, each way as often (`text_in_number` only with `has_number`). The choice hangs
    on the key's columns. Without `dirty_ratio` the rows are as they were, with a null beside them.
    """
    if conf.dirty_ratio == 0:
        return rows.withColumn("spoiled", F.lit(None).cast("string"))
    ways = WAYS if has_number else WAYS[:-1]
    identity = F.xxhash64(F.lit(stream_key(conf.seed, f"{stream}/spoil")).cast("long"), *key)
    place = F.floor(uniform_column(conf.seed, f"{stream}/way", identity) * len(ways)).cast("int") + 1
    way = F.when(
        uniform_column(conf.seed, f"{stream}/spoiled", identity) < conf.dirty_ratio,
        F.element_at(F.array(*(F.lit(w) for w in ways)), place),
    )
    good = F.lit(None).cast("string")
    lines = F.when(way == "duplicate_key", F.array(good, way)).otherwise(F.array(way))
    return rows.withColumn("spoiled", F.explode(lines))


def spoiled_key(column: str) -> Column:
    """Return the key column, null where the line is spoiled that way."""
    return F.when(_is_spoiled("missing_key"), None).otherwise(F.col(column)).alias(column)


def spoiled_number(column: str) -> Column:
    """The number column as text, "n/a" where the line is spoiled so."""
    return F.when(_is_spoiled("text_in_number"), "n/a").otherwise(F.col(column).cast("string")).alias(column)


def spoiled_time(column: str) -> Column:
    """The timestamp column as ISO 8601 text in UTC, or as milliseconds where the line is spoiled so."""
    seconds = F.unix_seconds(F.col(column))
    millis = (seconds * 1_000).cast("string")
    return F.when(_is_spoiled("time_in_milliseconds"), millis).otherwise(utc_text(seconds)).alias(column)


def utc_text(seconds: Column) -> Column:
    """Unix seconds as text like 2025-06-30T12:34:56Z, whatever the session's time zone."""
    day = F.date_add(F.lit("1970-01-01").cast("date"), F.floor(seconds / 86_400).cast("int")).cast("string")
    second = F.pmod(seconds, F.lit(86_400))
    parts = (F.floor(second / 3_600), F.floor(second / 60) % 60, second % 60)
    clock = F.concat_ws(":", *(F.lpad(part.cast("string"), 2, "0") for part in parts))
    return F.concat(day, F.lit("T"), clock, F.lit("Z"))


def _is_spoiled(way: str) -> Column:
    """Whether the line is spoiled in that way; false for a good one."""
    return F.coalesce(F.col("spoiled") == way, F.lit(False))
