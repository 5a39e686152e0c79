"""Bootstrap intervals beside scipy's and the normal ones; paired differences where models differ and where not."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from scipy import stats
from shoal.recommend.protocol.significance import bootstrap, intervals, is_better, paired_differences


def per_user(spark: SparkSession, values: dict[str, np.ndarray]) -> DataFrame:  # type: ignore[type-arg]
    rows = [(model, f"u{n}", float(value)) for model, given in values.items() for n, value in enumerate(given)]
    return spark.createDataFrame(rows, "model string, user_id string, `ndcg@10` double")


def test_intervals_and_differences_beside_scipy(spark: SparkSession) -> None:
    rng = np.random.default_rng(5)
    good = rng.random(400)
    values = {"good": good, "alike": np.roll(good, 1), "worse": np.clip(good - 0.1 + rng.normal(0, 0.05, 400), 0, 1)}
    found = bootstrap(per_user(spark, values), "ndcg@10", list(values), seed=3)
    assert abs(found.users.mean() - 400) < 3
    said = intervals(found)
    for name, given in values.items():
        theirs = stats.bootstrap((given,), np.mean, n_resamples=2000, method="percentile", random_state=1).confidence_interval
        low, high = said[name] or [0.0, 0.0]
        # Percentiles of 1,000 and 2,000 replicates of a mean with a standard error of .014.
        assert abs(low - theirs.low) < 0.004
        assert abs(high - theirs.high) < 0.004
    off = paired_differences(found, "good")
    assert list(off) == ["alike", "worse"]
    # The same values for other users: no difference in the mean, a wide interval around 0.
    assert off["alike"]["low"] < 0 < off["alike"]["high"]
    assert off["alike"]["p_value"] > 0.5
    # Paired: the difference of .1 varies by .05 a user, so by .0025 in the mean, far less than the two means do.
    expected = (values["good"] - values["worse"]).mean()
    assert off["worse"]["low"] < expected < off["worse"]["high"]
    assert off["worse"]["high"] - off["worse"]["low"] < 0.02
    assert off["worse"]["p_value"] == 0.002
    # Noise promotes nothing, nor do equal models, nor what is worse.
    promoted = [(new, old) for new in values for old in values if is_better(found, new, old, 0.05)]
    assert promoted == [("good", "worse"), ("alike", "worse")]


def test_the_same_whatever_the_partitions_and_nobody_is_null(spark: SparkSession) -> None:
    frame = per_user(spark, {"a": np.arange(50) / 50, "b": np.ones(50)})
    one = intervals(bootstrap(frame.coalesce(1), "ndcg@10", ["a", "b"], 1))
    assert one == intervals(bootstrap(frame.repartition(7), "ndcg@10", ["a", "b"], 1))
    assert one["b"] == [1.0, 1.0]
    nobody = bootstrap(frame.where("false"), "ndcg@10", ["a", "b"], 1)
    assert intervals(nobody) == {"a": None, "b": None}
    assert paired_differences(nobody, "a") == {}
    # A user whom a model does not have counts zero there.
    lacking = frame.where("model = 'b'").limit(25).unionByName(frame.where("model = 'a'"))
    low, high = intervals(bootstrap(lacking, "ndcg@10", ["b"], 1))["b"] or [0.0, 0.0]
    assert low < 0.5 < high
