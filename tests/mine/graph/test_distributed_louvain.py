"""Louvain in Spark: planted cliques exactly, real graphs near igraph's modularity."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import GraphConf
from shoal.errors import UsageError
from shoal.mine.graph import algorithms
from shoal.mine.graph.modularity import modularity

from tests.mine.graph import oracles


@pytest.mark.slow
def test_planted_cliques_and_everything_that_may_stand_in_an_edge_list(spark: SparkSession, conf: GraphConf) -> None:
    """Three cliques and weak ties; a self loop, an edge given twice and both ways, a pair apart, a node whose edge weighs 0."""
    cliques = [(f"{c}{i}", f"{c}{j}", 1.0) for c in "abc" for i in range(6) for j in range(i)]
    odd = [("a0", "a0", 2.0), ("a1", "a0", 1.0), ("a0", "a1", 1.0), ("x", "y", 1.0), ("z", "a0", 0.0)]
    ties = [("a0", "b0", 0.5), ("b1", "c1", 0.5)]
    found = oracles.values(algorithms.louvain(oracles.frame(spark, [*cliques, *odd, *ties]), conf, "spark"))
    assert found == {**{f"{c}{i}": f"{c}0" for c in "abc" for i in range(6)}, "x": "x", "y": "x", "z": "z"}


@pytest.mark.slow
def test_modularity_is_within_two_hundredths_of_igraphs(spark: SparkSession, conf: GraphConf, data: Path) -> None:
    graph = nx.read_gml(data / "graphs" / "community" / "football.gml", label="id")
    table = oracles.frame(spark, [(str(a), str(b), 1.0) for a, b in graph.edges()]).persist()
    found = {engine: algorithms.louvain(table, conf, engine) for engine in ("spark", "local")}
    ours, theirs = (modularity(table, found[engine]) for engine in ("spark", "local"))
    assert ours is not None and theirs is not None and ours >= theirs - 0.02
    assert oracles.values(algorithms.louvain(table, conf, "spark")) == oracles.values(found["spark"])


def test_no_edge_no_weight_and_no_engine(spark: SparkSession, conf: GraphConf) -> None:
    assert oracles.values(algorithms.louvain(oracles.frame(spark, []), conf, "spark")) == {}
    assert oracles.values(algorithms.louvain(oracles.frame(spark, [("a", "b", 0.0)]), conf, "spark")) == {"a": "a", "b": "b"}
    with pytest.raises(UsageError, match="graph.engine graphframes: it has no Louvain"):
        algorithms.louvain(oracles.frame(spark, []), conf, "graphframes")
