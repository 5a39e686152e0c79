"""Blocks give the same however many they are, and free what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.mine.graph import algorithms
from shoal.mine.graph.blocks import build_blocks, next_chain, run_rounds, state_values
from shoal.mine.graph.spark_engine import label_program, rank_program

from tests.mine.graph import oracles

# Entries (row, col, value): 0 pulls from 1 and 2, 1 from 0, 3 from 0 and itself; 2 and 4 pull from nobody.
ENTRIES = [(0, 1, 1.0), (0, 2, 1.0), (1, 0, 0.5), (3, 0, 0.5), (3, 3, 1.0)]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_one_round_of_ranks_by_hand(spark: SparkSession, count: int) -> None:
    """Five nodes, seven blocks too: some blocks have no entry, some no node."""
    entries = spark.createDataFrame(ENTRIES, "row bigint, col bigint, value double")
    blocks = build_blocks(entries, 5, count)
    outcome = run_rounds(blocks, rank_program(0.85, 5), 2, lambda change, cycle: False)
    pulled = np.array([0.4, 0.1, 0.0, 0.3, 0.0])  # from 1/5 everywhere
    ranks = {r["node"]: r["value"] for r in state_values(blocks, outcome, 1, "double").collect()}
    expected = 0.85 * pulled + (1 - 0.85 * pulled.sum()) / 5
    assert ranks == pytest.approx(dict(enumerate(expected)), abs=1e-15)
    assert outcome.change == pytest.approx(np.abs(expected - 0.2).sum())


@pytest.mark.parametrize(
    ("changes", "enough", "rounds"),
    [
        ([], 1e-6, 4), ([1.0], 1e-6, 4), ([1.0, 0.5], None, 4),
        ([1.0, 1e-2], 1e-6, 8),  # four rounds took two of the six powers of ten
        ([1.0, 0.99], 1e-6, 24), ([1e-5, 0.99e-6 / 0.9], 1e-6, 1),
        ([1.0, 1.0], 1e-6, 4), ([float("inf"), 0.1], 1e-6, 4), ([0.1, 0.2], 1e-6, 4), ([1.0, 0.1], 0.0, 4),
    ],
)  # fmt: skip
def test_a_steady_fall_says_how_long_the_next_chain_is(changes: list[float], enough: float | None, rounds: int) -> None:
    assert next_chain(changes, 4, enough) == rounds


def test_labels_are_the_same_for_any_number_of_blocks(spark: SparkSession) -> None:
    edges = oracles.random_edges(4, 300, 900, str)
    graph = oracles.undirected(edges)
    entries = [(int(a), int(b), f["weight"]) for a, b, f in graph.edges(data=True)]
    entries += [(b, a, w) for a, b, w in entries if a != b]
    table = spark.createDataFrame(entries, "row bigint, col bigint, value double")
    found = []
    for count in (1, 3):
        blocks = build_blocks(table, 300, count)
        outcome = run_rounds(blocks, label_program(), 5, lambda change, cycle: False)
        found.append({r["node"]: r["value"] for r in state_values(blocks, outcome, 0, "bigint").collect()})
    expected = oracles.label_propagation(edges, 5, int)
    assert found[0] == found[1]
    assert {str(n): str(label) for n, label in found[0].items() if str(n) in expected} == expected


def test_nothing_stays_cached_but_the_result(spark: SparkSession) -> None:
    from shoal.conf.loading import load

    table = oracles.frame(spark, oracles.zoo())
    context = spark.sparkContext._jsc
    before = set(context.getPersistentRDDs().keySet())
    for run in (algorithms.page_rank, algorithms.label_propagation, algorithms.connected_components, algorithms.triangle_count):
        result = run(table, load().graph, "spark")
        left = set(context.getPersistentRDDs().keySet()) - before
        assert len(left) == 1, run.__name__  # the result's own checkpoint
        assert result.count() > 0
        before |= left
