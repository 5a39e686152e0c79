"""Who is in which experiment, and in which arm: a salted hash of the user's id, the same in Spark and wherever else it is asked.

Experiments of one layer divide its users among them: each has a range of the layer's 10,000 buckets, and ranges do not overlap.
Experiments of different layers are independent, because each layer has a salt of its own. A ramp lets more of the range in, day by
day; who is in stays in, in the same arm, because the range grows at its end and the arm is drawn with the experiment's own salt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import UsageError

BUCKETS = 10_000
# Twelve hexadecimal digits of SHA-256 are exact in a double and in a bigint.
_DIGITS = 12


@dataclass(frozen=True)
class Experiment:
    """`layer` and its range of buckets [first, first + size); `arms`: name -> weight, the first is the control; `ramp`: (day, share
    of the range) in order of days, the last one that has come counts; from `start` to `end`, both included."""

    name: str
    arms: tuple[tuple[str, float], ...]
    start: date
    end: date
    layer: str = "default"
    first_bucket: int = 0
    buckets: int = BUCKETS
    ramp: tuple[tuple[date, float], ...] = field(default=())

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return self.arms[0][0]

    def open_buckets(self, day: date) -> int:
        """How many buckets of the range are let in on that day; 0 before the start and after the end."""
        if not self.start <= day <= self.end:
            return 0
        shares = [share for since, share in self.ramp if since <= day]
        return round(self.buckets * (shares[-1] if shares else 0.0 if self.ramp else 1.0))


def check_experiments(experiments: Sequence[Experiment]) -> None:
    """Raise UsageError, one line, for experiments that cannot be run: two of a name, fewer than two arms, weights that are not
    above 0, an end before the start, a range outside the layer, ranges of one layer that overlap on the same day, a ramp that
    shrinks."""
    names = [each.name for each in experiments]
    for each in experiments:
        arms = [name for name, _ in each.arms]
        faults = {
            "two experiments have this name": names.count(each.name) > 1,
            f"{len(arms)} arm; expected at least two, the control first": len(arms) < 2,
            "two arms have the same name": len(set(arms)) < len(arms),
            "weights of arms must be above 0": any(not weight > 0 for _, weight in each.arms),
            f"ends on {each.end}, before its start on {each.start}": each.end < each.start,
            f"buckets {each.first_bucket} to {each.first_bucket + each.buckets - 1}; a layer has 0 to {BUCKETS - 1}":
                each.first_bucket < 0 or each.buckets < 1 or each.first_bucket + each.buckets > BUCKETS,
            "the ramp must grow from day to day, with shares from 0 to 1": not _grows(each.ramp),
        }  # fmt: skip
        for fault, is_so in faults.items():
            if is_so:
                raise UsageError(f"experiment {each.name}: {fault}")
    for n, one in enumerate(experiments):
        for other in experiments[n + 1 :]:
            together = one.start <= other.end and other.start <= one.end and one.layer == other.layer
            if together and max(one.first_bucket, other.first_bucket) < min(
                one.first_bucket + one.buckets, other.first_bucket + other.buckets
            ):
                raise UsageError(f"experiments {one.name} and {other.name}: the same buckets of layer {one.layer} on the same days")


def with_arm(users: DataFrame, experiment: Experiment, day: date) -> DataFrame:
    """The users who are in the experiment on `day`, each with `arm`. `users`: user_id, not null. A Column expression, no shuffle;
    the same user has the same arm on every day, in every session, and by `arm_of`."""
    place = F.pmod(_hashed(f"layer:{experiment.layer}"), F.lit(BUCKETS))
    first = experiment.first_bucket
    is_in = (place >= first) & (place < first + experiment.open_buckets(day))
    fraction = _hashed(f"experiment:{experiment.name}") / F.lit(float(16**_DIGITS))
    arm = F.lit(experiment.arms[-1][0])
    bounds = _bounds(experiment)
    for (name, _), bound in reversed(list(zip(experiment.arms[:-1], bounds[:-1], strict=True))):
        arm = F.when(fraction < F.lit(bound), F.lit(name)).otherwise(arm)
    return users.where(is_in).withColumn("arm", arm)


def arm_of(user_id: str, experiment: Experiment, day: date) -> str | None:
    """The arm of one user, as `with_arm` has it; None where the user is not in the experiment on that day."""
    place = _hash(f"layer:{experiment.layer}", user_id) % BUCKETS - experiment.first_bucket
    if not 0 <= place < experiment.open_buckets(day):
        return None
    fraction = _hash(f"experiment:{experiment.name}", user_id) / float(16**_DIGITS)
    bounds = _bounds(experiment)
    names = [name for name, _ in experiment.arms]
    return next((name for name, bound in zip(names, bounds, strict=True) if fraction < bound), names[-1])


def _bounds(experiment: Experiment) -> list[float]:
    """The upper end of each arm's part of [0, 1)."""
    total, bounds, reached = sum(weight for _, weight in experiment.arms), [], 0.0
    for _, weight in experiment.arms:
        reached += weight
        bounds.append(reached / total)
    return bounds


def _hashed(salt: str) -> Column:
    digest = F.sha2(F.concat(F.lit(f"{salt}:"), F.col("user_id")), 256)
    return F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("bigint")


def _hash(salt: str, user_id: str) -> int:
    return int(hashlib.sha256(f"{salt}:{user_id}".encode()).hexdigest()[:_DIGITS], 16)


def _grows(ramp: Sequence[tuple[date, float]]) -> bool:
    return all(0 <= share <= 1 for _, share in ramp) and all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ramp))
