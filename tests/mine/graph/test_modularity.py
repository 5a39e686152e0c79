"""Modularity, conductance and degrees, by hand and against networkx."""

from __future__ import annotations

import networkx as nx
import pytest
from pyspark.sql import SparkSession
from shoal.mine.graph.degrees import degrees
from shoal.mine.graph.edges import clean_edges
from shoal.mine.graph.modularity import modularity, summarise_communities, with_top_members

from tests.mine.graph import oracles

MEMBERS = "node_id string, community_id string"


def test_two_triangles_and_a_bridge_by_hand(spark: SparkSession) -> None:
    """Seven edges of weight 1; each triangle has volume 7 of 14 and one edge out. A third community is a lone loop of weight 0."""
    edges = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0), ("d", "e", 1.0), ("e", "f", 1.0), ("f", "d", 1.0), ("a", "d", 1.0)]
    members = [(n, "x") for n in "abc"] + [(n, "y") for n in "def"] + [("g", "z")]
    table = oracles.frame(spark, [*edges, ("g", "g", 0.0)])
    rows = summarise_communities(table, spark.createDataFrame(members, MEMBERS)).orderBy("community_id").collect()
    x, y, z = (r.asDict() for r in rows)
    total = 2 * (3 / 7 - 0.25)
    assert x == {
        "community_id": "x", "nodes": 3, "internal_edges": 3, "internal_weight": 3.0, "external_weight": 1.0,
        "conductance": pytest.approx(1 / 7), "modularity": pytest.approx(3 / 7 - 0.25), "total_modularity": pytest.approx(total),
    }  # fmt: skip
    assert y == {**x, "community_id": "y"}
    assert (z["nodes"], z["internal_edges"], z["conductance"], z["modularity"]) == (1, 1, None, 0.0)


def test_modularity_is_networkxs_with_weights_and_loops(spark: SparkSession) -> None:
    edges = oracles.zoo()
    graph = oracles.undirected(edges)
    members = [(node, str(sum(map(ord, node)) % 5)) for node in graph]
    parts = [{n for n, c in members if c == label} for label in "01234"]
    ours = modularity(oracles.frame(spark, edges), spark.createDataFrame(members, MEMBERS))
    assert ours == pytest.approx(nx.community.modularity(graph, parts), abs=1e-12)


def test_without_weight_or_without_rows_there_is_no_modularity(spark: SparkSession) -> None:
    members = spark.createDataFrame([("a", "x"), ("b", "x")], MEMBERS)
    assert modularity(oracles.frame(spark, [("a", "b", 0.0)]), members) is None
    assert modularity(oracles.frame(spark, []), members.limit(0)) is None
    whole = summarise_communities(oracles.frame(spark, [("a", "b", 2.0)]), members).collect()[0]
    assert (whole["modularity"], whole["conductance"]) == (0.0, None)


def test_top_members_are_the_best_by_score_then_id(spark: SparkSession) -> None:
    members = spark.createDataFrame([("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("e", "y")], MEMBERS)
    scores = spark.createDataFrame([("c", 2.0), ("b", 3.0), ("a", 2.0)], "node_id string, score double")
    summary = members.select("community_id").distinct()
    rows = with_top_members(summary, members, scores, 3).collect()
    assert {r["community_id"]: r["top_members"] for r in rows} == {"x": ["b", "a", "c"], "y": ["e"]}


def test_degrees_are_networkxs(spark: SparkSession) -> None:
    edges = oracles.zoo()
    graph = oracles.directed(edges)
    rows = degrees(clean_edges(oracles.frame(spark, edges))).collect()
    assert {r["node_id"]: (r["in_degree"], r["out_degree"]) for r in rows} == {
        n: (graph.in_degree(n), graph.out_degree(n)) for n in graph
    }
    others = nx.Graph((src, dst) for src, dst in graph.edges() if src != dst)
    others.add_nodes_from(graph)
    assert {r["node_id"]: r["degree"] for r in rows} == dict(others.degree())
    assert {r["node_id"]: r["in_strength"] for r in rows} == pytest.approx(dict(graph.in_degree(weight="weight")))
    assert {r["node_id"]: r["out_strength"] for r in rows} == pytest.approx(dict(graph.out_degree(weight="weight")))
