"""`shoal train influencers --search`: tries, a champion, search.json, nested runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.cli.app import run
from shoal.mine.people import influencers
from shoal.mine.people.influencers import CANDIDATES, ForestTuning, search_influencers, training_accounts


def accounts(count: int = 300) -> pd.DataFrame:
    """Followers go with likes, but only above a bend."""
    draw = np.random.default_rng(2)
    likes, posts = draw.exponential(10, count), draw.integers(1, 90, count)
    followers = (100 + 50 * np.maximum(likes - 10, 0) + draw.integers(0, 200, count)).astype(int)
    return pd.DataFrame({"user_id": [f"u{i}" for i in range(count)], "followers": followers, "likes": likes, "posts": posts})


def test_a_search_writes_what_it_tried_and_logs_nested_runs(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influencers, "CANDIDATES", (ForestTuning(trees=1, depth=1), ForestTuning(trees=30)))
    store = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    accounts().to_csv(tmp_path / "a.csv", index=False)
    command = ["train", "influencers", "--input", str(tmp_path / "a.csv"), "--model", str(tmp_path / "m"), "--search"]
    assert run([*command, "--minutes", "5"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = json.loads((tmp_path / "m" / "search.json").read_text())
    assert [trial["candidate"]["trees"] for trial in found["trials"]] == [1, 30]
    assert found["trials"][1]["roc_auc"] > found["trials"][0]["roc_auc"] > 0.5
    assert found["champion"] == found["trials"][1]["candidate"] == said["search"]["champion"]
    assert (said["search"]["fitted"], said["search"]["candidates"]) == (2, 2)
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("shoal_influencers_search")
    runs = client.search_runs([experiment.experiment_id])
    nested = [one for one in runs if "mlflow.parentRunId" in one.data.tags]
    (parent,) = (one for one in runs if one not in nested)
    assert {one.data.tags["mlflow.parentRunId"] for one in nested} == {parent.info.run_id}
    assert sorted(one.data.params["trees"] for one in nested) == ["1", "30"]
    assert {one.info.status for one in runs} == {"FINISHED"}
    assert parent.data.metrics["roc_auc"] == said["metrics"]["roc_auc"]
    # No time at all: the shipped settings, fitted once.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert run([*command, "--minutes", "0"]) == 0
    found = json.loads((tmp_path / "m" / "search.json").read_text())
    assert len(found["trials"]) == 1 and found["ended"] == "the time was used up"


def test_the_reporting_accounts_have_no_say(spark: SparkSession) -> None:
    frame = accounts().drop(columns="user_id").rename_axis("position").reset_index()
    given = spark.createDataFrame(frame).selectExpr("position", "followers", "likes", "cast(posts as double) posts")
    training = training_accounts(given, {"likes": "likes", "posts": "posts"}, 7)
    upside_down = training.rows.withColumn("label", F.when(F.col("tenth") >= 8, 1 - F.col("label")).otherwise(F.col("label")))
    turned = influencers.TrainingAccounts(upside_down, training.threshold, training.medians, {}, training.accounts)
    first, second = (search_influencers(one, 7, 0.0) for one in (training, turned))
    assert first[1]["trials"][0]["roc_auc"] == second[1]["trials"][0]["roc_auc"]
    assert first[0] == CANDIDATES[0]
