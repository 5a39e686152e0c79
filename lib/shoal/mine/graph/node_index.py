"""Node indices: 0, 1, 2 ... in id order, so that engines compare integers and break ties alike.

Id order: by number where every id of the graph is a plain integer (no leading zero, at most 18 digits), else by code
point, which is what both Spark and Python compare strings by. One other id anywhere makes the whole graph's order textual.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.graph.edges import clean_edges, refuse_faults
from shoal.spark.checkpoints import cut_lineage, release

INTEGER_ID = "(0|-?[1-9][0-9]{0,17})"
# monotonically_increasing_id: the partition in the upper bits, the row's place in its partition in the lower 33.
ROW_BITS = 33
# Up to this many nodes (some 30 MB of ids) every task gets all of them, which saves two sorts and shuffles of the edges.
MOST_BROADCAST = 500_000


@dataclass(frozen=True)
class IndexedGraph:
    """A graph on node indices. `nodes`: node_id, node (bigint). `edges`: src, dst (bigint), weight; parallel edges stay."""

    nodes: DataFrame
    edges: DataFrame
    node_count: int
    edge_count: int

    def release(self) -> None:
        """Free the two frames; they cannot be read afterwards."""
        release(self.nodes)
        self.edges.unpersist()


def are_integers(ids: Sequence[str]) -> bool:
    """True where every id is a plain integer; true for no ids."""
    pattern = re.compile(INTEGER_ID)
    return all(pattern.fullmatch(one) for one in ids)


def number_rows(rows: DataFrame, order: Sequence[Column], name: str) -> DataFrame:
    """`rows` with `name` (bigint), 0 for the first in `order`, without gaps. `order` must leave no ties.

    A distributed sort: one range shuffle and one small job; the driver sees one count a partition. The result is
    materialised (shoal.spark.checkpoints): `release` frees it, else Spark does when nothing refers to it any more.
    """
    marked = cut_lineage(rows.orderBy(*order).withColumn("_place", F.monotonically_increasing_id()))
    partition = F.shiftright("_place", ROW_BITS)
    counts = {row["p"]: row["n"] for row in marked.groupBy(partition.alias("p")).agg(F.count("*").alias("n")).collect()}
    offsets, total = [], 0
    for p in range(max(counts, default=-1) + 1):
        offsets.append(total - (p << ROW_BITS))
        total += counts.get(p, 0)
    shift = F.element_at(F.array(*[F.lit(offset) for offset in offsets] or [F.lit(0)]), partition.cast("int") + 1)
    return marked.withColumn(name, F.col("_place") + shift).drop("_place")


def number_few_rows(rows: DataFrame, order: Column, name: str) -> DataFrame:
    """The same as `number_rows` for at most MOST_BROADCAST rows: sorted in one task, without a range shuffle's jobs."""
    one = rows.repartition(1).sortWithinPartitions(order)
    return cut_lineage(one.withColumn(name, F.monotonically_increasing_id()))


def to_every_task(rows: DataFrame, row_count: int) -> DataFrame:
    """`rows` marked for a broadcast where they are at most MOST_BROADCAST (a collect of that many), else as they are."""
    return F.broadcast(rows) if row_count <= MOST_BROADCAST else rows


def index_graph(edges: DataFrame) -> IndexedGraph:
    """The graph of an edge frame on node indices; both frames are materialised.

    Raises InputError for a faulty edge. Reads `edges` twice: persist it where that is dear. Cost: a shuffle and a sort of
    the nodes; two joins of the edges with the nodes, without a shuffle up to MOST_BROADCAST nodes.
    """
    cleaned = clean_edges(edges)
    ends = cleaned.select(F.explode(F.array("src", "dst")).alias("node_id"), F.col("fault").isNotNull().alias("is_faulty"))
    node_ids = ends.groupBy("node_id").agg(F.max("is_faulty").alias("is_faulty")).persist()
    try:
        is_integer = F.col("node_id").rlike(f"^{INTEGER_ID}\\z")
        facts = node_ids.agg(
            F.count("*").alias("n"), F.min(is_integer).alias("integers"), F.max("is_faulty").alias("is_faulty")
        ).first()
        if facts is None or not facts["n"]:
            empty = edges.sparkSession.createDataFrame([], "src bigint, dst bigint, weight double")
            return IndexedGraph(cut_lineage(node_ids.select("node_id", F.lit(0).cast("bigint").alias("node"))), empty, 0, 0)
        if facts["is_faulty"]:
            refuse_faults(cleaned)
        order = F.col("node_id").cast("bigint") if facts["integers"] else F.col("node_id")
        ids, is_few = node_ids.select("node_id"), facts["n"] <= MOST_BROADCAST
        nodes = number_few_rows(ids, order, "node") if is_few else number_rows(ids, [order], "node")
    finally:
        node_ids.unpersist()
    names = to_every_task(nodes, facts["n"])
    indexed = (
        cleaned.join(names.select(F.col("node_id").alias("src"), F.col("node").alias("_src")), "src")
        .join(names.select(F.col("node_id").alias("dst"), F.col("node").alias("_dst")), "dst")
        .select(F.col("_src").alias("src"), F.col("_dst").alias("dst"), "weight")
        .persist()
    )
    return IndexedGraph(nodes, indexed, int(facts["n"]), indexed.count())


def named(graph: IndexedGraph, values: DataFrame, name: str) -> DataFrame:
    """`node_id` and `name` from `node` and `value`, materialised; frees the graph."""
    placed = graph.nodes.join(to_every_task(values, graph.node_count), "node")
    result = cut_lineage(placed.select("node_id", F.col("value").alias(name)))
    graph.release()
    return result


def with_names_of(graph: IndexedGraph, values: DataFrame, name: str) -> DataFrame:
    """`node_id` and `name` from `node` and `value`, where the value is a node whose id is the name; frees the graph."""
    names = to_every_task(graph.nodes.select(F.col("node").alias("value"), F.col("node_id").alias(name)), graph.node_count)
    placed = graph.nodes.join(to_every_task(values, graph.node_count), "node")
    result = cut_lineage(placed.join(names, "value").select("node_id", name))
    graph.release()
    return result
