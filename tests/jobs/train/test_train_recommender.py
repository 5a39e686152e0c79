"""The training job on a small lake: metrics, registry, champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.conf.sections import Settings, TrainRecommenderConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.recommender import load_champion
from shoal.models.recommender_training import RecommenderConf
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.evaluation.training import TrainingSettings, fit_both, prepare
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


def training_settings(settings: Settings, conf: TrainRecommenderConf) -> TrainingSettings:
    return RecommenderConf(conf, settings.blend, settings.content, settings.features, settings.recommend).settings()


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
    decided = found["als", "validation", "ndcg@10"]
    # Those who decide are not those who are reported.
    assert (units + decided[1], version, is_champion) == (24, "1", True)
    assert min(units, decided[1]) > 5
    assert value is not None and value > 1.4 * (found["random", "all", "ndcg@10"][0] or 0)
    assert found["popularity", "all", "ndcg@10"][1:] == (units, "baseline", False)
    # Without rules and new items, to users with a history, the first ten that are served are those of ALS.
    assert found["served", "all", "ndcg@10"] == (pytest.approx(value), units, "1", False)
    assert ("served", "validation", "ndcg@10") not in found
    assert ("als", "short_history", "recall@10") in found  # seven or eight training events each
    assert {m for _, s, m in found if s == "all"} == {
        f"{m}@10"
        for m in ("ndcg", "map", "map_full", "recall", "precision", "mrr", "hit_rate", "coverage", "novelty", "popularity_bias",
                  "recall_head", "recall_middle", "recall_tail")
    }
    champion = load_champion(lake)
    assert champion.model.label == "shoal_recommender/1"
    assert champion.model.metrics["ndcg@10"] == pytest.approx(value)
    spec = champion.trained
    assert (spec.als.feedback, spec.serves, spec.experts, spec.ratings) == ("implicit", "als", (), "relative")
    assert spec.trained_until == int(datetime(2024, 2, 29, 12).timestamp() * 1_000_000)
    assert champion.als.user_factors.count() == 24
    assert (lake.run.tags["model_version"], lake.run.tags["split"]) == ("shoal_recommender/1", "global_time")

    again = make_lake(run_id="run-2")
    train(again)
    assert metric_rows(again) == found
    assert again.run.tags["model_version"] == "shoal_recommender/1"  # nothing changed: no new version

    # A day later with other settings: compared with the champion's settings on the same split, and worse.
    worse = again.settings.train_recommender.model_copy(update={"ranks": [1], "search_iter": 1, "max_iter": 1})
    later = make_lake(run_id="run-3")
    find_job("train_recommender").run(later, worse, date(2024, 3, 2))
    assert (later.run.tags["model_version"], later.run.tags["is_champion"]) == ("shoal_recommender/2", "False")
    assert load_champion(later).model.version == "1"
    assert not any(row[3] for row in metric_rows(later, date(2024, 3, 2)).values())
    assert metric_rows(later) == found  # the other day's rows stay

    # The champion's own settings on more events: a tie, which promotes nothing.
    same = make_lake(run_id="run-4")
    train(same, date(2024, 3, 3))
    assert (same.run.tags["model_version"], same.run.tags["is_champion"]) == ("shoal_recommender/3", "False")


def test_events_without_a_time_are_split_at_random(spark: SparkSession, settings: Settings) -> None:
    rows = [(user, item, event, value, None) for user, item, event, value, _ in tastes(datetime(2024, 2, 29))]
    timeless = events(spark, rows)  # type: ignore[arg-type]
    conf = settings.train_recommender.model_copy(update={"ranks": [4], "experts": ["next_item"]})
    given = training_settings(settings, conf)
    data = prepare(timeless, given, lambda frame: frame.persist())
    assert data is not None
    assert (data.kind, data.moment, data.until) == ("random", None, None)
    # One of each user's nine items is drawn; none of them is in the training part.
    wanted = {(r["user_id"], r["item_id"]) for r in data.wanted.collect()}
    known = {(r["user_id"], r["item_id"]) for r in data.train.collect()}
    assert (len(wanted), len(known), wanted & known) == (24, 192, set())
    profiles = spark.createDataFrame([(f"u{n:02d}", "pt") for n in range(24)], "user_id string, country string")
    data = replace(data, profiles=profiles)
    blend = fit_both(data, AlsSettings("implicit", 4, 0.1, 1.0, 2, 1), None, None, given)[1]
    assert blend is not None
    # Every training pair of the catalogue is of that country.
    assert (blend.parts.group_names, blend.asked) == (("country=pt",), None)
    assert blend.parts.group_counts is not None
    assert blend.parts.group_counts.sum() == round(float(np.expm1(blend.parts.log_popularity).sum()))
    assert [expert.name for expert in blend.experts] == ["random_holdout"]


def test_a_training_pair_weighs_what_was_known_at_the_split(spark: SparkSession, settings: Settings) -> None:
    """u views a on 1 January and buys it on 1 March: before 1 February that is a view."""
    rows = [("u", "a", "view", None, datetime(2024, 1, 1)), ("u", "a", "purchase", 5.0, datetime(2024, 3, 1))]
    rows += [("v", f"i{n}", "like", None, datetime(2024, 1, 2, n)) for n in range(6)]
    rows += [("u", "liked", "rating", 5.0, datetime(2024, 2, 1)), ("u", "disliked", "rating", 0.5, datetime(2024, 2, 1))]
    given = training_settings(settings, settings.train_recommender.model_copy(update={"test_ratio": 0.3}))
    data = prepare(events(spark, rows), given, lambda frame: frame.persist())
    assert data is not None and data.moment is not None
    weights = {(r["user_id"], r["item_id"]): r["weight"] for r in data.train.collect()}
    assert weights["u", "a"] == 0.2
    assert len(weights) == 7
    assert [(r["user_id"], r["item_id"]) for r in data.wanted.collect()] == [("u", "liked")]
    final = {(r["user_id"], r["item_id"]): r["weight"] for r in data.everything.collect()}
    assert (final["u", "a"], final["u", "disliked"]) == (3.2, 0.0)


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
