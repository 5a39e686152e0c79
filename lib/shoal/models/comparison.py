"""A champion against a challenger on the same cases, and whether the challenger is to serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from shoal.arrays import Doubles
from shoal.mine.probability.paired import MIN_CASES, paired_test
from shoal.recommend.protocol.significance import Replicates

AGE = "age"


@dataclass(frozen=True)
class Comparison:
    """The means of both over `cases`, in the metric's unit; `gain`: by how much the challenger is better, whichever way the metric
    goes, `gain_low` the lower end of its one-sided 95% interval, `p_value` of the two-sided paired test."""

    metric: str
    cases: int
    champion: float
    challenger: float
    gain: float
    gain_low: float
    p_value: float

    def is_better(self, max_p_value: float) -> bool:
        """Whether the challenger is better by more than chance."""
        return self.cases >= MIN_CASES and self.gain > 0 and self.p_value < max_p_value

    def is_not_worse(self, max_loss: float) -> bool:
        """Whether it is known (at 95%) that the challenger loses less than the share `max_loss` of the champion's value."""
        return self.cases >= MIN_CASES and self.gain_low > -max_loss * abs(self.champion)


def compare_losses(metric: str, champion: Doubles, challenger: Doubles) -> Comparison:
    """From the losses of both on the same cases, in the same order: smaller is better."""
    rise, rise_high, p_value = paired_test(challenger, champion)
    means = (float(np.mean(champion)), float(np.mean(challenger))) if len(champion) else (0.0, 0.0)
    return Comparison(metric, len(champion), *means, -rise, -rise_high, p_value)


def compare_replicates(metric: str, cases: int, found: Replicates, champion: str, challenger: str) -> Comparison:
    """From bootstrap replicates of the means of both: larger is better."""
    means = found.means[found.users > 0]
    if not len(means):
        return Comparison(metric, cases, 0.0, 0.0, 0.0, float("-inf"), 1.0)
    old, new = (means[:, found.models.index(name)] for name in (champion, challenger))
    off = new - old
    p_value = min(1.0, max(2 * min((off <= 0).mean(), (off >= 0).mean()), 2 / len(off)))
    low = float(np.percentile(off, 5))
    return Comparison(metric, cases, float(old.mean()), float(new.mean()), float(off.mean()), low, float(p_value))


def is_promoted(found: Comparison, due: Iterable[str], max_p_value: float, max_loss: float) -> bool:
    """Whether the challenger is to serve: where it is better; where nothing but its age speaks against the champion, where it is
    not worse either (docs/adr/0152)."""
    only_age = set(due) == {AGE}
    return found.is_better(max_p_value) or (only_age and found.is_not_worse(max_loss))
