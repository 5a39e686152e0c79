"""What is read back of a recorded recommender, of older ones too."""

from __future__ import annotations

import json

import pytest
from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.candidates.blend import PARTS, Expert
from shoal.recommend.candidates.trained import RecommenderSpec, trained_of

ALS = AlsSettings("implicit", 8, 0.1, 1.0, 5, 42)


def recorded(experts: object) -> dict[str, str]:
    return {**{name: str(value) for name, value in ALS.named().items()}, "serves": "blend", "experts": json.dumps(experts)}


def test_what_is_recorded_is_read_back() -> None:
    trained = RecommenderSpec(ALS, (Expert("next", tuple(float(n) for n in range(len(PARTS))), -7.5, True),), "blend")
    params = {name: str(value) for name, value in trained.named().items()}
    assert trained_of(params) == trained


def test_a_part_that_the_model_did_not_know_weighs_nothing() -> None:
    # A list is what was recorded when there were seven parts.
    read = trained_of(recorded([["next", [1, 2, 3, 4, 5, 6, 7], -7.5, True]])).experts[0]
    assert dict(zip(PARTS, read.coefficients, strict=True)) == {
        "whole": 1, "recent_2": 2, "recent_5": 3, "recent_20": 4, "following": 0, "als": 5, "log_popularity": 6, "log_history": 7,
        "walk": 0, "content": 0,
    }  # fmt: skip


@pytest.mark.parametrize("weights", [{"whole": 1, "moon": 2}, {"whole": "much"}, [1, 2], 3])
def test_what_is_no_expert_is_refused(weights: object) -> None:
    with pytest.raises(InputError, match="train it again"):
        trained_of(recorded([["next", weights, 0, True]]))
