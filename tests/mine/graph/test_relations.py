"""Edges between users, with what everybody uses and a user who uses everything."""

from __future__ import annotations

import math

import pytest
from pyspark.sql import SparkSession
from shoal.mine.graph.relations import MAX_SHARED, shared_edges

USES = "user_id string, thing string"


def test_no_pair_is_made_of_what_everybody_uses_and_no_user_has_too_many(spark: SparkSession) -> None:
    rows = [(f"u{i:03}", "everybody") for i in range(MAX_SHARED + 1)]
    # A hub shares one thing each with 60 others, two with the first three; one thing is the hub's alone.
    rows += [(name, f"t{i}") for i in range(60) for name in ("hub", f"u{i:03}")]
    rows += [(name, f"s{i}") for i in range(3) for name in ("hub", f"u{i:03}", f"u{i:03}")]
    rows += [("hub", "alone"), (None, "t0"), ("u000", None)]
    frame = spark.createDataFrame(rows, USES)
    found = {(r["src"], r["dst"]): r["weight"] for r in shared_edges(frame, 50).collect()}
    assert len(found) == 50
    assert {name for pair in found for name in pair} == {"hub"} | {f"u{i:03}" for i in range(50)}
    assert found["hub", "u000"] == pytest.approx(2 / math.log(3)) and found["hub", "u049"] == pytest.approx(1 / math.log(3))
    # A thing of exactly as many users as count makes all their pairs, and no more.
    full = spark.createDataFrame([(f"u{i:03}", "many") for i in range(MAX_SHARED)], USES)
    assert shared_edges(full, 1_000).count() == MAX_SHARED * (MAX_SHARED - 1) // 2
    assert shared_edges(spark.createDataFrame([], USES), 5).count() == 0
