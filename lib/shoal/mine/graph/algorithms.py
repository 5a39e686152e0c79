"""The graph algorithms, whichever engine runs them.

Every function takes an edge frame (shoal.mine.graph.edges: src, dst, optionally weight), the graph settings and the name that
`choose_engine` gave, and gives one row a node that any edge names. Results are the same with every engine: labels,
components and counts exactly, ranks within `tolerance`. Parallel edges add their weights. An empty frame gives no rows.
Jobs run when the function is called; the result is materialised. Raises InputError for an edge that shoal.mine.graph.edges
refuses, UsageError where an engine cannot run the graph. docs/adr/0010-graph-semantics.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from shoal.conf.sections import GraphConf
from shoal.errors import UsageError
from shoal.mine.graph import distributed_louvain, graphframes_engine, local_engine, spark_engine

ENGINES = ("local", "spark", "graphframes")


def choose_engine(edges: DataFrame, conf: GraphConf) -> str:
    """The engine that conf.engine names; for `auto`, local up to conf.local_max_edges rows of `edges`, else spark.

    Cost for `auto`: one count that stops at the limit. For `graphframes`, UsageError where the session lacks its classes.
    """
    if conf.engine == "graphframes":
        graphframes_engine.check_classes(edges.sparkSession)
    if conf.engine != "auto":
        return conf.engine
    is_small = edges.limit(conf.local_max_edges + 1).count() <= conf.local_max_edges
    return "local" if is_small else "spark"


def engine_for(edges: DataFrame, conf: GraphConf) -> str | None:
    """`choose_engine`, or None where there is no edge: the count that chooses `auto` answers both."""
    if conf.engine == "auto":
        rows = edges.limit(conf.local_max_edges + 1).count()
        return None if rows == 0 else "local" if rows <= conf.local_max_edges else "spark"
    return None if edges.isEmpty() else choose_engine(edges, conf)


def page_rank(edges: DataFrame, conf: GraphConf, engine: str, seeds: Sequence[str] | None = None) -> DataFrame:
    """`node_id`, `score`: the share of a walker's time at the node; scores sum to 1.

    The walker follows a directed edge with probability conf.damping, in proportion to the edges' weights, and jumps to any
    node else, as it does from a node that no edge leaves. Brin and Page (1998), section 2.1.1. A self loop is an edge like
    any other. With `seeds` (ids, each counts once) the walker jumps to one of them instead, drawn evenly: personalised PageRank
    (Page et al. 1999, section 6), how near a node is to them; UsageError for a seed that no edge names. Rounds go on until the
    scores' distances from the exact ones together are at most conf.tolerance; raises UsageError where conf.max_rounds rounds do
    not reach it.
    """
    if _known(engine) == "local":
        return local_engine.page_rank(edges, conf.damping, conf.tolerance, conf.max_rounds, conf.local_max_edges, seeds)
    if engine == "graphframes" and seeds is None:
        return graphframes_engine.page_rank(edges, conf.damping, conf.tolerance)
    # GraphX walks from one node, without weights.
    return spark_engine.page_rank(edges, conf.damping, conf.tolerance, conf.max_rounds, seeds)


def label_propagation(edges: DataFrame, conf: GraphConf, engine: str) -> DataFrame:
    """`node_id`, `community_id`: a label, which is the id of some node.

    CDLP of LDBC Graphalytics (v1.0, section 2.3.4) on the undirected graph, with weights: every node starts with its own id;
    in each round all nodes at once take the label of greatest summed weight among their neighbours, the smallest by id
    order (shoal.mine.graph.node_index) where sums tie within 1e-9; until nothing changes, or conf.label_propagation_max_iter
    rounds. A self loop is one vote of the node for its own label. Parts of a graph that are nearly bipartite, such as stars, swap
    two labels for ever: there the cap decides which is seen.
    """
    if _known(engine) == "local":
        return local_engine.label_propagation(edges, conf.label_propagation_max_iter, conf.local_max_edges)
    if engine == "graphframes":
        return graphframes_engine.label_propagation(edges, conf.label_propagation_max_iter)
    return spark_engine.label_propagation(edges, conf.label_propagation_max_iter)


def connected_components(edges: DataFrame, conf: GraphConf, engine: str) -> DataFrame:
    """`node_id`, `component_id`: the smallest id, by id order, of those that edges in any direction lead to."""
    if _known(engine) == "local":
        return local_engine.connected_components(edges, conf.local_max_edges)
    return (graphframes_engine if engine == "graphframes" else spark_engine).connected_components(edges)


def triangle_count(edges: DataFrame, conf: GraphConf, engine: str) -> DataFrame:
    """`node_id`, `triangles` (bigint): pairs of neighbours that are neighbours; directions, loops, weights do not matter."""
    if _known(engine) == "local":
        return local_engine.triangle_count(edges, conf.local_max_edges)
    return (graphframes_engine if engine == "graphframes" else spark_engine).triangle_count(edges)


def leiden(edges: DataFrame, conf: GraphConf) -> DataFrame:
    """`node_id`, `community_id`: the smallest id of the community; Leiden on modularity, undirected, with weights.

    Traag, Waltman and van Eck, From Louvain to Leiden (2019), igraph's implementation until nothing changes, seeded by
    conf.seed. Runs on the driver only: UsageError above conf.local_max_edges.
    """
    return local_engine.leiden(edges, conf.seed, conf.local_max_edges)


def louvain(edges: DataFrame, conf: GraphConf, engine: str = "local") -> DataFrame:
    """`node_id`, `community_id`: the smallest id of the community; Louvain on modularity, undirected, with weights.

    Blondel et al., Fast unfolding of communities in large networks (2008). `local` is igraph's implementation on the driver,
    seeded by conf.seed: UsageError above conf.local_max_edges. `spark` moves nodes in halves
    (shoal.mine.graph.distributed_louvain): any size, other communities, modularity within .02 of igraph's. UsageError for
    `graphframes`, which has none.
    """
    if _known(engine) == "local":
        return local_engine.louvain(edges, conf.seed, conf.local_max_edges)
    if engine == "graphframes":
        raise UsageError("graph.engine graphframes: it has no Louvain; use graph.engine=spark, or local")
    return distributed_louvain.louvain(edges, conf.seed)


def find_communities(edges: DataFrame, conf: GraphConf, engine: str) -> tuple[DataFrame, str]:
    """`node_id`, `community_id`, and the method: label propagation where conf.community_method is it; else Leiden with the local
    engine, Louvain with another one. An edge of weight 0 alone leaves its nodes alone."""
    if conf.community_method == "label_propagation":
        return label_propagation(edges, conf, engine), "label_propagation"
    if engine == "local":
        return leiden(edges, conf), "leiden"
    return louvain(edges, conf, "spark"), "louvain"


def _known(engine: str) -> str:
    """`engine`; UsageError where it is none."""
    if engine not in ENGINES:
        raise UsageError(f"graph.engine {engine}: expected one of {', '.join(ENGINES)}")
    return engine
