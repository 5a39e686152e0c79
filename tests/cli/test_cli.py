"""The command line as a person meets it: help with examples, one line for every mistake, the right exit code."""

from __future__ import annotations

import json

import pytest
from shoal.cli import simulate
from shoal.cli.app import run

COMMANDS = [
    ["demo"], ["ingest"], ["run"], ["pipeline"], ["sql"], ["tables"], ["describe"], ["simulate"], ["train", "sentiment"],
    ["score", "sentiment"], ["evaluate", "recommender"], ["evaluate", "policies"], ["evaluate", "split"],
    ["graph", "rank"], ["graph", "communities"], ["config"],
    ["train", "viral"], ["train", "engagement"], ["train", "influencers"], ["score", "viral"], ["score", "engagement"],
    ["score", "influencers"], ["score", "anomalies"], ["segment"], ["models", "list"], ["models", "rollback"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "example" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing"], 2, "shoal: No such command 'nothing'"),
        (["pipeline", "--lake", "/nowhere"], 2, "shoal: --lake /nowhere: no such folder; `shoal ingest` makes a lake"),
        (["pipeline", "--from", "feature"], 2, "shoal: --from feature: no such stage; the stages are features, train"),
        (["pipeline", "--from", "graph", "--to", "train"], 2, "shoal: --from graph --to train: graph comes after train"),
        (["pipeline", "--as-of", "yesterday"], 2, "shoal: --as-of yesterday: expected a day as YYYY-MM-DD"),
        (["pipeline", "--env", "prod"], 2, "shoal: --env prod: no such environment"),
        (["run", "build_user"], 2, "shoal: no job 'build_user'; there are"),
        (["run", "build_users", "--set", "half_live_days=1"], 2, "shoal: --set half_live_days: no such setting; did you mean"),
        (["run", "build_users", "--source", "x"], 2, "shoal: build_users takes no arguments of its own, found --source x"),
        (["config", "build_user"], 2, "shoal: no job 'build_user'; there are"),
        (["config", "--format", "xml"], 2, "shoal: --format xml: expected one of table, json"),
        (["ingest", "--source", "rating", "--input", "x"], 2, "shoal: --source rating: no such source; there are ratings"),
        (["ingest", "--source", "ratings"], 2, "shoal: Missing option '--input'"),
        (["describe", "gold.`x'"], 2, 'shoal: no table "gold.`x\'"'),
        (["describe", "../../etc/passwd"], 2, "shoal: no table '../../etc/passwd'"),
        (["sql", "select 1", "--lake", "/nowhere"], 2, "shoal: --lake /nowhere: no such folder"),
        (["models", "rollback", "feelings"], 2, "shoal: feelings: no such task; expected one of recommender, sentiment"),
        (["models", "rollback", "viral", "--lake", "/nowhere"], 2, "shoal: --lake /nowhere: no such folder"),
        (["sql", "select 1", "--format", "xml"], 2, "shoal: --format xml: expected one of table, csv, json"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(says)
    assert said.err.count("\n") == 1


def test_the_settings_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "rank_trending", "--set", "items=5", "--format", "json"]) == 0
    shown = {row["setting"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {key.split(".")[0] for key in shown} == {"seed", "lake", "train_recommender", "trending", "privacy"}
    assert (shown["trending.items"]["value"], shown["trending.items"]["from"]) == (5, "--set")
    assert shown["trending.items"]["reason"].startswith("Of each kind")
    assert run(["config", "rank_trending"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["setting", "value", "from", "reason"]
    assert any(line.startswith("lake.retries +") for line in lines)


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "parse_as_of", interrupted)
    assert run(["simulate", "--output", "world"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "shoal: stopped"
