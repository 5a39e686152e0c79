"""`shoal experiment` on plain files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.app import run
from shoal.experiment.assignment import Experiment, arm_of

from tests.jobs.experiment.test_experiment_jobs import FILE, RANKING, START


def test_assign_writes_who_is_in(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.yaml").write_text(FILE)
    (tmp_path / "users.csv").write_text("userId\n" + "".join(f"u{n}\n" for n in range(50)) + "u1\n")
    given = ["experiment", "assign", "--experiments", str(tmp_path / "e.yaml"), "--users", str(tmp_path / "users.csv")]
    assert run([*given, "--output", str(tmp_path / "arms.csv"), "--as-of", str(START)]) == 0
    said = json.loads(capsys.readouterr().out)
    with (tmp_path / "arms.csv").open() as text:
        rows = [(row["user_id"], row["arm"]) for row in csv.DictReader(text)]
    assert rows == sorted((name, arm) for n in range(50) if (arm := arm_of(name := f"u{n}", RANKING, START)) is not None)
    assert sum(said["users"]["ranking"].values()) == len(rows)
    assert said["users"]["later"] == {}
    assert isinstance(RANKING, Experiment)


USERS = "arm,converted,clicks,views,spent,before,country\n" + "".join(
    f"{'AB'[n % 2]},{int(n % (4 - n % 2) == 0)},{n % 5},{5 + n % 3},{n % 7 + n % 2 + n // 2 % 3 / 10},"
    f"{n % 7},{'de' if n % 3 else 'fr'}\n"
    for n in range(400)
)


def test_analyse_compares_the_arms_of_a_file(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "users.csv"
    file.write_text(USERS)
    given = ["experiment", "analyse", "--input", str(file), "--control", "A", "--segment", "country"]
    assert run([*given, "--metric", "converted", "--metric", "clicks/views", "--metric", "spent~before"]) == 0
    found = {(row["segment"], row["value"], row["metric"]): row for row in json.loads(capsys.readouterr().out)["results"]}
    assert len(found) == 9
    share = found["all", "", "converted"]
    assert (share["method"], share["control"], share["treatment"]) == ("z", 0.5, pytest.approx(67 / 200))
    assert (share["users"], share["control_users"], share["sample_ratio_p_value"]) == (200, 200, 1.0)
    assert found["all", "", "clicks/views"]["method"] == "delta"
    # Spent is what was measured before, a little noise, and one more in arm B: nearly all variance within arms is taken away.
    spent = found["all", "", "spent~before"]
    assert spent["difference"] == pytest.approx(1.0, abs=0.02)
    assert spent["variance_reduction"] == pytest.approx(1.0, abs=0.01)
    assert found["country", "fr", "converted"]["users"] == sum(n % 3 == 0 and n % 2 for n in range(400))
    assert run([*given, "--metric", "converted", "--weights", "A=1,B=9"]) == 0
    assert {row["is_sound"] for row in json.loads(capsys.readouterr().out)["results"]} == {False}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--metric", "converted", "--control", "C"], 2, "--control C: no row has this arm; found A, B"),
        (["--metric", "bought", "--control", "A"], 3, "no column of numbers 'bought'; found converted, clicks"),
        (["--metric", "converted", "--control", "A", "--weights", "A=1"], 2, "--weights A=1: no weight for B"),
        (["--metric", "converted", "--control", "A", "--weights", "A=1,B=0"], 2, "--weights B=0: expected ARM=WEIGHT above 0"),
        (["--metric", "converted", "--control", "A", "--arm-column", "group"], 3, "group"),
    ],
)
def test_a_mistake_is_one_line(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "users.csv").write_text(USERS)
    assert run(["experiment", "analyse", "--input", str(tmp_path / "users.csv"), *arguments]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_one_arm_is_no_experiment(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "users.csv").write_text("arm,y\nA,1\nA,2\n")
    assert run(["experiment", "analyse", "--input", str(tmp_path / "users.csv"), "--metric", "y", "--control", "A"]) == 3
    assert "1 arm with users (A)" in capsys.readouterr().err


def test_power_says_how_many_users_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "power", "--rate", "0.5", "--lift", "0.1", "--users-per-day", "1000"]) == 0
    # (1.96 + 0.84)^2 x .25 / (.05^2 x .25)
    assert json.loads(capsys.readouterr().out) == {"users": 3140, "difference": 0.05, "power": 0.8, "level": 0.95, "days": 4}
    assert run(["experiment", "power", "--lift", "0.1"]) == 2
    assert "give either --rate, or --mean with --deviation" in capsys.readouterr().err
