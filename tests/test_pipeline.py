"""The whole pipeline on a small simulated world, once: every stage's tables, the demo's questions, and a second run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.ask import answer
from shoal.cli.jobs import DEMO_QUERIES, report_path, steps_table
from shoal.conf import Settings, load
from shoal.lake import Lake, Run
from shoal.pipeline import Done, Step, jobs_between, run_pipeline
from shoal.runs import Result, execute, find_job
from shoal.simulate.world import DEMO_AS_OF, WorldConf
from shoal.simulate.write import write_world

DAY = DEMO_AS_OF
pytestmark = pytest.mark.slow


@dataclass
class Built:
    """A lake that the pipeline has gone through."""

    root: Path
    settings: Settings
    steps: list[Step]

    def lake(self, spark: SparkSession) -> Lake:
        return Lake(spark, self.root, self.settings, Run("reader"))


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A world of 150 users, ingested and taken through every stage with the smallest search."""
    root = tmp_path_factory.mktemp("lake")
    world = WorldConf(users=150, items=80, events=4000, texts=400, days=90)
    write_world(spark, world, root / "raw", root / "raw-truth", partitions=2)
    smallest = ["ranks=[8]", "reg_params=[0.1]", "alphas=[0.5]", "search_iter=2", "max_iter=3"]
    settings = load(sets=[f"train_recommender.{pair}" for pair in smallest])
    steps: list[Step] = []
    for source in ("items", "events", "texts", "edges"):
        given = {"source": source, "input": str(root / "raw" / source)}
        steps.append(execute(spark, find_job("ingest_files"), settings, root, DAY, given))
    steps += run_pipeline(spark, settings, root, DAY, jobs_between(settings))
    return Built(root, settings, steps)


def test_every_stage_succeeds_and_is_in_the_log(spark: SparkSession, built: Built) -> None:
    ended = [(s.job, s.status, s.message) for s in built.steps if isinstance(s, Result)]
    # The simulated world has no log of impressions.
    assert [(job, status) for job, status, message in ended if message is not None] == [("update_bandits", "skipped")]
    assert len(ended) == 4 + sum(len(jobs) for jobs in built.settings.pipeline.values())
    logged = built.lake(spark).read("ops.runs").groupBy("status").count().collect()
    assert {row["status"]: row["count"] for row in logged} == {"succeeded": len(ended) - 1, "skipped": 1}
    assert all(str(s.job) in steps_table(built.steps) for s in built.steps)


def test_every_user_gets_a_list_of_unseen_items_with_reasons(spark: SparkSession, built: Built) -> None:
    lake = built.lake(spark)
    lists = lake.read("gold.recommendations", on=DAY)
    events = lake.read("silver.interactions", before=DAY)
    assert lists.join(events, ["user_id", "item_id"], "left_semi").count() == 0, "a seen item is listed"
    assert events.join(lists, "user_id", "left_anti").count() == 0, "a user without a list"
    counted = (F.count("*").alias("n"), F.max("rank").alias("last"), F.countDistinct("item_id").alias("d"))
    ranks = lists.groupBy("user_id").agg(*counted)
    assert ranks.where("n != last or n != d or n > 20").count() == 0
    assert lists.where("length(reason) < 10 or reason is null").count() == 0


def test_point_in_time_nothing_after_as_of(spark: SparkSession, built: Built) -> None:
    lake = built.lake(spark)
    assert lake.read("features.users", on=DAY).where(F.col("last_event_at") >= "2025-07-01").count() == 0


def test_the_demos_questions_have_answers(spark: SparkSession, built: Built) -> None:
    for title, query in DEMO_QUERIES.items():
        rows = answer(built.lake(spark), query.format(as_of=DAY.isoformat())).collect()
        assert 1 <= len(rows) <= 5, title


def test_the_report_is_one_file(built: Built) -> None:
    page = Path(report_path(built.steps))
    assert page.is_file()
    assert "<html" in page.read_text(encoding="utf-8")[:500].lower()


def test_a_second_run_passes_over_what_is_done_and_force_writes_the_same(spark: SparkSession, built: Built) -> None:
    jobs = jobs_between(built.settings, "features", "features")
    before = built.lake(spark).read("features.items", on=DAY).drop("run_id").collect()
    again = run_pipeline(spark, built.settings, built.root, DAY, jobs)
    assert [type(step) for step in again] == [Done, Done]
    forced = run_pipeline(spark, built.settings, built.root, DAY, jobs, force=True)
    assert [step.status for step in forced if isinstance(step, Result)] == ["succeeded", "succeeded"]
    after = built.lake(spark).read("features.items", on=DAY).drop("run_id").collect()
    assert sorted(map(tuple, before), key=repr) == sorted(map(tuple, after), key=repr)
