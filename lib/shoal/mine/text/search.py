"""The search for a classifier's settings: penalty and weights of labels, by macro-F1 on validation rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from shoal.mine.text.parts import Plan

# Labels whose counts differ by less than this factor need no weights.
IMBALANCE = 1.5


def trials(counts: Mapping[str, int], plan: Plan) -> list[dict[str, float]]:
    """The settings to try, in order: each penalty with each power of the weights; for labels of about equal counts with the
    first."""
    is_even = max(counts.values()) < IMBALANCE * min(counts.values())
    powers = plan.class_weight_powers[:1] if is_even else plan.class_weight_powers
    pairs = itertools.product(map(float, plan.inverse_penalties), map(float, powers))
    return [{"inverse_penalty": penalty, "class_weight_power": power} for penalty, power in pairs]


def best_settings(judge: Callable[[dict[str, float]], float], counts: Mapping[str, int], plan: Plan) -> dict[str, float]:
    """The settings of largest `judge`, ties to the earlier; the first without a call where there is one only."""
    settings = trials(counts, plan)
    return settings[0] if len(settings) == 1 else max(settings, key=judge)


def label_weights(labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float]) -> list[float]:
    """A label weighs (mean count / its count) ** power: 0 is every row alike, 1 every label alike."""
    rows, power = sum(counts.values()), settings["class_weight_power"]
    return [(rows / (len(labels) * counts[name])) ** power if counts.get(name) else 1.0 for name in labels]
