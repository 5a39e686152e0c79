"""Measures of nodes beside PageRank: coreness, hubs and authorities, clustering, betweenness and closeness.

`shoal.mine.graph.algorithms` says what an edge frame is and which engines there are. Coreness, degree, triangles, clustering,
betweenness and closeness are of the undirected, unweighted, simple graph: directions, weights, parallel edges and self loops do not
matter, and an edge of weight 0 is an edge. Hubs and authorities follow directions and weights. docs/adr/0134 has the reasons.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import GraphConf
from shoal.errors import UsageError
from shoal.mine.graph import local_measures, spark_measures

# What is found together, and the columns it gives.
MEASURES = {
    "coreness": ("coreness",),
    "hits": ("hub", "authority"),
    "clustering": ("degree", "triangles", "clustering"),
    "components": ("component_size",),
    "centrality": ("betweenness", "closeness"),
}
# The chance that the stated error of any node is exceeded.
RISK = 0.05


def measure_nodes(edges: DataFrame, conf: GraphConf, engine: str, names: list[str]) -> tuple[DataFrame, dict[str, str]]:
    """`node_id` and a double for each column of the measures in `names` (MEASURES), one row a node that an edge names; and what
    there is to say: why a measure is missing, under its name.

    coreness: the greatest k such that the node is in a part of the graph where each has k neighbours or more (Seidman 1983).
    hub, authority: Kleinberg, Authoritative sources in a hyperlinked environment (1999), by power iteration from equal hubs, each
    summing to 1; 0 for all where no edge has weight. Missing where shoal.mine.graph.local_measures.HITS_ROUNDS do not settle them.
    degree: different neighbours. triangles: pairs of neighbours that are neighbours; clustering: their share of all pairs, 0
    with fewer than two neighbours (Watts and Strogatz 1998).
    component_size: nodes of the piece that edges in any direction join it to, itself among them.
    betweenness: the share of pairs of other nodes whose shortest path leads through it, 0 to 1 (Freeman 1977; ties share).
    closeness: r / (n - 1) over the mean distance to the r nodes that it reaches, 0 to 1 (Wasserman and Faust 1994; a node in a
    small piece is not close). Both are estimated from conf.pivots nodes drawn by conf.seed (Brandes and Pich, Centrality estimation
    in large networks, 2007), and exact where there are no more nodes. By Hoeffding's bound, for all n nodes together, no
    betweenness is off by more than `error_bound` with 95% certainty; the mean distance behind closeness, in one piece, by no more
    than that times the diameter (Eppstein and Wang 2004).

    Cost: local, one collection (UsageError above conf.local_max_edges) and O(pivots x edges) on the driver. Spark: the index once,
    a shuffle a round for coreness and hits, O(edges^1.5) for triangles, a broadcast of the pairs for centrality, which is missing
    above conf.broadcast_max_edges. engine graphframes has none of them: spark is taken.
    """
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise UsageError(f"graph.measures {unknown[0]}: expected some of {', '.join(MEASURES)}")
    run = local_measures.measure if engine == "local" else spark_measures.measure
    found, nodes, notes = run(edges, conf, names)
    kept = [column for name in MEASURES if name in names and name not in notes for column in MEASURES[name]]
    if not nodes:
        schema = ", ".join(["node_id string", *(f"{column} double" for column in kept)])
        return edges.sparkSession.createDataFrame([], schema), notes
    if "betweenness" in kept:
        pivots = min(conf.pivots, nodes)
        found = with_centrality(found, nodes, pivots)
        bound = error_bound(nodes, pivots)
        notes = {**notes, "betweenness_from": f"{pivots} of {nodes} nodes, error at most {bound:.3g}"}
    return found.select("node_id", *(F.col(column).cast("double").alias(column) for column in kept)), notes


def error_bound(nodes: int, pivots: int) -> float:
    """The error of betweenness from so many pivots that no node exceeds, but for a chance of RISK.

    sqrt(ln(2n / RISK) / 2k) n / (n - 1): a pivot's share of pairs lies in 0 to 1, and Hoeffding (1963), section 6, holds for draws
    without replacement. 0 where all are drawn.
    """
    if pivots >= nodes:
        return 0.0
    return min(math.sqrt(math.log(2 * nodes / RISK) / (2 * pivots)) * nodes / (nodes - 1), 1.0)


def with_centrality(sums: DataFrame, nodes: int, pivots: int) -> DataFrame:
    """`betweenness` and `closeness` from `through`, `reached`, `distance` (shoal.mine.graph.kernels.pivot_sums) and `is_pivot`."""
    pairs = max((nodes - 1) * (nodes - 2), 1) * max(pivots, 1)
    others = F.lit(pivots) - F.col("is_pivot").cast("int")
    close = F.when(F.col("distance") > 0, F.col("reached") * F.col("reached") / (others * F.col("distance"))).otherwise(0.0)
    columns = {"betweenness": 2 * F.col("through") * nodes / pairs, "closeness": close}
    return sums.withColumns({name: _tidy(column) for name, column in columns.items()})


def _tidy(column: Column) -> Column:
    """Rounded, so that sums in another order tie where the definition ties."""
    return F.round(column, 12)


def as_kinds(measured: DataFrame, graph: str) -> DataFrame:
    """`kind` (<graph>_<measure>), `node_id`, `score`: a row for each measure of a node. No shuffle."""
    names = [name for name in measured.columns if name != "node_id"]
    pairs = [F.struct(F.lit(f"{graph}_{name}").alias("kind"), F.col(name).alias("score")) for name in names]
    return measured.select("node_id", F.explode(F.array(*pairs)).alias("one")).select("one.kind", "node_id", "one.score")
