"""`shoal evaluate split` on plain files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.app import run

EVENTS = """userId,movieId,rating,timestamp,note
u,a,4.50,100,"x, y"
u,b,3,300,
v,a,5,200,
v,b,1,400,last
v,c,2,350,
w,a,3,50,
"""


def test_each_cut_writes_the_rows_as_they_stand(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.csv"
    events.write_text(EVENTS)

    def parts(*arguments: str) -> tuple[list[str], list[str]]:
        assert run(["evaluate", "split", "--input", str(events), "--output", str(tmp_path / "parts"), *arguments]) == 0
        said = json.loads(capsys.readouterr().out)
        made = [(tmp_path / "parts" / f"{name}.csv").read_text().splitlines() for name in ("train", "test")]
        assert [each["rows"] for each in said.values()] == [len(lines) - 1 for lines in made]
        return made[0], made[1]

    train, test = parts("--strategy", "temporal_user", "--last", "1")
    assert train == ["user_id,item_id,rating,timestamp,note", 'u,a,4.50,100,"x, y"', "v,a,5,200,", "v,c,2,350,", "w,a,3,50,"]
    assert test == ["user_id,item_id,rating,timestamp,note", "u,b,3,300,", "v,b,1,400,last"]
    # Of six events a third come after 300.
    assert parts("--strategy", "global_time", "--ratio", "0.34")[1][1:] == ["v,c,2,350,", "v,b,1,400,last"]
    # Half of three and of two events of an item, none of one: one each of a and b.
    drawn = parts("--ratio", "0.5")
    assert sorted(line.split(",")[1] for line in drawn[1][1:]) == ["a", "b"]


def test_what_cannot_be_cut_is_one_line(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.csv"
    events.write_text("user_id,item_id\nu,a\n")
    given = ["evaluate", "split", "--input", str(events), "--output", str(tmp_path / "parts")]
    assert run([*given, "--strategy", "global_time"]) == 3
    assert "no time in any row; --strategy global_time needs a column timestamp" in capsys.readouterr().err
    assert run([*given, "--last", "1"]) == 2
    assert "--last 1: goes with --strategy temporal_user, found --strategy random" in capsys.readouterr().err
    assert run([*given, "--ratio", "1"]) == 2
    assert "test_ratio: 1" in capsys.readouterr().err
