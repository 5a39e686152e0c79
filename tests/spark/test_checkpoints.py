"""A frame whose lineage is cut keeps its rows, its partitions and its real size."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.spark.checkpoints import cut_lineage, release


def estimated(rows: DataFrame) -> int:
    return int(rows._jdf.queryExecution().optimizedPlan().stats().sizeInBytes())


@pytest.fixture(params=["local", "in files"])
def place(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> None:
    """Both kinds of checkpoint; the session has no folder for them by itself."""
    if request.param == "in files":
        spark.sparkContext.setCheckpointDir(str(tmp_path))
        request.addfinalizer(lambda: spark._jsc.sc().setCheckpointDir(None))


@pytest.mark.usefixtures("place")
def test_rounds_of_self_joins_do_not_grow_the_estimate(spark: SparkSession) -> None:
    """Eight rounds: by the product of both sides the estimate had 2^8 times the digits of the first."""
    state = spark.range(0, 20, 1, 2).withColumn("value", F.col("id") % 3)
    for _ in range(8):
        sums = state.groupBy("value").agg(F.sum("id").alias("total"))
        state = cut_lineage(state.join(sums, "value").join(state.select("id"), "id").select("id", "value"))
    assert estimated(state) < 100_000
    assert sorted(map(tuple, state.collect())) == [(number, number % 3) for number in range(20)]
    release(state)


@pytest.mark.usefixtures("place")
def test_rows_partitions_and_names_stay_and_an_empty_frame_is_small(spark: SparkSession) -> None:
    rows = spark.range(0, 90, 1, 3).withColumn("text", F.concat(F.lit("n"), "id"))
    cut = cut_lineage(rows)
    assert (cut.schema, cut.rdd.getNumPartitions()) == (rows.schema, 3)
    assert cut.collect() == rows.collect()
    assert "LogicalRDD" in cut._jdf.queryExecution().analyzed().toString()
    # A frame joined with itself: the names of either side are kept apart.
    both = cut.alias("a").join(cut.alias("b"), F.col("a.id") == F.col("b.id") + 1).select("a.id", "b.text")
    assert both.where("a.id = 7").collect() == [(7, "n6")]
    assert 0 < estimated(cut_lineage(rows.where("id < 0"))) < 10_000


def test_a_frame_to_be_computed_later_is_not_measured(spark: SparkSession) -> None:
    cut = cut_lineage(spark.range(5), eager=False)
    assert cut.collect() == spark.range(5).collect()
    release(cut)
