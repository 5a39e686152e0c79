"""The whole pipeline on a small simulated world, once: every stage's tables, the demo's questions, and a second run.

At the end one person, who is in every layer of that lake, in models, reports and raw copies, is erased: no byte holds them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shoal.privacy.erasure
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.cli.app import run as shoal_command
from shoal.cli.jobs import DEMO_QUERIES, report_path, steps_table
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake, Run
from shoal.lake.query import answer
from shoal.models.registry import champion
from shoal.privacy.erasure import ask_for, open_request, take_out_names
from shoal.privacy.mentions import Names
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job
from shoal.runner.pipeline import Step, UpToDate, jobs_between, run_pipeline
from shoal.simulate.world import DEMO_AS_OF, WorldConf
from shoal.simulate.write import write_world

from tests.support.bytes_of_a_lake import places
from tests.support.long import long

DAY = DEMO_AS_OF
NEEDLE = "zq7741"
WHO = f"person-{NEEDLE}"
# A person's records, and those of others that name them. Every id of the person's own making carries the needle.
FILES = {
    ("events", f"{WHO}.csv"): "event_id,user_id,item_id,event,value,occurred_at\n"
    + "".join(f"ev-{NEEDLE}-{n},{WHO},post-{n},like,,2025-06-{n:02d}T10:00:00Z\n" for n in range(1, 6))
    + f"ev-{NEEDLE}-9,{WHO},post-1,stare,,2025-06-09T10:00:00Z\n"  # rejected: no such event
    + f"ev-8,{WHO}\n"  # rejected: cut off
    + "ev-other,u-other,post-own,like,,2025-06-10T10:00:00Z\n",
    ("items", "items.csv"): "item_id,owner_id,title,text\n"
    + f"post-own,{WHO},My own post {NEEDLE},by me\npost-1,u-other,Another,with @{WHO} in the sun\n",
    ("texts", "texts.csv"): "text_id,author_id,item_id,text,label,created_at\n"
    + f"tx-{NEEDLE},{WHO},post-1,wonderful and good,positive,2025-06-09T10:00:00Z\n"
    + f"tx-thanks,u-other,post-1,thanks @{WHO} and {WHO}!,positive,2025-06-09T10:00:00Z\n",
    # Three by themselves: the community's label is the smallest id. (Two would swap labels for ever.)
    ("edges", "edges.csv"): f"src,dst\n{WHO},person-zz\nperson-zy,{WHO}\nperson-zz,person-zy\n",
}
# The whole pipeline is in the fixture of the first test.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Built:
    """A lake that the pipeline has gone through."""

    root: Path
    settings: Settings
    steps: list[Step]

    def lake(self, spark: SparkSession, run_id: str = "reader") -> Lake:
        return Lake(spark, self.root, self.settings, Run(run_id))

    def rows(self, spark: SparkSession, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(r) for r in self.lake(spark).read_current(table).select(*columns).collect())


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A world of 150 users and the person, ingested and taken through every stage with the smallest search: up to a first model
    in one folder, then in a copy of it elsewhere, when the first folder is gone."""
    original = tmp_path_factory.mktemp("original") / "lake"
    root = original.parent.parent / "copied" / "lake"
    world = WorldConf(users=150, items=80, events=4000, texts=400, days=90)
    write_world(spark, world, original / "landing", original / "raw-truth", partitions=2)
    for (source, name), text in FILES.items():
        (original / "landing" / source / name).write_text(text, encoding="utf-8")
    smallest = ["feedback=implicit", "ranks=[8]", "reg_params=[0.1]", "alphas=[0.5]", "search_iter=2", "max_iter=3"]
    settings = load(sets=[f"train_recommender.{pair}" for pair in smallest])
    steps: list[Step] = []
    for source in ("items", "events", "texts", "edges"):
        given = {"source": source, "input": str(original / "landing" / source)}
        steps.append(execute(spark, find_job("ingest_files"), settings, original, DAY, given))
    first = [*jobs_between(settings, "features", "features"), find_job("train_sentiment")]
    steps += run_pipeline(spark, settings, original, DAY, first)
    shutil.copytree(original, root)
    shutil.rmtree(original)
    rest = run_pipeline(spark, settings, root, DAY, jobs_between(settings))
    # What was skipped, for want of input, is asked again.
    steps = [step for step in steps if isinstance(step, Result) and step.status != "skipped"]
    up_to_date = {step.job for step in rest if isinstance(step, UpToDate)}
    assert (up_to_date, original.exists()) == ({step.job for step in steps} - {"ingest_files"}, False)
    steps += [step for step in rest if isinstance(step, Result)]
    (root / "reports" / "another.html").write_text(f"<td>{WHO}</td>", encoding="utf-8")
    return Built(root, settings, steps)


def test_every_stage_succeeds_and_is_in_the_log(spark: SparkSession, built: Built) -> None:
    ended = [(s.job, s.status, s.message) for s in built.steps if isinstance(s, Result)]
    # The simulated world has no log of impressions, no emotions, no decisions of moderators, no pictures, messages or experiments.
    skipped = {"build_images", "train_emotion", "train_moderation", "moderate_items", "summarise_conversations", "update_bandits",
               "assign_users", "analyse_experiments"}  # fmt: skip
    assert sorted((job, status) for job, status, message in ended if message is not None) == sorted(
        (job, "skipped") for job in skipped
    )
    assert len(ended) == 4 + sum(len(jobs) for jobs in built.settings.pipeline.values())
    logged = built.lake(spark).read("ops.runs").groupBy("status").count().collect()
    assert {row["status"]: row["count"] for row in logged} == {
        "succeeded": len(ended) - len(skipped), "skipped": len(skipped) + 1,  # build_images was asked before the copy too
    }  # fmt: skip
    assert all(str(s.job) in steps_table(built.steps) for s in built.steps)


def test_a_job_reads_and_writes_what_it_declares(spark: SparkSession, built: Built) -> None:
    # Which job waits for which comes from there. Snapshots are carried forward, and places explored, in larger lakes or on request.
    optional = {("build_users", "features.users"), ("build_items", "features.items"), ("build_recommendations", "gold.bandit_arms"),
                ("find_communities", "gold.communities"), ("find_segments", "gold.segments")}  # fmt: skip
    existing = {name for name in contract_names() if built.lake(spark).exists(name)}
    for step in built.steps:
        assert isinstance(step, Result)
        job = find_job(step.job)
        read, written = set(step.rows_in), set(step.rows_out)
        if job.stage == "ingest":  # each ingests one source of many
            assert written <= set(job.writes), step.job
        elif step.status == "succeeded":
            assert written == set(job.tables_written()), step.job
            expected = existing & set(job.tables_read()) - {table for name, table in optional if name == job.name}
            assert expected <= read <= set(job.tables_read()), (step.job, expected ^ read)
    assert {step.job for step in built.steps} >= {name for names in built.settings.pipeline.values() for name in names}


def test_every_user_gets_a_list_of_unseen_items_with_reasons(spark: SparkSession, built: Built) -> None:
    lake = built.lake(spark)
    lists = lake.read("gold.recommendations", on=DAY)
    events = lake.read("silver.interactions", before=DAY)
    assert lists.join(events, ["user_id", "item_id"], "left_semi").count() == 0, "a seen item is listed"
    assert events.join(lists, "user_id", "left_anti").count() == 0, "a user without a list"
    counted = (F.count("*").alias("n"), F.max("rank").alias("last"), F.countDistinct("item_id").alias("d"))
    ranks = lists.groupBy("user_id").agg(*counted)
    assert ranks.where("n != last or n != d or n > 20").count() == 0
    assert lists.where("(reason_code like 'because_%') != (because_item_id is not null)").count() == 0


def test_point_in_time_nothing_after_as_of(spark: SparkSession, built: Built) -> None:
    lake = built.lake(spark)
    assert lake.read("features.users", on=DAY).where(F.col("last_event_at") >= "2025-07-01").count() == 0


def test_the_demos_questions_have_answers(spark: SparkSession, built: Built) -> None:
    for title, query in DEMO_QUERIES.items():
        rows = answer(built.lake(spark), query.format(as_of=DAY.isoformat())).collect()
        assert 1 <= len(rows) <= 5, title


def test_the_models_of_a_copied_lake_lie_in_it(spark: SparkSession, built: Built) -> None:
    # The first was trained in the folder that is gone, the second in the copy.
    for name in ("shoal_sentiment", "shoal_recommender"):
        held = champion(built.lake(spark), name)
        assert held is not None and held.folder.is_relative_to(built.root) and any(held.folder.rglob("*")), name


def test_the_report_is_one_file(built: Built) -> None:
    page = Path(report_path(built.steps))
    assert page.is_file()
    assert "<html" in page.read_text(encoding="utf-8")[:500].lower()


def test_a_second_run_passes_over_what_is_done_and_force_writes_the_same(spark: SparkSession, built: Built) -> None:
    jobs = jobs_between(built.settings, "features", "features")
    before = built.lake(spark).read("features.items", on=DAY).drop("run_id").collect()
    again = run_pipeline(spark, built.settings, built.root, DAY, jobs)
    assert {step.job for step in again if not isinstance(step, UpToDate)} == {"build_images"}  # skipped, and asked again
    forced = run_pipeline(spark, built.settings, built.root, DAY, jobs, force=True)
    assert [step.status for step in forced if isinstance(step, Result)].count("succeeded") == len(jobs) - 1
    after = built.lake(spark).read("features.items", on=DAY).drop("run_id").collect()
    assert sorted(map(tuple, before), key=repr) == sorted(map(tuple, after), key=repr)


def areas(found: list[str]) -> set[str]:
    return {Path(name).parts[0] for name in found}


@long
def test_after_an_erasure_no_byte_of_the_lake_holds_the_person(
    spark: SparkSession, built: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = places(built.root, NEEDLE)
    events = built.lake(spark).read_current("silver.interactions").count()
    assert areas(before) >= {"bronze", "silver", "features", "gold", "ops", "mlruns", "reports", "landing"}
    # Nobody in this small world is near enough to anybody for the tables of neighbours to name the person.
    unnamed = {"sentiments", "similar_items", "similar_users"}
    # The world has no impressions; the person's item is out of its window, has no topic, and nobody is left to be followed.
    unnamed |= {"bandit_arms", "trending", "user_interests", "follow_recommendations"}
    # Somebody with a few events has no odd day.
    unnamed |= {"anomalies"}
    # No part of the pipeline.
    unnamed |= {"item_audiences"}
    # The world has no decisions; a text's id is compressed with its like.
    unnamed |= {"moderation", "entities", "keywords"}
    # The first run of communities has no change; topics and trends are words; an author of one post is in no model's tables.
    unnamed |= {"community_changes", "segment_changes", "topics", "trends", "viral_posts", "engagement_predictions", "explanations",
                "feature_importances", "influencers", "posting_times"}  # fmt: skip
    # No messages, no experiment, no copied text.
    unnamed |= {"conversations", "conversation_participants", "experiment_assignments", "experiment_results", "near_duplicates"}
    named = {Path(name).parts[1] for name in before if name.startswith("gold/")}
    assert {t.split(".")[1] for t in contract_names() if t.startswith("gold.")} - unnamed - named == set()
    old_model = champion(built.lake(spark), "shoal_recommender")
    assert old_model is not None

    # What the person is given on asking.
    assert shoal_command(["export", "--user", WHO, "--lake", str(built.root)]) == 0
    exported = json.loads(capsys.readouterr().out)
    tables = exported["tables"]
    assert [row["event_id"] for row in tables["silver.interactions"]] == [f"ev-{NEEDLE}-{n}" for n in range(1, 6)]
    assert list(tables["silver.interactions"][0]) == list(contract("silver.interactions").columns)
    assert [row["text_id"] for row in tables["gold.sentiments"]] == [f"tx-{NEEDLE}"]
    assert [(row["src_id"], row["dst_id"]) for row in tables["silver.follows"]] == [(WHO, "person-zz"), ("person-zy", WHO)]
    assert len(tables["features.users"]) == 1

    # Killed in the middle: gold.node_ranks and what comes before it is gone, bronze and silver are as they were.
    with monkeypatch.context() as patched:

        def killed(lake: Lake, name: str, names: Names) -> int:
            if name == "gold.node_ranks":
                raise KeyboardInterrupt
            return take_out_names(lake, name, names)

        patched.setattr(shoal.privacy.erasure, "take_out_names", killed)
        ask_for(built.lake(spark, "ask"), [WHO])
        with pytest.raises(KeyboardInterrupt):
            execute(spark, find_job("erase_people"), built.settings, built.root, DAY)
    assert open_request(built.lake(spark)) is not None
    running = built.rows(spark, "ops.erasures", "status")
    assert running == [("running",)]
    assert built.lake(spark).read_current("gold.node_ranks").where(F.col("node_id") == WHO).count() == 0
    assert places(built.root, NEEDLE)

    # Without an id: what was left is taken up.
    assert shoal_command(["erase", "--lake", str(built.root)]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert places(built.root, NEEDLE) == []

    row = built.lake(spark).read_current("ops.erasures").collect()[0]
    assert row["person_hash"] == hmac.new(bytes.fromhex(reported["receipt"]), WHO.encode(), hashlib.sha256).hexdigest()
    assert (row["status"], row["request_id"]) == ("finished", reported["request_id"])
    removed = row["rows_removed"]
    assert {t: removed[t] for t in ("silver.interactions", "silver.texts", "silver.items", "silver.follows")} == {
        "silver.interactions": 5, "silver.texts": 1, "silver.items": 1, "silver.follows": 2,
    }  # fmt: skip
    assert removed["gold.sentiments"] == 1
    assert removed["features.items"] == 1
    assert row["models_retired"] >= 1
    assert champion(built.lake(spark), "shoal_recommender") is None
    assert open_request(built.lake(spark)) is None
    # The others are where they were.
    assert built.lake(spark).read_current("silver.interactions").count() == events - 5
    texts = built.rows(spark, "silver.texts", "text_id", "author_id", "text")
    assert ("tx-thanks", "u-other", "thanks @[erased] and [erased]!") in texts
    assert ("post-1", "with @[erased] in the sun") in built.rows(spark, "silver.items", "item_id", "text")
    other = dict(built.rows(spark, "gold.communities", "node_id", "community_id"))["person-zz"]
    assert other.startswith("erased-")
    assert dict(built.rows(spark, "gold.community_summary", "community_id", "nodes"))[other] == 3
    raw = built.lake(spark).read_current("bronze.events").where(F.col("event_id") == "ev-other").select("_file", "raw").collect()[0]
    assert Path(raw["_file"]).name.startswith("erased-")
    assert raw["raw"] == "ev-other,u-other,post-own,like,,2025-06-10T10:00:00Z"
