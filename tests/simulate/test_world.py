"""The parameters of a world: ranges, what must fit together, and the dates that follow."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError
from shoal.simulate.world import WorldConf, demo_world


def unix(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=timezone.utc).timestamp())


def test_dates() -> None:
    conf = WorldConf(as_of=date(2025, 6, 30), days=120, shift_days=30)
    assert conf.starts_at == unix(2025, 3, 2)
    assert conf.ends_at == unix(2025, 6, 30)  # the start of as_of: nothing on the day itself, nothing after it
    assert conf.shift_at == unix(2025, 5, 31)
    assert conf.experiment_window == (unix(2025, 5, 1), unix(2025, 5, 31))
    assert conf.day(conf.shift_at) == date(2025, 5, 31)


def test_a_shift_longer_than_the_window_begins_with_it() -> None:
    conf = WorldConf(as_of=date(2025, 6, 30), days=10, shift_days=30)
    assert conf.shift_at == conf.starts_at
    assert conf.experiment_window == (conf.starts_at, conf.starts_at)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"users": 3}, "greater than or equal to 10"),
        ({"mu": 1.2}, "less than or equal to 1"),
        ({"dirty_ratio": 0.6}, "less than or equal to 0.5"),
        ({"colour": 1}, "Extra inputs"),
        ({"rating_share": 0.9, "comment_share": 0.2}, "add up to 1.2"),
        ({"click_rate": 0.8, "lift": 0.5}, "click_rate"),
        ({"transmission_rate": 0.5, "follows_per_user": 7}, "would reach everybody"),
        ({"users": 10, "communities": 5}, "5 communities for 10 users"),
        ({"pictures": 801}, "at most one an item"),
        ({"pictures": 4, "copied_pictures": 2, "broken_pictures": 1}, r"copied_pictures and broken_pictures together \(5\)"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WorldConf(**values)


def test_communities_default_to_half_the_square_root_of_the_users() -> None:
    assert [WorldConf(users=n).community_count for n in (10, 1_500, 1_000_000)] == [2, 19, 500]


def test_the_demo_world_is_fixed() -> None:
    conf = demo_world()
    assert (conf.users, conf.items, conf.events, conf.as_of) == (1_500, 800, 40_000, date(2025, 6, 30))
    # What the demo asks for besides the world of the defaults.
    asked = {name: value for name, value in conf.model_dump().items() if value != WorldConf().model_dump()[name]}
    assert asked == {
        "emotion_share": 0.6, "quiet_spam_share": 0.3, "moderated_share": 0.5, "verdict_noise": 0.01, "campaign_share": 0.03,
        "conversation_share": 0.2, "pictures": 240, "copied_pictures": 3, "broken_pictures": 2,
    }  # fmt: skip
