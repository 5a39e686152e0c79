"""`shoal evaluate policies` on a file, a lake and the Open Bandit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from shoal.cli.app import run
from shoal.lake.lake import Lake

NAMES = ["logged", "random", "epsilon_greedy", "thompson", "ucb1"]


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["evaluate", "policies", *arguments]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def planted(path: Path, rates: list[float], rounds: int, seed: int) -> None:
    """A uniform log of three positions, latest rounds first in the file."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, len(rates), rounds)
    frame = pd.DataFrame({
        "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rounds), unit="s"),
        "item_id": [f"i{n}" for n in item], "position": rng.integers(1, 4, rounds),
        "click": (rng.random(rounds) < np.array(rates)[item]).astype(int), "propensity_score": 1 / len(rates),
    })  # fmt: skip
    frame[::-1].to_csv(path, index=False)


def test_bandits_learn_the_planted_arm_and_are_judged_on_the_rest(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(tmp_path / "log.csv", [0.1, 0.5, 0.1, 0.1], 6000, seed=1)
    said = reported(capsys, "--log", str(tmp_path / "log.csv"), "--set", "bandits.exploration=0.2")
    assert list(said["policies"]) == NAMES
    assert said["log"] == {"rounds": 6000, "taught_rounds": 3000, "evaluated_rounds": 3000, "arms": 4, "contexts": 1}
    # Random: (0.1 + 0.5 + 0.1 + 0.1) / 4. Epsilon-greedy: 0.925 x 0.5 + 0.075 x 0.1. The others: 0.5.
    for name, truth in {"logged": 0.2, "random": 0.2, "epsilon_greedy": 0.47, "thompson": 0.5, "ucb1": 0.5}.items():
        for kind in ("ips", "snips", "dr"):
            found = said["policies"][name][kind]
            assert found["low"] < truth < found["high"], (name, kind)
            assert found["bootstrap_low"] == pytest.approx(found["low"], abs=0.02)
    # The earlier half teaches: it stands last in the file.
    log = pd.read_csv(tmp_path / "log.csv")
    assert said["policies"]["logged"]["ips"]["estimate"] == pytest.approx(log["click"][:3000].mean())


def test_the_open_bandit_log_of_the_random_policy_speaks_of_the_other(
    spark: SparkSession, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All 10,000 rounds of the random log judge what the Thompson policy of the experiment got with its own log."""
    folder = data / "open_bandit"
    given = ["--log", str(folder / "random/men/men.csv"), "--compare", str(folder / "bts/men/men.csv")]
    said = reported(capsys, *given, "--set", "train_fraction=0")
    own = pd.read_csv(folder / "bts/men/men.csv")["click"].mean()
    assert said["compared"]["estimate"] == pytest.approx(own)
    compared = said["policies"]["compared"]
    for kind in ("ips", "snips", "dr"):
        assert compared[kind]["low"] < own < compared[kind]["high"], kind
    assert compared["mean_weight"] == pytest.approx(1.0, abs=0.05)
    # Untaught, epsilon-greedy shows the first item and all others by chance, Thompson every one by chance.
    assert said["policies"]["thompson"]["ips"]["estimate"] == pytest.approx(said["policies"]["random"]["ips"]["estimate"])


def test_a_lakes_impressions_and_the_part_of_one_policy(
    spark: SparkSession, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = spark.range(200).selectExpr(
        "cast(id as string) as impression_id", "cast(null as string) as user_id", "concat('i', id % 2) as item_id",
        "1 as position", "id % 5 = 0 and id < 100 as is_click", "0.5D as propensity", "if(id < 100, 'random', 'other') as policy",
        "'men' as campaign", "timestamp_seconds(id) as occurred_at", "'test' as source",
    )  # fmt: skip
    lake.append("silver.impressions", shown)
    said = reported(capsys, "--lake", str(lake.root), "--policy", "random", "--campaign", "men")
    assert said["log"]["rounds"] == 100
    assert said["policies"]["logged"]["ips"]["estimate"] == pytest.approx(0.2)
    assert run(["evaluate", "policies", "--lake", str(lake.root), "--campaign", "women"]) == 3
    assert capsys.readouterr().err == "shoal: --campaign women: no round of it; there are men\n"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",1,0,0.5", "column item_id: 1 rows such as 'nothing'; expected an id"),
        ("a,0,0,0.5", "column position: 1 rows such as '0'; expected a whole number from 1 on"),
        ("a,1,maybe,0.5", "column click: 1 rows such as 'maybe'; expected 0 or 1"),
        ("a,1,0,1.5", "column propensity_score: 1 rows such as '1.5'; expected a probability above 0, at most 1"),
        ("a,1,0,0", "column propensity_score: 1 rows such as '0'; expected a probability above 0, at most 1"),
    ],
)
def test_a_log_that_is_none_is_told_in_one_line(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, says: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"item_id,position,click,propensity_score\na,1,1,0.5\n{row}\n", encoding="utf-8")
    assert run(["evaluate", "policies", "--log", str(path)]) == 3
    assert capsys.readouterr().err == f"shoal: {path}: {says}\n"


def test_one_of_file_and_lake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "policies"]) == 2
    assert capsys.readouterr().err == "shoal: expected one of --log FILE and --lake DIR\n"
