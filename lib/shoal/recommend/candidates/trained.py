"""What a training of the recommender decided, as JSON that is kept with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsSettings, settings_of
from shoal.recommend.candidates.blend import Expert
from shoal.recommend.candidates.parts import FEATURES
from shoal.recommend.candidates.preferences import Ratings


@dataclass(frozen=True)
class RecommenderSpec:
    """ALS' settings, the blend's experts (none where ALS is explicit), which of the two serves, how preferences are made of
    events (`ratings`, `event_weights`), and until when they were (`trained_until`: microseconds since 1970, None without any
    time)."""

    als: AlsSettings
    experts: tuple[Expert, ...]
    serves: str
    ratings: Ratings = "event"
    event_weights: tuple[tuple[str, float], ...] = ()
    trained_until: int | None = None

    @property
    def decided(self) -> tuple[Any, ...]:
        """What two trainings on other days may have in common: all but the time."""
        return (self.als, self.experts, self.serves, self.ratings, self.event_weights)

    def named(self) -> dict[str, Any]:
        """For logs: the settings by name and the names of the experts; the coefficients are in the model's own file."""
        return {
            **self.als.named(),
            "serves": self.serves,
            "experts": ",".join(e.name for e in self.experts),
            "ratings": self.ratings,
        }

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        experts = [
            {"name": e.name, "coefficients": dict(zip(FEATURES, e.coefficients, strict=True)), "intercept": e.intercept,
             "is_learned": e.is_learned, "recall": dict(e.recall)}
            for e in self.experts
        ]  # fmt: skip
        return {
            "als": self.als.named(), "experts": experts, "serves": self.serves, "ratings": self.ratings,
            "event_weights": dict(self.event_weights), "trained_until": self.trained_until,
        }  # fmt: skip


def spec_from(document: Mapping[str, Any]) -> RecommenderSpec:
    """What `document` gave. A feature that the model did not know weighs nothing. Raises InputError where something is
    missing, is no number, or is a feature that is not known."""
    try:
        experts = tuple(
            Expert(
                e["name"],
                by_feature(e["coefficients"]),
                float(e["intercept"]),
                bool(e["is_learned"]),
                dict(e.get("recall", {})),
            )
            for e in document["experts"]
        )
        weights = tuple(sorted((str(kind), float(weight)) for kind, weight in document["event_weights"].items()))
        until, ratings = document["trained_until"], document["ratings"]
        if ratings not in get_args(Ratings) or document["serves"] not in ("als", "blend"):
            raise ValueError(f"ratings {ratings!r}, serves {document['serves']!r}")
        als = settings_of({name: str(value) for name, value in document["als"].items()})
        return RecommenderSpec(als, experts, document["serves"], ratings, weights, None if until is None else int(until))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"the specification of a recommender: {error!r}; train it again") from None


def by_feature(weights: Mapping[str, float]) -> tuple[float, ...]:
    """One coefficient for each of FEATURES. Raises ValueError for one that is none of them."""
    if unknown := sorted(set(weights) - set(FEATURES)):
        raise ValueError(f"an expert of features that are not known: {', '.join(unknown)}")
    return tuple(float(weights.get(feature, 0.0)) for feature in FEATURES)


def rounded(expert: Expert) -> Expert:
    """The expert to four digits: a regression on sums of doubles has no more that are the same at every run."""
    numbers = [float(f"{number:.4g}") for number in (*expert.coefficients, expert.intercept)]
    return Expert(expert.name, tuple(numbers[:-1]), numbers[-1], expert.is_learned, expert.recall)
