"""`shoal simulate`: its summary, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.simulate import check_folders, simulate, split_settings, world_conf
from shoal.errors import UsageError

SIZES = {"users": 60, "items": 20, "events": 300, "texts": 10, "days": 40}


def test_a_run_says_what_it_planted(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(output=tmp_path / "w", **SIZES, as_of="2024-03-01", sets=["mu=0.4", "spark.sql.shuffle.partitions=2"])
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert summary["truth"] == str(tmp_path / "w-truth")
    assert summary["mu"] == 0.4
    assert summary["parameters"]["as_of"] == "2024-03-01"
    assert summary["shift"]["first_day"] == "2024-01-31"
    assert f"events: {summary['files']['events']['rows']:,} rows" in said.err.splitlines()
    assert (tmp_path / "w-truth" / "world.json").is_file()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("mu", "--set mu: expected key=value"),
        ("mue=0.1", "--set mue=0.1: a world has no such parameter; did you mean mu?"),
        ("zzz=1", "--set zzz=1: a world has no such parameter; docs/simulate.md lists them"),
        ("users=5", "--set users=5: this has an option of its own, --users"),
        ("as_of=2024-01-01", "--set as_of=2024-01-01: this has an option of its own, --as-of"),
    ],
)
def test_settings_that_are_none(pair: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_settings([pair])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"users": 3}, "--users: input should be greater than or equal to 10, found 3"),
        ({"mu": 2}, "--set mu: input should be less than or equal to 1, found 2"),
        ({"dirty_ratio": 0.9}, "--dirty-ratio: input should be less than or equal to 0.5, found 0.9"),
        ({"click_rate": 1, "lift": 1}, "the world's parameters: click_rate * (1 + lift) is 2, at most 1 is possible"),
    ],
)
def test_values_out_of_range(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        world_conf(values)
    assert str(caught.value) == message


def test_folders_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"holds mine\.txt, which no simulated world has"):
        check_folders(tmp_path, tmp_path / "truth")
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        check_folders(tmp_path / "mine.txt", tmp_path / "truth")
    with pytest.raises(UsageError, match="a folder of its own"):
        check_folders(tmp_path / "a", tmp_path / "b" / ".." / "a")
    (tmp_path / "world" / "events").mkdir(parents=True)
    (tmp_path / "world" / ".texts.partial").mkdir()
    check_folders(tmp_path / "world", tmp_path / "truth")  # an earlier world may be replaced


def test_another_form_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--format mastodon: no such form; there are instagram_influencers, instagram_export"):
        simulate(output=tmp_path / "w", formats=["mastodon"])


def test_decisions_are_written_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--format moderation: with moderated_share the world has a folder moderation of its own"):
        simulate(output=tmp_path / "w", formats=["moderation"], sets=["moderated_share=0.5"])


def test_a_folder_of_another_form_is_a_worlds_own(tmp_path: Path) -> None:
    (tmp_path / "instagram_export").mkdir()
    check_folders(tmp_path, tmp_path / "truth")
