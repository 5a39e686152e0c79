"""A champion that has grown old: nothing due, a challenger that wins, one that does not, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.mine.text.classifier import score_texts
from shoal.models.registry import champion
from shoal.models.text_classifiers import champion_classifier
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job
from shoal.spark.job_count import counted_jobs

from tests.support.long import long

TEXTS = "text_id string, text string, label string, created_at timestamp"
FIRST, LATER = date(2024, 1, 31), date(2024, 3, 20)


@pytest.fixture(scope="module")
def few() -> Settings:
    return load(sets=["train_sentiment.inverse_penalties=[1]", "train_sentiment.class_weight_powers=[0]"])


def texts(first: datetime, days: int, words: dict[str, str]) -> list[tuple[str, str, str, datetime]]:
    """Four texts of each label a day: the label's word and a number."""
    return [
        (f"{word}-{first:%m}-{day}-{n}", f"it was {word} {10 * day + n}", label, first + timedelta(days=day, hours=n))
        for day in range(days) for n in range(4) for label, word in words.items()
    ]  # fmt: skip


def put(lake: Lake, rows: list[tuple[str, str, str, datetime]]) -> None:
    names = ("author_id", "item_id", "conversation_id", "emotion_label", "moderation_label")
    nothing = dict.fromkeys(names, F.lit(None).cast("string"))
    frame = lake.spark.createDataFrame(rows, TEXTS).withColumns({**nothing, "kind": F.lit("tweet"), "source": F.lit("test")})
    lake.upsert("silver.texts", frame)


def outcomes(lake: Lake) -> list[Row]:
    return lake.read_current("ops.retraining").orderBy("as_of", "decision").collect()


def scores(lake: Lake) -> list[Row]:
    found = champion_classifier(lake, "sentiment")
    assert found is not None
    rows = lake.read_current("silver.texts").select("text_id", "text")
    return score_texts(rows, F.col("text"), found[0]).orderBy("text_id").collect()


@pytest.mark.slow
def test_a_champion_grows_old_and_the_way_back(
    spark: SparkSession, make_lake: Callable[..., Lake], few: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    lake = make_lake()

    def run(name: str, as_of: date, **given: str) -> Result:
        return execute(spark, find_job(name), few, lake.root, as_of, given)

    with pytest.raises(SkippedError, match="no model is champion in this lake"):
        find_job("retrain").run(lake, few.retrain, FIRST)
    with pytest.raises(UsageError, match="--task feelings: expected one of recommender, sentiment, emotion, moderation, viral"):
        find_job("roll_back_model").run(lake, few.retrain, FIRST, task="feelings")
    with pytest.raises(UsageError, match="shoal_sentiment: no version is champion; there is nothing to return from"):
        find_job("roll_back_model").run(lake, few.retrain, FIRST, task="sentiment")

    put(lake, texts(datetime(2024, 1, 2), 29, {"good": "lovely", "bad": "awful"}))
    assert run("train_sentiment", FIRST).status == "succeeded"

    # Five days later nothing is due: small tables are read, and nothing is written but the run's own row.
    with counted_jobs(spark) as jobs:
        fresh = run("retrain", date(2024, 2, 5))
    assert (fresh.status, fresh.exit_code, fresh.rows_out) == ("skipped", 0, {})
    assert fresh.message == "nothing to train: sentiment is not due (5 of 30 days old)"
    assert jobs.number <= 8, jobs.descriptions
    assert set(fresh.rows_in) <= {"ops.runs", "ops.model_metrics"}
    assert not lake.exists("ops.retraining")

    # From February on people say it in other words; nothing is there to decide by yet in the window of 10 March.
    put(lake, texts(datetime(2024, 2, 1), 20, {"good": "slick", "bad": "naff"}))
    early = run("retrain", date(2024, 3, 10))
    assert (early.status, early.tags["sentiment"]) == ("succeeded", "not_enough")

    put(lake, texts(datetime(2024, 3, 7), 10, {"good": "slick", "bad": "naff"}))
    before = scores(lake)
    with caplog.at_level("INFO"):
        assert run("retrain", LATER).tags["sentiment"] == "promoted"
    assert "sentiment: age 49 of 30, due (days since 2024-01-31)" in caplog.text
    row = outcomes(lake)[-1]
    assert (row["task"], row["from_version"], row["to_version"]) == ("sentiment", "shoal_sentiment/1", "shoal_sentiment/2")
    assert (row["trained_on"], row["window_start"], row["window_end"]) == (FIRST, date(2024, 3, 7), LATER)
    assert (row["decision"], row["due"], row["note"]) == ("promoted", "age, volume", "better")
    # All 80 texts of the window; the old model knows none of their words.
    assert (row["metric"], row["cases"]) == ("log_loss", 80)
    assert row["champion_value"] > 0.5 and row["challenger_value"] < 0.3
    assert row["p_value"] < 0.001 and row["gain_low"] > 0
    assert {each["reason"]: each["is_due"] for each in row["reasons"]} == {
        "age": True, "volume": True, "drift": False, "loss": False,
    }  # fmt: skip
    volume = next(each for each in row["reasons"] if each["reason"] == "volume")
    assert (volume["value"], volume["note"]) == (pytest.approx(240 / 232), "new rows to rows at its training: 240 to 232")
    assert scores(lake) != before

    # The same day again: the new champion has learned up to the window.
    again = run("retrain", LATER)
    assert (again.status, again.message) == ("skipped", "nothing to train: sentiment is not due (14 of 30 days old)")

    back = run("roll_back_model", LATER, task="sentiment", to="before")
    assert (back.tags["from_version"], back.tags["to_version"]) == ("shoal_sentiment/2", "shoal_sentiment/1")
    assert scores(lake) == before
    waiting = run("retrain", date(2024, 3, 26))
    assert waiting.status == "skipped"
    assert waiting.message is not None
    assert "sentiment is due (age, volume) but waiting (tried on 2024-03-20; the next attempt" in waiting.message
    assert [r["decision"] for r in outcomes(lake)] == ["not_enough", "promoted", "rolled_back"]


def likes(first: datetime, days: int, items: str, seed: int) -> list[tuple[str, str, str, str, None, datetime, str]]:
    """40 users in two groups like nine items each of their group's twelve, spread over the days."""
    draw = np.random.default_rng(seed)
    return [
        (f"{items}-{user}-{n}", f"u{user:02}", f"{items}{user % 2}-{item:02}", "like", None,
         first + timedelta(hours=int(days * 24 * n / 9) + user % 20), "test")
        for user in range(40) for n, item in enumerate(draw.permutation(12)[:9])
    ]  # fmt: skip


@long
@pytest.mark.slow
def test_a_recommender_that_does_not_know_the_new_items_loses(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    """The catalogue of January is gone in February; of the items of the window the champion knows none, the challenger all."""
    lake = make_lake()
    small = ["feedback=implicit", "ranks=[4]", "reg_params=[0.1]", "alphas=[1.0]", "search_iter=2", "max_iter=3", "experts=[]"]
    few = load(sets=[f"train_recommender.{pair}" for pair in small])
    columns = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"

    def put_likes(rows: list[tuple[str, str, str, str, None, datetime, str]]) -> None:
        lake.append("silver.interactions", spark.createDataFrame(rows, columns))

    put_likes(likes(datetime(2024, 1, 2), 28, "old", 1))
    assert execute(spark, find_job("train_recommender"), few, lake.root, FIRST).status == "succeeded"
    # Seven of each user's nine new items are known before 7 March, two are met in the window.
    put_likes(likes(datetime(2024, 2, 12), 31, "new", 2))
    done = execute(spark, find_job("retrain"), few, lake.root, LATER)
    assert (done.status, done.tags["recommender"]) == ("succeeded", "promoted"), done.message
    row = outcomes(lake)[0]
    assert (row["metric"], row["cases"], row["champion_value"]) == ("ndcg@10", 40, 0.0)
    assert row["challenger_value"] > 0.3 and row["p_value"] == pytest.approx(0.002)
    held = champion(lake, "shoal_recommender")
    assert held is not None and (held.version, held.params["as_of"]) == ("2", "2024-03-06")
