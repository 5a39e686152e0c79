"""The GraphFrames engine: for sessions that have its JVM classes, such as Databricks ML runtimes.

Every function takes an edge frame (shoal.mine.graph.edges), puts it on node indices, so that ids are compared as the other engines
compare them, and gives a materialised frame. GraphFrames 0.12 knows no weights: graphs whose edges differ in weight are
refused for the weighted algorithms. Its GraphX-backed calls leave cached RDDs behind, which Spark frees in its own time.
"""

from __future__ import annotations

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.mine.graph.edges import as_undirected
from shoal.mine.graph.node_index import IndexedGraph, index_graph, named, with_names_of

_JVM_CLASS = "org.graphframes.GraphFramePythonAPI"


def check_classes(spark: SparkSession) -> None:
    """Raise UsageError, saying what to do, where the session has no GraphFrames classes."""
    loader = spark._jvm.Thread.currentThread().getContextClassLoader()
    try:
        loader.loadClass(_JVM_CLASS)
    except Py4JJavaError:
        raise UsageError(
            "graph.engine graphframes: this session has no GraphFrames classes; give the jar by --set spark.jars=FILE.jar "
            "(or spark.jars.packages where it can be resolved) when the session starts, or use graph.engine=spark"
        ) from None


def page_rank(edges: DataFrame, damping: float, tolerance: float) -> DataFrame:
    """`node_id`, `score`: see shoal.mine.graph.algorithms.page_rank. No cap on rounds: GraphX runs until its tolerance.

    GraphX lets the sinks' mass go. The ranks with that mass spread evenly are the same up to a factor, because both solve
    one linear system with right-hand sides that are constant over nodes; so they are divided by their sum.
    """
    graph = _graph(edges)
    if not graph.node_count:
        return named(graph, graph.nodes.select("node", F.lit(0.0).alias("value")), "score")
    # GraphX stops a node's messages below `tol` on ranks that average 1; what is held back adds up to tol / (1 - damping).
    ranks = _frame(graph, graph.edges).pageRank(resetProbability=1 - damping, tol=tolerance * (1 - damping) / 2).vertices
    total = ranks.agg(F.sum("pagerank").alias("total"))
    share = (F.col("pagerank") / F.col("total")).alias("value")
    return named(graph, ranks.crossJoin(F.broadcast(total)).select(F.col("id").alias("node"), share), "score")


def label_propagation(edges: DataFrame, max_rounds: int) -> DataFrame:
    """`node_id`, `community_id`: see shoal.mine.graph.algorithms.label_propagation. Always runs max_rounds rounds."""
    graph = _graph(edges)
    if not graph.node_count:
        return with_names_of(graph, graph.nodes.select("node", F.col("node").alias("value")), "community_id")
    if graph.edges.where("src = dst").limit(1).count():
        graph.release()
        raise UsageError("graph.engine graphframes: its label propagation counts a self loop twice; use graph.engine=spark")
    labels = _frame(graph, graph.edges).labelPropagation(maxIter=max_rounds, algorithm="graphx")
    return with_names_of(graph, labels.select(F.col("id").alias("node"), F.col("label").alias("value")), "community_id")


def connected_components(edges: DataFrame) -> DataFrame:
    """`node_id`, `component_id`: see shoal.mine.graph.algorithms.connected_components."""
    graph = index_graph(edges)
    found = _frame(graph, graph.edges).connectedComponents(algorithm="graphx").select(F.col("id").alias("node"), "component")
    first = found.groupBy("component").agg(F.min("node").alias("value"))
    return with_names_of(graph, found.join(first, "component").select("node", "value"), "component_id")


def triangle_count(edges: DataFrame) -> DataFrame:
    """`node_id`, `triangles`: see shoal.mine.graph.algorithms.triangle_count."""
    graph = index_graph(edges)
    simple = as_undirected(graph.edges).where("src <> dst")
    counts = _frame(graph, simple).triangleCount(StorageLevel.MEMORY_AND_DISK)
    return named(graph, counts.select(F.col("id").alias("node"), F.col("count").alias("value")), "triangles")


def _graph(edges: DataFrame) -> IndexedGraph:
    """The graph with one edge a directed pair, all of one weight; UsageError where weights differ.

    Pairs of weight 0 carry nothing, and GraphFrames would take them as all others: they go, their nodes stay.
    """
    graph = index_graph(edges)
    pairs = graph.edges.groupBy("src", "dst").agg(F.sum("weight").alias("weight")).where("weight > 0").persist()
    weights = pairs.agg(F.min("weight").alias("low"), F.max("weight").alias("high")).first()
    graph.edges.unpersist()
    single = IndexedGraph(graph.nodes, pairs, graph.node_count, graph.edge_count)
    if weights is not None and weights["low"] is not None and weights["low"] != weights["high"]:
        single.release()
        raise UsageError(
            "graph.engine graphframes: GraphFrames ignores weights, and the weights of these edges (parallel ones added up) "
            f"run from {weights['low']:g} to {weights['high']:g}; use graph.engine=spark"
        )
    return single


def _frame(graph: IndexedGraph, edges: DataFrame) -> Any:
    """The GraphFrame."""
    from graphframes import GraphFrame

    return GraphFrame(graph.nodes.select(F.col("node").alias("id")), edges.select("src", "dst"))
