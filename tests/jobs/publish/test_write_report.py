"""The job: one page from whatever tables there are, put in place whole."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from types import ModuleType

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.conf.sections import ReportConf, Settings
from shoal.errors import SkippedError, UsageError
from shoal.lake.contract import contract_names
from shoal.lake.lake import Lake, Run
from shoal.publish.report.day import INGESTED, MAKERS
from shoal.runner.execute import Result, execute
from shoal.runner.job import Job, find_job, job_module

from tests.publish.report.literal import rows
from tests.publish.report.test_page import assert_sufficient_to_itself

DAY, EARLIER = date(2024, 3, 31), date(2024, 3, 1)


@pytest.fixture(scope="module")
def job() -> Job:
    return find_job("write_report")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return job_module("write_report")


@pytest.fixture(scope="module")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a little of everything; the recommendations are of an earlier day."""
    lake = Lake(spark, tmp_path_factory.mktemp("filled"), load(), Run("run-1", "test"))
    at = datetime(2024, 3, 31, 23, 0)
    lake.upsert(
        "silver.interactions",
        rows(
            spark, "silver.interactions",
            {"event_id": "1", "user_id": "u", "item_id": "i", "event": "rating", "value": 4.0, "occurred_at": at},
            {"event_id": "2", "user_id": "v", "item_id": "i", "event": "view", "occurred_at": at},
            {"event_id": "3", "user_id": "v", "item_id": "i", "event": "view", "occurred_at": datetime(2024, 4, 1)},
        ),
    )  # fmt: skip
    title = "<script>alert(1)</script> & Sons"
    lake.upsert("silver.items", rows(spark, "silver.items", {"item_id": "i", "title": title}))
    pairs = [{"src_id": a, "dst_id": b} for a, b in (("u", "v"), ("v", "w"), ("w", "u"))]
    lake.upsert("silver.follows", rows(spark, "silver.follows", *pairs))
    lake.replace("features.items", rows(spark, "features.items", {"item_id": "i", "event_count": 2, "popularity": 1.5}), on=DAY)
    lake.replace("features.users", rows(spark, "features.users", {"user_id": "u"}, {"user_id": "v"}), on=DAY)
    listed = {"user_id": "u", "rank": 1, "item_id": "i", "score": 0.5, "source": "als", "reason_code": "similar_users"}
    lake.replace("gold.recommendations", rows(spark, "gold.recommendations", listed), on=EARLIER)
    metrics = [
        {"task": "recommender", "model": m, "slice": "all", "metric": "ndcg@10", "value": v, "units": 2, "is_champion": m == "als"}
        for m, v in (("als", 0.25), ("popularity", 0.125))
    ]
    lake.replace("ops.model_metrics", rows(spark, "ops.model_metrics", *metrics), on=DAY)
    evaluated = {"task": "recommender_evaluation", "model": "ease", "slice": "all", "units": 9}
    judged = [evaluated | {"metric": m, "value": 0.5} for m in ("ndcg@5", "ndcg@10", "recall@5", "recall@10", "coverage@10")]
    lake.replace("ops.model_metrics", rows(spark, "ops.model_metrics", *judged), on=EARLIER)
    nodes = [{"node_id": n, "community_id": "u", "relation": "follows"} for n in "uvw"]
    lake.replace("gold.communities", rows(spark, "gold.communities", *nodes), on=DAY)
    group = {"relation": "follows", "community_id": "u", "nodes": 3, "internal_edges": 3, "total_modularity": 0.0,
             "top_members": ["u"]}  # fmt: skip
    lake.replace("gold.community_summary", rows(spark, "gold.community_summary", group), on=DAY)
    drift = {
        "table_name": "features.users", "column_name": "event_count", "kind": "number", "comparison": "baseline", "metric": "psi",
        "statistic": 0.3, "threshold": 0.1, "is_drifted": True, "severity": "critical",
    }  # fmt: skip
    lake.replace("ops.drift", rows(spark, "ops.drift", drift), on=DAY)
    reject = {"source": "events", "record_type": "events", "file": "/in/e.csv", "line": 3, "rule": "check", "raw": "a,<b>"}
    lake.append("ops.quarantine", rows(spark, "ops.quarantine", reject))
    return lake


@pytest.fixture(scope="module")
def written(filled: Lake, job: Job) -> list[tuple[Result, str]]:
    """Two runs on the same lake, each with its page."""
    runs = []
    for _ in range(2):
        result = execute(filled.spark, job, filled.settings, filled.root, DAY)
        assert (result.status, result.message) == ("succeeded", None)
        runs.append((result, report(filled)))
    return runs


def report(lake: Lake) -> str:
    return (lake.root / "reports" / DAY.isoformat() / "report.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)).split())


def test_the_page_shows_what_the_tables_hold(filled: Lake, written: list[tuple[Result, str]]) -> None:
    result, page = written[0]
    assert result.tags == {"report": str(filled.root / "reports" / "2024-03-31" / "report.html")}
    assert result.rows_out == {}
    assert_sufficient_to_itself(page)
    text = text_of(page)
    assert "Users 2 Items 1 Events 2 " in text  # the event after the day is not known
    assert "2 events from 31 March 2024 to 31 March 2024" in text
    assert "als beats popularity, the best baseline, on NDCG@10 (0.2500 against 0.1250)" in text
    assert "The last evaluation, of 1 March 2024: 1 model by 9 users with held-out events." in text
    assert "ease 0.5000" in text
    assert "The lists are of 1 March 2024: none were made for 31 March 2024." in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Sons" in page
    assert "<script" not in page
    assert "1 community of 3 nodes" in text
    assert "1 column of 1 drifted, 1 of them critically." in text
    assert "1 record refused by ingest." in text
    # What is missing says so, and what makes it.
    assert "ops.profiles : the table has not been made" in text or "ops.profiles : no rows up to 2024-03-31" in text
    assert "shoal run detect_drift --as-of 2024-03-31" in text
    assert f"{filled.root}" in text


def test_the_same_tables_give_the_same_page(filled: Lake, written: list[tuple[Result, str]]) -> None:
    # Both tables came with the first run's own row: the table is reported, the row is not shown.
    own = r"\d+ tables? hold.*?</p>|<tr[^>]*>\s*<th[^>]*>\s*<bdi>ops\.(?:runs|job_metrics).*?</tr>\s*"
    pages = [re.sub(own, "", page.replace(result.run_id, "RUN"), flags=re.DOTALL) for result, page in written]
    assert pages[0] == pages[1]
    assert [p.name for p in (filled.root / "reports" / "2024-03-31").iterdir()] == ["report.html"]  # nothing left beside it


def test_a_missing_part_tells_what_its_job_said(spark: SparkSession, lake: Lake, job: Job, settings: Settings) -> None:
    lake.upsert("silver.items", rows(spark, "silver.items", {"item_id": "i", "title": "One"}))
    skipped = execute(spark, find_job("build_users"), settings, lake.root, DAY)
    assert skipped.status == "skipped"
    result = execute(spark, job, settings, lake.root, DAY)
    assert result.status == "succeeded"
    text = text_of(report(lake))
    assert "silver.interactions : nothing has been ingested into it. To make it: shoal ingest --source NAME --input PATH" in text
    assert f"features.users : the table has not been made; build_users said: {skipped.message}" in text
    for name in ("ops.model_metrics", "gold.recommendations", "gold.community_summary", "ops.drift"):
        assert f"{name} : the table has not been made" in text


def test_an_empty_lake_is_skipped(spark: SparkSession, lake: Lake, job: Job, settings: Settings) -> None:
    lake.root.mkdir()
    for _ in range(2):  # the second time there is ops.runs
        result = execute(spark, job, settings, lake.root, DAY)
        assert (result.status, result.exit_code) == ("skipped", 0)
        assert result.message == "the lake has no table to report on; `shoal ingest` loads data"
    assert not (lake.root / "reports").exists()


def test_reports_go_where_conf_says(module: ModuleType, lake: Lake, settings: Settings) -> None:
    conf = settings.report
    assert module.folder(lake, conf) == f"{lake.root}/reports"
    assert module.folder(lake, conf.model_copy(update={"folder": "/elsewhere"})) == "/elsewhere"
    lake.settings = load("databricks")
    assert str(module.folder(lake, lake.settings.report)).startswith("/Volumes/")
    with pytest.raises(UsageError, match="report.folder: needed with lake.catalog"):
        module.folder(lake, lake.settings.report.model_copy(update={"folder": None}))


def test_a_page_is_put_in_place_whole_or_not_at_all(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "day" / "report.html"
    lake.store.write_text(str(path), "first")
    with pytest.raises(UnicodeEncodeError):
        lake.store.write_text(str(path), "half \ud800")
    assert path.read_text(encoding="utf-8") == "first"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_jobs_named_as_makers_write_those_tables() -> None:
    for table, name in MAKERS.items():
        assert table in contract_names()
        assert table in find_job(name).writes
    assert set(INGESTED) <= set(contract_names())


def test_nothing_at_all_raises_skipped(module: ModuleType, lake: Lake, settings: Settings) -> None:
    with pytest.raises(SkippedError):
        module.run(lake, ReportConf(folder=None, communities=2, nodes=10, sample_users=0), DAY)
