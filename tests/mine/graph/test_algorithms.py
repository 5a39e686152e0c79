"""Every engine against networkx and against the definition, on graphs with everything that goes wrong in graphs."""

from __future__ import annotations

import networkx as nx
import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import GraphConf
from shoal.errors import UsageError
from shoal.mine.graph import algorithms

from tests.mine.graph import oracles

ZOO = oracles.zoo()
# GraphFrames knows no weights and counts loops twice: it gets the zoo without either.
PLAIN = [(a, b, 1.0) for a, b in dict.fromkeys((a, b) for a, b, w in ZOO if w and a != b)]


def given(engine: str) -> list[oracles.Edge]:
    return PLAIN if engine == "graphframes" else ZOO


def test_page_rank_is_networkxs(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    edges = given(engine)
    scores = oracles.values(algorithms.page_rank(oracles.frame(spark, edges), conf, engine))
    assert sum(scores.values()) == pytest.approx(1.0, abs=1e-9)
    assert scores == pytest.approx(oracles.page_rank(edges), abs=1e-6)


def test_personalised_page_rank_is_networkxs(
    spark: SparkSession, conf: GraphConf, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.mine.graph.blocks.FEWEST_ENTRIES", 10)  # two blocks on the suite's two cores
    nodes = sorted({node for a, b, _ in ZOO for node in (a, b)})
    seeds = [nodes[0], nodes[-1], nodes[0]]
    found = oracles.values(algorithms.page_rank(oracles.frame(spark, ZOO), conf, engine, seeds))
    jumps = dict.fromkeys(seeds, 0.5)
    wanted = nx.pagerank(oracles.directed(ZOO), alpha=0.85, personalization=jumps, tol=1e-15, max_iter=5000)
    assert found == pytest.approx(wanted, abs=1e-6)
    # Somebody is out of the seeds' reach, and everybody's share is theirs.
    assert min(found.values()) == 0 and sum(found.values()) == pytest.approx(1.0, abs=1e-9)
    with pytest.raises(UsageError, match="no edge names the seed nobody"):
        algorithms.page_rank(oracles.frame(spark, ZOO), conf, engine, ["nobody"])


def test_label_propagation_is_the_definition(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    edges = given(engine)
    labels = oracles.values(algorithms.label_propagation(oracles.frame(spark, edges), conf, engine))
    assert labels == oracles.label_propagation(edges, conf.label_propagation_max_iter, str)


def test_integer_ids_break_ties_by_number(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    edges = [(str(int(a[1:]) - 3), str(int(b[1:]) - 3), w) for a, b, w in given(engine)]  # from -3 on
    labels = oracles.values(algorithms.label_propagation(oracles.frame(spark, edges), conf, engine))
    assert labels == oracles.label_propagation(edges, conf.label_propagation_max_iter, int)
    assert labels != oracles.label_propagation(edges, conf.label_propagation_max_iter, str)


def test_components_are_networkxs_named_by_their_first_node(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    edges = given(engine)
    found = oracles.values(algorithms.connected_components(oracles.frame(spark, edges), conf, engine))
    parts = nx.connected_components(oracles.undirected(edges))
    assert found == {node: min(part) for part in parts for node in part}


def test_triangles_are_networkxs(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    found = oracles.values(algorithms.triangle_count(oracles.frame(spark, given(engine)), conf, engine))
    graph = oracles.undirected(given(engine))
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    assert found == nx.triangles(graph)
    assert max(found.values()) > 5


@pytest.mark.parametrize("rounds", [2, 7])
def test_a_star_swaps_its_labels_until_the_cap(spark: SparkSession, conf: GraphConf, rounds: int) -> None:
    """The middle and its leaves exchange labels for ever; both engines stop as if they had run all rounds."""
    star = [("a", leaf, 1.0) for leaf in "bcd"]
    capped = conf.model_copy(update={"label_propagation_max_iter": rounds})
    expected = {"a": "b", "b": "a", "c": "a", "d": "a"} if rounds % 2 else {"a": "a", "b": "b", "c": "b", "d": "b"}
    assert oracles.label_propagation(star, rounds, str) == expected
    for engine in ("local", "spark"):
        assert oracles.values(algorithms.label_propagation(oracles.frame(spark, star), capped, engine)) == expected


def test_tenths_tie_with_their_sum(spark: SparkSession, conf: GraphConf) -> None:
    """0.1 + 0.2 is 0.30000000000000004 to a computer; x must take the smaller label a, not b's heavier last bit."""
    edges = [
        ("x", "p", 0.1),
        ("x", "q", 0.2),
        ("x", "a", 0.3),
        ("p", "q", 9.0),
        ("p", "z", 90.0),
        ("q", "z", 90.0),
        ("a", "a", 99.0),
    ]
    expected = oracles.label_propagation(edges, 50, str)
    assert expected["x"] == "a"
    for engine in ("local", "spark"):
        assert oracles.values(algorithms.label_propagation(oracles.frame(spark, edges), conf, engine)) == expected


def test_no_edge_gives_no_row_and_one_node_gives_one(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    nothing, loop = oracles.frame(spark, []), oracles.frame(spark, [("only", "only", 2.0)])
    for algorithm, alone in (
        (algorithms.page_rank, pytest.approx(1.0)),
        (algorithms.label_propagation, "only"),
        (algorithms.connected_components, "only"),
        (algorithms.triangle_count, 0),
    ):
        if engine == "graphframes":
            continue
        assert algorithm(nothing, conf, engine).collect() == []
        assert oracles.values(algorithm(loop, conf, engine)) == {"only": alone}


def test_seeded_graphs_agree_one_by_one(spark: SparkSession, conf: GraphConf) -> None:
    """More graphs for the engine that is quick on small ones; the zoo above shows that the other is equal."""
    for seed in range(6):
        edges = oracles.random_edges(seed, 5 + 6 * seed, 12 + 20 * seed, str)
        table = oracles.frame(spark, edges)
        assert oracles.values(algorithms.page_rank(table, conf, "local")) == pytest.approx(oracles.page_rank(edges), abs=1e-6)
        labels = oracles.values(algorithms.label_propagation(table, conf, "local"))
        assert labels == oracles.label_propagation(edges, conf.label_propagation_max_iter, int)


def test_engines_agree_on_a_graph_of_several_blocks_and_partitions(
    spark: SparkSession, conf: GraphConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.mine.graph.blocks.FEWEST_ENTRIES", 1000)  # two blocks on the suite's two cores
    edges = oracles.random_edges(9, 3000, 9000, str)
    table = oracles.frame(spark, edges).repartition(5)
    ours = {engine: oracles.values(algorithms.page_rank(table, conf, engine)) for engine in ("local", "spark")}
    assert ours["spark"] == pytest.approx(ours["local"], abs=2 * conf.tolerance)
    labels = [oracles.values(algorithms.label_propagation(table, conf, engine)) for engine in ("local", "spark")]
    assert labels[0] == labels[1]


def test_too_few_rounds_is_an_error_that_says_what_to_raise(spark: SparkSession, conf: GraphConf) -> None:
    short = conf.model_copy(update={"max_rounds": 3})
    for engine in ("local", "spark"):
        with pytest.raises(UsageError, match=r"after 3 rounds the ranks may be off by .*raise graph\.max_rounds"):
            algorithms.page_rank(oracles.frame(spark, ZOO), short, engine)


def test_auto_is_local_up_to_the_limit_and_local_refuses_more(spark: SparkSession, conf: GraphConf) -> None:
    table = oracles.frame(spark, ZOO)
    at_limit, below = (conf.model_copy(update={"local_max_edges": len(ZOO) - less}) for less in (0, 1))
    assert algorithms.choose_engine(table, at_limit) == "local"
    assert algorithms.choose_engine(table, below) == "spark"
    assert algorithms.choose_engine(table, below.model_copy(update={"engine": "local"})) == "local"
    for run in (algorithms.leiden, algorithms.louvain):
        with pytest.raises(UsageError, match="more than graph.local_max_edges"):
            run(table, below)
    with pytest.raises(UsageError, match="more than graph.local_max_edges"):
        algorithms.page_rank(table, below, "local")


def test_an_unknown_engine_is_named(spark: SparkSession, conf: GraphConf) -> None:
    with pytest.raises(UsageError, match="graph.engine networkx: expected one of local, spark, graphframes"):
        algorithms.page_rank(oracles.frame(spark, ZOO), conf, "networkx")


def test_graphframes_without_its_classes_says_what_to_do(spark: SparkSession, conf: GraphConf) -> None:
    if spark.conf.get("spark.jars", "") or spark.conf.get("spark.jars.packages", ""):
        pytest.skip("this session was given jars of its own")
    with pytest.raises(UsageError, match=r"no GraphFrames classes; give the jar by --set spark\.jars=FILE\.jar") as error:
        algorithms.choose_engine(oracles.frame(spark, ZOO), conf.model_copy(update={"engine": "graphframes"}))
    assert "\n" not in str(error.value)


def test_leiden_and_louvain_find_planted_cliques_and_repeat(spark: SparkSession, conf: GraphConf) -> None:
    cliques = [(f"{c}{i}", f"{c}{j}", 1.0) for c in "abc" for i in range(6) for j in range(i)]
    table = oracles.frame(spark, [*cliques, ("a0", "b0", 1.0), ("b1", "c1", 1.0), ("c2", "a2", 0.0)])
    planted = {f"{c}{i}": f"{c}0" for c in "abc" for i in range(6)}
    for run in (algorithms.leiden, algorithms.louvain):
        assert oracles.values(run(table, conf)) == planted
        assert oracles.values(run(table, conf)) == planted
