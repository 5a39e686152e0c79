"""The driver's engine: numpy, scipy and igraph, for graphs on which Spark's rounds would be all overhead.

Every function collects the edge frame, at most `max_edges` rows, and raises UsageError where there are more: some
200 bytes an edge, 400 MB for 2 million. Edges are checked and added up as in shoal.mine.graph.edges; the arithmetic is that
of the Spark engine (shoal.mine.graph.kernels), so both give the same labels and the same ranks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import igraph
import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components as scipy_components

from shoal.arrays import Ints
from shoal.errors import InputError, UsageError
from shoal.mine.graph.edges import clean_edges
from shoal.mine.graph.kernels import heaviest_labels, rank_error, shifted_ranks
from shoal.mine.graph.node_index import are_integers
from shoal.mine.graph.spark_engine import not_converged, refuse_unknown_seeds


@dataclass(frozen=True)
class LocalGraph:
    """`ids` in id order; `src`, `dst` (places in `ids`) and `weight` of each distinct directed edge."""

    spark: SparkSession
    ids: Any
    src: Ints
    dst: Ints
    weight: Any

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.ids)

    def frame(self, name: str, values: Sequence[Any] | Any, kind: str) -> DataFrame:
        """`node_id` and `name` with one value a node."""
        rows = pd.DataFrame({"node_id": self.ids, name: values})
        return self.spark.createDataFrame(rows, f"node_id string, {name} {kind}")


def collect_graph(edges: DataFrame, max_edges: int) -> LocalGraph:
    """The graph of an edge frame on the driver: collects at most max_edges + 1 rows, UsageError above max_edges."""
    rows: Any = clean_edges(edges).limit(max_edges + 1).toPandas()
    if len(rows) > max_edges:
        raise UsageError(
            f"graph.engine local: the graph has more than graph.local_max_edges = {max_edges} edges; "
            "use the spark engine or raise the limit"
        )
    faults = rows["fault"].dropna()
    if len(faults):
        raise InputError(f"edges: {faults.min()}")
    codes, ids = pd.factorize(pd.concat([rows["src"], rows["dst"]], ignore_index=True))
    ids = np.asarray(ids, dtype=object)
    order = np.argsort(ids.astype(np.int64) if are_integers(list(ids)) else ids, kind="stable")
    place = np.empty(len(ids), np.int64)
    place[order] = np.arange(len(ids))
    ends = place[codes].reshape(2, -1)
    pairs = coo_matrix((rows["weight"].to_numpy(float), ends), shape=(len(ids), len(ids))).tocsr().tocoo()
    return LocalGraph(edges.sparkSession, ids[order], pairs.row.astype(np.int64), pairs.col.astype(np.int64), pairs.data)


def page_rank(
    edges: DataFrame, damping: float, tolerance: float, max_rounds: int, max_edges: int, seeds: Sequence[str] | None = None
) -> DataFrame:
    """`node_id`, `score`: see shoal.mine.graph.algorithms.page_rank."""
    graph = collect_graph(edges, max_edges)
    n = graph.size
    if seeds is not None:
        refuse_unknown_seeds(seeds, set(graph.ids))
    if not n:
        return graph.frame("score", [], "double")
    shares = np.full(n, 1.0 / n) if seeds is None else np.isin(graph.ids, list(seeds)) / len(set(seeds))
    strength = np.bincount(graph.src, graph.weight, n)
    moving = graph.weight > 0
    share = graph.weight[moving] / strength[graph.src[moving]]
    matrix = csr_matrix((share, (graph.dst[moving], graph.src[moving])), shape=(n, n))
    ranks, change = shares, float("inf")
    for _ in range(max_rounds):
        pulled = matrix @ ranks
        new = shifted_ranks(pulled, float(pulled.sum()), damping, shares)
        ranks, change = new, float(np.abs(new - ranks).sum())
        if rank_error(change, damping) <= tolerance:
            return graph.frame("score", ranks, "double")
    raise not_converged(rank_error(change, damping), tolerance, max_rounds)


def label_propagation(edges: DataFrame, max_rounds: int, max_edges: int) -> DataFrame:
    """`node_id`, `community_id`: see shoal.mine.graph.algorithms.label_propagation."""
    graph = collect_graph(edges, max_edges)
    matrix = _undirected(graph)
    labels, before = np.arange(graph.size, dtype=np.int64), np.full(graph.size, -1, np.int64)
    for done in range(1, max_rounds + 1):
        new = heaviest_labels(matrix, labels, labels)
        if np.array_equal(new, labels):
            break
        is_cycle = np.array_equal(new, before)
        labels, before = new, labels
        if is_cycle:
            # The two states alternate from here on: take the one that stands at the cap.
            labels = before if (max_rounds - done) % 2 else labels
            break
    return graph.frame("community_id", graph.ids[labels], "string")


def _undirected(graph: LocalGraph) -> csr_matrix:
    """The symmetric matrix of summed weights; a self loop stands once; no entry for weight 0."""
    low, high = np.minimum(graph.src, graph.dst), np.maximum(graph.src, graph.dst)
    half = csr_matrix((graph.weight, (low, high)), shape=(graph.size, graph.size))
    half.eliminate_zeros()
    half = half.tocoo()
    off = half.row != half.col
    rows = np.concatenate([half.row, half.col[off]])
    cols = np.concatenate([half.col, half.row[off]])
    matrix = csr_matrix((np.concatenate([half.data, half.data[off]]), (rows, cols)), shape=half.shape)
    matrix.sort_indices()
    return matrix


def connected_components(edges: DataFrame, max_edges: int) -> DataFrame:
    """`node_id`, `component_id`: see shoal.mine.graph.algorithms.connected_components."""
    graph = collect_graph(edges, max_edges)
    ones = csr_matrix((np.ones(len(graph.src)), (graph.src, graph.dst)), shape=(graph.size, graph.size))
    labels = scipy_components(ones, directed=False)[1] if graph.size else np.empty(0, np.int64)
    return graph.frame("component_id", _named_by_first(graph, labels), "string")


def _named_by_first(graph: LocalGraph, labels: Ints) -> Any:
    """For each node the smallest id, by id order, that has its label."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return graph.ids[first[inverse]]


def triangle_count(edges: DataFrame, max_edges: int) -> DataFrame:
    """`node_id`, `triangles`: see shoal.mine.graph.algorithms.triangle_count."""
    graph = collect_graph(edges, max_edges)
    simple = undirected_network(graph)[0]
    simple.simplify()
    degree = np.asarray(simple.degree(), np.float64)
    # igraph gives the share of closed pairs of neighbours; times the number of pairs it is the count, up to rounding.
    closed = np.asarray(simple.transitivity_local_undirected(mode="zero"), np.float64)
    return graph.frame("triangles", np.rint(closed * degree * (degree - 1) / 2).astype(np.int64), "bigint")


def undirected_network(graph: LocalGraph, with_unweighted: bool = True) -> tuple[igraph.Graph, list[float]]:
    """The undirected igraph graph, one edge a pair, and its weights; edges of weight 0 only where asked for."""
    low, high = np.minimum(graph.src, graph.dst), np.maximum(graph.src, graph.dst)
    pairs = coo_matrix((graph.weight, (low, high)), shape=(graph.size, graph.size)).tocsr().tocoo()
    kept = (pairs.data > 0) | with_unweighted
    ends = np.column_stack([pairs.row[kept], pairs.col[kept]])
    return igraph.Graph(n=graph.size, edges=ends), pairs.data[kept].tolist()


def leiden(edges: DataFrame, seed: int, max_edges: int) -> DataFrame:
    """`node_id`, `community_id`: see shoal.mine.graph.algorithms.leiden."""
    graph = collect_graph(edges, max_edges)
    network, weights = undirected_network(graph, with_unweighted=False)
    with _seeded(seed):
        parts = network.community_leiden(objective_function="modularity", weights=weights, n_iterations=-1)
    return graph.frame("community_id", _named_by_first(graph, np.asarray(parts.membership, np.int64)), "string")


def louvain(edges: DataFrame, seed: int, max_edges: int) -> DataFrame:
    """`node_id`, `community_id`: see shoal.mine.graph.algorithms.louvain."""
    graph = collect_graph(edges, max_edges)
    network, weights = undirected_network(graph, with_unweighted=False)
    with _seeded(seed):
        parts = network.community_multilevel(weights=weights)
    return graph.frame("community_id", _named_by_first(graph, np.asarray(parts.membership, np.int64)), "string")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """igraph, whose random numbers are the process's own, with a generator of this seed for a while."""
    igraph.set_random_number_generator(random.Random(seed))  # noqa: S311 - a seed that repeats is the point
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)
