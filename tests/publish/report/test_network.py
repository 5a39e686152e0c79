"""The drawing of communities: what is sampled, where it lies, what it says."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.blocks import Figure, Missing, Table
from shoal.publish.report.communities import communities_part
from shoal.publish.report.network import Piece, apart, draw_piece, lay_out, sample_piece, share_out

EDGES = "src_id string, dst_id string, weight double"
MEMBERS = "node_id string, community_id string"


def clique(letter: str, size: int) -> list[tuple[str, str, float]]:
    return [(a, b, 1.0) for a, b in itertools.combinations([f"{letter}{n:02d}" for n in range(size)], 2)]


@pytest.fixture(scope="module")
def edges(spark: SparkSession) -> DataFrame:
    # Three cliques, a tie between two of them in both directions, a self-loop, and a node of c without any tie.
    rows = [*clique("a", 12), *clique("b", 8), *clique("c", 3), ("a00", "b00", 2.0), ("b00", "a00", 1.0), ("a01", "a01", 9.0)]
    return spark.createDataFrame(rows, EDGES)


@pytest.fixture(scope="module")
def members(spark: SparkSession) -> DataFrame:
    names = [(f"{letter}{n:02d}", letter) for letter, size in (("a", 12), ("b", 8), ("c", 4)) for n in range(size)]
    return spark.createDataFrame(names, MEMBERS)


def test_all_is_drawn_where_there_is_room(edges: DataFrame, members: DataFrame) -> None:
    piece = sample_piece(edges, members, 2, 1000)
    assert piece.sizes == {"a": 12, "b": 8}
    assert piece.community == {**{f"a{n:02d}": "a" for n in range(12)}, **{f"b{n:02d}": "b" for n in range(8)}}
    degree = Counter(node for a, b, _ in piece.edges for node in (a, b))
    assert min(degree.values()) >= 4
    assert len(piece.edges) <= 4 * 20
    assert len({(a, b) for a, b, _ in piece.edges}) == len(piece.edges)
    assert ("a00", "b00", 3.0) in piece.edges  # both directions, each once
    assert "a01" not in [b for a, b, _ in piece.edges if a == "a01"]
    assert set(sample_piece(edges, members, 3, 1000).community) == {*piece.community, "c00", "c01", "c02"}  # c03 has no tie


def test_a_sample_keeps_the_best_connected_and_is_bounded(spark: SparkSession, members: DataFrame) -> None:
    star = [("a11", f"a{n:02d}", 1.0) for n in range(11)] + [("a05", f"a{n:02d}", 1.0) for n in range(5)]
    piece = sample_piece(spark.createDataFrame(star, EDGES), members, 1, 10)
    assert len(piece.community) == 10
    # a11 has 11 neighbours, a05 6, a00 to a04 two each, then ties by id.
    assert set(piece.community) == {"a11", "a05", "a00", "a01", "a02", "a03", "a04", "a06", "a07", "a08"}
    assert len(piece.edges) <= 4 * 10


def test_nodes_are_shared_out_by_size() -> None:
    assert share_out({"a": 700, "b": 200, "c": 100, "d": 4}, 100) == {"a": 69, "b": 19, "c": 9, "d": 4}
    assert share_out({"a": 994, "b": 10}, 100) == {"a": 99, "b": 6}  # six at least
    assert share_out({}, 100) == {}


def test_communities_lie_apart_and_the_same_each_time(edges: DataFrame, members: DataFrame) -> None:
    piece = sample_piece(edges, members, 3, 1000)
    places = lay_out(piece)
    assert places == lay_out(piece)
    middle = {c: np.mean([places[n] for n in piece.community if piece.community[n] == c], axis=0) for c in "abc"}
    at_home = 0
    for node, (x, y) in places.items():
        near = min("abc", key=lambda c: float(np.hypot(x - middle[c][0], y - middle[c][1])))
        at_home += near == piece.community[node]
    assert at_home >= 0.9 * len(places)


def test_labels_do_not_overlap() -> None:
    moved = apart({"a": (0, 0), "b": (1, 0.2), "c": (0.5, 0.1), "far": (50, 0)}, (10.0, 2.0))
    assert moved["far"] == (50.0, 0.0)
    ys = sorted(moved[n][1] for n in "abc")
    assert ys[1] - ys[0] >= 2 - 1e-5
    assert ys[2] - ys[1] >= 2 - 1e-5


def test_the_drawing_carries_labels_and_is_the_same_each_time(edges: DataFrame, members: DataFrame) -> None:
    piece = sample_piece(edges, members, 2, 1000)
    svg = draw_piece("n", piece)
    assert svg == draw_piece("n", piece)
    assert re.findall(r">([^<>]*members)<", svg) == ["a · 12 members", "b · 8 members"]


def test_hostile_names_are_drawn_as_text() -> None:
    bad = "</text><script>x</script>"
    assert "<script" not in draw_piece("n", Piece({bad: 2}, {"p": bad, "q": bad}, [("p", "q", 1.0)]))


SUMMARY = (
    "community_id string, nodes bigint, internal_edges bigint, modularity double, total_modularity double, conductance double, "
    "top_members array<string>"
)


def test_the_part_joins_drawing_and_table_by_colour(
    spark: SparkSession, edges: DataFrame, members: DataFrame, day: date, absent: Callable[[str], Missing]
) -> None:
    rows = [("c", 4, 3, 0.01, 0.42, None, []), ("a", 12, 66, 0.3, 0.42, 0.02, ["a00", "a01"]), ("b", 8, 28, 0.1, 0.42, 0.03, None)]
    summary = spark.createDataFrame(rows, SUMMARY)
    part = communities_part(summary, members, edges, day, day, 2, 100, absent)
    assert part.lead == "3 communities of 24 nodes, modularity 0.42."
    assert part.finding == "3 communities; the largest has 12 members (50.0%), modularity 0.42."
    figure = next(b for b in part.blocks if isinstance(b, Figure))
    ties = len(sample_piece(edges, members, 2, 100).edges)
    said = f"Drawing of 20 nodes and {ties} ties of the 2 largest communities: a with 12 members; b with 8 members."
    assert figure.alt == said
    assert figure.narrow is not None
    table = next(b for b in part.blocks if isinstance(b, Table))
    assert [(row[0].text, row[1].text) for row in table.rows] == [("a", "12"), ("b", "8"), ("c", "4")]
    assert [bool(row[0].swatch) for row in table.rows] == [True, True, False]
    assert table.rows[0][0].swatch in figure.svg


def test_the_part_names_who_leads_by_each_measure_and_the_mood(
    spark: SparkSession, edges: DataFrame, members: DataFrame, day: date, absent: Callable[[str], Missing]
) -> None:
    rows = [("a", 12, 66, 0.3, 0.42, 0.02, ["a00"], 0.25, 40), ("b", 8, 28, 0.1, 0.42, 0.03, None, None, 0)]
    summary = spark.createDataFrame(rows, SUMMARY + ", mean_sentiment double, sentiment_texts bigint")
    kinds = [("follows_degree", n, f"a0{n}", 10.0 - n) for n in (1, 2, 3, 4)] + [("follows", 1, "b00", 0.5)]
    kinds += [("engagement_user", 1, "nobody", 0.5)]
    ranks = spark.createDataFrame(kinds, "kind string, rank bigint, node_id string, score double")
    part = communities_part(summary, members, edges, day, day, 2, 100, absent, ranks)
    communities, leading = (b for b in part.blocks if isinstance(b, Table))
    assert [(row[5].text, row[5].under) for row in communities.rows] == [("0.2500", "40 texts"), ("–", "")]
    assert [[c.text for c in row] for row in leading.rows] == [["PageRank", "b00", "–", "–"], ["Degree", "a01", "a02", "a03"]]
    assert [c.under for c in leading.rows[1]] == ["ties to so many users", "9", "8", "7"]


def test_missing_parts_of_the_part(
    spark: SparkSession, edges: DataFrame, members: DataFrame, day: date, absent: Callable[[str], Missing]
) -> None:
    summary = spark.createDataFrame([("a", 12, 66, 0.3, 0.42, 0.02, ["a00"])], SUMMARY)

    def missing(*frames: DataFrame | None) -> list[str]:
        return [b.what for b in communities_part(*frames, day, day, 2, 100, absent).blocks if isinstance(b, Missing)]  # type: ignore[arg-type]

    assert missing(None, members, edges) == ["gold.community_summary"]
    assert missing(summary.limit(0), members, edges) == ["gold.community_summary"]
    assert missing(summary, None, edges) == ["gold.communities"]
    assert missing(summary, members, None) == ["silver.follows"]
    assert missing(summary, members, edges.limit(0)) == ["Drawing"]
