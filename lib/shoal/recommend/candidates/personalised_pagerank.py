"""Personalised PageRank: items by how often a walk is there that starts, and starts again, at the user (Page et al., The
PageRank Citation Ranking, 1999; Haveliwala, Topic-Sensitive PageRank, WWW 2002; of items: Gori and Pucci, ItemRank, IJCAI 2007).

Nodes are users and items. An event joins the two, by its strength, in both directions; a follow leads from who follows to whom,
with a weight of its own. With probability `damping` the walk takes an edge of where it is, in proportion to weights, else it goes
back to its user; from a node without an edge it always goes back. That is networkx' pagerank with personalization at the user.
The chance to be at an item, divided by degree ** beta, is its score: with beta 0 the popular come first, as PageRank has it.

All users are walked at once, a block of them as the columns of one dense matrix, which each step multiplies with the sparse
matrix of transitions. How many steps are taken follows from `damping` and `tolerance` alone: what is left sums to less than
the tolerance, and lists are the same however users lie in blocks and partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, log

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, diags

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.als import number_ids
from shoal.recommend.candidates.cooccurrence import MAX_ITEMS
from shoal.recommend.candidates.histories import Catalogue, catalogue_of, strength
from shoal.recommend.ranking.history_top_k import LIST, best_unseen

# The transitions, on the driver and in every worker, at 12 bytes an edge and direction: 2 GiB are 89 million events.
MAX_GRAPH_BYTES = 2 << 30
# Users and items: a block of one user is three columns of so many doubles, 240 MB.
MAX_NODES = 10_000_000
# A worker's block: three matrices of nodes x users, at most BLOCK_USERS of them.
BLOCK_BYTES, BLOCK_USERS = 256 << 20, 64


@dataclass(frozen=True)
class PagerankSettings:
    """`damping`: chance of another step; `tolerance`: how much of the walk may be cut off; `beta`: how popular items are
    held back; `follow_weight`: of an edge to somebody whom one follows, an event being 1."""

    damping: float
    tolerance: float
    beta: float
    follow_weight: float

    @property
    def steps(self) -> int:
        """So many that the chances of all nodes are off by less than `tolerance` together: 2 x damping ** steps."""
        return max(1, ceil(log(self.tolerance / 2) / log(self.damping)))


@dataclass(frozen=True)
class Transitions:
    """Items are the first nodes, then people. `arrivals`: from node (column) to node (row); each column with an edge sums to 1;
    `ends`: nodes without an edge; `popularity`: an item's summed weights."""

    arrivals: csr_matrix
    ends: Ints
    popularity: Doubles

    @property
    def width(self) -> int:
        """How many users are walked at once in BLOCK_BYTES."""
        return max(1, min(BLOCK_USERS, BLOCK_BYTES // (3 * 8 * max(self.arrivals.shape[0], 1))))


@dataclass(frozen=True)
class WalkGraph:
    """`people`: user_id, person: an int, which is the node once the number of items is added."""

    items: Catalogue
    people: DataFrame
    transitions: Transitions


def walk_graph(placed: DataFrame, follow_weight: float, follows: DataFrame | None = None) -> WalkGraph:
    """The graph of preferences (see `histories.with_places`) and of follows (src_id, dst_id; repeated ones count
    once, self-follows do not count).

    Raises InputError for more than MAX_ITEMS items, more than MAX_NODES nodes, edges over MAX_GRAPH_BYTES. Cost: collects the
    items' ids and the edges as numbers, sizes asked for first; some shuffles by user; three times the edges' bytes on the driver.
    """
    known = placed.select("user_id")
    if follows is not None:
        follows = follows.where("src_id != dst_id").select("src_id", "dst_id").distinct()
        for end in ("src_id", "dst_id"):
            known = known.unionByName(follows.select(F.col(end).alias("user_id")))
    items, count = catalogue_of(placed, MAX_ITEMS + 1), known.where("user_id is not null").distinct().count()
    for found, most, what in ((len(items), MAX_ITEMS, "items"), (len(items) + count, MAX_NODES, "users and items")):
        if found > most:
            raise InputError(f"personalised PageRank: more than {most:,} {what}: leave out rare ones")
    people = number_ids(known, "user_id", "person")
    node = (F.col("person") + len(items)).cast("int")
    met = placed.select("user_id", "item_id", strength().alias("weight")).join(F.broadcast(items.numbers), "item_id")
    met = met.join(people, "user_id").select(node.alias("src"), F.col("item").alias("dst"), "weight")
    edges = met.unionByName(met.select(F.col("dst").alias("src"), F.col("src").alias("dst"), "weight"))
    if follows is not None:
        for end in ("src", "dst"):
            follows = follows.join(people.select(F.col("user_id").alias(f"{end}_id"), node.alias(end)), f"{end}_id")
        edges = edges.unionByName(follows.select("src", "dst", F.lit(float(follow_weight)).alias("weight")))
    return WalkGraph(items, people, transitions(_collected(edges.where("weight > 0"), len(items) + count), len(items)))


def transitions(departures: csr_matrix, items: int) -> Transitions:
    """From weights of edges, rows being where they leave, the first `items` nodes being items."""
    leaving = np.asarray(departures.sum(axis=1)).ravel()
    ends = np.flatnonzero(leaving == 0)
    shares = (diags(1.0 / np.where(leaving > 0, leaving, 1.0)) @ departures).T.tocsr()
    shares.sort_indices()
    return Transitions(shares, ends, leaving[:items].copy())


def _collected(edges: DataFrame, nodes: int) -> csr_matrix:
    """The edges (src, dst, weight) as a matrix, src being rows."""
    held = edges.persist()
    try:
        count = held.count()
        if count * 12 > MAX_GRAPH_BYTES:
            raise InputError(
                f"personalised PageRank: {count:,} edges take {count * 12 >> 20} MiB; at most {MAX_GRAPH_BYTES >> 20}: lower "
                "blend.max_history, or leave out rare items"
            )
        batches = held._collect_as_arrow()
    finally:
        held.unpersist()
    if not batches:
        return csr_matrix((nodes, nodes))
    table = pa.Table.from_batches(batches)
    src, dst, weight = (table.column(name).to_numpy() for name in ("src", "dst", "weight"))
    # A sum depends on the order of its terms.
    order = np.lexsort((dst, src))
    return csr_matrix((weight[order], (src[order], dst[order])), shape=(nodes, nodes))


def visits(graph: Transitions, starts: Ints, damping: float, steps: int) -> Doubles:
    """nodes x len(starts): the chance that a walk of `steps` steps from each start is at each node; columns sum to 1.

    Cost: steps x edges x starts multiplications; three matrices of that size.
    """
    columns = np.arange(len(starts))
    found = np.zeros((graph.arrivals.shape[0], len(starts)))
    found[starts, columns] = 1.0
    for _ in range(steps):
        back = damping * found[graph.ends].sum(axis=0)
        found = graph.arrivals @ found
        found *= damping
        found[starts, columns] += 1.0 - damping + back
    return found


def list_pagerank(graph: WalkGraph, placed: DataFrame, users: DataFrame, settings: PagerankSettings, k: int) -> DataFrame:
    """One row per user and rank 1..k: user_id, rank, item_id, score, best first, ties to the smaller item_id.

    `placed`: the preferences of the graph; what a user has there is not listed, nor what no walk leads to. A user who is not in
    the graph has no row. score: the chance to be at the item over popularity ** beta. Raises UsageError for k below 1, damping or
    tolerance not between 0 and 1. Cost: broadcasts the graph; steps x edges multiplications a user; two shuffles by user.
    """
    if k < 1 or not 0 < settings.damping < 1 or not 0 < settings.tolerance < 1:
        raise UsageError(f"k {k}, damping {settings.damping:g}, tolerance {settings.tolerance:g}; expected 1 or more, and 0 to 1")
    met = placed.join(F.broadcast(graph.items.numbers), "item_id").groupBy("user_id").agg(F.collect_list("item").alias("met"))
    asked = users.select("user_id").distinct().join(graph.people, "user_id").join(met, "user_id", "left")
    context = placed.sparkSession.sparkContext
    shared = context.broadcast((graph.transitions, graph.items.ids))

    def walked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known, ids = shared.value
        held_back = np.maximum(known.popularity, 1e-300) ** settings.beta
        for batch in batches:
            for start in range(0, batch.num_rows, known.width):
                part = batch.slice(start, known.width)
                chances = visits(known, part.column("person").to_numpy() + len(ids), settings.damping, settings.steps)
                scores = (chances[: len(ids)] / held_back[:, None]).T.astype(np.float32)
                yield _lists(part, scores, ids, k)

    # The work is in the walks, not in the rows: adaptive execution would give few users to one task.
    spread = asked.select("user_id", "person", "met").repartition(context.defaultParallelism, "user_id")
    return spread.mapInArrow(walked, LIST)


def _lists(users: pa.RecordBatch, scores: Floats, ids: pa.StringArray, k: int) -> pa.RecordBatch:
    """The k best of each user's scores that are above 0, as rows, without what the user has `met`."""
    chosen = []
    for one, met in zip(scores, users.column("met"), strict=True):
        reached = np.where(one > 0, one, np.nan)
        chosen.append(best_unseen(reached, np.asarray(met.values if met.is_valid else [], np.int64), k))
    lengths = [len(best) for best in chosen]
    owner, best = np.repeat(np.arange(len(chosen)), lengths), np.concatenate([np.empty(0, np.int64), *chosen])
    return pa.RecordBatch.from_pydict({
        "user_id": users.column("user_id").take(pa.array(owner)),
        "rank": pa.array(np.concatenate([np.empty(0), *[np.arange(1, n + 1) for n in lengths]]), pa.int32(), safe=False),
        "item_id": ids.take(pa.array(best)),
        "score": pa.array(scores[owner, best].astype(np.float64)),
    })  # fmt: skip
