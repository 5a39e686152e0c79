"""Runs: every outcome becomes one row of ops.runs and one exit code; a lock a job; traces of a killed run are found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import FeaturesConf, Settings
from shoal.errors import InputError, UsageError
from shoal.lake.lake import Lake, Run
from shoal.runner.command import parse_as_of
from shoal.runner.execute import Result, execute, new_run_id
from shoal.runner.job import Job, find_job, job_of
from shoal.spark import job_metrics

from tests.lake.test_lake import TABLE, users

DAY = date(2024, 1, 1)


def job(run: Callable[..., None], name: str = "build_users") -> Job:
    return Job(name, "features", "", run, FeaturesConf)


def rows(spark: SparkSession, root: Path, settings: Settings) -> list[dict[str, Any]]:
    found = Lake(spark, root, settings, Run("reader")).read("ops.runs").orderBy("started_at").collect()
    return [row.asDict(recursive=True) for row in found]


def writes_one_user(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    lake.run.note(engine="local")
    lake.replace(TABLE, users(lake.spark, "a"), on=as_of)


def test_a_success_is_told_with_counts_and_choices(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    result = execute(spark, job(writes_one_user), settings, tmp_path, DAY)
    assert (result.status, result.exit_code, result.rows_out, result.tags) == ("succeeded", 0, {TABLE: 1}, {"engine": "local"})
    (row,) = rows(spark, tmp_path, settings)
    assert (row["run_id"], row["job"], row["stage"], row["as_of"]) == (result.run_id, "build_users", "features", DAY)
    assert (row["status"], row["rows_out"], row["tags"]) == ("succeeded", {TABLE: 1}, {"engine": "local"})
    assert row["error_class"] is None
    assert row["ended_at"] >= row["started_at"]
    assert json.loads(json.dumps(result.summary()))["as_of"] == "2024-01-01"


def test_a_job_without_input_is_skipped_and_says_what_is_missing(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    result = execute(spark, find_job("build_users"), settings, tmp_path, DAY)
    assert (result.status, result.exit_code) == ("skipped", 0)
    assert result.message == "silver.interactions does not exist in this lake"
    assert rows(spark, tmp_path, settings)[0]["status"] == "skipped"


def fails(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    raise InputError("ratings.csv:3: a reason")


def breaks(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    raise ZeroDivisionError("first line\nsecond line")


@pytest.mark.parametrize(
    ("run", "code", "kind", "message"),
    [
        (fails, 3, "InputError", "ratings.csv:3: a reason"),
        (
            breaks,
            5,
            "ZeroDivisionError",
            "internal error in build_users: ZeroDivisionError: first line (SHOAL_DEBUG=1 shows the trace)",
        ),
    ],
)
def test_a_failure_is_one_line_a_row_and_its_exit_code(
    spark: SparkSession, settings: Settings, tmp_path: Path, run: Callable[..., None], code: int, kind: str, message: str
) -> None:
    result = execute(spark, job(run), settings, tmp_path, DAY)
    assert (result.status, result.exit_code, result.message) == ("failed", code, message)
    (row,) = rows(spark, tmp_path, settings)
    assert (row["status"], row["error_class"], row["message"]) == ("failed", kind, message)


HOLDER = """
import fcntl, sys
handle = open(sys.argv[1], "a+"); fcntl.flock(handle, fcntl.LOCK_EX); print("held", flush=True); sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds build_users' lock."""
    (tmp_path / ".locks").mkdir()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / ".locks" / "build_users.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        if other.poll() is None:
            other.communicate()


def test_the_same_job_is_refused_while_another_run_of_it_goes_on(
    spark: SparkSession, tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    settings = load(sets=["lake.retries=1", "lake.backoff_seconds=0.01"])
    refused = execute(spark, job(writes_one_user), settings, tmp_path, DAY)
    assert (refused.status, refused.exit_code) == ("failed", 4)
    assert "build_users is running in this lake already" in (refused.message or "")
    other = execute(spark, job(writes_one_user, "another_job"), settings, tmp_path, DAY)
    assert other.status == "succeeded"
    held.communicate()  # the other process ends, and its lock with it
    assert execute(spark, job(writes_one_user), settings, tmp_path, DAY).status == "succeeded"


def test_the_traces_of_a_killed_run_become_its_row(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    left = {
        "run_id": "20240101T000000-dead", "job": "build_users", "stage": "features", "as_of": "2024-01-01",
        "started_at": "2024-01-01 00:00:00+00:00", "conf_hash": "c", "code_version": "v",
    }  # fmt: skip
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "build_users.lock").write_text(json.dumps(left))
    execute(spark, job(writes_one_user), settings, tmp_path, DAY)
    execute(spark, job(writes_one_user), settings, tmp_path, DAY)
    found = rows(spark, tmp_path, settings)
    reported = [(row["run_id"] == left["run_id"], row["status"]) for row in found]
    assert reported == [(True, "killed"), (False, "succeeded"), (False, "succeeded")]
    assert found[0]["message"] == "process ended without recording an outcome; the next run found its lock"
    # Its lock is that of a version without code_hash.
    assert (found[0]["code_hash"], len(found[1]["code_hash"])) == (None, 64)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here: " + mounted.stderr.decode().strip())
    yield folder
    # Lazily: a write that the full disk broke off leaves its file open until Java next collects.
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_transient_and_leaves_tables_whole(spark: SparkSession, settings: Settings, small_disk: Path) -> None:
    def run(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
        lake.replace(TABLE, users(lake.spark, *[f"user-{i:06d}-{hash(i * 7919):x}" for i in range(size)]), on=as_of)

    size = 3
    assert execute(spark, job(run), settings, small_disk, DAY).status == "succeeded"
    size = 60_000
    full = execute(spark, job(run), settings, small_disk, DAY)
    assert (full.status, full.exit_code) == ("failed", 4)
    assert "the disk is full" in (full.message or "")
    assert Lake(spark, small_disk, settings, Run("reader")).read(TABLE).count() == 3
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    assert execute(spark, job(run), settings, small_disk, DAY).status == "succeeded"
    assert Lake(spark, small_disk, settings, Run("reader 2")).read(TABLE).count() == size


def test_a_lake_that_cannot_be_made_is_a_users_mistake(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = execute(spark, job(writes_one_user), settings, tmp_path / "file", DAY)
    assert result.exit_code == 2
    assert "--lake" in (result.message or "")


def test_job_files_are_found_by_name() -> None:
    found = find_job("build_items")
    assert (found.stage, found.model) == ("features", FeaturesConf)
    assert found.writes == ("features.items",)
    assert found.reads == ("silver.interactions", "silver.items", "features.items")
    assert find_job("rank_trending").settings() == ("train_recommender", "trending")
    with pytest.raises(UsageError, match="no job 'build_item'; there are"):
        find_job("build_item")


def test_a_jobs_own_arguments_are_its_keyword_only_parameters() -> None:
    def run(lake: Lake, conf: FeaturesConf, as_of: date, *, source: str) -> None: ...

    assert job_of(run, "", FeaturesConf).extras() == ["source"]


def test_days_and_run_ids() -> None:
    assert parse_as_of("2018-09-25") == date(2018, 9, 25)
    with pytest.raises(UsageError, match="--as-of 25.9.2018: expected a day as YYYY-MM-DD"):
        parse_as_of("25.9.2018")
    from datetime import datetime, timezone

    assert new_run_id(datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)).startswith("20240102T030405-")


def test_the_summary_leaves_out_what_is_empty() -> None:
    made = Result("r", "j", "s", DAY, "succeeded", 1.234, {}, {}, {})
    assert made.summary()["seconds"] == 1.23
    assert "message" not in made.summary()


def reads_its_user(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
    writes_one_user(lake, conf, as_of)
    assert lake.read(TABLE).count() == 1


def test_what_a_run_made_spark_do_is_recorded_and_not_that_of_one_skipped(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    done = execute(spark, job(reads_its_user), settings, tmp_path, DAY)
    failed = execute(spark, job(breaks), settings, tmp_path, DAY)
    execute(spark, find_job("build_users"), settings, tmp_path, DAY)
    found = {row["run_id"]: row for row in Lake(spark, tmp_path, settings, Run("reader")).read("ops.job_metrics").collect()}
    assert set(found) == {done.run_id, failed.run_id}
    row = found[done.run_id]
    assert (row["job"], row["stage"], row["as_of"], row["seconds"]) == ("build_users", "features", DAY, done.seconds)
    assert row["spark_jobs"] >= 2
    assert row["bytes_written"] > 0
    assert (row["failed_tasks"], row["is_complete"]) == (0, True)
    assert found[failed.run_id]["spark_jobs"] == 0


def test_figures_that_cannot_be_had_are_one_line_and_no_failure(
    spark: SparkSession, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_metrics, "SUMS", (("tasks", "noSuchGetter", 1),))
    result = execute(spark, job(writes_one_user), settings, tmp_path, DAY)
    assert (result.status, result.exit_code, result.message) == ("succeeded", 0, None)
    assert not Lake(spark, tmp_path, settings, Run("reader")).exists("ops.job_metrics")
    (record,) = [record for record in caplog.records if record.name == "shoal.runner.execute"]
    assert record.getMessage().startswith("build_users: its figures are not in ops.job_metrics: Py4JError: ")
    assert "\n" not in record.getMessage()
