"""Louvain without a driver-size step: local moving in rounds of joins, aggregation of communities to nodes, level by level.

Blondel et al., Fast unfolding of communities in large networks (2008), moves one node after the other. Here all nodes look at the
same state, and a half of them, drawn by a hash of node and round, may move: two neighbours that would swap for ever are rarely
both drawn. Two nodes that are each alone join towards the smaller (Lu, Halappanavar and Kalyanaraman, Parallel heuristics for
scalable community detection, 2015, section 4). docs/adr/0102 has what it reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.graph.edges import as_undirected, with_reverse
from shoal.mine.graph.node_index import index_graph, with_names_of
from shoal.spark.checkpoints import cut_lineage, release

# Levels halve the nodes at least as a rule; rounds of a level go on until so few nodes want to move.
MAX_LEVELS, MAX_ROUNDS, SETTLED_SHARE = 12, 20, 0.002
# A gain of modularity below this is none: sums of doubles depend on the order of partitions.
LEAST_GAIN = 1e-12


@dataclass(frozen=True)
class _Level:
    """A graph of communities: `pairs` (u, v, weight) in both directions without loops; `nodes` (node, loop, strength), loop being
    twice the weight inside, strength all weight of a node's edges."""

    pairs: DataFrame
    nodes: DataFrame
    node_count: int
    total: float


def louvain(edges: DataFrame, seed: int) -> DataFrame:
    """`node_id`, `community_id`: the smallest id, by id order, of the community. See shoal.mine.graph.algorithms.louvain.

    A round is four shuffles of at most the edges; some 50 rounds. A node without weight is alone. The driver sees counts only.
    """
    graph = index_graph(edges)
    own = graph.nodes.select("node", F.col("node").alias("value"))
    if not graph.node_count:
        return with_names_of(graph, own, "community_id")
    level = _first_level(graph.edges, graph.nodes.select("node"))
    members = cut_lineage(own)
    for number in range(MAX_LEVELS if level.total > 0 else 0):
        communities = _move_nodes(level, seed + number)
        joined = members.join(communities.toDF("value", "community"), "value")
        after = cut_lineage(joined.select("node", F.col("community").alias("value")))
        release(members)
        members, coarser = after, _aggregate(level, communities)
        for frame in (communities, level.pairs, level.nodes):
            release(frame)
        is_last = coarser.node_count == level.node_count
        level = coarser
        if is_last:
            break
    release(level.pairs)
    release(level.nodes)
    first = members.groupBy("value").agg(F.min("node").alias("first"))
    result = with_names_of(graph, members.join(first, "value").select("node", F.col("first").alias("value")), "community_id")
    release(members)
    return result


def _first_level(edges: DataFrame, nodes: DataFrame) -> _Level:
    """The graph itself."""
    whole = as_undirected(edges.where("weight > 0"))
    loops = whole.where("src = dst").select(F.col("src").alias("node"), (2 * F.col("weight")).alias("loop"))
    pairs = with_reverse(whole.where("src <> dst")).toDF("u", "v", "weight")
    return _as_level(pairs, nodes.join(loops, "node", "left").fillna(0.0, ["loop"]))


def _as_level(pairs: DataFrame, loops: DataFrame) -> _Level:
    pairs = cut_lineage(pairs)
    outside = pairs.groupBy(F.col("u").alias("node")).agg(F.sum("weight").alias("outside"))
    strength = (F.col("loop") + F.coalesce("outside", F.lit(0.0))).alias("strength")
    nodes = cut_lineage(loops.join(outside, "node", "left").select("node", "loop", strength))
    facts = nodes.agg(F.count("*"), F.sum("strength")).collect()[0]
    return _Level(pairs, nodes, int(facts[0]), float(facts[1] or 0.0))


def _move_nodes(level: _Level, seed: int) -> DataFrame:
    """`node`, `community` after rounds of moving; a community is called after one of its nodes."""
    state = cut_lineage(level.nodes.select("node", F.col("node").alias("community"), "strength"))
    for number in range(MAX_ROUNDS):
        moved = cut_lineage(_one_round(level, state, F.pmod(F.xxhash64("node", F.lit(seed), F.lit(number)), F.lit(2)) == 0))
        release(state)
        state = moved.select("node", "community", "strength")
        if moved.where("wants").count() <= SETTLED_SHARE * level.node_count:
            break
    found = cut_lineage(state.select("node", "community"))
    release(state)
    return found


def _one_round(level: _Level, state: DataFrame, is_drawn: Column) -> DataFrame:
    """`node`, `community`, `strength` and `wants` (whether another community is better) after one round."""
    communities = state.groupBy("community").agg(F.sum("strength").alias("volume"), F.count("*").alias("size"))
    near = level.pairs.join(state.select(F.col("node").alias("v"), "community"), "v").groupBy("u", "community")
    weights = near.agg(F.sum("weight").alias("weight"))
    # One's own community too, where no neighbour is in it.
    own = state.select(F.col("node").alias("u"), "community", F.lit(0.0).alias("weight"))
    options = weights.unionByName(own).groupBy("u", "community").agg(F.sum("weight").alias("weight")).join(communities, "community")
    present = state.toDF("u", "present", "strength").join(
        communities.select(F.col("community").alias("present"), F.col("size").alias("present_size")), "present"
    )
    is_own = F.col("community") == F.col("present")
    volume = F.col("volume") - F.when(is_own, F.col("strength")).otherwise(0.0)
    gain = F.col("weight") - F.col("strength") * volume / level.total
    both_alone = (F.col("size") == 1) & (F.col("present_size") == 1) & (F.col("community") > F.col("present"))
    judged = options.join(present, "u").withColumn("gain", gain).where(is_own | ~both_alone)
    best = judged.groupBy("u").agg(
        F.max(F.struct("gain", (-F.col("community")).alias("order"))).alias("best"),
        F.max(F.when(is_own, F.col("gain"))).alias("stay"),
        F.first("present").alias("present"),
        F.first("strength").alias("strength"),
    )
    better = -F.col("best.order")
    wants = (F.col("best.gain") > F.col("stay") + LEAST_GAIN * level.total) & (better != F.col("present"))
    chosen = best.select(F.col("u").alias("node"), "present", "strength", better.alias("better"), wants.alias("wants"))
    moves = F.when(F.col("wants") & is_drawn, F.col("better")).otherwise(F.col("present"))
    return chosen.select("node", moves.alias("community"), "strength", "wants")


def _aggregate(level: _Level, communities: DataFrame) -> _Level:
    """The graph whose nodes are the communities."""
    of_u, of_v = communities.toDF("u", "a"), communities.toDF("v", "b")
    between = level.pairs.join(of_u, "u").join(of_v, "v").groupBy("a", "b").agg(F.sum("weight").alias("weight"))
    between = cut_lineage(between)
    inside = between.where("a = b").select(F.col("a").alias("node"), F.col("weight").alias("inside"))
    loops = level.nodes.join(communities, "node").groupBy(F.col("community").alias("node")).agg(F.sum("loop").alias("loop"))
    total = (F.col("loop") + F.coalesce("inside", F.lit(0.0))).alias("loop")
    coarser = _as_level(between.where("a <> b").toDF("u", "v", "weight"), loops.join(inside, "node", "left").select("node", total))
    release(between)
    return coarser
