"""Coreness, hubs, clustering, betweenness and closeness of both engines against networkx."""

from __future__ import annotations

import math
from collections.abc import Iterable

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from shoal.conf.sections import GraphConf
from shoal.mine.graph.kernels import h_indices
from shoal.mine.graph.measures import MEASURES, error_bound, measure_nodes

from tests.mine.graph import oracles

ALL = list(MEASURES)
KARATE = [(f"n{a}", f"n{b}", float(w)) for a, b, w in nx.karate_club_graph().edges(data="weight")]
# Beside the club, which one edge makes so heavy that hubs settle in few rounds: a path,
# a clique, a pair with double edges, both ways, a lone loop, an edge of weight 0.
PIECES = [
    *KARATE, *((f"p{i}", f"p{i + 1}", 1.0) for i in range(9)), *((f"c{i}", f"c{j}", 0.5) for i in range(5) for j in range(i)),
    ("n0", "n33", 60.0), ("x", "y", 1.0), ("x", "y", 0.5), ("y", "x", 1.0), ("x", "x", 3.0),
    ("alone", "alone", 1.0), ("c0", "z", 0.0),
]  # fmt: skip


def measured(spark: SparkSession, edges: Iterable[oracles.Edge], conf: GraphConf, engine: str) -> dict[str, dict[str, float]]:
    """Measure to node to value."""
    rows = measure_nodes(oracles.frame(spark, edges), conf, engine, ALL)[0].collect()
    return {name: {row["node_id"]: row[name] for row in rows} for columns in MEASURES.values() for name in columns}


def expected(edges: list[oracles.Edge]) -> dict[str, dict[str, float]]:
    simple = oracles.undirected(edges)
    simple.remove_edges_from(list(nx.selfloop_edges(simple)))
    hubs, authorities = nx.hits(oracles.directed(edges), max_iter=10_000, tol=1e-14)
    return {
        "coreness": nx.core_number(simple), "degree": dict(simple.degree()), "triangles": nx.triangles(simple), "hub": hubs,
        "authority": authorities, "clustering": nx.clustering(simple), "betweenness": nx.betweenness_centrality(simple),
        "closeness": nx.closeness_centrality(simple),
        "component_size": {node: len(piece) for piece in nx.connected_components(oracles.undirected(edges)) for node in piece},
    }  # fmt: skip


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_measures_are_networkxs(spark: SparkSession, conf: GraphConf, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.mine.graph.blocks.FEWEST_ENTRIES", 60)  # two blocks on the suite's two cores
    found, wanted = measured(spark, PIECES, conf, engine), expected(PIECES)
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name
    assert found["coreness"]["n0"] == 4
    assert found["degree"]["x"] == found["degree"]["z"] == 1


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_no_edge_has_no_row_and_a_lone_loop_one(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    none, said = measure_nodes(oracles.frame(spark, []), conf, engine, ALL)
    assert none.collect() == []
    assert none.columns == ["node_id", *(name for columns in MEASURES.values() for name in columns)]
    assert said == {}
    one = measured(spark, [("only", "only", 0.0)], conf, engine)
    assert {name: values["only"] for name, values in one.items()} == dict.fromkeys(one, 0.0) | {"component_size": 1.0}


def test_pivots_are_the_same_with_both_engines_and_the_error_is_stated(spark: SparkSession, conf: GraphConf) -> None:
    few = conf.model_copy(update={"pivots": 20})
    frames = {engine: measure_nodes(oracles.frame(spark, PIECES), few, engine, ["centrality"]) for engine in ("local", "spark")}
    local, distributed = (
        {row["node_id"]: (row["betweenness"], row["closeness"]) for row in frame.collect()} for frame, _ in frames.values()
    )
    assert local == distributed
    exact = nx.betweenness_centrality(oracles.undirected(PIECES))
    off = max(abs(local[node][0] - exact[node]) for node in exact)
    nodes = len(exact)
    bound = math.sqrt(math.log(2 * nodes / 0.05) / 40) * nodes / (nodes - 1)
    assert 0 < off < bound == pytest.approx(error_bound(nodes, 20))
    assert frames["local"][1] == {"betweenness_from": f"20 of {nodes} nodes, error at most {bound:.3g}"} == frames["spark"][1]
    assert error_bound(nodes, nodes) == 0.0


def test_what_cannot_be_had_is_said_and_the_rest_is_there(
    spark: SparkSession, conf: GraphConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two pairs that weigh nearly the same: hubs creep from one to the other for ever.
    edges = [("a", "b", 1.0), ("c", "d", 1.0 - 1e-7), *((f"p{i}", f"p{i + 1}", 0.0) for i in range(40))]
    monkeypatch.setattr("shoal.mine.graph.local_measures.HITS_ROUNDS", 4)
    monkeypatch.setattr("shoal.mine.graph.spark_measures.HITS_ROUNDS", 4)
    monkeypatch.setattr("shoal.mine.graph.spark_measures.CORE_ROUNDS", 4)
    local, said = measure_nodes(oracles.frame(spark, edges), conf, "local", ["coreness", "hits"])
    assert local.columns == ["node_id", "coreness"]
    assert list(said) == ["hits"]
    assert "did not settle" in said["hits"]
    small = conf.model_copy(update={"broadcast_max_edges": len(edges) - 1})
    distributed, said = measure_nodes(oracles.frame(spark, edges), small, "spark", ALL)
    assert distributed.columns == ["node_id", "degree", "triangles", "clustering", "component_size"]
    assert "more than graph.broadcast_max_edges = 41 edges" in said["centrality"]
    assert "did not settle in 4 rounds" in said["coreness"]
    assert set(said) == {"coreness", "hits", "centrality"}


def test_an_h_index_counts_as_many_as_are_as_large() -> None:
    pulls = csr_matrix(np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]))
    assert h_indices(pulls, np.array([5, 3, 3, 0])).tolist() == [3, 0, 2, 0]
