"""Train and score on a lake of a few made texts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.registry import champion
from shoal.runner.job import find_job

from tests.mine.text.conftest import make_texts

DAY, LATER = date(2024, 3, 1), datetime(2024, 3, 2, 0, 0)
TEXTS = "text_id string, kind string, text string, label string, created_at timestamp, source string"


def put_texts(lake: Lake, rows: list[tuple[str, str, str, str | None, datetime, str]]) -> None:
    frame = lake.spark.createDataFrame(rows, TEXTS)
    nothing = F.lit(None).cast("string")
    lake.upsert("silver.texts", frame.withColumns(dict.fromkeys(("author_id", "item_id", "conversation_id"), nothing)))


@pytest.fixture
def few() -> Settings:
    """The shipped settings with fewer trials."""
    return load(sets=["train_sentiment.inverse_penalties=[10]", "train_sentiment.class_weight_powers=[0]"])


def test_nothing_to_score_is_skipped(lake: Lake, few: Settings) -> None:
    score = find_job("score_texts")
    with pytest.raises(SkippedError, match=r"silver\.texts does not exist"):
        score.run(lake, few.train_sentiment, DAY)
    put_texts(lake, [("t1", "tweet", "fine words", None, datetime(2024, 1, 1), "test")])
    with pytest.raises(SkippedError, match="no champion"):
        score.run(lake, few.train_sentiment, DAY)
    with pytest.raises(SkippedError, match="no text in"):
        score.run(lake, few.train_sentiment, date(2023, 1, 1))


def test_texts_are_scored_by_the_champion_and_reruns_write_the_same(
    spark: SparkSession, make_lake: Callable[..., Lake], few: Settings
) -> None:
    train, score = find_job("train_sentiment"), find_job("score_texts")
    lake = make_lake()
    rows = [(f"t{i:03}", "review", text, label, datetime(2024, 2, 1), "test")
            for i, (text, label, _) in enumerate(make_texts()) if text is not None]  # fmt: skip
    put_texts(lake, [*rows, ("late", "review", "dull", "bad", LATER, "test")])
    train.run(lake, few.train_sentiment, DAY)
    held = champion(lake, "shoal_sentiment")
    assert held is not None
    metrics = lake.read("ops.model_metrics", on=DAY)
    found = {(r["model"], r["model_version"], r["slice"], r["metric"]): r for r in metrics.collect()}
    mine, base = found["logistic_regression", "1", "all", "macro_f1"], found["majority", "baseline", "all", "macro_f1"]
    assert mine["value"] == pytest.approx(held.metrics["macro_f1"], abs=1e-12)
    assert mine["value"] > 0.95
    assert base["value"] < 0.3
    assert (mine["is_champion"], base["is_champion"], mine["task"]) == (True, False, "sentiment")
    assert ("logistic_regression", "1", "label=mixed", "f1") in found
    assert held.params["rows"] == "150"

    score.run(lake, few.train_sentiment, DAY)
    scored = {r["text_id"]: r for r in lake.read("gold.sentiments", on=DAY).collect()}
    assert set(scored) == {row[0] for row in rows}  # the blank one too, the later one not
    assert {r["model_version"] for r in scored.values()} == {"shoal_sentiment/1"}
    right = [scored[text_id]["label"] == label for text_id, _, _, label, _, _ in rows[:150]]
    assert sum(right) > 145
    assert all(r["probability"] == max(r["probabilities"].values()) for r in scored.values())
    assert set(scored["t000"]["probabilities"]) == {"bad", "good", "mixed"}

    again = make_lake("run-2")
    train.run(again, few.train_sentiment, DAY)
    score.run(again, few.train_sentiment, DAY)
    columns = ("text_id", "label", "probability", "model_version")
    after = {r["text_id"]: r for r in make_lake("run-3").read("gold.sentiments", on=DAY).collect()}
    assert {k: tuple(r[c] for c in columns) for k, r in after.items()} == {
        k: tuple(r[c] for c in columns) for k, r in scored.items()
    }
    counted = make_lake("run-3").read("ops.model_metrics", on=DAY)
    assert counted.select("model_version").distinct().count() == 2
