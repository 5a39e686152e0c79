"""What was shown: policy and campaign from the folders, clicks as events where there is a user."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.jobs.ingest.test_ingest_files import World


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def test_rows_of_a_log_become_impressions_and_clicks_of_somebody_events(world: World) -> None:
    head = ",timestamp,item_id,position,click,propensity_score,user_feature_0\n"
    row = "2019-11-24 00:03:13.442536+00:00,14,3,0,0.03"
    bad = ["2,2019-11-24,14,3,0,0,f", "3,2019-11-24,14,0,1,0.5,f", "4,2019-11-24,14,1,maybe,0.5,f", "5,2019-11-24,14,1,1,1.5,f"]
    # Two rows that differ in their number only, and one of them again.
    world.file(head + f"0,{row},f\n1,{row},f\n1,{row},f\n" + "\n".join(bad) + "\n", "log/random/men/men.csv")
    world.file("item_id,feature\n14,x\n", "log/random/men/item_context.csv")
    world.file(
        '{"id": "a", "user_id": "u1", "item": "p", "position": 1, "click": true, "action_prob": 0.5, "ts": 10}\n'
        '{"id": "b", "user_id": "u1", "item": "p", "position": 2, "click": false, "action_prob": 0.5, "ts": 10, '
        '"policy": "Ours"}\n',
        "log/policy=egreedy/campaign=spring/shown.jsonl",
    )
    result = world.ingest(world.folder / "log", "impressions")
    assert result.status == "succeeded", result.message
    when = datetime(2019, 11, 24, 0, 3, 13, 442536)
    columns = ["user_id", "item_id", "position", "is_click", "propensity", "policy", "campaign", "occurred_at"]
    assert world.rows("silver.impressions", *columns) == [
        ("u1", "p", 1, True, 0.5, "egreedy", "spring", datetime(1970, 1, 1, 0, 0, 10)),
        ("u1", "p", 2, False, 0.5, "ours", "spring", datetime(1970, 1, 1, 0, 0, 10)),
        (None, "14", 3, False, 0.03, "random", "men", when),
        (None, "14", 3, False, 0.03, "random", "men", when),
    ]
    assert world.rows("silver.interactions", "event_id", "user_id", "item_id", "event", "occurred_at") == [
        ("click-a", "u1", "p", "click", datetime(1970, 1, 1, 0, 0, 10))
    ]
    assert [row[:2] for row in world.quarantined()] == [(5, "check"), (6, "check"), (7, "type"), (8, "check")]
    assert sorted(world.counts()) == [("men.csv", 7, 2, 1, 4), ("shown.jsonl", 2, 2, 0, 0)]


def test_the_open_bandit_log_lands_whole(world: World, data: Path) -> None:
    result = world.ingest(data / "open_bandit", "impressions")
    assert result.status == "succeeded", result.message
    assert [rest for _, *rest in world.counts()] == [[10_000, 10_000, 0, 0]] * 4
    clicks = {}
    for policy in ("random", "bts"):
        for campaign in ("men", "women"):
            with (data / "open_bandit" / policy / campaign / f"{campaign}.csv").open(encoding="utf-8") as file:
                clicks[policy, campaign] = sum(row["click"] == "1" for row in csv.DictReader(file))
    found: dict[tuple[str, str], int] = dict.fromkeys(clicks, 0)
    for policy, campaign, is_click in world.rows("silver.impressions", "policy", "campaign", "is_click"):
        found[policy, campaign] += is_click
    assert found == clicks
    assert world.rows("silver.interactions", "event_id") == []
