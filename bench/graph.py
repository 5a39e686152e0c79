"""Graph: agreement with networkx and with the true classes on three small graphs, and seconds on a larger one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.mine.graph import algorithms
from shoal.mine.graph.edges import with_reverse
from sklearn.metrics import normalized_mutual_info_score

GRAPHS = Path(__file__).resolve().parents[2] / "shared" / "data" / "graphs"


def seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """How long `action` takes, and what it gives."""
    start = time.perf_counter()
    given = action()
    return time.perf_counter() - start, given


def values(result: DataFrame) -> dict[str, Any]:
    """Node to value."""
    return {row[0]: row[1] for row in result.collect()}


def partition(labels: dict[str, Any]) -> set[frozenset[str]]:
    """The sets of nodes that share a label."""
    parts: dict[Any, set[str]] = {}
    for node, label in labels.items():
        parts.setdefault(label, set()).add(node)
    return {frozenset(part) for part in parts.values()}


def small(spark: SparkSession, name: str) -> list[dict[str, Any]]:
    """Ranks beside networkx for both engines; NMI with the true classes beside networkx's Louvain of one seed."""
    conf = load().graph
    graph = nx.relabel_nodes(nx.read_gml(GRAPHS / "community" / f"{name}.gml", label="id"), str)
    truth = {node: facts["gt"] for node, facts in graph.nodes(data=True)}
    edges = spark.createDataFrame(list(graph.edges()), "src string, dst string").selectExpr("*", "1.0D as weight").persist()
    exact = nx.pagerank(graph, tol=1e-15, max_iter=5000)
    rows = []
    labels = {}
    for engine in ("local", "spark"):
        ranks = values(algorithms.page_rank(with_reverse(edges), conf, engine))
        off = max(abs(ranks[node] - rank) for node, rank in exact.items())
        rows.append({"what": f"PageRank, {name}, {engine}", "ours": off, "peer": 0.0, "unit": "largest difference to networkx",
                     "target": "at most 1e-6"})  # fmt: skip
        labels[engine] = values(algorithms.label_propagation(edges, conf, engine))
    same = partition(labels["local"]) == partition(labels["spark"])
    louvain = {n: i for i, part in enumerate(nx.community.louvain_communities(graph, seed=1)) for n in part}

    def nmi(found: dict[str, Any]) -> float:
        return float(normalized_mutual_info_score([truth[n] for n in graph], [found[n] for n in graph]))

    ours = {"label propagation": labels["local"], "leiden": values(algorithms.leiden(edges, conf))}
    for method, found in ours.items():
        note = f"both engines {'agree' if same else 'DIFFER'}" if method == "label propagation" else ""
        mine, peer = nmi(found), nmi(louvain)
        rows.append({"what": f"{method}, {name}", "ours": mine, "peer": peer, "ratio": mine / peer,
                     "unit": "NMI with the true classes",
                     "note": f"peer: networkx Louvain, seed 1; {note}".rstrip("; ")})  # fmt: skip
    edges.unpersist()
    return rows


def speed(spark: SparkSession) -> list[dict[str, Any]]:
    """Seconds on git_web_ml for both engines beside networkx's PageRank, to the same tolerance."""
    conf = load().graph
    path = GRAPHS / "rozemberczki" / "git_web_ml" / "git_edges.csv"
    listed = spark.read.csv(str(path), header=True).selectExpr("id_1 as src", "id_2 as dst", "1.0D as weight")
    edges = with_reverse(listed).persist()
    edges.count()
    graph = nx.DiGraph((row["src"], row["dst"]) for row in edges.toLocalIterator())
    # networkx stops at a summed change of n * tol; ours bounds the summed error, change * d / (1 - d).
    tolerance = conf.tolerance * (1 - conf.damping) / conf.damping / graph.number_of_nodes()
    peer, _ = seconds(lambda: nx.pagerank(graph, alpha=conf.damping, tol=tolerance, max_iter=500))
    rows = []
    for engine in ("local", "spark"):
        ours, _ = seconds(lambda e=engine: algorithms.page_rank(edges, conf, e).count())
        rows.append({"what": f"PageRank, git_web_ml, {engine}", "ours": ours, "peer": peer, "unit": "seconds", "ratio": ours / peer,
                     "note": "ours from an edge frame, ids included; networkx's graph is made already"})  # fmt: skip
    local, _ = seconds(lambda: algorithms.label_propagation(edges, conf, "local").count())
    ours, _ = seconds(lambda: algorithms.label_propagation(edges, conf, "spark").count())
    rows.append({"what": "label propagation, git_web_ml, spark", "ours": ours, "peer": local, "ratio": ours / local,
                 "unit": "seconds", "note": "peer: our local engine"})  # fmt: skip
    return rows


NODES, EDGES, ROUNDS = 100_000, 1_000_000, 5


def graphx(spark: SparkSession, edges: DataFrame) -> tuple[Any, Any]:
    """GraphX's graph of `edges` on numbers, as GraphFrames makes it once it has numbered the ids, and the tag of its values."""
    jvm: Any = spark._jvm
    scala_long = jvm.org.apache.spark.sql.Encoders.scalaLong()
    numbers = edges.select(*(F.substring(end, 2, 20).cast("bigint").alias(end) for end in ("src", "dst")))
    pairs = getattr(numbers._jdf, "as")(jvm.org.apache.spark.sql.Encoders.tuple(scala_long, scala_long)).rdd()
    tag = getattr(getattr(jvm.scala.reflect, "ClassTag$"), "MODULE$").Int()
    level = jvm.org.apache.spark.storage.StorageLevel.MEMORY_AND_DISK()
    made = getattr(getattr(jvm.org.apache.spark.graphx, "Graph$"), "MODULE$")
    return made.fromEdgeTuples(pairs, 1, jvm.scala.Option.empty(), level, level, tag), tag


def beside_graphx(spark: SparkSession) -> list[dict[str, Any]]:
    """Seconds of PageRank and of ROUNDS rounds of labels on a graph whose in-degrees are skewed, set-up included, the second of two
    runs: ours from string ids, PageRank to conf.tolerance; GraphX's from numbers, PageRank in ten rounds."""
    conf = load().graph
    draws = [F.pmod(F.xxhash64("id", F.lit(seed)), F.lit(1_000_003)) / 1_000_003 for seed in (1, 2)]
    ends = [F.concat(F.lit("u"), F.floor(draw * NODES).cast("string")) for draw in (draws[0], draws[1] * draws[1])]
    edges = spark.range(EDGES).select(ends[0].alias("src"), ends[1].alias("dst"), F.lit(1.0).alias("weight")).persist()
    edges.count()
    jvm: Any = spark._jvm
    lib, rounds = jvm.org.apache.spark.graphx.lib, conf.model_copy(update={"label_propagation_max_iter": ROUNDS})

    def graphx_ranks() -> None:
        graph, tag = graphx(spark, edges)
        getattr(getattr(lib, "PageRank$"), "MODULE$").run(graph, 10, 1 - conf.damping, tag, tag).vertices().count()

    def graphx_labels() -> None:
        graph, tag = graphx(spark, edges)
        getattr(getattr(lib, "LabelPropagation$"), "MODULE$").run(graph, ROUNDS, tag).vertices().count()

    pairs: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        (f"PageRank, {EDGES:,} edges", lambda: algorithms.page_rank(edges, conf, "spark").count(), graphx_ranks),
        (f"labels, {ROUNDS} rounds", lambda: algorithms.label_propagation(edges, rounds, "spark").count(), graphx_labels),
    ]
    rows = []
    for what, ours, peer in pairs:
        taken = [(seconds(ours)[0], seconds(peer)[0]) for _ in range(2)][-1]
        rows.append({"what": what, "ours": taken[0], "peer": taken[1], "ratio": taken[0] / taken[1], "unit": "seconds",
                     "target": "at most 0.5 of GraphFrames",
                     "note": "peer: GraphX on numbers; ours from ids, to the tolerance"})  # fmt: skip
    return rows


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """All rows. Raises where the graphs are not there."""
    if not GRAPHS.is_dir():
        raise FileNotFoundError(f"no sample graphs at {GRAPHS}")
    return [row for name in ("football", "polbooks", "karate") for row in small(spark, name)] + speed(spark) + beside_graphx(spark)
