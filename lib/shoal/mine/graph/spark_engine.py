"""The embedded engine: distributed, weighted, any size; needs nothing but Spark, numpy and scipy.

Every function takes an edge frame (shoal.mine.graph.edges), runs its jobs at once and gives a materialised frame. What it holds:
the nodes and edges once on indices, and the algorithm's blocks; all of it freed before it returns.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError
from shoal.mine.graph.blocks import (
    Block,
    Blocks,
    Outcome,
    Program,
    State,
    Step,
    block_count,
    build_blocks,
    run_rounds,
    state_values,
)
from shoal.mine.graph.edges import as_undirected, with_reverse
from shoal.mine.graph.kernels import heaviest_labels, rank_error, shifted_ranks
from shoal.mine.graph.node_index import IndexedGraph, index_graph, named, to_every_task, with_names_of
from shoal.spark.checkpoints import cut_lineage, release


def page_rank(
    edges: DataFrame, damping: float, tolerance: float, max_rounds: int, seeds: Sequence[str] | None = None
) -> DataFrame:
    """`node_id`, `score`: see shoal.mine.graph.algorithms.page_rank. About 0.1-0.2 s a round for a million edges on 2 cores."""
    graph = index_graph(edges)
    if seeds is not None:
        held = {row["node_id"]: row["node"] for row in graph.nodes.where(F.col("node_id").isin(*seeds)).limit(len(seeds)).collect()}
        refuse_unknown_seeds(seeds, held)
    if not graph.node_count:
        return named(graph, graph.nodes.select("node", F.lit(0.0).alias("value")), "score")
    moving = graph.edges.where("weight > 0")
    strength = moving.groupBy("src").agg(F.sum("weight").alias("strength"))
    entries = moving.join(to_every_task(strength, graph.node_count), "src").select(
        F.col("dst").alias("row"), F.col("src").alias("col"), (F.col("weight") / F.col("strength")).alias("value")
    )
    blocks = _build(graph, entries, graph.edge_count)
    program = rank_program(damping, graph.node_count) if seeds is None else personalised_program(damping, sorted(held.values()))
    enough = tolerance * (1 - damping) / damping if damping else float("inf")
    outcome = run_rounds(blocks, program, max_rounds + 1, lambda change, _: rank_error(change, damping) <= tolerance, enough)
    error = rank_error(outcome.change, damping)
    if error > tolerance:
        graph.release()
        free(blocks, outcome)
        raise not_converged(error, tolerance, max_rounds)
    result = named(graph, state_values(blocks, outcome, 1, "double"), "score")
    free(blocks, outcome)
    return result


def refuse_unknown_seeds(seeds: Sequence[str], known: Container[str]) -> None:
    """Raise UsageError, one line, for no seed, and for one that is no node."""
    if not seeds:
        raise UsageError("personalised PageRank: no seed; expected ids of nodes")
    for seed in seeds:
        if seed not in known:
            raise UsageError(f"personalised PageRank: no edge names the seed {seed}")


def not_converged(error: float, tolerance: float, max_rounds: int) -> UsageError:
    """The error of a PageRank that used up its rounds."""
    return UsageError(
        f"PageRank: after {max_rounds} rounds the ranks may be off by {error:.1e}, more than {tolerance:.1e}; "
        "raise graph.max_rounds or graph.tolerance"
    )


def rank_program(damping: float, node_count: int) -> Program:
    """PageRank. State row 0: the mass pulled in this round; row 1: the ranks that it was pulled from.

    Ranks follow from the pulled mass and its total over all blocks, so a round needs no second exchange for the sinks.
    """

    def start(number: int, size: int, blocks: int) -> State:
        # A pulled mass of 1/n a node gives the uniform ranks that the first round pulls from; before them there are none.
        return np.stack([np.full(size, 1.0 / node_count), np.full(size, np.inf)])

    def advance(block: Block, inbox: State, total: float, state: State) -> Step:
        ranks = shifted_ranks(state[0], total, damping, 1.0 / node_count)
        pulled = block.matrix @ shifted_ranks(inbox, total, damping, 1.0 / node_count)
        return Step(np.stack([pulled, ranks]), float(np.abs(ranks - state[1]).sum()), 0.0)

    return Program(start, advance)


def personalised_program(damping: float, seeds: Sequence[int]) -> Program:
    """PageRank whose walker jumps to `seeds` (node indices) only. State row 0: the mass pulled in this round; row 1: the ranks that
    it was pulled from; row 2: the own seeds' shares; row 3: what is pulled from all seeds' shares.

    Ranks are damping * pulled + missing * shares, so what is pulled from them is the same sum of what is pulled from both: row 3
    never changes after the first round, and neighbours send what they pulled alone.
    """
    share = 1.0 / len(seeds)

    def start(number: int, size: int, blocks: int) -> State:
        own = number + blocks * np.arange(size, dtype=np.int64)
        shares = np.where(np.isin(own, seeds), share, 0.0)
        return np.stack([shares, np.full(size, np.inf), shares, np.full(size, np.nan)])

    def advance(block: Block, inbox: State, total: float, state: State) -> Step:
        pulled, before, shares, from_shares = state
        arrived = block.matrix @ inbox
        if np.isinf(before).all():
            # The first round pulls from the shares themselves.
            return Step(np.stack([arrived, shares, shares, arrived]), np.inf, 0.0)
        missing = 1.0 - damping * total
        ranks = shifted_ranks(pulled, total, damping, shares)
        moved = damping * arrived + missing * from_shares
        return Step(np.stack([moved, ranks, shares, from_shares]), float(np.abs(ranks - before).sum()), 0.0)

    return Program(start, advance)


def label_propagation(edges: DataFrame, max_rounds: int) -> DataFrame:
    """`node_id`, `community_id`: see shoal.mine.graph.algorithms.label_propagation. About 0.4 s a round for a million edges."""
    graph = index_graph(edges)
    if not graph.node_count:
        return with_names_of(graph, graph.nodes.select("node", F.col("node").alias("value")), "community_id")
    both = with_reverse(graph.edges.where("weight > 0"))
    entries = both.select(F.col("dst").alias("row"), F.col("src").alias("col"), F.col("weight").alias("value"))
    blocks = _build(graph, entries, 2 * graph.edge_count)
    program = label_program()
    outcome = run_rounds(blocks, program, max_rounds, lambda change, cycle: change == 0 or cycle == 0)
    # Labels that come back every second round will do so for ever: which of the two stands at the cap is known already.
    row = 1 if outcome.change and not outcome.cycle and (max_rounds - outcome.rounds) % 2 else 0
    result = with_names_of(graph, state_values(blocks, outcome, row, "bigint"), "community_id")
    free(blocks, outcome)
    return result


def label_program() -> Program:
    """Label propagation. State row 0: the labels; row 1: those of the round before."""

    def start(number: int, size: int, blocks: int) -> State:
        own = number + blocks * np.arange(size, dtype=np.int64)
        return np.stack([own, np.full(size, -1, np.int64)])

    def advance(block: Block, inbox: State, total: float, state: State) -> Step:
        labels = heaviest_labels(block.matrix, inbox, state[0])
        change, cycle = (float(np.count_nonzero(labels != old)) for old in state)
        return Step(np.stack([labels, state[0]]), change, cycle)

    return Program(start, advance)


def connected_components(edges: DataFrame) -> DataFrame:
    """`node_id`, `component_id`: see shoal.mine.graph.algorithms.connected_components.

    Large-star and small-star in turn, which end after about the squared logarithm of the node count, whatever the
    diameter: Kiveris et al., Connected Components in MapReduce and Beyond (2014), section 3. Two shuffles a star.
    """
    graph = index_graph(edges)
    roots = component_roots(graph)
    result = with_names_of(graph, roots, "component_id")
    release(roots)
    return result


def component_roots(graph: IndexedGraph) -> DataFrame:
    """`node`, `value`: the least index of the node's component. Materialised."""
    falling = graph.edges.select(F.greatest("src", "dst").alias("u"), F.least("src", "dst").alias("v"))
    pairs = cut_lineage(falling.where("u <> v"))
    before = None
    while True:
        both = pairs.unionByName(pairs.select(F.col("v").alias("u"), F.col("u").alias("v")))
        least = both.groupBy("u").agg(F.least(F.min("v"), F.col("u")).alias("m"))
        large = both.where("v > u").join(least, "u").select(F.col("v").alias("u"), F.col("m").alias("v")).distinct()
        least = large.groupBy("u").agg(F.min("v").alias("m"))
        small = large.join(least, "u").select(F.explode(F.array("u", "v")).alias("u"), F.col("m").alias("v"))
        stars = cut_lineage(small.where("u <> v").distinct())
        release(pairs)
        pairs = stars
        facts = pairs.agg(F.count("*"), F.sum(F.xxhash64("u", "v").cast("decimal(38,0)"))).first()
        if facts == before:
            break
        before = facts
    roots = graph.nodes.join(pairs.select(F.col("u").alias("node"), "v"), "node", "left")
    result = cut_lineage(roots.select("node", F.coalesce("v", "node").alias("value")))
    release(pairs)
    return result


def triangle_count(edges: DataFrame) -> DataFrame:
    """`node_id`, `triangles`: see shoal.mine.graph.algorithms.triangle_count.

    Every edge points from the node of smaller degree to the larger, so no list of neighbours is longer than the square
    root of twice the edges; an edge's triangles are what its two ends' lists share: Latapy, Main-memory triangle
    computations (2008), section 3. Cost: at most edges to the power 1.5.
    """
    graph = index_graph(edges)
    pairs = as_undirected(graph.edges).where("src <> dst").select("src", "dst").persist()
    oriented = oriented_pairs(pairs, degrees_of(pairs)).persist()
    counts = triangles_of(oriented)
    full = graph.nodes.join(counts, "node", "left").select("node", F.coalesce("triangles", F.lit(0)).alias("value"))
    result = named(graph, full, "triangles")
    oriented.unpersist()
    pairs.unpersist()
    return result


def degrees_of(pairs: DataFrame) -> DataFrame:
    """`node`, `degree` of undirected `pairs` (src, dst; a pair once, no loop). One shuffle."""
    return pairs.select(F.explode(F.array("src", "dst")).alias("node")).groupBy("node").agg(F.count("*").alias("degree"))


def oriented_pairs(pairs: DataFrame, degree: DataFrame) -> DataFrame:
    """`u`, `v`: each pair from its end of smaller degree (`degrees_of`, ties by index) to the larger. Lazy, two joins."""
    ranked = pairs.join(degree.toDF("src", "src_degree"), "src").join(degree.toDF("dst", "dst_degree"), "dst")
    src, dst = (F.struct(F.col(f"{end}_degree").alias("degree"), F.col(end).alias("node")) for end in ("src", "dst"))
    ends = F.array_sort(F.array(src, dst))
    return ranked.select(ends[0]["node"].alias("u"), ends[1]["node"].alias("v"))


def triangles_of(oriented: DataFrame) -> DataFrame:
    """`node`, `triangles` of the nodes that are in any: see triangle_count. Lazy; reads `oriented_pairs` three times."""
    lists = oriented.groupBy("u").agg(F.collect_list("v").alias("list"))
    shared = (
        oriented.join(lists, "u")
        .join(lists.toDF("v", "other"), "v")
        .select("u", "v", F.array_intersect("list", "other").alias("w"))
        .where(F.size("w") > 0)
    )
    corners = shared.select(
        F.explode(F.concat(F.transform("w", lambda node: F.struct(node.alias("node"), F.lit(1).alias("n"))),
                           F.array(*(F.struct(F.col(end).alias("node"), F.size("w").alias("n")) for end in ("u", "v"))))).alias("c")
    )  # fmt: skip
    return corners.groupBy("c.node").agg(F.sum("c.n").alias("triangles"))


def _build(graph: IndexedGraph, entries: DataFrame, entry_count: int) -> Blocks:
    """Blocks of the entries; the graph's edges are not needed any more and are freed."""
    blocks = build_blocks(entries, graph.node_count, block_count(entries.sparkSession, entry_count))
    graph.edges.unpersist()
    return blocks


def free(blocks: Blocks, outcome: Outcome) -> None:
    """Free what the rounds kept."""
    blocks.structure.unpersist()
    outcome.records.unpersist()
