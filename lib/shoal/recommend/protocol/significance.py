"""Bootstrap confidence intervals of a mean over users, and paired tests of the difference between models.

Users are drawn again, not rows: every replicate weighs each user by a Poisson(1) number, the same for all models (Hanley and
MacGibbon, Computer Methods and Programs in Biomedicine 83, 2006; Chamandy et al., Estimating Uncertainty for Massive Data
Streams, 2012), so no list of users is ever collected. Intervals are the 2.5th and 97.5th percentiles of the replicates. The
p-value of a difference is twice the smaller share of replicates on either side of 0 (Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, chapter 15), at least 2 / replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles

REPLICATES = 1000


@dataclass(frozen=True)
class Replicates:
    """`totals`: replicates x models, sums over the weighted users; `users`: replicates, the sums of the weights."""

    models: tuple[str, ...]
    totals: Doubles
    users: Doubles

    @property
    def means(self) -> Doubles:
        """Replicates x models; NaN where a replicate has no user."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.totals / self.users[:, None])


def bootstrap(per_user: DataFrame, metric: str, models: Sequence[str], seed: int) -> Replicates:
    """The replicates of the mean of `metric` for each of `models`. Grain of `per_user`: model and user; a user that a model lacks
    counts zero there. A user's weights depend on seed and user_id only. Cost: one shuffle by user; collects one row a task, of
    REPLICATES x models numbers.
    """
    columns = [F.coalesce(F.max(F.when(F.col("model") == name, F.col(f"`{metric}`"))), F.lit(0.0)) for name in models]
    wide = per_user.groupBy("user_id").agg(F.array(*columns).alias("values"))
    keyed = wide.select(F.xxhash64(F.lit(seed), "user_id").alias("key"), "values")
    width = len(models)

    def summed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        totals, users = np.zeros((REPLICATES, width)), np.zeros(REPLICATES)
        for batch in batches:
            values = batch.column("values").flatten().to_numpy().reshape(batch.num_rows, width)
            for key, row in zip(batch.column("key").to_pylist(), values, strict=True):
                weight = np.random.default_rng(key & (2**64 - 1)).poisson(1.0, REPLICATES)
                totals += weight[:, None] * row
                users += weight
        packed = [pa.array([array.tobytes()], pa.binary()) for array in (totals, users)]
        yield pa.RecordBatch.from_arrays(packed, names=["totals", "users"])

    totals, users = np.zeros((REPLICATES, width)), np.zeros(REPLICATES)
    for row in keyed.mapInArrow(summed, "totals binary, users binary").collect():
        totals += np.frombuffer(row["totals"]).reshape(REPLICATES, width)
        users += np.frombuffer(row["users"])
    return Replicates(tuple(models), totals, users)


def intervals(found: Replicates) -> dict[str, list[float] | None]:
    """Model -> [low, high], the 95% interval of its mean; None where no user counts."""
    means = found.means[found.users > 0]
    if not len(means):
        return dict.fromkeys(found.models)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return {name: [round(float(low[i]), 6), round(float(high[i]), 6)] for i, name in enumerate(found.models)}


def is_better(found: Replicates, new: str, old: str, max_p_value: float) -> bool:
    """Whether the mean of `new` is above that of `old` by more than chance: the paired difference is positive in all but
    `max_p_value` / 2 of the replicates. False where no user counts, and for equal models."""
    means = found.means[found.users > 0]
    if not len(means):
        return False
    off = means[:, found.models.index(new)] - means[:, found.models.index(old)]
    return bool(max(2 * (off <= 0).mean(), 2 / len(off)) < max_p_value)


def paired_differences(found: Replicates, best: str) -> dict[str, dict[str, float]]:
    """Other model -> {"low", "high"} of the 95% interval of `best` minus it, and "p_value"; empty where no user counts."""
    means = found.means[found.users > 0]
    if not len(means):
        return {}
    at = found.models.index(best)
    said = {}
    for i, name in enumerate(found.models):
        if name == best:
            continue
        off = means[:, at] - means[:, i]
        low, high = np.percentile(off, [2.5, 97.5])
        share = 2 * min((off <= 0).mean(), (off >= 0).mean())
        p_value = min(1.0, max(share, 2 / len(off)))
        said[name] = {"low": round(float(low), 6), "high": round(float(high), 6), "p_value": round(float(p_value), 6)}
    return said
