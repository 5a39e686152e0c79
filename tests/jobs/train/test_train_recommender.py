"""The training job on a small lake: metrics, registry, champion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.registry import champion
from shoal.recommend.candidates.als import settings_of
from shoal.recommend.candidates.trained import trained_of
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)


def events(spark: SparkSession, rows: list[tuple[str, str, str, float | None, datetime]]) -> DataFrame:
    """silver.interactions rows: user, item, event, value, time."""
    numbered = [(f"e{n}", *row, "test") for n, row in enumerate(rows)]
    return spark.createDataFrame(
        numbered,
        "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string",
    )


def tastes(last: datetime) -> list[tuple[str, str, str, float | None, datetime]]:
    """Two groups of 12 users and 12 items; each user likes nine items of its own group in random order, the last at `last`."""
    rng = np.random.default_rng(5)
    return [
        (f"u{user:02}", f"{user % 2}-{item:02}", "like", None, last - timedelta(hours=int(n * 24 + user)))
        for user in range(24)
        for n, item in enumerate(rng.permutation(12)[:9])
    ]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The shipped settings with a search of two trials, ALS alone: the blend is trained in the tests of build_recommendations."""
    small = settings.train_recommender.model_copy(
        update={"ranks": [4, 2], "reg_params": [0.1], "alphas": [1.0], "search_iter": 2, "max_iter": 3, "experts": []}
    )
    return settings.model_copy(update={"train_recommender": small})


def train(lake: Lake, as_of: date = DAY) -> None:
    find_job("train_recommender").run(lake, lake.settings.train_recommender, as_of)


def metric_rows(lake: Lake, as_of: date = DAY) -> dict[tuple[str, str, str], tuple[float | None, int, str, bool]]:
    rows = lake.read("ops.model_metrics", on=as_of).collect()
    return {(r["model"], r["slice"], r["metric"]): (r["value"], r["units"], r["model_version"], r["is_champion"]) for r in rows}


@pytest.mark.slow
def test_training_measures_registers_and_is_the_same_when_run_again(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    rows = tastes(datetime(2024, 2, 29, 12))
    future = [("u00", "1-00", "like", None, datetime(2024, 3, 2))]  # after as_of: must not count
    lake.append("silver.interactions", events(spark, [*rows, *future]))
    train(lake)
    found = metric_rows(lake)
    value, units, version, is_champion = found["als", "all", "ndcg@10"]
    assert (units, version, is_champion) == (24, "1", True)
    assert value is not None and value > 2 * (found["random", "all", "ndcg@10"][0] or 0)
    assert found["popularity", "all", "ndcg@10"][1:] == (24, "baseline", False)
    assert ("als", "short_history", "recall@10") in found  # seven or eight training events each
    assert {m for _, s, m in found if s == "all"} == {
        f"{m}@10"
        for m in ("ndcg", "map", "map_full", "recall", "precision", "mrr", "hit_rate", "coverage", "novelty", "popularity_bias")
    }
    model = champion(lake, "shoal_recommender")
    assert model is not None
    assert model.label == "shoal_recommender/1"
    assert settings_of(model.params).feedback == "implicit"
    assert model.metrics["ndcg@10"] == pytest.approx(value)
    assert (trained_of(model.params).serves, trained_of(model.params).experts) == ("als", ())
    assert (model.folder / "pipeline" / "metadata").is_dir()
    assert lake.run.tags["model_version"] == "shoal_recommender/1"

    again = make_lake(run_id="run-2")
    train(again)
    assert metric_rows(again) == found
    assert again.run.tags["model_version"] == "shoal_recommender/1"  # nothing changed: no new version

    # A day later with other settings: judged against the champion's settings on the same split, and worse.
    worse = again.settings.train_recommender.model_copy(update={"ranks": [1], "search_iter": 1, "max_iter": 1})
    later = make_lake(run_id="run-3")
    find_job("train_recommender").run(later, worse, date(2024, 3, 2))
    assert (later.run.tags["model_version"], later.run.tags["is_champion"]) == ("shoal_recommender/2", "False")
    kept = champion(later, "shoal_recommender")
    assert kept is not None and kept.version == "1"
    assert not any(row[3] for row in metric_rows(later, date(2024, 3, 2)).values())
    assert metric_rows(later) == found  # the other day's rows stay


def test_one_user_with_one_item_is_trained_without_a_measurement(spark: SparkSession, lake: Lake) -> None:
    lake.append("silver.interactions", events(spark, [("u", "i", "rating", 4.0, datetime(2024, 2, 1))]))
    train(lake)
    found = metric_rows(lake)
    assert found["als", "all", "ndcg@10"] == (None, 0, "1", True)
    assert found["popularity", "all", "recall@10"][:2] == (None, 0)


def test_no_event_up_to_the_day_is_skipped(spark: SparkSession, lake: Lake) -> None:
    with pytest.raises(SkippedError, match=r"silver\.interactions does not exist"):
        train(lake)
    lake.append("silver.interactions", events(spark, [("u", "i", "like", None, datetime(2024, 3, 5))]))
    with pytest.raises(SkippedError, match="no event up to 2024-03-01"):
        train(lake)
