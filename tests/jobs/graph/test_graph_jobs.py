"""The graph jobs, and the description of communities, on a small lake: kinds, time, reruns, and inputs that are not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta

import networkx as nx
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.graph.measures import MEASURES
from shoal.mine.graph.rankings import rank_by_score
from shoal.runner.job import find_job

from tests.publish.report.literal import rows

DAY = date(2024, 3, 1)
EVENTS = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
FOLLOWS = "src_id string, dst_id string, weight double, followed_at timestamp, source string"


def fill_events(spark: SparkSession, lake: Lake) -> None:
    """Three users, two items; user and item `1` share an id; the last event is after the day."""
    noon, late = datetime(2024, 3, 1, 12), datetime(2024, 3, 2)
    rows = [
        ("e1", "1", "1", "view", None, noon, "t"), ("e2", "1", "1", "like", None, noon, "t"),
        ("e3", "b", "1", "rating", 4.0, noon, "t"), ("e4", "c", "2", "purchase", 9.99, noon, "t"),
        ("e5", "c", "1", "rating", 0.0, noon, "t"), ("e6", "d", "2", "like", None, late, "t"),
    ]  # fmt: skip
    lake.append("silver.interactions", spark.createDataFrame(rows, EVENTS))


def fill_follows(spark: SparkSession, lake: Lake) -> None:
    """Two triangles without a time and a bridge of the day; one follow after it."""
    pairs = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "e"), ("e", "f"), ("f", "d")]
    rows = [(s, t, 1.0, None, "t") for s, t in pairs]
    rows += [("a", "d", 0.1, datetime(2024, 3, 1, 23), "t"), ("late", "a", 1.0, datetime(2024, 3, 2), "t")]
    lake.append("silver.follows", spark.createDataFrame(rows, FOLLOWS))


def run(lake: Lake, *names: str) -> None:
    for name in names:
        find_job(name).run(lake, lake.settings.graph, DAY)


def test_ranks_are_networkxs_on_both_graphs(spark: SparkSession, lake: Lake) -> None:
    fill_events(spark, lake)
    fill_follows(spark, lake)
    run(lake, "rank_nodes")
    rows = lake.read("gold.node_ranks", on=DAY).collect()
    # view 1 + like 3; a rating counts its value, one of 0 is no edge; a purchase counts 8, not its amount.
    engagement = nx.Graph()
    engagement.add_weighted_edges_from([("u1", "i1", 4.0), ("ub", "i1", 4.0), ("uc", "i2", 8.0)])
    marks = {"engagement_user": "u", "engagement_item": "i"}
    found = {marks[r["kind"]] + r["node_id"]: r["score"] for r in rows if r["kind"] in marks}
    assert found == pytest.approx(nx.pagerank(engagement, tol=1e-15, max_iter=5000), abs=1e-6)
    follows = nx.DiGraph()
    follows.add_weighted_edges_from([(*p, 1.0) for p in ("ab", "bc", "ca", "de", "ef", "fd")] + [("a", "d", 0.1)])
    known = {r["node_id"]: r["score"] for r in rows if r["kind"] == "follows"}
    assert known == pytest.approx(nx.pagerank(follows, tol=1e-15, max_iter=5000), abs=1e-6)
    cores = {r["node_id"]: (r["score"], r["rank"], r["percentile"]) for r in rows if r["kind"] == "follows_coreness"}
    assert cores == {node: (2.0, place, 1.0) for place, node in enumerate("abcdef", 1)}
    degrees = {r["node_id"]: (r["score"], r["rank"], r["percentile"]) for r in rows if r["kind"] == "follows_degree"}
    assert degrees == {n: (3.0 if n in "ad" else 2.0, "adbcef".index(n) + 1, 1.0 if n in "ad" else 4 / 6) for n in "abcdef"}
    assert {r["kind"] for r in rows} == {*marks, "follows", *(f"follows_{name}" for names in MEASURES.values() for name in names)}
    for kind in (*marks, "follows"):
        ranked = sorted((r["rank"], -r["score"]) for r in rows if r["kind"] == kind)
        assert [rank for rank, _ in ranked] == list(range(1, len(ranked) + 1))
        assert ranked == sorted(ranked, key=lambda pair: pair[1])
    assert lake.run.tags == {
        "engine_engagement": "local", "engine_follows": "local", "betweenness_from": "6 of 6 nodes, error at most 0",
    }  # fmt: skip


def test_ranks_from_seeds_are_a_kind_of_their_own(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    fill_follows(spark, lake)
    find_job("rank_nodes").run(lake, lake.settings.graph.model_copy(update={"seeds": ["d"], "measures": []}), DAY)
    rows = [r for r in lake.read("gold.node_ranks", on=DAY).collect() if r["kind"] == "follows_personalised"]
    assert [(r["node_id"], r["rank"], r["percentile"]) for r in sorted(rows, key=lambda r: r["rank"])] == [
        ("d", 1, 1.0), ("e", 2, 5 / 6), ("f", 3, 4 / 6), ("a", 4, 0.5), ("b", 5, 0.5), ("c", 6, 0.5),
    ]  # fmt: skip


def test_a_large_graph_ranks_ties_alike(spark: SparkSession, lake: Lake) -> None:
    """What an engine for any size sorts has the ranks and percentiles of the windows."""
    scores = [("x", n, float(len(n))) for n in ("aa", "b", "c", "ddd")] + [("y", "e", 0.0)]
    frame = spark.createDataFrame(scores, "kind string, node_id string, score double")
    found = [{(r["kind"], r["node_id"]): (r["rank"], r["percentile"]) for r in rank_by_score(frame, engine).collect()}
             for engine in ("local", "spark")]  # fmt: skip
    assert found[0] == found[1] == {
        ("x", "ddd"): (1, 1.0), ("x", "aa"): (2, 0.75), ("x", "b"): (3, 0.5), ("x", "c"): (4, 0.5), ("y", "e"): (1, 1.0),
    }  # fmt: skip


def test_communities_and_network_and_a_rerun(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    fill_follows(spark, lake)
    run(lake, "rank_nodes", "find_communities", "summarise_communities", "build_user_graph")
    members = {r["node_id"]: r["community_id"] for r in lake.read("gold.communities", on=DAY).collect()}
    assert set(members) == set("abcdef")
    summary = lake.read("gold.community_summary", on=DAY).collect()
    assert sum(r["nodes"] for r in summary) == 6
    assert {m for r in summary for m in r["top_members"]} == set("abcdef")
    assert sum(r["modularity"] for r in summary) == pytest.approx(summary[0]["total_modularity"])
    network = {r["node_id"]: r for r in lake.read("features.user_graph", on=DAY).collect()}
    assert {n: (r["in_degree"], r["out_degree"], r["triangles"]) for n, r in network.items()} == {
        "a": (1, 2, 1), "b": (1, 1, 1), "c": (1, 1, 1), "d": (2, 1, 1), "e": (1, 1, 1), "f": (1, 1, 1),
    }  # fmt: skip
    clustering = {n: r["clustering"] for n, r in network.items()}
    assert clustering == pytest.approx(dict.fromkeys("bcef", 1.0) | dict.fromkeys("ad", 1 / 3))
    # Only the bridge has a time, and it lies in the window.
    recent = {n: (r["in_degree_28d"], r["out_degree_28d"]) for n, r in network.items()}
    assert recent == dict.fromkeys("bcef", (0, 0)) | {"a": (0, 1), "d": (1, 0)}
    assert {n: r["community_id"] for n, r in network.items()} == members
    assert sum(r["page_rank"] for r in network.values()) == pytest.approx(1.0)

    again = make_lake(run_id="run-2")
    run(again, "rank_nodes", "find_communities", "build_user_graph")
    after = {r["node_id"]: r for r in again.read("features.user_graph", on=DAY).collect()}
    assert {n: {**r.asDict(), "run_id": ""} for n, r in after.items()} == {
        n: {**r.asDict(), "run_id": ""} for n, r in network.items()
    }


def test_without_ranks_or_communities_the_network_has_nulls(spark: SparkSession, lake: Lake) -> None:
    fill_follows(spark, lake)
    run(lake, "build_user_graph")
    rows = lake.read("features.user_graph", on=DAY).collect()
    assert {(r["page_rank"], r["community_id"]) for r in rows} == {(None, None)}


def test_nothing_to_rank_is_skipped(lake: Lake) -> None:
    with pytest.raises(SkippedError, match="no event and no follow"):
        run(lake, "rank_nodes")
    for name, says in (
        ("find_communities", "follows, hashtags: no two users are tied"), ("build_user_graph", r"silver\.follows does not exist"),
        ("summarise_communities", r"gold\.communities does not exist"),
        ("build_edges", "no table that ties users"),
    ):  # fmt: skip
        with pytest.raises(SkippedError, match=says):
            run(lake, name)


def test_edges_by_relation_and_communities_that_stay(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake, noon = make_lake(), datetime(2024, 2, 1, 12)
    # a to d use both tags of their own, e to h two others, everybody one that says nothing of 120 users.
    tags = {name: ["One", "two"] for name in "abcd"} | {name: ["three", "four"] for name in "efgh"}
    posts = [{"item_id": f"p{u}", "kind": "post", "owner_id": u, "hashtags": t, "text": f"@Ann {u}", "created_at": noon}
             for u, t in tags.items()]  # fmt: skip
    posts += [{"item_id": f"q{i}", "owner_id": f"n{i}", "hashtags": ["all"], "created_at": noon} for i in range(120)]
    lake.upsert("silver.items", rows(spark, "silver.items", *posts))
    names = [{"user_id": "a", "username": "ann"}, {"user_id": "b", "username": "bob"}]
    lake.upsert("silver.users", rows(spark, "silver.users", *names))
    texts = [{"text_id": f"t{i}", "author_id": "h", "item_id": "pa", "text": "to @bob.", "created_at": noon} for i in range(2)]
    texts += [{"text_id": "t2", "author_id": "e", "text": "no", "created_at": noon}]
    lake.upsert("silver.texts", rows(spark, "silver.texts", *texts))
    # t2 had another sentiment; what a stranger says is nobody's here.
    tones = [("t0", 0.5, True), ("t1", 0.7, True), ("t2", 0.9, False), ("t2", -0.6, True), ("of a stranger", 1.0, True)]
    tones = [{"text_id": t, "polarity": p, "is_current": c, "model_version": f"v{c}"} for t, p, c in tones]
    lake.upsert("gold.sentiments", rows(spark, "gold.sentiments", *tones).withColumn("as_of", F.lit(DAY)))
    run(lake, "build_edges", "find_communities", "summarise_communities")
    edges = {(r["relation"], r["src_id"], r["dst_id"]): r["weight"] for r in lake.read("features.edges", on=DAY).collect()}
    assert edges["hashtags", "a", "b"] == pytest.approx(2 / math.log(5))
    assert len([key for key in edges if key[0] == "hashtags"]) == 12
    assert {k: w for k, w in edges.items() if k[0] == "replies"} == {("replies", "h", "a"): 2.0}
    assert {k[1] for k in edges if k[0] == "mentions" and k[2] == "a"} == set("bcdefgh")
    assert edges["mentions", "h", "b"] == 2.0
    summary = {r["community_id"]: r for r in lake.read("gold.community_summary", on=DAY).collect()}
    assert {(r["relation"], r["method"], r["name"], r["nodes"], r["density"]) for r in summary.values()} == {
        ("hashtags", "leiden", "#One #two", 4, 1.0), ("hashtags", "leiden", "#four #three", 4, 1.0),
    }  # fmt: skip
    assert set(summary) == {"a", "e"}
    assert (summary["a"]["mean_sentiment"], summary["a"]["sentiment_texts"]) == (None, 0)
    assert (summary["e"]["mean_sentiment"], summary["e"]["sentiment_texts"]) == (pytest.approx(0.2), 3)
    # The next day a is gone from the first one: it stays itself, under the same id.
    later, gone = make_lake(run_id="run-2"), lake.read("silver.items").where("owner_id = 'a'").select("item_id")
    later.delete("silver.items", gone)
    for name in ("build_edges", "find_communities"):
        find_job(name).run(later, later.settings.graph, DAY + timedelta(days=1))
    # A run sees a table as it was when it first looked.
    reader = make_lake(run_id="run-3")
    members = {r["node_id"]: r["community_id"] for r in reader.read("gold.communities", on=DAY + timedelta(days=1)).collect()}
    assert members == dict.fromkeys("bcd", "a") | dict.fromkeys("efgh", "e")
    assert reader.read("gold.community_changes", on=DAY + timedelta(days=1)).count() == 0
