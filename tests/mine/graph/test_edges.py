"""What an edge is, and which edges are refused."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from shoal.conf.sections import GraphConf
from shoal.errors import InputError
from shoal.mine.graph.algorithms import page_rank
from shoal.mine.graph.edges import as_undirected, clean_edges, refuse_faults, with_reverse

from tests.mine.graph.oracles import frame

REFUSED = [
    ((None, "b", 1.0), r"edge \(null\) -> b: an id is empty"),
    (("a", None, 1.0), r"edge a -> \(null\): an id is empty"),
    (("a", "", 1.0), "edge a -> : an id is empty"),
    (("a", "b", -1.0), r"edge a -> b: weight -1.0; expected 0 to 1e100"),
    (("a", "b", float("nan")), "edge a -> b: the weight is not a number"),
    (("a", "b", float("inf")), "edge a -> b: weight Infinity; expected"),
    (("a", "b", float("-inf")), "edge a -> b: weight -Infinity; expected"),
    (("a", "b", 1e101), r"edge a -> b: weight 1.0E101; expected"),
]


@pytest.mark.parametrize(("edge", "message"), REFUSED)
def test_a_faulty_edge_is_named(spark: SparkSession, edge: tuple, message: str) -> None:
    with pytest.raises(InputError, match=f"^edges: {message}"):
        refuse_faults(clean_edges(frame(spark, [("x", "y", 1.0), edge])))


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_parallel_edges_cannot_hide_a_negative_one(spark: SparkSession, conf: GraphConf, engine: str) -> None:
    with pytest.raises(InputError, match="edge a -> b: weight -1.0"):
        page_rank(frame(spark, [("a", "b", 5.0), ("a", "b", -1.0)]), conf, engine)


def test_a_missing_weight_is_one_and_other_columns_do_not_matter(spark: SparkSession) -> None:
    given = spark.createDataFrame([(1, 2, None, "x"), (2, 3, 0.5, "y")], "src int, dst int, weight double, note string")
    assert [tuple(r) for r in clean_edges(given).collect()] == [("1", "2", 1.0, None), ("2", "3", 0.5, None)]
    assert [tuple(r) for r in clean_edges(given.drop("weight")).collect()] == [("1", "2", 1.0, None), ("2", "3", 1.0, None)]


def test_a_missing_column_is_named_with_those_there_are(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="no column dst; expected src, dst and optionally weight, found src, target"):
        clean_edges(spark.createDataFrame([("a", "b")], "src string, target string"))


def test_undirected_adds_both_directions_and_keeps_a_loop_single(spark: SparkSession) -> None:
    edges = frame(spark, [("b", "a", 1.0), ("a", "b", 2.0), ("a", "b", 4.0), ("c", "c", 3.0)])
    assert sorted(tuple(r) for r in as_undirected(edges).collect()) == [("a", "b", 7.0), ("c", "c", 3.0)]
    both = with_reverse(frame(spark, [("a", "b", 2.0), ("c", "c", 3.0)]))
    assert sorted(tuple(r) for r in both.collect()) == [("a", "b", 2.0), ("b", "a", 2.0), ("c", "c", 3.0)]
