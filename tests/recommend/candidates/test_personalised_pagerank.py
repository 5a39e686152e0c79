"""Walks beside networkx, lists by hand, one answer whatever the partitions."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates import personalised_pagerank
from shoal.recommend.candidates.histories import with_places
from shoal.recommend.candidates.personalised_pagerank import PagerankSettings, list_pagerank, transitions, visits, walk_graph

# Strength is log2(1 + weight): 1, 2 and 3.
EVENTS = [("u1", "a", 1.0), ("u1", "b", 3.0), ("u2", "b", 1.0), ("u2", "c", 7.0), ("u3", "c", 1.0), ("u3", "d", 1.0),
          ("u4", "e", 1.0)]  # fmt: skip
# Nobody follows zoe back, and she has met nothing: walks end there. u5 has met nothing either.
FOLLOWS = [("u1", "u3"), ("u2", "zoe"), ("u5", "u2"), ("u5", "u2"), ("u4", "u4")]
PLAIN = PagerankSettings(0.85, 1e-9, 0.0, 2.0)


def placed_of(spark: SparkSession, events: list[tuple[str, str, float]]) -> DataFrame:
    rows = spark.createDataFrame(events, "user_id string, item_id string, weight double")
    return with_places(rows.selectExpr("*", "cast(null as timestamp) as occurred_at"), 100)


def follows_of(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(FOLLOWS, "src_id string, dst_id string")


def users_of(spark: SparkSession, *names: str) -> DataFrame:
    return spark.createDataFrame([(name,) for name in names], "user_id string")


def oracle(user: str, damping: float) -> dict[str, float]:
    """networkx' own, on the same edges; sinks lead back to the user there too."""
    graph = nx.DiGraph()
    for who, item, weight in EVENTS:
        graph.add_edge(who, f"item {item}", weight=np.log2(1 + weight))
        graph.add_edge(f"item {item}", who, weight=np.log2(1 + weight))
    for src, dst in FOLLOWS[:3]:
        graph.add_edge(src, dst, weight=2.0)
    ranks = nx.pagerank(graph, alpha=damping, personalization={user: 1.0}, tol=1e-12, max_iter=1000)
    return {name.removeprefix("item "): value for name, value in ranks.items() if name.startswith("item ")}


@pytest.mark.parametrize("damping", [0.3, 0.85])
def test_chances_are_those_of_networkx(spark: SparkSession, damping: float) -> None:
    placed, follows = placed_of(spark, EVENTS), follows_of(spark)
    settings = PagerankSettings(damping, 1e-9, 0.0, 2.0)
    graph = walk_graph(placed, settings.follow_weight, follows)
    users = users_of(spark, "u1", "u2", "u3", "u4", "u5", "zoe", "stranger")
    rows = list_pagerank(graph, placed, users, settings, 10).orderBy("user_id", "rank").collect()
    met = {user: {item for who, item, _ in EVENTS if who == user} for user in ("u1", "u2", "u3", "u4", "u5")}
    found = {user: [(r["rank"], r["item_id"], r["score"]) for r in rows if r["user_id"] == user] for user in met}
    for user, items in met.items():
        chances = oracle(user, damping)
        best = sorted((i for i in chances if i not in items and chances[i] > 1e-9), key=lambda i, c=chances: (-c[i], i))
        assert [(rank, item) for rank, item, _ in found[user]] == list(enumerate(best, 1))
        assert [score for *_, score in found[user]] == pytest.approx([chances[i] for i in best], abs=1e-7)
    # u4 is on an island with e; zoe's walk goes nowhere, the stranger has none.
    assert found["u4"] == []
    assert {row["user_id"] for row in rows} == {"u1", "u2", "u3", "u5"}


def test_popular_items_are_held_back(spark: SparkSession) -> None:
    placed = placed_of(spark, EVENTS)
    graph, users = walk_graph(placed, 1.0), users_of(spark, "u1")
    lists = [list_pagerank(graph, placed, users, PagerankSettings(0.85, 1e-9, beta, 1.0), 2).orderBy("rank").collect()
             for beta in (0.0, 1.0)]  # fmt: skip
    # c has strength 3 + 1, d 1.
    assert [row["item_id"] for row in lists[0]] == ["c", "d"]
    assert lists[1][0]["score"] == pytest.approx(lists[0][0]["score"] / 4)
    assert lists[1][1]["score"] == pytest.approx(lists[0][1]["score"])


def test_what_is_left_out_is_below_the_tolerance() -> None:
    rng = np.random.default_rng(3)
    weights = csr_matrix(rng.random((40, 40)) * (rng.random((40, 40)) < 0.1))
    graph, starts = transitions(weights, 20), np.array([0, 7, 39])
    for damping in (0.3, 0.85):
        settings = PagerankSettings(damping, 1e-4, 0.0, 1.0)
        off = np.abs(visits(graph, starts, damping, settings.steps) - visits(graph, starts, damping, 500)).sum(axis=0)
        assert (off < 1e-4).all()
        np.testing.assert_allclose(visits(graph, starts, damping, settings.steps).sum(axis=0), 1.0)


def test_lists_do_not_depend_on_partitions_and_blocks(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    events = [(f"u{u:02d}", f"i{i:02d}", 1.0) for u in range(30) for i in rng.choice(40, 6, replace=False)]
    settings = PagerankSettings(0.5, 1e-6, 0.5, 1.0)
    found = []
    for parts in (1, 5):
        monkeypatch.setattr(personalised_pagerank, "BLOCK_USERS", parts + 2)
        placed = placed_of(spark, events[::-1] if parts == 5 else events).repartition(parts).persist()
        rows = list_pagerank(walk_graph(placed, 1.0), placed, placed.select("user_id"), settings, 5)
        found.append([tuple(row) for row in rows.orderBy("user_id", "rank").collect()])
        placed.unpersist()
    assert found[0] == found[1]
    assert len(found[0]) == 150


def test_bounds_and_empty_frames(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = placed_of(spark, EVENTS)
    nothing, users = placed.limit(0), users_of(spark, "u1")
    assert list_pagerank(walk_graph(nothing, 1.0), nothing, users, PLAIN, 3).count() == 0
    with pytest.raises(UsageError, match="damping 1, tolerance 1e-09"):
        list_pagerank(walk_graph(nothing, 1.0), nothing, users, PagerankSettings(1.0, 1e-9, 0.0, 1.0), 3)
    monkeypatch.setattr(personalised_pagerank, "MAX_GRAPH_BYTES", 12 * 13)
    with pytest.raises(InputError, match="14 edges take 0 MiB"):
        walk_graph(placed, 1.0)
    monkeypatch.setattr(personalised_pagerank, "MAX_NODES", 8)
    with pytest.raises(InputError, match="more than 8 users and items"):
        walk_graph(placed, 1.0)


def test_the_example_of_the_metrics_page(spark: SparkSession) -> None:
    placed = placed_of(spark, [("u", "a", 1.0), ("v", "a", 1.0), ("v", "b", 1.0)])
    settings = PagerankSettings(0.5, 1e-9, 0.0, 1.0)
    rows = list_pagerank(walk_graph(placed, 1.0), placed, users_of(spark, "u"), settings, 5).collect()
    assert [(row["item_id"], row["score"]) for row in rows] == [("b", pytest.approx(1 / 45))]
