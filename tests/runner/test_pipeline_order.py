"""Which job of a pipeline begins when: after those that write what it reads, several at a time, none after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.conf.home import home
from shoal.conf.loading import load
from shoal.conf.sections import FeaturesConf, Settings
from shoal.errors import InputError
from shoal.lake.lake import Lake
from shoal.runner.execute import Result
from shoal.runner.fingerprint import _code_hash as code_hash_cache
from shoal.runner.job import Job, find_job
from shoal.runner.job import _module as job_module_cache
from shoal.runner.pipeline import UpToDate, run_pipeline

DAY = date(2024, 1, 1)
# Two jobs that meet here ran at the same time; alone, one waits in vain.
MEETING_SECONDS = 30


def job(name: str, run: Callable[[], None], reads: str = "", writes: str = "") -> Job:
    def body(lake: Lake, conf: FeaturesConf, as_of: date) -> None:
        run()

    return Job(name, "features", "", body, FeaturesConf, tuple(reads.split()), tuple(writes.split()))


def nothing() -> None:
    """A job that has nothing to do."""


def test_jobs_that_do_not_depend_on_each_other_run_at_once_and_others_wait(spark: SparkSession, tmp_path: Path) -> None:
    both = threading.Barrier(2)
    reported: list[str] = []

    def meet() -> None:
        both.wait(MEETING_SECONDS)

    jobs = [
        job("first", lambda: time.sleep(0.5), writes="features.users"),
        job("dependent", meet, reads="features.users", writes="gold.trending"),
        job("free", meet),
        job("model", nothing, writes="models:/shoal_x"),
        job("serves", nothing, reads="models:/shoal_x"),
        job("all", nothing, reads="*"),
    ]
    settings = load(sets=["lake.max_parallel_jobs=2"])
    steps = run_pipeline(
        spark, settings, tmp_path, DAY, jobs,
        starting=lambda j: reported.append(f"+{j.name}"), ended=lambda s: reported.append(f"-{s.job}"),
    )  # fmt: skip
    assert [(step.job, step.status) for step in steps if isinstance(step, Result)] == [(j.name, "succeeded") for j in jobs]
    assert reported[:4] == ["+first", "+free", "-first", "+dependent"], "`dependent` waits for `first`, `free` does not"
    assert reported.index("+serves") > reported.index("-model")
    assert reported[-2:] == ["+all", "-all"]


def test_one_at_a_time_runs_in_order(spark: SparkSession, tmp_path: Path) -> None:
    reported: list[str] = []
    jobs = [job(name, nothing) for name in ("b", "a", "c")]
    run_pipeline(
        spark, load(sets=["lake.max_parallel_jobs=1"]), tmp_path, DAY, jobs,
        starting=lambda j: reported.append(f"+{j.name}"), ended=lambda s: reported.append(f"-{s.job}"),
    )  # fmt: skip
    assert reported == ["+b", "-b", "+a", "-a", "+c", "-c"]


def test_after_a_failure_what_runs_ends_and_nothing_begins(spark: SparkSession, tmp_path: Path) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise InputError("a reason")

    def outlast() -> None:
        failed.wait(MEETING_SECONDS)
        time.sleep(1)

    jobs = [job("fails", fail), job("outlasts", outlast), job("never", nothing)]
    steps = run_pipeline(spark, load(sets=["lake.max_parallel_jobs=2"]), tmp_path, DAY, jobs)
    assert [(s.job, s.status) for s in steps if isinstance(s, Result)] == [("fails", "failed"), ("outlasts", "succeeded")]


def test_an_interrupt_ends_what_spark_is_doing(spark: SparkSession, tmp_path: Path) -> None:
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        spark.sparkContext.parallelize(range(1), 1).foreach(lambda _: time.sleep(120))

    def interrupted(asked: Job) -> None:
        if asked.name == "second":
            assert begun.wait(MEETING_SECONDS)
            time.sleep(1)
            raise KeyboardInterrupt

    clock = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(spark, load(), tmp_path, DAY, [job("slow", slow), job("second", nothing)], starting=interrupted)
    # Nobody waits for the job, but what Spark did for it is over, and so it is too.
    for thread in threading.enumerate():
        if thread.name == "slow":
            thread.join(MEETING_SECONDS)
            assert not thread.is_alive()
    assert time.monotonic() - clock < 100


def test_only_what_depends_on_a_job_that_ran_runs_again(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    turns = {"made": 0, "dependent": 0, "free": 0}

    def turn(name: str) -> Callable[[], None]:
        def count() -> None:
            turns[name] += 1

        return count

    jobs = [
        job("made", turn("made"), writes="features.users"), job("dependent", turn("dependent"), reads="features.users"),
        job("free", turn("free")),
    ]  # fmt: skip
    run_pipeline(spark, settings, tmp_path, DAY, jobs)
    assert [type(step) for step in run_pipeline(spark, settings, tmp_path, DAY, jobs)] == [UpToDate] * 3
    run_pipeline(spark, settings, tmp_path, DAY, jobs[:1], force=True)
    # What `made` wrote is no newer version here, so only its having run can tell.
    unseen = [job("unseen", nothing, writes="features.users"), *jobs[1:]]
    steps = run_pipeline(spark, settings, tmp_path, DAY, unseen)
    assert [type(step) for step in steps] == [Result, Result, UpToDate]
    assert turns == {"made": 2, "dependent": 2, "free": 1}


JOB_FILE = """
from shoal.conf.sections import FeaturesConf
from shoal.lake.lake import Lake

READS, WRITES = (), ()


def run(lake: Lake, conf: FeaturesConf, as_of) -> None:
    lake.run.note(made=BODY)
"""


def test_a_changed_file_or_a_declared_setting_runs_a_job_again_and_nothing_else_does(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "jobs" / "features" / "new_job.py"  # no git knows it
    path.parent.mkdir(parents=True)
    (tmp_path / "home" / "conf").symlink_to(home() / "conf")
    monkeypatch.setenv("SHOAL_HOME", str(tmp_path / "home"))
    # Python takes compiled code for current whose source has the same second and size: here a file changes within a second.
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def ends(body: str, *sets: str) -> tuple[str, str | None]:
        """As a process of its own would: status, and what the job noted or its message."""
        path.write_text(JOB_FILE.replace("BODY", body))
        job_module_cache.cache_clear()
        code_hash_cache.cache_clear()
        (step,) = run_pipeline(spark, load(sets=sets), tmp_path / "lake", DAY, [find_job("new_job")])
        return ("up to date", None) if isinstance(step, UpToDate) else (step.status, step.message or step.tags["made"])

    assert ends("'a'") == ("succeeded", "a")
    assert ends("'a'") == ("up to date", None)
    assert ends("'a'", "report.nodes=200") == ("up to date", None)
    assert ends("'b'") == ("succeeded", "b")
    assert ends("'b'", "features.half_life_days=7") == ("succeeded", "b")
    status, message = ends("lake.settings.report.nodes")
    assert status == "failed"
    assert message == "the job reads the settings section report, which it does not declare; add it to the job's SETTINGS"


def test_every_job_of_the_pipeline_declares_what_it_depends_on(settings: Settings) -> None:
    names = [name for stage in settings.pipeline.values() for name in stage]
    jobs = [find_job(name) for name in names]
    found = {j.name: {other.name for other in jobs[:n] if j.depends_on(other)} for n, j in enumerate(jobs)}
    assert found["build_recommendations"] == {"train_recommender", "find_communities", "moderate_items", "build_item_vectors"}
    assert found["score_texts"] == {"train_sentiment", "train_emotion"}
    assert found["find_communities"] == {"build_edges"}
    assert found["write_report"] == set(names) - {"write_report"}
    assert found["find_similar"] == {"build_images", "build_item_vectors", "build_texts", "moderate_items"}
    assert found["moderate_items"] == {"train_moderation"}
