"""The job from a failed run to a message and its end, `shoal alerts` and `shoal metrics` on the same lake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.cli.app import run as shoal_command
from shoal.conf.loading import load
from shoal.errors import SkippedError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run

from jobs.monitor.raise_alerts import run
from tests.monitor.alerts.test_exposition import parse
from tests.monitor.alerts.test_webhook import SECRET, Receiver, receiver  # noqa: F401 - a fixture

DAY = date(2024, 3, 10)
NEXT = date(2024, 3, 11)
RULES = """alerts.rules=[
  {name: run_failed, metric: run_failed, above: 0, severity: critical},
  {name: drift, metric: drift_severity, above: 1, for_hours: 24, severity: warning}]"""
SETTINGS = load(sets=[RULES, "alerts.webhook_attempts=1"])
Opened = Callable[..., Lake]


def table(spark: SparkSession, name: str, **row: Any) -> DataFrame:
    """One row of a table, columns that are not given null."""
    return spark.createDataFrame([tuple(row.get(field.name) for field in contract(name).struct())], contract(name).struct())


def job_run(spark: SparkSession, run_id: str, status: str, day: date) -> DataFrame:
    started = datetime(day.year, day.month, day.day, 6)
    row = {"run_id": run_id, "job": "build_users", "stage": "features", "as_of": day, "status": status, "started_at": started}
    made = {"rows_in": {}, "rows_out": {}, "input_versions": {}, "tags": {}, "conf_hash": "c", "code_version": "v"}
    return table(spark, "ops.runs", **row, **made, ended_at=started + timedelta(seconds=9), seconds=9.5)


@pytest.fixture
def opened(spark: SparkSession, tmp_path: Path) -> Opened:
    """A function that opens the lake for a run that began at an hour of a day."""

    def lake(day: date, hour: int, run_id: str = "run-1") -> Lake:
        started = datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc)
        return Lake(spark, tmp_path / "lake", SETTINGS, Run(run_id, "raise_alerts", started))

    return lake


@pytest.fixture
def lake(spark: SparkSession, opened: Opened) -> Iterator[Lake]:
    """A job failed on the day, and a table has drifted."""
    lake = opened(DAY, 7)
    lake.append_log("ops.runs", job_run(spark, "bad", "failed", DAY))
    of = {"as_of": DAY, "table_name": "features.users", "column_name": "x", "kind": "number", "comparison": "previous"}
    found = {"metric": "psi", "statistic": 1.0, "is_drifted": True, "severity": "critical"}
    drifted = table(spark, "ops.drift", **of, **found, reference_rows=9, current_rows=9, run_id="r")
    lake.append_log("ops.drift", drifted)
    yield lake


def states(lake: Lake) -> dict[str, tuple[Any, ...]]:
    rows = lake.read_current("ops.alerts").collect()
    return {row["alert"]: (row["series"], row["state"], row["since"], row["fired_at"], row["resolved_at"], row["notified_state"])
            for row in rows}  # fmt: skip


def test_an_alert_from_its_first_message_to_its_last(
    spark: SparkSession, lake: Lake, opened: Opened, receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SHOAL_ALERT_WEBHOOK", receiver.address)
    first = datetime(2024, 3, 10, 7)
    # The receiver is ill: the state is kept, one line says so, and nothing of the address but its host.
    receiver.statuses = [500]
    run(lake, SETTINGS.alerts, DAY)
    assert states(lake) == {
        "run_failed": ("build_users", "firing", first, first, None, None),
        "drift": ("features.users", "pending", first, None, None, None),
    }
    assert (lake.run.tags["firing"], lake.run.tags["pending"], lake.run.tags["sent"]) == ("1", "1", "0")
    said = f"webhook http://127.0.0.1:{receiver.server_port}: status 500, 1 attempts"
    assert [record.getMessage() for record in caplog.records if "webhook" in record.getMessage()] == [
        f"{said}; what it did not take is sent again by the next run"
    ]
    assert SECRET not in str(lake.run.tags)
    # Two hours later it is well.
    again = opened(DAY, 9, "run-2")
    run(again, SETTINGS.alerts, DAY)
    assert [[alert["labels"]["alertname"] for alert in message["alerts"]] for message in receiver.messages] == [["run_failed"]]
    assert states(lake)["run_failed"] == ("build_users", "firing", first, first, None, "firing")
    # The same moment again writes nothing and sends nothing.
    version = lake.version("ops.alerts")
    third = opened(DAY, 9, "run-3")
    run(third, SETTINGS.alerts, DAY)
    assert (lake.version("ops.alerts"), third.run.tags["changed"], len(receiver.messages)) == (version, "0", 1)
    assert third.run.rows_out == {"ops.alerts": 0}
    # On the day after the job succeeds, and the drift has lasted for a day.
    lake.append_log("ops.runs", job_run(spark, "good", "succeeded", NEXT))
    run(opened(NEXT, 8, "run-4"), SETTINGS.alerts, NEXT)
    after = datetime(2024, 3, 11, 8)
    assert states(lake) == {
        "run_failed": ("build_users", "resolved", first, first, after, "resolved"),
        "drift": ("features.users", "firing", first, after, None, "firing"),
    }
    (last,) = receiver.messages[1:]
    assert sorted((alert["labels"]["alertname"], alert["status"]) for alert in last["alerts"]) == [
        ("drift", "firing"), ("run_failed", "resolved"),
    ]  # fmt: skip
    # A day before says nothing about now.
    with pytest.raises(SkippedError, match="alerts were evaluated for 2024-03-11 already"):
        run(opened(NEXT, 9, "run-5"), SETTINGS.alerts, DAY)


def test_alerts_are_shown_with_a_code_for_schedulers_and_written_for_prometheus(
    lake: Lake, opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOAL_ALERT_WEBHOOK", raising=False)
    where = ["--lake", str(tmp_path / "lake")]
    assert shoal_command(["alerts", *where]) == 3
    assert (
        capsys.readouterr().err
        == f"shoal: --lake {tmp_path}/lake: no alert rule was evaluated yet; `shoal run raise_alerts` does\n"
    )
    run(lake, SETTINGS.alerts, DAY)
    assert shoal_command(["alerts", *where]) == 6
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["alert", "severity", "state", "series"]
    assert line.split()[:5] == ["run_failed", "critical", "firing", "build_users", "1"]
    assert shoal_command(["alerts", "--all", "--format", "json", *where]) == 6
    shown = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [(each["alert"], each["state"], each["since"]) for each in shown] == [
        ("run_failed", "firing", "2024-03-10T07:00:00Z"), ("drift", "pending", "2024-03-10T07:00:00Z"),
    ]  # fmt: skip

    file = tmp_path / "shoal.prom"
    assert shoal_command(["metrics", "--output", str(file), *where]) == 0
    found = parse(file.read_text())
    job = (("job", "build_users"), ("stage", "features"))
    assert found["shoal_run_success"] == {job: 0.0}
    assert found["shoal_run_duration_seconds"] == {job: 9.5}
    assert found["shoal_run_start_timestamp_seconds"] == {job: datetime(2024, 3, 10, 6, tzinfo=timezone.utc).timestamp()}
    assert "shoal_run_last_success_timestamp_seconds" not in found
    drifted = (("table", "features.users"), ("comparison", "previous"))
    assert found["shoal_drift_severity"] == {drifted: 2.0}
    assert found["shoal_drift_comparisons"] == {(*drifted, ("severity", "critical")): 1.0}
    labels = {(labels[0][1], labels[3][1]) for labels in found["shoal_alert"]}
    assert labels == {("run_failed", "firing"), ("drift", "pending")}
    assert found["shoal_alerts_firing"] == {
        (("severity", "critical"),): 1.0, (("severity", "info"),): 0.0, (("severity", "warning"),): 0.0,
    }  # fmt: skip

    # Only a warning is left.
    lake.append_log("ops.runs", job_run(lake.spark, "good", "succeeded", NEXT))
    run(opened(NEXT, 8, "run-2"), SETTINGS.alerts, NEXT)
    assert shoal_command(["alerts", *where]) == 0
    assert "drift" in capsys.readouterr().out
    assert shoal_command(["metrics", "--output", str(tmp_path / "none" / "x.prom"), *where]) == 2
    assert f"--output {tmp_path}/none/x.prom: the folder {tmp_path}/none does not exist" in capsys.readouterr().err


def test_a_lake_without_runs_is_skipped(opened: Opened) -> None:
    with pytest.raises(SkippedError, match="no run was recorded"):
        run(opened(DAY, 7), SETTINGS.alerts, DAY)
