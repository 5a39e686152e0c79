"""The arms of a day by hand; the same after a rerun, after a kill, and with what came late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from shoal.errors import SkippedError
from shoal.lake.lake import Lake, Run
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)
SHOWN = (
    "impression_id string, user_id string, item_id string, position int, is_click boolean, propensity double, policy string, "
    "campaign string, occurred_at timestamp, source string"
)


def show(spark: SparkSession, lake: Lake, *rows: tuple[str, str, bool, int], campaign: str | None = "men") -> None:
    """(id, item, click, day of February) as impressions."""
    made = [
        (name, "u1", item, 1, click, 0.5, "random", campaign, datetime(2024, 2 + (day > 29), day % 30 or 30, 9), "test")
        for name, item, click, day in rows
    ]
    lake.append("silver.impressions", spark.createDataFrame(made, SHOWN))


def arms(lake: Lake) -> list[tuple[object, ...]]:
    columns = ["context", "item_id", "pulls", "rewards", "mean_reward", "epsilon_greedy", "ucb1", "thompson"]
    rows = lake.read_current("gold.bandit_arms").select(*columns).orderBy("context", "item_id").collect()
    return [tuple(round(v, 4) if isinstance(v, float) else v for v in row) for row in rows]


class KilledError(BaseException):
    """The end of a process, as far as one process can show it."""


def test_arms_by_hand_whatever_happens(
    spark: SparkSession, make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()
    show(spark, lake, ("1", "a", True, 1), ("2", "a", False, 2), ("3", "b", False, 3), ("4", "a", True, 33))  # the last: on March 3
    show(spark, lake, ("5", "a", False, 4), campaign=None)

    def update() -> None:
        again = make_lake()
        find_job("update_bandits").run(again, again.settings.bandits, DAY)

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    # Killed before the write: there is nothing. Killed after it: all is there. Either way the next run ends right.
    for place, method, there in ((Lake, "replace", False), (Run, "wrote", True)):
        with monkeypatch.context() as patched:
            patched.setattr(place, method, killed)
            with pytest.raises(KilledError):
                update()
        assert lake.exists("gold.bandit_arms") == there
    # a is Beta(2, 2), b Beta(1, 2): a is better with 0.7. UCB1: a 0.5 + sqrt(ln 3), 1.5482, b sqrt(2 ln 3), 1.4823.
    expected = [
        ("campaign=all", "a", 1, 0.0, 0.0, 1.0, 1.0, 1.0),
        ("campaign=men", "a", 2, 1.0, 0.5, 0.95, 1.0, 0.7), ("campaign=men", "b", 1, 0.0, 0.0, 0.05, 0.0, 0.3),
    ]  # fmt: skip
    assert arms(lake) == expected
    update()
    assert arms(lake) == expected

    # What comes late is in at the next run.
    show(spark, lake, ("6", "b", True, 5))
    update()
    assert [row[:4] for row in arms(lake)][1:] == [("campaign=men", "a", 2, 1.0), ("campaign=men", "b", 2, 1.0)]


def test_no_impression_up_to_the_day_is_skipped(spark: SparkSession, lake: Lake) -> None:
    show(spark, lake, ("1", "a", True, 33))
    with pytest.raises(SkippedError, match="no row up to this day"):
        find_job("update_bandits").run(lake, lake.settings.bandits, DAY)
