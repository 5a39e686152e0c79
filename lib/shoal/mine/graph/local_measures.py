"""The driver's side of shoal.mine.graph.measures: igraph and scipy on one collected graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from scipy.sparse import csr_matrix

from shoal.conf.sections import GraphConf
from shoal.mine.graph.kernels import drawn_pivots, pivot_sums
from shoal.mine.graph.local_engine import LocalGraph, collect_graph, undirected_network

# Hubs settle as the square of the ratio of the two largest singular values to the power of the round: nearly equal ones never do.
HITS_ROUNDS = 500
UNSETTLED = f"hubs and authorities did not settle in {HITS_ROUNDS} rounds: two parts of the graph weigh nearly the same; left out"


def settled(tolerance: float) -> float:
    """The change of a round at which hubs are taken as settled: what is left to go is some hundred times a last change."""
    return tolerance / 100


def measure(edges: DataFrame, conf: GraphConf, names: list[str]) -> tuple[DataFrame, int, dict[str, str]]:
    """`node_id` and columns of the measures (for centrality the sums of its pivots), the number of nodes, and what is missing."""
    graph = collect_graph(edges, conf.local_max_edges)
    n, columns, missing = graph.size, dict[str, Any](), dict[str, str]()
    if not n:
        return _frame(graph, columns), n, missing
    network = undirected_network(graph)[0]
    network.simplify()
    if "coreness" in names:
        columns["coreness"] = np.asarray(network.coreness(), np.float64)
    if "hits" in names:
        hubs, authorities, is_settled = hits(graph, settled(conf.tolerance))
        if is_settled:
            columns |= {"hub": hubs, "authority": authorities}
        else:
            missing["hits"] = UNSETTLED
    if "clustering" in names:
        degree = np.asarray(network.degree(), np.float64)
        closed = np.asarray(network.transitivity_local_undirected(mode="zero"), np.float64)
        triangles = np.rint(closed * degree * (degree - 1) / 2)
        pairs = degree * (degree - 1) / 2
        share = np.divide(triangles, pairs, out=np.zeros(n), where=pairs > 0)
        columns |= {"degree": degree, "triangles": triangles, "clustering": share}
    if "components" in names:
        pieces = network.connected_components()
        columns["component_size"] = np.asarray(pieces.sizes(), np.float64)[pieces.membership]
    if "centrality" in names:
        pivots = drawn_pivots(n, conf.pivots, conf.seed)
        sums = pivot_sums(network, pivots.tolist())
        columns |= dict(zip(("through", "reached", "distance"), sums, strict=True))
        columns["is_pivot"] = np.isin(np.arange(n), pivots)
    return _frame(graph, columns), n, missing


def _frame(graph: LocalGraph, columns: dict[str, Any]) -> DataFrame:
    """`node_id` and the columns."""
    kinds = [f"{name} {'boolean' if values.dtype == bool else 'double'}" for name, values in columns.items()]
    rows = pd.DataFrame({"node_id": graph.ids, **columns})
    return graph.spark.createDataFrame(rows, ", ".join(["node_id string", *kinds]))


def hits(graph: LocalGraph, least_change: float) -> tuple[Any, Any, bool]:
    """Hubs and authorities, each summing to 1 (or 0 without weight), and whether they settled."""
    n = graph.size
    matrix = csr_matrix((graph.weight, (graph.src, graph.dst)), shape=(n, n))
    back = matrix.T.tocsr()
    hubs, authorities = np.full(n, 1.0 / n), np.zeros(n)
    if not (graph.weight > 0).any():
        return np.zeros(n), np.zeros(n), True
    for _ in range(HITS_ROUNDS):
        authorities = back @ hubs
        authorities /= authorities.sum()
        new = matrix @ authorities
        new /= new.sum()
        change, hubs = float(np.abs(new - hubs).sum()), new
        if change <= least_change:
            return hubs, authorities, True
    return hubs, authorities, False
