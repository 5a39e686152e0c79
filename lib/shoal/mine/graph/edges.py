"""Edge frames: what an edge is, which edges are refused, what parallel edges mean.

An edge frame has the columns `src` and `dst` (cast to string) and, optionally, `weight` (cast to double; a null weight is
an edge whose strength is not given and counts 1). Ids must not be null or empty. Weights must be finite, from 0 to 1e100.
An edge of weight 0 ties its nodes into the graph (degrees, components, triangles) and carries nothing (PageRank, label
propagation, modularity). Other columns are ignored.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError

# Above this the sums and squares of strengths would leave the range of a double.
MAX_WEIGHT = 1e100


def clean_edges(edges: DataFrame) -> DataFrame:
    """`src` string, `dst` string, `weight` double, `fault` string: one row an input row, nothing dropped.

    `fault` says in words why the edge is refused, and is null for a good one; `refuse_faults` raises it. Raises InputError
    where a column is missing. Lazy, no shuffle.
    """
    missing = [name for name in ("src", "dst") if name not in edges.columns]
    if missing:
        raise InputError(f"edges: no column {missing[0]}; expected src, dst and optionally weight, found {_names(edges)}")
    given = F.col("weight") if "weight" in edges.columns else F.lit(1.0)
    weight = F.coalesce(given.cast("double"), F.when(given.isNull(), F.lit(1.0)), F.lit(float("nan")))
    return edges.select(
        F.col("src").cast("string").alias("src"), F.col("dst").cast("string").alias("dst"), weight.alias("weight")
    ).withColumn("fault", _fault())


def follow_edges(follows: DataFrame) -> DataFrame:
    """`src`, `dst`, `weight` of silver.follows."""
    return follows.select(F.col("src_id").alias("src"), F.col("dst_id").alias("dst"), "weight")


def _names(edges: DataFrame) -> str:
    return ", ".join(edges.columns) or "no column"


def _fault() -> Column:
    """Why an edge is refused, in words; null for a good one."""
    weight = F.col("weight")
    edge = F.concat(F.lit("edge "), F.coalesce("src", F.lit("(null)")), F.lit(" -> "), F.coalesce("dst", F.lit("(null)")))
    is_empty = F.col("src").isNull() | F.col("dst").isNull() | (F.col("src") == "") | (F.col("dst") == "")
    return (
        F.when(is_empty, F.concat(edge, F.lit(": an id is empty; every edge needs both of its nodes")))
        .when(F.isnan(weight), F.concat(edge, F.lit(": the weight is not a number; expected 0 to 1e100")))
        .when(
            (weight < 0) | (weight > MAX_WEIGHT),
            F.concat(edge, F.lit(": weight "), weight.cast("string"), F.lit("; expected 0 to 1e100")),
        )
    )


def refuse_faults(cleaned: DataFrame) -> None:
    """Raise InputError with the first fault by text order; nothing where `fault` is null in every row. Runs one job."""
    fault = cleaned.agg(F.min("fault")).first()
    if fault is not None and fault[0] is not None:
        raise InputError(f"edges: {fault[0]}")


def as_undirected(edges: DataFrame) -> DataFrame:
    """`src` <= `dst`, `weight`: one row an unordered pair; a -> b and b -> a are parallel edges. One shuffle.

    A self loop stays one edge with its weight. Works on string ids and on node indices alike.
    """
    return (
        edges.select(F.least("src", "dst").alias("src"), F.greatest("src", "dst").alias("dst"), "weight")
        .groupBy("src", "dst")
        .agg(F.sum("weight").alias("weight"))
    )


def with_reverse(edges: DataFrame) -> DataFrame:
    """`src`, `dst`, `weight`: every edge and its reverse; a self loop once. Turns an undirected frame into a directed one."""
    back = edges.where(F.col("src") != F.col("dst")).select(F.col("dst").alias("src"), F.col("src").alias("dst"), "weight")
    return edges.select("src", "dst", "weight").unionByName(back)
