"""Whom to follow, by hand and against networkx."""

from __future__ import annotations

from datetime import date, datetime
from itertools import groupby

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.recommend.feeds.follows import WalkSettings, contacts_of, follow_pairs, short_lists, suggest_by_contacts, suggest_by_walk
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)


def follows(spark: SparkSession, pairs: str) -> DataFrame:
    given = spark.createDataFrame([tuple(pair) for pair in pairs.split()], "src_id string, dst_id string")
    return follow_pairs(given.repartition(3))


def test_by_hand(spark: SparkSession) -> None:
    # a follows b and c, both follow d; d follows a. e hangs on d. ba twice, and aa, say nothing new.
    given = follows(spark, "ab ac bd cd da de aa ab")
    found = suggest_by_contacts(given, contacts_of(given, 10), k=10).orderBy("user_id", "rank").collect()
    b, d = 1 / np.log(2), 1 / np.log(4)  # b and c have 2 contacts, d has 4: a, b, c, e; a has 3: b, c, d
    a = 1 / np.log(3)
    assert [(r["user_id"], r["recommended_id"], round(r["score"], 6), r["common"], r["follows_back"]) for r in found] == [
        # d follows a, so a may follow it; e is met through d.
        ("a", "d", round(2 * b, 6), 2, True), ("a", "e", round(d, 6), 1, False),
        # b meets c through a and d, a (who follows b) through d.
        ("b", "c", round(a + d, 6), 2, False), ("b", "a", round(d, 6), 1, True), ("b", "e", round(d, 6), 1, False),
        ("c", "b", round(a + d, 6), 2, False), ("c", "a", round(d, 6), 1, True), ("c", "e", round(d, 6), 1, False),
        # d follows a and e; b and c follow d, and are met through a.
        ("d", "b", round(a, 6), 1, True), ("d", "c", round(a, 6), 1, True),
        ("e", "a", round(d, 6), 1, False), ("e", "b", round(d, 6), 1, False), ("e", "c", round(d, 6), 1, False),
    ]  # fmt: skip


def test_random_follows_against_networkx(spark: SparkSession) -> None:
    rng = np.random.default_rng(6)
    pairs = [(f"n{a}", f"n{b}") for a, b in rng.integers(0, 60, (400, 2)) if a != b]
    graph = nx.Graph(pairs)
    wanted = [(u, w) for u in graph for w in graph if u != w and (u, w) not in set(pairs)]
    index = {(u, w): score for u, w, score in nx.adamic_adar_index(graph, wanted) if score > 0}
    best = []
    for user, group in groupby(sorted((u, -round(score, 6), w) for (u, w), score in index.items()), key=lambda row: row[0]):
        best += [(user, rank, who, -score) for rank, (_, score, who) in enumerate(list(group)[:5], 1)]
    given = follow_pairs(spark.createDataFrame(pairs, "src_id string, dst_id string"))
    found = suggest_by_contacts(given, contacts_of(given, 1000), 5).orderBy("user_id", "rank").collect()
    assert [(r["user_id"], r["rank"], r["recommended_id"], round(r["score"], 6)) for r in found] == best
    assert all(r["common"] == len(list(nx.common_neighbors(graph, r["user_id"], r["recommended_id"]))) for r in found)


def test_hubs_are_no_common_contacts(spark: SparkSession) -> None:
    star = " ".join(f"{leaf}h" for leaf in "abcde") + " ax bx"
    found = suggest_by_contacts(follows(spark, star), contacts_of(follows(spark, star), 4), k=10).orderBy("user_id").collect()
    # h has five contacts; x has two, a and b, who have h and x in common.
    assert [(r["user_id"], r["recommended_id"]) for r in found] == [("a", "b"), ("b", "a"), ("h", "x"), ("x", "h")]
    assert suggest_by_contacts(follows(spark, star), contacts_of(follows(spark, star), 5), k=1).count() == 7


def test_a_walk_fills_short_lists(spark: SparkSession) -> None:
    """Against powers of the matrix of moves: rows below those of common contacts, nobody twice, hubs lead nowhere."""
    rng = np.random.default_rng(8)
    # Twenty people in a ring with a few chords, and one hub that all follow.
    ring = [(a, (a + 1) % 20) for a in range(20)] + [tuple(chord) for chord in rng.integers(0, 20, (6, 2))]
    pairs = [(f"n{a:02}", f"n{b:02}") for a, b in ring if a != b] + [(f"n{a:02}", "hub") for a in range(20)]
    given = follow_pairs(spark.createDataFrame(pairs, "src_id string, dst_id string"))
    listed = suggest_by_contacts(given, contacts_of(given, 19), 8).persist()
    few = short_lists(listed, given, 8)
    found = suggest_by_walk(few, listed, given, contacts_of(given, 19), 8, WalkSettings(3, 0.2, 1000)).collect()
    lists = {(r["user_id"], r["rank"]): r for r in found}
    assert len(lists) == len(found) > 50

    people = sorted({person for pair in pairs for person in pair})
    place = {person: n for n, person in enumerate(people)}
    linked = np.zeros((len(people), len(people)))
    for a, b in pairs:
        linked[place[a], place[b]] = linked[place[b], place[a]] = 1
    moves = linked / linked.sum(axis=1, keepdims=True)
    moves[place["hub"]] = 0
    mass = sum(0.2 * 0.8**step * np.linalg.matrix_power(moves, step) for step in (1, 2, 3))
    first = {(r["user_id"], r["recommended_id"]) for r in listed.collect()}
    for user in people:
        before = [pair for pair in first if pair[0] == user]
        others = [
            (-float(f"{mass[place[user], place[who]]:.6e}"), who) for who in people
            if who != user and (user, who) not in {*pairs, *first} and mass[place[user], place[who]] > 0
        ]  # fmt: skip
        wanted = [(who, -score) for score, who in sorted(others)][: 8 - len(before)]
        got = [lists[user, rank] for rank in range(len(before) + 1, 9) if (user, rank) in lists]
        assert [(r["recommended_id"], pytest.approx(r["score"], rel=1e-5)) for r in got] == wanted
        assert sum(who == user for who, _ in lists) == len(got)
    assert {(r["common"], r["follows_back"]) for r in found} == {(0, True), (0, False)}


def test_a_walk_keeps_the_likeliest_places_only(spark: SparkSession) -> None:
    # a's contacts are b, c, d; b's are a, e, and so on: of three equally likely places one goes on, the smallest id.
    given = follows(spark, "ab ac ad be cf dg")
    none = suggest_by_contacts(given, contacts_of(given, 100), 5).limit(0)
    few = short_lists(none, given, 5).where("user_id = 'a'")
    # In one step b alone is kept, whom a follows; in the next e and a have half a chance each, and a comes first.
    assert suggest_by_walk(few, none, given, contacts_of(given, 100), 5, WalkSettings(2, 0.2, 1)).collect() == []
    wide = suggest_by_walk(few, none, given, contacts_of(given, 100), 5, WalkSettings(2, 0.2, 2)).collect()
    # b and c are kept; then a with a third and e with a sixth, before f.
    assert [(r["recommended_id"], r["rank"], pytest.approx(r["score"])) for r in wide] == [("e", 1, 0.2 * 0.8**2 / 6)]


def test_the_job_names_nobody_and_writes_the_same_twice(spark: SparkSession, lake: Lake) -> None:
    job = find_job("recommend_follows")
    with pytest.raises(SkippedError, match=r"silver\.follows does not exist"):
        job.run(lake, lake.settings.follows, DAY)
    rows = [("a", "b", None), ("b", "d", datetime(2024, 2, 1)), ("d", "a", None), ("d", "e", datetime(2024, 3, 2))]
    rows.append(("f", "g", None))
    made = [(src, dst, 1.0, when, "test") for src, dst, when in rows]
    fields = "src_id string, dst_id string, weight double, followed_at timestamp, source string"
    lake.append("silver.follows", spark.createDataFrame(made, fields))
    for _ in range(2):
        job.run(lake, lake.settings.follows.model_copy(update={"walk_steps": 1}), DAY)
        found = lake.read_current("gold.follow_recommendations").orderBy("user_id").collect()
        # d follows e after the day; in the ring of three each is met through the third. Nobody joins f and g.
        assert [(r["user_id"], r["rank"], r["recommended_id"], r["common"], r["source"], r["reason"]) for r in found] == [
            ("a", 1, "d", 1, "contacts", "Follows you. 1 contact in common."),
            ("b", 1, "a", 1, "contacts", "Follows you. 1 contact in common."),
            ("d", 1, "b", 1, "contacts", "Follows you. 1 contact in common."),
            ("g", 1, "f", 0, "walk", "Follows you. Near you in the network."),
        ]
