"""Experiments over a lake: who is exposed when, what counts for them, and what a day's results say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from shoal.errors import SkippedError
from shoal.experiment.assignment import Experiment, arm_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake

from jobs.experiment import analyse_experiments, assign_users

START, DAY = date(2024, 3, 1), date(2024, 3, 10)
FILE = """
ranking:
  start: 2024-03-01
  end: 2024-03-31
  arms: {control: 1, new: 1}
  ramp: {2024-03-01: 0.5, 2024-03-05: 1}
  exposure_event: view
  metrics:
    clicks_per_view: {kind: ratio, event: click, per: view}
    likes: {kind: mean, event: like}
    buyers: {kind: proportion, event: purchase}
  covariate_days: 10
later: {start: 2024-04-01, end: 2024-04-02, arms: {a: 1, b: 1}, metrics: {m: {kind: mean, event: like}}}
"""
RAMP = ((START, 0.5), (date(2024, 3, 5), 1.0))
RANKING = Experiment("ranking", (("control", 1.0), ("new", 1.0)), START, date(2024, 3, 31), ramp=RAMP)


def table(spark: SparkSession, name: str, rows: list[dict[str, Any]]) -> DataFrame:
    """Rows of a table, columns that are not given null."""
    fields = StructType([field for field in contract(name).struct() if field.name != "run_id"])
    return spark.createDataFrame([tuple(row.get(field.name) for field in fields) for row in rows], fields)


def event(user: str, kind: str, day: int, hour: int = 12, month: int = 3) -> dict[str, Any]:
    at = datetime(2024, month, day, hour)
    return {"event_id": f"{user}-{kind}-{at}", "user_id": user, "item_id": "i", "event": kind, "occurred_at": at, "source": "test"}


@pytest.fixture
def lake(spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path) -> Lake:
    """200 users view on 2 March and click once, even ones have liked before the start; those of arm new like twice."""
    lake = make_lake()
    (tmp_path / "experiments.yaml").write_text(FILE)
    rows = []
    for n in range(200):
        user = f"u{n}"
        rows += [event(user, "view", 2), event(user, "view", 3), event(user, "click", 3)]
        rows += [event(user, "like", 25, month=2)] if n % 2 == 0 else []
        if arm_of(user, RANKING, DAY) == "new":
            rows += [event(user, "like", 6, 1), event(user, "like", 6, 2)] + ([event(user, "like", 7)] if n % 3 == 0 else [])
        # Before the exposure: counts for nobody.
        rows += [event(user, "purchase", 1)]
    lake.append("silver.interactions", table(spark, "silver.interactions", rows))
    return lake


def test_users_are_exposed_by_their_first_view_after_the_ramp_lets_them_in(lake: Lake, tmp_path: Path) -> None:
    conf = lake.settings.experiments.model_copy(update={"file": str(tmp_path / "experiments.yaml")})
    assign_users.run(lake, conf, DAY)
    found = {row["user_id"]: row for row in lake.read("gold.experiment_assignments", on=DAY).collect()}
    # Half of the range is open on the 2nd and 3rd; nobody views after the 5th, when all of it is.
    assert set(found) == {f"u{n}" for n in range(200) if arm_of(f"u{n}", RANKING, START) is not None}
    assert {row["experiment"] for row in found.values()} == {"ranking"}
    assert {row["exposed_at"] for row in found.values()} == {datetime(2024, 3, 2, 12)}
    assert all(row["arm"] == arm_of(name, RANKING, DAY) for name, row in found.items())
    assert lake.run.tags["experiments"] == "ranking"

    analyse_experiments.run(lake, conf, DAY)
    results = {row["metric"]: row for row in lake.read("gold.experiment_results", on=DAY).collect()}
    new = [int(name[1:]) for name, row in found.items() if row["arm"] == "new"]
    likes = results["likes"]
    assert (likes["users"], likes["control_users"]) == (len(new), len(found) - len(new))
    assert (likes["segment"], likes["arm"]) == ("all", "new")
    # Likes before the start say nothing of these after it, so next to nothing is adjusted.
    assert likes["variance_reduction"] < 0.1
    assert likes["difference"] == pytest.approx(sum(2 + (n % 3 == 0) for n in new) / len(new), abs=0.1)
    assert likes["p_value"] < 1e-9
    assert likes["low"] < likes["difference"] < likes["high"]
    assert likes["always_p_value"] < 0.05
    assert (results["clicks_per_view"]["control"], results["clicks_per_view"]["treatment"]) == (None, None)
    assert results["clicks_per_view"]["note"] == "no variance: every user has the same value"
    assert results["buyers"]["note"] == "too few users of either outcome for the normal approximation"
    assert {row["is_sound"] for row in results.values()} == {True}
    # All came in on one day of ten: at that pace .05 deviations take 12,600 users.
    assert likes["days_needed"] == pytest.approx(12559 / (len(found) / 10), rel=0.01)
    before = lake.version("gold.experiment_results")
    analyse_experiments.run(lake, conf, DAY)
    assert [row["metric"] for row in lake.read("gold.experiment_results", on=DAY).collect()].count("likes") == 1
    assert lake.version("gold.experiment_results") != before


def test_without_experiments_the_jobs_are_skipped(lake: Lake, tmp_path: Path) -> None:
    conf = lake.settings.experiments
    with pytest.raises(SkippedError, match=r"experiments\.file names no file: no experiment is defined"):
        assign_users.run(lake, conf, DAY)
    named = conf.model_copy(update={"file": str(tmp_path / "experiments.yaml")})
    with pytest.raises(SkippedError, match="no experiment has begun by 2024-02-01"):
        assign_users.run(lake, named, date(2024, 2, 1))
    lake.create("gold.experiment_assignments")
    with pytest.raises(SkippedError, match="no experiment has users of two arms by 2024-03-10"):
        analyse_experiments.run(lake, named, DAY)
    assert lake.run.tags["not_analysed_ranking"] == "0 arm with users (none); expected control and new"
