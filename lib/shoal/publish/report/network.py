"""A bounded piece of a network around its largest communities: sampled in Spark, laid out and drawn on the driver."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import igraph
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from shoal.publish.report.pictures import INK, PALETTE, WIDE, draw
from shoal.publish.report.wording import plural, shortened

MOST_COMMUNITIES = 50
# A community of fewer dots is no picture of one.
FEWEST_NODES = 6
EDGES_A_NODE = 4
MOST_LABELS = 12
_MARKS = ("o", "s", "^", "D", "P", "X", "v")
_HEIGHT = 620
_ROUNDS = 600
# Ties between communities pull less than those inside, so that communities stand apart as they do in the numbers.
_PULL_INSIDE, _PULL_BETWEEN = 1.0, 0.12


@dataclass(frozen=True)
class Piece:
    """A sampled piece: `sizes` community -> all its members, largest first; `community` node -> its community; `edges` pairs of
    nodes, each once, with the sum of their weights in both directions."""

    sizes: dict[str, int]
    community: dict[str, str]
    edges: list[tuple[str, str, float]]


def colour_of(place: int) -> str:
    """The colour of the community at `place` (0 is the largest); eight, then again with another mark."""
    return PALETTE[place % len(PALETTE)]


def sample_piece(edges: DataFrame, members: DataFrame, communities: int, nodes: int) -> Piece:
    """The largest `communities` (ties by id), and of each the members with most neighbours inside it (ties by id), together
    about `nodes`, shared out by size; then each one's EDGES_A_NODE (4) heaviest edges to others of them. Nodes without such an
    edge are skipped.

    edges: src_id, dst_id, weight, in any direction, self-loops ignored. members: node_id, community_id, a row a node. Collects
    at most MOST_COMMUNITIES (50) sizes, nodes + 6 a community names, and 4 edges a node. Cost: two joins of edges with the
    members of the chosen communities; the piece itself is broadcast.
    """
    wanted = min(communities, MOST_COMMUNITIES)
    counted = members.groupBy("community_id").count().orderBy(F.desc("count"), "community_id").limit(wanted).collect()
    sizes = {row["community_id"]: row["count"] for row in counted}
    quotas = share_out(sizes, nodes)
    if not quotas:
        return Piece({}, {}, [])
    inside = members.where(F.col("community_id").isin(list(quotas))).select("node_id", "community_id")
    pairs = edges.where("src_id != dst_id").select("src_id", "dst_id", "weight")
    src = inside.select(F.col("node_id").alias("src_id"), F.col("community_id").alias("src_community"))
    dst = inside.select(F.col("node_id").alias("dst_id"), F.col("community_id").alias("dst_community"))
    own = pairs.join(src, "src_id").join(dst, "dst_id").where("src_community = dst_community")
    ends = own.select(F.explode(F.array("src_id", "dst_id")).alias("node_id"), F.col("src_community").alias("community_id"))
    place = F.row_number().over(Window.partitionBy("community_id").orderBy(F.desc("degree"), "node_id"))
    quota = F.create_map(*[F.lit(x) for pair in quotas.items() for x in pair])[F.col("community_id")]
    ranked = ends.groupBy("node_id", "community_id").agg(F.count(F.lit(1)).alias("degree")).withColumn("place", place)
    # The largest quota first, as a literal: Spark then keeps no more rows a community than that before it shuffles.
    named = ranked.where(F.col("place") <= max(quotas.values())).where(F.col("place") <= quota)
    chosen = {r["node_id"]: r["community_id"] for r in named.limit(sum(quotas.values())).collect()}
    if not chosen:
        return Piece(sizes, {}, [])
    few = F.broadcast(edges.sparkSession.createDataFrame([(node,) for node in sorted(chosen)], "node_id string"))
    among = pairs.join(few.withColumnRenamed("node_id", "src_id"), "src_id").join(
        few.withColumnRenamed("node_id", "dst_id"), "dst_id"
    )
    undirected = among.groupBy(F.least("src_id", "dst_id").alias("a"), F.greatest("src_id", "dst_id").alias("b"))
    tied_pairs = undirected.agg(F.sum("weight").alias("weight")).withColumn("end", F.explode(F.array("a", "b")))
    # Ties of one weight are drawn by a hash: by id, all would lead to the first few nodes.
    order = (F.desc("weight"), F.xxhash64("a", "b"), F.col("a"), F.col("b"))
    place = F.row_number().over(Window.partitionBy("end").orderBy(*order))
    heaviest = tied_pairs.withColumn("place", place).where(F.col("place") <= EDGES_A_NODE).select("a", "b", "weight").distinct()
    drawn = [(r["a"], r["b"], r["weight"]) for r in heaviest.orderBy("a", "b").limit(EDGES_A_NODE * len(chosen)).collect()]
    tied = {node for a, b, _ in drawn for node in (a, b)}
    return Piece(sizes, {n: c for n, c in sorted(chosen.items()) if n in tied}, drawn)


def share_out(sizes: Mapping[str, int], nodes: int) -> dict[str, int]:
    """How many nodes of each community to draw: by size, FEWEST_NODES (6) at least, all of it at most."""
    total = sum(sizes.values())
    return {name: min(size, max(FEWEST_NODES, nodes * size // total)) for name, size in sizes.items()}


def lay_out(piece: Piece) -> dict[str, tuple[float, float]]:
    """A place for each node, by Fruchterman and Reingold (1991) from communities on a circle; the same for the same piece."""
    names, order = list(piece.community), list(piece.sizes)
    index = {name: i for i, name in enumerate(names)}
    draws = np.random.default_rng(7)
    angles = np.array([2 * math.pi * order.index(piece.community[n]) / len(order) for n in names])
    start = np.column_stack([np.cos(angles), np.sin(angles)]) * math.sqrt(len(names)) + draws.normal(0, 1, (len(names), 2))
    graph = igraph.Graph(n=len(names), edges=[(index[a], index[b]) for a, b, _ in piece.edges])
    pull = [_PULL_INSIDE if piece.community[a] == piece.community[b] else _PULL_BETWEEN for a, b, _ in piece.edges]
    igraph.set_random_number_generator(random.Random(7))  # noqa: S311 - a drawing
    try:
        laid = graph.layout_fruchterman_reingold(weights=pull, niter=_ROUNDS, seed=start.tolist(), grid="nogrid")
    finally:
        igraph.set_random_number_generator(random)
    groups = np.array([order.index(piece.community[n]) for n in names])
    # Rounded, so that the last bits of another machine's arithmetic do not change the page.
    places = np.round(_spread(_gathered(_upright(np.array(laid.coords)), groups), groups), 3)
    return {name: (float(x), float(y)) for name, (x, y) in zip(names, places, strict=True)}


def _upright(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The places turned so that they are widest from left to right, as the page is."""
    centred = places - places.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    widest = vectors[:, 1]
    # An eigenvector has no sign: point it to the right.
    widest = widest * (1 if widest[np.argmax(np.abs(widest))] > 0 else -1)
    return centred @ np.column_stack([widest, np.array([-widest[1], widest[0]])])


def _gathered(places: npt.NDArray[np.float64], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The places with stragglers drawn in: beyond twice the median distance from its community's middle, a node's distance
    grows with its logarithm only. A node on a single tie would else stretch the picture around an empty middle."""
    gathered = places.copy()
    for group in np.unique(groups):
        mine = groups == group
        away = places[mine] - np.median(places[mine], axis=0)
        distance = np.hypot(away[:, 0], away[:, 1])
        edge = 2 * float(np.median(distance)) or 1.0
        ratio = np.maximum(distance / edge, 1.0)
        gathered[mine] = np.median(places[mine], axis=0) + away * ((1 + np.log(ratio) / 2) / ratio)[:, None]
    return gathered


def _spread(places: npt.NDArray[np.float64], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The places with every community grown about its middle by one factor, up to threefold, until the nearest two touch."""
    kinds = np.unique(groups)
    middles = np.array([np.median(places[groups == g], axis=0) for g in kinds])
    away = places - middles[np.searchsorted(kinds, groups)]
    reach = np.array([np.quantile(np.hypot(*away[groups == g].T), 0.9) for g in kinds])
    apart_by = np.hypot(*(middles[:, None] - middles[None, :]).transpose(2, 0, 1))
    room = apart_by / np.maximum(reach[:, None] + reach[None, :], 1e-9)
    factor = float(room[~np.eye(len(kinds), dtype=bool)].min(initial=3.0))
    return places + away * (min(max(factor, 1.0), 3.0) - 1.0)


def draw_piece(name: str, piece: Piece, width: int = WIDE) -> Markup:
    """The drawing, WIDE or NARROW: a dot a node, coloured (and from the ninth community on, marked) by community, larger with
    more ties drawn; the MOST_LABELS (12) largest communities carry their id and size."""
    places = lay_out(piece)
    degree = dict.fromkeys(piece.community, 0)
    for a, b, _ in piece.edges:
        degree[a] += 1
        degree[b] += 1
    order = [c for c in piece.sizes if c in set(piece.community.values())]
    number = {c: i for i, c in enumerate(piece.sizes)}

    is_wide = width == WIDE
    height = _HEIGHT if is_wide else width

    def paint(axes: Axes) -> None:
        axes.set_axis_off()
        _draw_ties(axes, [(places[a], places[b]) for a, b, _ in piece.edges if piece.community[a] != piece.community[b]],
                   "#8b97a3", 0.35)  # fmt: skip
        tops: dict[str, tuple[float, float]] = {}
        for community in order:
            mine = [n for n in piece.community if piece.community[n] == community]
            inside = [(a, b) for a, b, _ in piece.edges if piece.community[a] == piece.community[b] == community]
            _draw_ties(axes, [(places[a], places[b]) for a, b in inside], colour_of(number[community]), 0.4)
            axes.scatter(
                [places[n][0] for n in mine], [places[n][1] for n in mine],
                s=[(22 + 10 * math.sqrt(degree[n])) * (1 if is_wide else 0.4) for n in mine],
                color=colour_of(number[community]),
                marker=_MARKS[number[community] // len(PALETTE) % len(_MARKS)], edgecolors="white", linewidths=0.7, zorder=3,
            )  # fmt: skip
            tops[community] = (float(np.median([places[n][0] for n in mine])), max(places[n][1] for n in mine))
        axes.margins(0.09 if is_wide else 0.14, 0.07)
        axes.autoscale_view()
        low, high = axes.get_ylim()
        # The label's frame and the dot below it.
        lift = 11 * (high - low) / height
        for community, (x, y) in apart({c: tops[c] for c in order[:MOST_LABELS]}, _label_size(axes, width, height)).items():
            size = plural(piece.sizes[community], "member") if is_wide else f"{piece.sizes[community]:,}"
            words = f"{shortened(community, 22 if is_wide else 14)} · {size}"
            box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour_of(number[community]), "alpha": 0.95}
            axes.text(x, y + lift, words, ha="center", va="bottom", fontsize=12, color=INK, bbox=box, zorder=5)

    return draw(name, paint, width, height)


def _draw_ties(axes: Axes, ties: Sequence[tuple[Sequence[float], Sequence[float]]], colour: str, alpha: float) -> None:
    """All ties as one path: a tenth of the bytes of one path each."""
    gap = (math.nan, math.nan)
    points = np.array([point for a, b in ties for point in (a, b, gap)] or [gap])
    axes.plot(points[:, 0], points[:, 1], color=colour, alpha=alpha, linewidth=0.6, zorder=1)


def _label_size(axes: Axes, width: int, height: int) -> tuple[float, float]:
    """What a label's width and height are in the drawing's own units, generously."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return (220 if width == WIDE else 150) * (right - left) / width, 32 * (high - low) / height


def apart(places: Mapping[str, Sequence[float]], size: tuple[float, float], rounds: int = 200) -> dict[str, tuple[float, float]]:
    """The places moved up and down, as little as it takes, so that boxes of `size` (width, height) on them do not overlap."""
    moved = {name: [float(place[0]), float(place[1])] for name, place in places.items()}
    names = sorted(moved, key=lambda n: (moved[n][1], n))
    for _ in range(rounds):
        still = True
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                gap = size[1] - abs(moved[a][1] - moved[b][1])
                if abs(moved[a][0] - moved[b][0]) < size[0] and gap > 1e-9:
                    low, high = (a, b) if moved[a][1] <= moved[b][1] else (b, a)
                    moved[low][1] -= gap / 2 + 1e-6
                    moved[high][1] += gap / 2 + 1e-6
                    still = False
        if still:
            break
    return {name: (x, y) for name, (x, y) in moved.items()}


def sizes_in_words(piece: Piece, most: int = MOST_LABELS) -> str:
    """The communities drawn, in words: for those who cannot see the drawing."""
    sizes = [f"{shortened(c, 22)} with {plural(size, 'member')}" for c, size in list(piece.sizes.items())[:most]]
    return "; ".join(sizes)
