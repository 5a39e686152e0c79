"""The distributed side of shoal.mine.graph.measures, on one index of the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import igraph
import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import GraphConf
from shoal.mine.graph.blocks import Block, Program, State, Step, block_count, build_blocks, run_rounds, state_values
from shoal.mine.graph.edges import as_undirected, with_reverse
from shoal.mine.graph.kernels import drawn_pivots, h_indices, pivot_sums
from shoal.mine.graph.local_measures import HITS_ROUNDS, UNSETTLED, settled
from shoal.mine.graph.node_index import IndexedGraph, index_graph
from shoal.mine.graph.spark_engine import component_roots, degrees_of, free, oriented_pairs, triangles_of
from shoal.spark.checkpoints import cut_lineage, release

# A social graph takes some tens of rounds; a long chain half its length.
CORE_ROUNDS = 500


def measure(edges: DataFrame, conf: GraphConf, names: list[str]) -> tuple[DataFrame, int, dict[str, str]]:
    """`node_id` and columns of the measures (for centrality the sums of its pivots), the number of nodes, and what is missing.

    Holds the index, the pairs and one measure's blocks at a time. The frame is materialised.
    """
    graph = index_graph(edges)
    missing: dict[str, str] = {}
    pairs = as_undirected(graph.edges).where("src <> dst").select("src", "dst").persist()
    parts: list[DataFrame] = []
    for name in names if graph.node_count else ():
        part = _MAKERS[name](graph, pairs, conf)
        if isinstance(part, str):
            missing[name] = part
        else:
            parts.append(part)
    found = graph.nodes
    for one in parts:
        found = found.join(one, "node", "left")
    # A node of self loops alone is in no pair.
    zeros = [F.coalesce(name, F.lit(0.0)).alias(name) for name in found.columns if name not in ("node", "node_id", "is_pivot")]
    flags = [F.coalesce(name, F.lit(False)).alias(name) for name in found.columns if name == "is_pivot"]
    result = cut_lineage(found.select("node_id", *zeros, *flags))
    for one in parts:
        release(one)
    pairs.unpersist()
    graph.release()
    return result, graph.node_count, missing


def _clustering(graph: IndexedGraph, pairs: DataFrame, conf: GraphConf) -> DataFrame:
    """`node`, `degree`, `triangles`, `clustering`."""
    degree = degrees_of(pairs)
    oriented = oriented_pairs(pairs, degree).persist()
    counts = degree.join(triangles_of(oriented), "node", "left").fillna(0, ["triangles"])
    possible = F.col("degree") * (F.col("degree") - 1) / 2
    share = F.when(possible > 0, F.col("triangles") / possible).otherwise(0.0)
    part = cut_lineage(counts.withColumn("clustering", share))
    oriented.unpersist()
    return part


def _coreness(graph: IndexedGraph, pairs: DataFrame, conf: GraphConf) -> DataFrame | str:
    """`node`, `coreness`, or why not: h-indices of h-indices from the degrees on until nothing changes.

    Every node takes the h-index of its neighbours' values at once; from any values above the coreness they fall to it exactly:
    Lü, Zhou, Zhang and Stanley, The H-index of a network node and its relation to degree and coreness (2016), theorem 1;
    Montresor, De Pellegrini and Miorandi, Distributed k-core decomposition (2013).
    """
    entries = with_reverse(pairs.withColumn("weight", F.lit(1.0))).toDF("row", "col", "value")
    blocks = build_blocks(entries, graph.node_count, block_count(pairs.sparkSession, 2 * graph.edge_count))
    outcome = run_rounds(blocks, core_program(graph.node_count), CORE_ROUNDS, lambda change, _: change == 0)
    part = cut_lineage(state_values(blocks, outcome, 0, "bigint").withColumnRenamed("value", "coreness"))
    free(blocks, outcome)
    if outcome.change:
        release(part)
        return f"coreness did not settle in {CORE_ROUNDS} rounds: the graph has a chain longer than that; left out"
    return part


def core_program(node_count: int) -> Program:
    """Coreness. State row 0: what the node's coreness is at most; the first round makes it the degree."""

    def start(number: int, size: int, blocks: int) -> State:
        return np.full((1, size), node_count, np.int64)

    def advance(block: Block, inbox: State, total: float, state: State) -> Step:
        new = h_indices(block.matrix, inbox)
        return Step(new[np.newaxis], float(np.count_nonzero(new != state[0])), 0.0)

    return Program(start, advance)


def _hits(graph: IndexedGraph, pairs: DataFrame, conf: GraphConf) -> DataFrame | str:
    """`node`, `hub`, `authority`, or why not. Node v pulls as a hub in row v and as an authority in row node_count + v."""
    n, weighted = graph.node_count, graph.edges.where("weight > 0")
    hubs = weighted.select(F.col("src").alias("row"), (F.col("dst") + n).alias("col"), "weight")
    authorities = weighted.select((F.col("dst") + n).alias("row"), F.col("src").alias("col"), "weight")
    entries = hubs.unionAll(authorities).toDF("row", "col", "value")
    blocks = build_blocks(entries, 2 * n, block_count(pairs.sparkSession, 2 * graph.edge_count))
    enough = settled(conf.tolerance)
    outcome = run_rounds(blocks, hits_program(n), 2 * HITS_ROUNDS, lambda change, _: change <= enough)
    values = state_values(blocks, outcome, 1, "double")
    is_hub = F.col("node") < n
    part = values.groupBy(F.pmod("node", F.lit(n)).alias("node")).agg(
        F.max(F.when(is_hub, F.col("value"))).alias("hub"), F.max(F.when(~is_hub, F.col("value"))).alias("authority")
    )
    part = cut_lineage(part)
    free(blocks, outcome)
    if outcome.change <= enough:
        return part
    release(part)
    return UNSETTLED


def hits_program(node_count: int) -> Program:
    """Hubs and authorities in turn. State row 0: what is pulled, 0 for the half whose turn it is not; row 1: the scores; row 2:
    whether row 0 is of hubs."""

    def start(number: int, size: int, blocks: int) -> State:
        is_hub = number + blocks * np.arange(size) < node_count
        return np.stack([is_hub.astype(np.float64), np.zeros(size), np.ones(size)])

    def advance(block: Block, inbox: State, total: float, state: State) -> Step:
        is_hub = block.number + len(block.sends) * np.arange(block.size) < node_count
        turn = is_hub == (state[2] == 1.0)
        scale = 1.0 / total if total > 0 else 0.0
        scores = np.where(turn, state[0] * scale, state[1])
        pulled = block.matrix @ (inbox * scale)
        return Step(np.stack([pulled, scores, 1.0 - state[2]]), float(np.abs(scores - state[1]).sum()), 0.0)

    return Program(start, advance)


def _pivot_sums(graph: IndexedGraph, pairs: DataFrame, conf: GraphConf) -> DataFrame | str:
    """`node`, `through`, `reached`, `distance`, `is_pivot` of the pivots and what they reach, or why not.

    Collects the pairs, at most conf.broadcast_max_edges (16 bytes each, and as many again in a worker); each task has the
    whole graph and its share of the pivots.
    """
    if graph.edge_count > conf.broadcast_max_edges:
        rows = pairs.limit(conf.broadcast_max_edges + 1).count()
        if rows > conf.broadcast_max_edges:
            return (
                f"betweenness and closeness: more than graph.broadcast_max_edges = {conf.broadcast_max_edges} edges, and every "
                "task needs them all; left out"
            )
    spark, n = pairs.sparkSession, graph.node_count
    collected: Any = pairs.toPandas()
    ends = collected.to_numpy(np.int32)
    shared = spark.sparkContext.broadcast(ends)
    pivots = pd.DataFrame({"pivot": drawn_pivots(n, conf.pivots, conf.seed)})
    tasks = min(spark.sparkContext.defaultParallelism, len(pivots))

    def sums(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        mine = np.concatenate([batch["pivot"].to_numpy() for batch in batches] or [np.empty(0, np.int64)])
        if not len(mine):
            return
        network = igraph.Graph(n=n, edges=shared.value)
        through, reached, distance = pivot_sums(network, mine.tolist())
        is_pivot = np.zeros(n, bool)
        is_pivot[mine] = True
        kept = np.flatnonzero(is_pivot | (reached > 0))
        columns = {"through": through, "reached": reached, "distance": distance, "is_pivot": is_pivot}
        yield pd.DataFrame({"node": kept, **{name: values[kept] for name, values in columns.items()}})

    kinds = "node bigint, through double, reached double, distance double, is_pivot boolean"
    shares = spark.createDataFrame(pivots).repartition(tasks).mapInPandas(sums, kinds)
    totals = [F.sum(name).alias(name) for name in ("through", "reached", "distance")]
    part = cut_lineage(shares.groupBy("node").agg(*totals, F.max("is_pivot").alias("is_pivot")))
    shared.destroy()
    return part


def _components(graph: IndexedGraph, pairs: DataFrame, conf: GraphConf) -> DataFrame:
    """`node`, `component_size`."""
    roots = component_roots(graph)
    sizes = roots.groupBy("value").agg(F.count("*").alias("component_size"))
    part = cut_lineage(roots.join(sizes, "value").select("node", "component_size"))
    release(roots)
    return part


_MAKERS: dict[str, Callable[[IndexedGraph, DataFrame, GraphConf], DataFrame | str]] = {
    "coreness": _coreness, "hits": _hits, "clustering": _clustering, "components": _components, "centrality": _pivot_sums,
}  # fmt: skip
