"""The loss of what was said, when the truth is known: literal rows, values worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from math import log, log1p, log2, sqrt

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
        {"text_id": "right", "text": "a", "label": "good", "emotion_label": "joy", "created_at": written},
        {"text_id": "wrong", "text": "b", "label": "bad", "emotion_label": "fear", "created_at": written},
        {"text_id": "unknown", "text": "c", "label": "new", "created_at": written},
        # Not yet labelled; older than the window; by the lexicon.
        {"text_id": "silent", "text": "d", "label": " ", "created_at": written},
        {"text_id": "old", "text": "e", "label": "bad", "emotion_label": "joy", "created_at": datetime(2024, 3, 17)},
        {"text_id": "lexicon", "text": "f", "label": "bad", "emotion_label": "joy", "created_at": written},
    ]
    lake.upsert("silver.texts", rows(lake.spark, "silver.texts", *texts))
    said = {"good": 0.8, "bad": 0.2}
    felt = {"emotion_model_version": "shoal_emotion/2", "emotion_probabilities": {"joy": 0.9, "fear": 0.1}, "is_current": True}
    scores = [
        {"text_id": text["text_id"], "model_version": "shoal_sentiment/3", "probabilities": said, "probability": 0.8, **felt}
        for text in texts[:5]
    ]
    # The emotion of a retired row of the same emotion model does not count twice; of the lexicon's row there are no probabilities.
    scores += [{"text_id": "right", "model_version": "shoal_sentiment/2", **felt, "emotion_probabilities": {"joy": 0.2},
                "is_current": False}]  # fmt: skip
    scores += [{"text_id": "lexicon", "model_version": "vader/3.3.2/en", "emotion_model_version": "shoal_emotion/1"}]
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
    assert set(by_task) == {
        ("sentiment", "3", "log_loss"), ("emotion", "2", "log_loss"), ("viral", "1", "log_loss"),
    }  # fmt: skip
    assert by_task["emotion", "2", "log_loss"] == (pytest.approx(-(log(0.9) + log(0.1)) / 2), 2, False)
    assert by_task["sentiment", "3", "log_loss"] == (
        pytest.approx(-(log(0.8) + log(0.2) + log(1e-6)) / 3), 3, False,
    )  # fmt: skip
    # The first day's word counts: three quarters for a hit.
    assert by_task["viral", "1", "log_loss"] == (pytest.approx(-(log(0.75) + log(0.25)) / 2), 2, False)
    again = Lake(lake.spark, lake.root, settings, lake.run)
    assert matured_losses(again, DAY)["viral", "1"] == [(DAY, by_task["viral", "1", "log_loss"][0], "log_loss")]
    assert matured_losses(again, BEFORE) == {}


@pytest.mark.slow
def test_what_became_of_lists_decisions_and_accounts(lake: Lake, settings: Settings) -> None:
    def version(rank: int, user: str, item: str) -> dict[str, object]:
        return {"user_id": user, "rank": rank, "item_id": item, "model_version": "shoal_recommender/2", "source": "als",
                "reason_code": "popular", "variant": "champion", "propensity": 1.0, "score": 0.5}  # fmt: skip

    listed = [version(1, "a", "i1"), version(2, "a", "i2"), version(3, "a", "i3"), version(1, "b", "i1"), version(1, "c", "i5")]
    lake.replace("gold.recommendations", rows(lake.spark, "gold.recommendations", *listed), on=date(2024, 3, 16))
    events = [
        # a met i2 and i9 for the first time after the lists, i3 before them; b met i1 in the first moment after them; c nothing.
        ("a", "i2", datetime(2024, 3, 20)), ("a", "i9", datetime(2024, 3, 21)), ("a", "i3", datetime(2024, 3, 10)),
        ("a", "i3", datetime(2024, 3, 25)), ("b", "i1", datetime(2024, 3, 17)), ("b", "i1", datetime(2024, 4, 1)),
        ("z", "i1", datetime(2024, 3, 20)),
    ]  # fmt: skip
    lake.upsert("silver.interactions", rows(lake.spark, "silver.interactions", *[
        {"event_id": str(n), "user_id": user, "item_id": item, "event": "view", "occurred_at": at}
        for n, (user, item, at) in enumerate(events)
    ]))  # fmt: skip
    shown = [
        ("a", "i1", 1, 0.5, True, 20), ("a", "i7", 2, 0.5, False, 20), ("b", "i1", 1, 0.25, False, 20),
        ("c", "i5", 1, 1.0, True, 18),
        # No place in b's list; nobody's; before the window.
        ("b", "i2", 2, 0.25, True, 20), (None, "i1", 1, 0.5, True, 20), ("a", "i1", 1, 0.5, False, 17),
    ]  # fmt: skip
    lake.upsert("silver.impressions", rows(lake.spark, "silver.impressions", *[
        {"impression_id": str(n), "user_id": user, "item_id": item, "position": place, "propensity": p, "is_click": click,
         "occurred_at": datetime(2024, 3, day, 9)}
        for n, (user, item, place, p, click, day) in enumerate(shown)
    ]))  # fmt: skip

    judged = [("m1", "removed", 0.9), ("m1", "spam", 0.3), ("m2", "removed", 0.2), ("m2", "spam", 0.1),
              ("same day", "removed", 0.1)]  # fmt: skip
    chosen = [{"item_id": item, "category": name, "probability": p, "action": "allow", "model_version": "shoal_moderation/1"}
              for item, name, p in judged]  # fmt: skip
    on = F.when(F.col("item_id") == "same day", F.lit(date(2024, 3, 20))).otherwise(F.lit(date(2024, 3, 10)))
    lake.upsert("gold.moderation", rows(lake.spark, "gold.moderation", *chosen).withColumn("as_of", on))
    decided = [("m1", 19, "allowed"), ("m1", 20, "removed"), ("m2", 21, "allowed"), ("same day", 20, "removed")]
    lake.upsert("silver.moderation", rows(lake.spark, "silver.moderation", *[
        {"item_id": item, "decided_at": datetime(2024, 3, day, 9), "verdict": verdict} for item, day, verdict in decided
    ]))  # fmt: skip

    unknown = {"x": (0.7, None), "y": (0.4, None), "z": (0.9, 100), "gone": (0.5, None)}
    known = {"x": (0.1, 1000), "y": (0.1, 5), "z": (0.1, 100), "w": (0.1, 10)}
    said = [{"user_id": name, "probability": p, "followers": n, "model_version": "shoal_influencers/4", "influence_score": 0.5,
             "reach": 0.5, "engagement": 0.5, "authority": 0.5}
            for accounts in (unknown, known) for name, (p, n) in accounts.items()]  # fmt: skip
    day = F.when(F.col("probability") > 0.2, F.lit(date(2024, 3, 15))).otherwise(F.lit(DAY))
    lake.upsert("gold.influencers", rows(lake.spark, "gold.influencers", *said).withColumn("as_of", day))

    find_job("measure_losses").run(lake, settings.retrain, DAY)
    found = {(r["task"], r["model"], r["model_version"], r["slice"], r["metric"]): (r["value"], r["units"])
             for r in lake.read_current("ops.model_metrics").collect()}  # fmt: skip
    gain = 1 / log2(3)
    # Clicks times weights 2, 0, 4 and 1, over the weights; the users' residuals are 8/7, -12/7 and 4/7.
    half = 1.959963984540054 * sqrt(3 / 2 * 224 / 49) / 7
    of_lists = ("recommender", "served", "2")
    assert found == {
        (*of_lists, "matured", "ndcg@10"): (pytest.approx((gain / (1 + gain) + 1) / 2), 2),
        (*of_lists, "matured", "recall@10"): (pytest.approx(0.75), 2),
        (*of_lists, "impressions", "click_rate"): (pytest.approx(3 / 7), 4),
        (*of_lists, "impressions", "click_rate_low"): (pytest.approx(3 / 7 - half), 4),
        (*of_lists, "impressions", "click_rate_high"): (pytest.approx(3 / 7 + half), 4),
        (*of_lists, "impressions", "logged_click_rate"): (pytest.approx(0.5), 4),
        (*of_lists, "impressions", "effective_rounds"): (pytest.approx(49 / 21), 4),
        ("moderation", "moderation", "1", "matured", "log_loss"): (pytest.approx(-(log(0.9) + log(0.8)) / 2), 2),
        ("influencers", "influencers", "4", "matured", "log_loss"): (pytest.approx(-(log(0.7) + log(0.6)) / 2), 2),
    }
    again = Lake(lake.spark, lake.root, settings, lake.run)
    # What `retrain` follows of lists is NDCG, more of which is better.
    assert [metric for _, _, metric in matured_losses(again, DAY)["recommender", "2"]] == ["ndcg@10"]


def test_an_error_of_likes_is_one_of_logarithms(lake: Lake) -> None:
    from shoal.models.matured_losses import engagement_losses

    said = lake.spark.createDataFrame(
        [("p", "v", date(2024, 3, 6), 9.0), ("p", "v", date(2024, 3, 7), 99.0), ("other", "v", date(2024, 3, 6), 1.0)],
        "item_id string, model_version string, as_of date, predicted_likes double",
    )
    truth = lake.spark.createDataFrame([("p", 99)], "item_id string, likes bigint")
    found = engagement_losses(said, truth).collect()
    assert [(r["model_version"], r["loss"]) for r in found] == [("v", pytest.approx(log1p(99) - log1p(9)))]
