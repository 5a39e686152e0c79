"""What a training of the recommender decided, as it is recorded with the model and read back where the model serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsSettings, settings_of
from shoal.recommend.candidates.blend import PARTS, Expert

# A model of before there was `following` has its coefficients as a list, in this order.
_LISTED = ("whole", "recent_2", "recent_5", "recent_20", "als", "log_popularity", "log_history")


@dataclass(frozen=True)
class RecommenderSpec:
    """ALS' settings, the blend's experts (none where ALS is explicit), and which of the two serves."""

    als: AlsSettings
    experts: tuple[Expert, ...]
    serves: str

    def named(self) -> dict[str, Any]:
        """For MLflow: the settings by name, the experts as JSON."""
        experts = [[e.name, dict(zip(PARTS, e.coefficients, strict=True)), e.intercept, e.is_learned] for e in self.experts]
        return {**self.als.named(), "serves": self.serves, "experts": json.dumps(experts)}


def trained_of(params: Mapping[str, str]) -> RecommenderSpec:
    """What `named` recorded; a part that the model did not know weighs nothing. Raises InputError where something is missing,
    is no number, or is a part that is not known."""
    try:
        read = json.loads(params.get("experts", "[]"))
        experts = tuple(Expert(name, by_part(weights), float(base), bool(learned)) for name, weights, base, learned in read)
    except (TypeError, ValueError) as error:
        raise InputError(f"the recorded experts of a recommender: {error}; train it again") from None
    return RecommenderSpec(settings_of(params), experts, params.get("serves", "als"))


def by_part(weights: Mapping[str, float] | list[float]) -> tuple[float, ...]:
    """One coefficient for each of PARTS. Raises ValueError for a part that is none of them."""
    named = weights if isinstance(weights, Mapping) else dict(zip(_LISTED, weights, strict=True))
    if unknown := sorted(set(named) - set(PARTS)):
        raise ValueError(f"an expert of parts that are not known: {', '.join(unknown)}")
    return tuple(float(named.get(part, 0.0)) for part in PARTS)


def rounded(expert: Expert) -> Expert:
    """The expert to four digits: a regression on sums of doubles has no more that are the same at every run."""
    numbers = [float(f"{number:.4g}") for number in (*expert.coefficients, expert.intercept)]
    return Expert(expert.name, tuple(numbers[:-1]), numbers[-1], expert.is_learned)
