"""Many series of a frame: each is scored in one task, in the order of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.anomalies.seasonal import AlarmRule, score_series

_SCORED = "position bigint, anomaly_score double, is_anomaly boolean, expected double, expected_low double, expected_high double"


def score_moments(rows: DataFrame, rule: AlarmRule) -> DataFrame:
    """`position`, `anomaly_score` (deviations, from 0), `is_anomaly`, `expected`, `expected_low`, `expected_high` of rows `series`
    (string), `measured_at` (timestamp), `value` (double, may be null), `position` (bigint, unique).

    See shoal.mine.anomalies.seasonal.score_series. Rows without a time are in no series: score 0, expected null. One shuffle by
    series; a task holds one Arrow batch and one series, of which an hour's worth of seconds or ten years of minutes are 40 MB.
    """

    def scored(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for series in _whole_series(batches):
            found = score_series(series["moment"].to_numpy(np.int64), series["value"].to_numpy(np.float64), rule)
            yield pd.DataFrame(
                {"position": series["position"], "anomaly_score": found.score, "is_anomaly": found.is_anomaly,
                 "expected": found.expected, "expected_low": found.low, "expected_high": found.high}
            )  # fmt: skip

    timed = rows.where(F.col("measured_at").isNotNull())
    ordered = timed.select("series", F.unix_micros("measured_at").alias("moment"), "position", F.col("value").cast("double"))
    ordered = ordered.repartition("series").sortWithinPartitions("series", "moment", "position")
    return ordered.mapInPandas(scored, _SCORED)


def _whole_series(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The rows of one series at a time, of batches in which a series' rows follow each other."""
    kept: list[pd.DataFrame] = []
    for batch in batches:
        names = batch["series"].to_numpy()
        edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)] if len(names) else [0]
        for start, end in pairwise(edges):
            if kept and kept[-1]["series"].iloc[0] != names[start]:
                yield pd.concat(kept, ignore_index=True)
                kept = []
            kept.append(batch.iloc[start:end])
    if kept:
        yield pd.concat(kept, ignore_index=True)
