"""The training job where there is little to learn from; that it learns and registers is in tests/jobs/mine."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from pyspark.sql import functions as F
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

DAY = date(2024, 3, 1)


def test_without_labels_to_learn_from_the_stage_is_skipped(lake: Lake, settings: Settings) -> None:
    train = find_job("train_sentiment")
    with pytest.raises(SkippedError, match=r"silver\.texts does not exist"):
        train.run(lake, settings.train_sentiment, DAY)
    rows = [("t1", "fine words", None, datetime(2024, 1, 1)), ("t2", "blank label", " ", datetime(2024, 1, 1)),
            ("t3", "later words", "good", datetime(2024, 3, 2))]  # fmt: skip
    frame = lake.spark.createDataFrame(rows, "text_id string, text string, label string, created_at timestamp")
    nothing = F.lit(None).cast("string")
    names = ("author_id", "item_id", "conversation_id", "emotion_label", "moderation_label")
    frame = frame.withColumns(dict.fromkeys(names, nothing))
    lake.upsert("silver.texts", frame.withColumns({"kind": F.lit("tweet"), "source": F.lit("test")}))
    with pytest.raises(SkippedError, match="no labelled text in silver.texts up to 2024-03-01"):
        train.run(lake, settings.train_sentiment, DAY)
    with pytest.raises(SkippedError, match=r"no text with an emotion_label in silver\.texts up to 2024-03-01"):
        find_job("train_emotion").run(lake, settings.train_sentiment, DAY)
    with pytest.raises(SkippedError, match="have the label 'good'; expected at least two labels"):
        train.run(lake, settings.train_sentiment, date(2024, 3, 2))
    assert not lake.exists("ops.model_metrics")
    assert not (lake.root / "mlflow.db").exists()
