"""What the algorithms should give, from their definitions and from networkx; graphs to try them on."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable

import networkx as nx
from pyspark.sql import DataFrame, SparkSession

Edge = tuple[str, str, float]


def frame(spark: SparkSession, edges: Iterable[Edge]) -> DataFrame:
    return spark.createDataFrame(list(edges), "src string, dst string, weight double")


def values(result: DataFrame) -> dict[str, object]:
    """Node to value of a result; fails where a node comes twice."""
    rows = result.collect()
    found = {row["node_id"]: row[1] for row in rows}
    assert len(found) == len(rows)
    return found


def directed(edges: Iterable[Edge]) -> nx.DiGraph:
    graph = nx.DiGraph()
    for src, dst, weight in edges:
        old = graph.edges[src, dst]["weight"] if graph.has_edge(src, dst) else 0.0
        graph.add_edge(src, dst, weight=old + weight)
    return graph


def undirected(edges: Iterable[Edge]) -> nx.Graph:
    graph = nx.Graph()
    for src, dst, weight in edges:
        old = graph.edges[src, dst]["weight"] if graph.has_edge(src, dst) else 0.0
        graph.add_edge(src, dst, weight=old + weight)
    return graph


def page_rank(edges: Iterable[Edge]) -> dict[str, float]:
    """networkx, run until nothing changes in the fourteenth digit."""
    return nx.pagerank(directed(edges), alpha=0.85, tol=1e-15, max_iter=5000)


def label_propagation(edges: Iterable[Edge], rounds: int, order: Callable[[str], object]) -> dict[str, str]:
    """CDLP word for word: all at once, the heaviest label among the neighbours, ties to the first in order."""
    graph = undirected(edges)
    labels = {node: node for node in graph}
    for _ in range(rounds):
        new = {}
        for node in graph:
            votes: dict[str, float] = defaultdict(float)
            for neighbour, facts in graph[node].items():
                votes[labels[neighbour]] += facts["weight"]
            most = max(votes.values())
            tied = [label for label, weight in votes.items() if weight >= most * (1 - 1e-9)]
            new[node] = min(tied, key=order) if most > 0 else labels[node]
        if new == labels:
            break
        labels = new
    return labels


def random_edges(seed: int, nodes: int, edges: int, name: Callable[[int], str]) -> list[Edge]:
    """Edges drawn with a few hubs, parallel edges, self loops and sinks; small whole weights, so that labels tie often."""
    draw = random.Random(seed)
    ends = [(int(nodes * draw.random() ** 2), draw.randrange(nodes)) for _ in range(edges)]
    sinks = set(range(0, nodes, 7))
    return [(name(a), name(b), float(draw.randint(1, 3))) for a, b in ends if a not in sinks]


def zoo(name: Callable[[int], str] = lambda n: f"n{n}") -> list[Edge]:
    """One graph of many parts: two random ones, a path, a star, a clique, a lone loop, a pair, an edge of weight 0."""
    edges = random_edges(1, 40, 120, name) + random_edges(2, 60, 90, lambda n: name(100 + n))
    edges += [(name(200 + i), name(201 + i), 1.0) for i in range(12)]
    edges += [(name(300), name(301 + i), 0.5) for i in range(6)]
    edges += [(name(400 + i), name(400 + j), 2.0) for i in range(5) for j in range(i)]
    edges += [(name(500), name(500), 1.0), (name(510), name(511), 0.1), (name(520), name(521), 0.0)]
    return edges
