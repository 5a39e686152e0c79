"""Indices follow id order without gaps, whatever the partitions."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.graph import node_index
from shoal.mine.graph.node_index import are_integers, index_graph, number_rows

from tests.mine.graph.oracles import frame


def order_of(spark: SparkSession, ids: list[str]) -> list[str]:
    graph = index_graph(frame(spark, [(one, one, 1.0) for one in ids]).repartition(3))
    rows = graph.nodes.orderBy("node").collect()
    assert [r["node"] for r in rows] == list(range(len(ids)))
    graph.release()
    return [r["node_id"] for r in rows]


@pytest.mark.parametrize(
    ("ids", "integers"),
    [
        (["10", "9", "-2", "0"], True),
        (["10", "9", "-0"], False),  # -0 is no plain integer: the order is textual
        (["10", "09"], False),
        (["10", "9", "1e3"], False),
        (["10", "9\n"], False),
        (["999999999999999999", "5"], True),
        (["9999999999999999999", "5"], False),  # beyond 18 digits
        (["é", "z", "Z", "😀", "\uffff"], False),  # by code point: beyond the basic plane comes last
    ],
)
def test_ids_are_ordered_by_number_only_where_all_are_numbers(spark: SparkSession, ids: list[str], integers: bool) -> None:
    assert are_integers(ids) == integers
    assert order_of(spark, ids) == sorted(ids, key=int if integers else str)


@pytest.mark.parametrize("most_broadcast", [0, 6])
def test_a_large_graph_has_the_indices_of_a_small_one(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, most_broadcast: int
) -> None:
    monkeypatch.setattr(node_index, "MOST_BROADCAST", most_broadcast)
    graph = index_graph(frame(spark, [("b", "a", 1.0), ("f", "c", 2.0), ("d", "e", 3.0), ("a", "f", 4.0)]).repartition(3))
    assert {r["node_id"]: r["node"] for r in graph.nodes.collect()} == dict(zip("abcdef", range(6), strict=True))
    assert sorted(tuple(r) for r in graph.edges.collect()) == [(0, 5, 4.0), (1, 0, 1.0), (3, 4, 3.0), (5, 2, 2.0)]
    assert ("strategy=broadcast" in graph.edges._jdf.queryExecution().analyzed().toString()) == (most_broadcast == 6)
    graph.release()


def test_rows_are_numbered_without_gaps_over_many_partitions(spark: SparkSession) -> None:
    rows = spark.range(0, 1000, 1, 7).select((F.col("id") * 37 % 1000).alias("v"))
    numbered = number_rows(rows, [F.desc("v")], "place")
    assert {r["v"]: r["place"] for r in numbered.collect()} == {v: 999 - v for v in range(1000)}
    assert number_rows(rows.where("v < 0"), [F.desc("v")], "place").collect() == []
