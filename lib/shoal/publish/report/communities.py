"""The part about communities: a drawing of the largest, and a row on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.publish.report.activity import Absent
from shoal.publish.report.blocks import Block, Cell, Figure, Missing, Part, Table
from shoal.publish.report.network import MOST_COMMUNITIES, Piece, colour_of, draw_piece, sample_piece, sizes_in_words
from shoal.publish.report.pictures import NARROW
from shoal.publish.report.wording import count, day, decimal, metric, plural, share, shortened

FEWEST_ROWS = 10
_SHOWN_MEMBERS = 5
LEADERS = 3
# Kinds of gold.node_ranks, and what a high score means.
MEASURES = {
    "follows": "PageRank: followed by those who are followed", "follows_authority": "Authority (HITS): followed by good hubs",
    "follows_hub": "Hub (HITS): follows good authorities", "follows_degree": "Degree: ties to so many users",
    "follows_coreness": "Coreness: in a group where all have so many ties",
    "follows_betweenness": "Betweenness: on shortest paths between others", "follows_closeness": "Closeness: few steps from others",
    "follows_triangles": "Triangles: so many pairs of neighbours are tied", "follows_clustering": "Clustering: share of such pairs",
}  # fmt: skip


def largest(summary: DataFrame, communities: int) -> list[dict[str, Any]]:
    """The rows of the largest communities, ties by id; at most MOST_COMMUNITIES (50) are collected."""
    order = (F.desc("nodes"), F.asc("community_id"))
    return [row.asDict(recursive=True) for row in summary.orderBy(*order).limit(min(communities, MOST_COMMUNITIES)).collect()]


def totals(summary: DataFrame) -> dict[str, Any]:
    """Communities, their nodes, those of a single node, and the modularity of the partition (null without rows). One row."""
    alone = F.count(F.when(F.col("nodes") == 1, F.lit(1)))
    row = summary.agg(
        F.count(F.lit(1)).alias("communities"), F.sum("nodes").alias("nodes"), alone.alias("alone"),
        F.max("total_modularity").alias("modularity"),
    ).collect()[0]  # fmt: skip
    return row.asDict()


def leaders(ranks: DataFrame) -> list[dict[str, Any]]:
    """The first LEADERS (3) users of each measure of silver.follows (MEASURES), in order; at most 27 rows are collected."""
    wanted = ranks.where(F.col("kind").isin(*MEASURES) & (F.col("rank") <= LEADERS)).select("kind", "rank", "node_id", "score")
    rows = [row.asDict() for row in wanted.limit(len(MEASURES) * LEADERS).collect()]
    return sorted(rows, key=lambda row: (list(MEASURES).index(row["kind"]), row["rank"]))


def communities_part(
    summary: DataFrame | None,
    members: DataFrame | None,
    edges: DataFrame | None,
    made_on: date | None,
    as_of: date,
    drawn: int,
    nodes: int,
    absent: Absent,
    ranks: DataFrame | None = None,
) -> Part:
    """`summary`: gold.community_summary and `members`: gold.communities of the day `made_on`; `edges`: silver.follows; `ranks`:
    gold.node_ranks.

    drawn: communities in the drawing; nodes: about how many dots.
    """
    rows = largest(summary, max(drawn, FEWEST_ROWS)) if summary is not None else []
    if summary is None or not rows:
        return Part("communities", "Communities", "No community is known.", [absent("gold.community_summary")])
    all_of = totals(summary)
    blocks: list[Block] = []
    colours: dict[str, str] = {}
    if members is None:
        blocks.append(absent("gold.communities"))
    elif edges is None:
        blocks.append(absent("silver.follows"))
    else:
        piece = sample_piece(edges, members, drawn, nodes)
        colours = {name: colour_of(place) for place, name in enumerate(piece.sizes)} if piece.edges else {}
        blocks.append(_drawing(piece) if piece.edges else Missing("Drawing", "the largest communities have no edge inside"))
    blocks.append(_table(rows, all_of["nodes"], colours))
    leading = leaders(ranks) if ranks is not None else []
    blocks += [_leaders(leading)] if leading else []
    old = f" They are of {day(made_on)}: none were made for {day(as_of)}." if made_on and made_on != as_of else ""
    alone = f" {plural(all_of['alone'], 'node')} stand alone." if all_of["alone"] else ""
    words = plural(all_of["communities"], "community", "communities")
    modularity = "" if all_of["modularity"] is None else f", modularity {decimal(all_of['modularity'])}"
    return Part(
        "communities",
        "Communities",
        f"{words} of {plural(all_of['nodes'], 'node')}{modularity}.{alone}{old}",
        blocks,
        f"{words}; the largest has {plural(rows[0]['nodes'], 'member')} ({share(rows[0]['nodes'] / all_of['nodes'])}){modularity}.",
        frozenset({"modularity", "conductance"}),
    )


def _drawing(piece: Piece) -> Figure:
    sizes = sizes_in_words(piece)
    drawn = f"{count(len(piece.community))} nodes and {count(len(piece.edges))} ties"
    what = f"{drawn} of the {len(piece.sizes)} largest communities"
    caption = (
        f"{what}: of each community the members with most neighbours inside it, as many as its size allows, and of each dot "
        "its four heaviest ties, or all it has. Dots that more ties lead to are larger; grey ties lead to other communities. "
        "Labels: community and number of all its members."
    )
    wide, narrow = draw_piece("network", piece), draw_piece("network-narrow", piece, NARROW)
    return Figure(wide, f"Drawing of {what}: {sizes}.", caption, narrow)


def _table(rows: Sequence[Mapping[str, Any]], nodes: int, colours: Mapping[str, str]) -> Table:
    cells = [
        [
            Cell(shortened(r["community_id"], 40), swatch=colours.get(r["community_id"], "")),
            Cell(count(r["nodes"]), share(r["nodes"] / nodes), "number"),
            Cell(count(r["internal_edges"]), kind="number"),
            Cell(metric(r["modularity"]), kind="number"),
            Cell(metric(r["conductance"]), kind="number"),
            Cell(metric(r.get("mean_sentiment")), _texts_of(r), "number"),
            Cell(", ".join(shortened(m, 30) for m in (r["top_members"] or [])[:_SHOWN_MEMBERS])),
        ]
        for r in rows
    ]
    headings = ["Community", "Members", "Edges inside", "Share of modularity", "Conductance", "Sentiment", "Top members"]
    return Table(f"The {len(cells)} largest communities", headings, cells, "Sentiment: mean polarity of members' texts, -1 to 1.")


def _texts_of(row: Mapping[str, Any]) -> str:
    return plural(row["sentiment_texts"], "text") if row.get("sentiment_texts") else ""


def _leaders(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = []
    for kind, meaning in MEASURES.items():
        own = [row for row in rows if row["kind"] == kind]
        name, _, what = meaning.partition(": ")
        users = [Cell(shortened(row["node_id"], 30), decimal(row["score"])) for row in own]
        cells += [[Cell(name, what), *users, *[Cell("–")] * (LEADERS - len(users))]] if own else []
    return Table("Leading users by measure", ["Measure", "First", "Second", "Third"], cells, "Of the users in silver.follows.")
