"""The specification of a recommender as JSON."""

from __future__ import annotations

import json

import pytest
from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.candidates.blend import Expert
from shoal.recommend.candidates.parts import FEATURES
from shoal.recommend.candidates.trained import RecommenderSpec, spec_from

ALS = AlsSettings("implicit", 8, 0.1, 1.0, 5, 42)
SPEC = RecommenderSpec(
    ALS, (Expert("next_item", tuple(float(n) for n in range(len(FEATURES))), -7.5, True),), "blend", "relative",
    (("like", 1.0), ("view", 0.2)), 1_700_000_000_000_000,
)  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    assert spec_from(json.loads(json.dumps(SPEC.document()))) == SPEC


def test_a_feature_that_the_model_did_not_know_weighs_nothing() -> None:
    document = SPEC.document()
    del document["experts"][0]["coefficients"]["walk"]
    read = dict(zip(FEATURES, spec_from(document).experts[0].coefficients, strict=True))
    assert (read["walk"], read["content"]) == (0, FEATURES.index("content"))


@pytest.mark.parametrize(
    "change",
    [{"experts": [{"name": "next_item"}]}, {"serves": "ease"}, {"ratings": "stars"}, {"als": {"rank": "many"}},
     {"experts": [{"name": "n", "coefficients": {"moon": 2}, "intercept": 0, "is_learned": True}]}, {"event_weights": None}],
)  # fmt: skip
def test_what_is_no_specification_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="train it again"):
        spec_from({**SPEC.document(), **change})
