"""Posts as vectors: numbers in deviations from the mean, cut, and 0 for a missing one."""

from __future__ import annotations

import math

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.posts.design import NUMBERS, Design, with_vectors
from shoal.mine.posts.rules import MAX_DEVIATIONS, NUMBER_SCALE


def test_a_missing_number_stands_at_the_mean_and_a_far_one_is_cut(spark: SparkSession) -> None:
    rows = [(1, 14.0), (2, None), (3, math.nan), (4, 1e9), (5, -1e9), (6, math.inf)]
    posts = spark.createDataFrame(rows, "position bigint, days double").withColumn("terms", F.array(F.lit(" ")))
    design = Design((" ",), np.ones(1), {"days": (10.0, 2.0), "never varied": (3.0, 0.0)}, (0.0, 1.0))
    framed = with_vectors(posts, design, {"days": F.col("days"), "never varied": F.lit(3.0)}, F.lit(0.0))
    found = {row["position"]: row[NUMBERS].toArray() / NUMBER_SCALE for row in framed.select("position", NUMBERS).collect()}
    wanted = {1: 2.0, 2: 0.0, 3: 0.0, 4: MAX_DEVIATIONS, 5: -MAX_DEVIATIONS, 6: MAX_DEVIATIONS}
    assert {position: tuple(numbers) for position, numbers in found.items()} == {p: (w, 0.0) for p, w in wanted.items()}
