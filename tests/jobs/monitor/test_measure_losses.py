"""The loss of what was said, when the truth is known: literal rows, values worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from math import log, log1p

import pytest
from pyspark.sql import functions as F
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.champion_figures import matured_losses
from shoal.runner.job import find_job

from tests.publish.report.literal import rows

DAY, BEFORE = date(2024, 3, 31), date(2024, 3, 4)


def test_losses_of_what_has_matured(lake: Lake, settings: Settings) -> None:
    job = find_job("measure_losses")
    with pytest.raises(SkippedError, match="no prediction whose truth became known in the 14 days up to 2024-03-31"):
        job.run(lake, settings.retrain, DAY)

    written = datetime(2024, 3, 20)
    texts = [
        {"text_id": "right", "text": "a", "label": "good", "created_at": written},
        {"text_id": "wrong", "text": "b", "label": "bad", "created_at": written},
        {"text_id": "unknown", "text": "c", "label": "new", "created_at": written},
        # Not yet labelled; older than the window; by the lexicon.
        {"text_id": "silent", "text": "d", "label": " ", "created_at": written},
        {"text_id": "old", "text": "e", "label": "bad", "created_at": datetime(2024, 3, 17)},
        {"text_id": "lexicon", "text": "f", "label": "bad", "created_at": written},
    ]
    lake.upsert("silver.texts", rows(lake.spark, "silver.texts", *texts))
    said = {"good": 0.8, "bad": 0.2}
    scores = [
        {"text_id": text["text_id"], "model_version": "shoal_sentiment/3", "probabilities": said, "probability": 0.8}
        for text in texts[:5]
    ]
    scores += [{"text_id": "lexicon", "model_version": "vader/3.3.2/en"}]
    scored = rows(lake.spark, "gold.sentiments", *scores).withColumn("as_of", F.lit(DAY))
    lake.upsert("gold.sentiments", scored)

    # Posts are two weeks old from 17 March on: of 4 March it is known, of 3 March it was known before, of 18 March not yet.
    posts = {"hit": (datetime(2024, 3, 5), 99), "miss": (datetime(2024, 3, 5), 9), "past": (datetime(2024, 3, 3), 99),
             "young": (datetime(2024, 3, 18), 99)}  # fmt: skip
    lake.upsert("silver.items", rows(lake.spark, "silver.items", *[
        {"item_id": name, "kind": "post", "owner_id": "u", "created_at": at} for name, (at, _) in posts.items()
    ]))  # fmt: skip
    lake.upsert("silver.item_engagement", rows(lake.spark, "silver.item_engagement", *[
        {"item_id": name, "observed_at": datetime(2024, 3, 25), "likes": likes} for name, (_, likes) in posts.items()
    ]))  # fmt: skip
    for day, probability in ((date(2024, 3, 6), 0.75), (date(2024, 3, 8), 0.01)):
        viral = [{"item_id": name, "probability": probability, "threshold_likes": 50.0, "model_version": "shoal_viral/1"}
                 for name in posts]  # fmt: skip
        lake.replace("gold.viral_posts", rows(lake.spark, "gold.viral_posts", *viral), on=day)

    job.run(lake, settings.retrain, DAY)
    found = lake.read_current("ops.model_metrics").where("slice = 'matured'").collect()
    by_task = {(r["task"], r["model_version"], r["metric"]): (r["value"], r["units"], r["is_champion"]) for r in found}
    assert set(by_task) == {("sentiment", "3", "log_loss"), ("viral", "1", "log_loss")}
    assert by_task["sentiment", "3", "log_loss"] == (
        pytest.approx(-(log(0.8) + log(0.2) + log(1e-6)) / 3), 3, False,
    )  # fmt: skip
    # The first day's word counts: three quarters for a hit.
    assert by_task["viral", "1", "log_loss"] == (pytest.approx(-(log(0.75) + log(0.25)) / 2), 2, False)
    again = Lake(lake.spark, lake.root, settings, lake.run)
    assert matured_losses(again, DAY)["viral", "1"] == [(DAY, by_task["viral", "1", "log_loss"][0], "log_loss")]
    assert matured_losses(again, BEFORE) == {}


def test_an_error_of_likes_is_one_of_logarithms(lake: Lake) -> None:
    from shoal.models.matured_losses import engagement_losses

    said = lake.spark.createDataFrame(
        [("p", "v", date(2024, 3, 6), 9.0), ("p", "v", date(2024, 3, 7), 99.0), ("other", "v", date(2024, 3, 6), 1.0)],
        "item_id string, model_version string, as_of date, predicted_likes double",
    )
    truth = lake.spark.createDataFrame([("p", 99)], "item_id string, likes bigint")
    found = engagement_losses(said, truth).collect()
    assert [(r["model_version"], r["loss"]) for r in found] == [("v", pytest.approx(log1p(99) - log1p(9)))]
