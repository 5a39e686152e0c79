"""The loss of what was said, when the truth is known: literal rows, values worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from math import log, log1p, log2, sqrt

import pytest
from pyspark.sql import functions as F
from scipy import stats
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.models.champion_figures import loss_tests
from shoal.models.loss_windows import compared_pairs
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
    # 64 texts of 32 authors, for whose label a later version gives a half (16 authors) or a quarter.
    many = [{"text_id": f"t{n}", "text": "g", "label": "good", "author_id": f"a{n % 32}", "created_at": written} for n in range(64)]
    lake.upsert("silver.texts", rows(lake.spark, "silver.texts", *texts, *many))
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
    scores += [
        {"text_id": f"t{n}", "model_version": "shoal_sentiment/4", "probability": 0.5,
         "probabilities": {"good": 0.5 if n % 32 < 16 else 0.25}}
        for n in range(64)
    ]  # fmt: skip
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

    # Earlier windows: that of the 17th ends before the present one begins, that of the 18th does not.
    past = [("4", 1.0, 50, 40, 0.05), ("4", 0.5, 400, 200, 0.02), ("4", 9.0, 400, 200, 0.02), ("3", 0.25, 50, 40, 0.1)]
    earlier = rows(lake.spark, "ops.model_metrics", *[
        {"task": "sentiment", "model": "sentiment", "model_version": version, "slice": "matured", "metric": "log_loss",
         "value": mean, "units": units, "clusters": users, "standard_error": error, "skewness": 0.0}
        for version, mean, units, users, error in past
    ])  # fmt: skip
    days = "case value when 1.0 then date'2024-03-02' when 9.0 then date'2024-03-18' else date'2024-03-17' end"
    lake.upsert("ops.model_metrics", earlier.withColumn("as_of", F.expr(days)))
    # What the other job writes of the day stays, and leaves these rows alone.
    number = {"table_name": "t", "kind": "number", "comparison": "previous", "metric": "psi", "severity": "none"}
    other = rows(lake.spark, "ops.drift", number)
    lake.replace("ops.drift", other, on=DAY, kind=("number", "category"))

    job.run(lake, settings.retrain, DAY)
    found = lake.read_current("ops.model_metrics").where(F.col("as_of") == F.lit(DAY)).where("slice = 'matured'").collect()
    by_task = {(r["task"], r["model_version"], r["metric"]): (r["value"], r["units"], r["is_champion"]) for r in found}
    assert set(by_task) == {
        ("sentiment", "3", "log_loss"), ("sentiment", "4", "log_loss"), ("emotion", "2", "log_loss"), ("viral", "1", "log_loss"),
    }  # fmt: skip
    assert by_task["emotion", "2", "log_loss"] == (pytest.approx(-(log(0.9) + log(0.1)) / 2), 2, False)
    assert by_task["sentiment", "3", "log_loss"] == (
        pytest.approx(-(log(0.8) + log(0.2) + log(1e-6)) / 3), 3, False,
    )  # fmt: skip
    # The first day's word counts: three quarters for a hit.
    assert by_task["viral", "1", "log_loss"] == (pytest.approx(-(log(0.75) + log(0.25)) / 2), 2, False)
    again = Lake(lake.spark, lake.root, settings, lake.run)
    # Authors are the clusters: each is off by the logarithm of 2, up or down.
    spread = next((r["clusters"], r["standard_error"], r["skewness"]) for r in found if r["model_version"] == "4")
    error = sqrt(32 / 31 * 32) * log(2) / 64
    assert spread == (32, pytest.approx(error), pytest.approx(0.0, abs=1e-9))
    # Texts without an author are their own.
    assert next(r["clusters"] for r in found if r["model_version"] == "3") == 3

    tests = {(r["table_name"], r["comparison"]): r for r in again.read_current("ops.drift").where("kind <> 'number'").collect()}
    newest, first = (tests["models:/shoal_sentiment/4", name] for name in ("previous", "baseline"))
    assert len(tests) == 4
    assert {(r["kind"], r["metric"], r["column_name"]) for r in tests.values()} == {("loss", "loss_rise", "log_loss")}
    assert (newest["reference_start"], newest["reference_end"], newest["reference_rows"], newest["current_rows"]) == (
        date(2024, 3, 4), date(2024, 3, 17), 400, 64,
    )  # fmt: skip
    mean = 1.5 * log(2)
    assert (newest["severity"], newest["statistic"]) == ("critical", pytest.approx((mean - 0.5) / 0.5))
    assert (first["reference_end"], first["severity"], first["statistic"]) == (date(2024, 3, 2), "none", pytest.approx(mean - 1))
    # Degrees of freedom of the smaller window; the variance of both windows together is larger than Welch's.
    pooled = ((0.05 * 50) ** 2 * 39 / 40 + 32 * log(2) ** 2) / (50 + 64) * (1 / 50 + 1 / 64)
    assert pooled > error**2 + 0.05**2
    assert first["p_value"] == pytest.approx(stats.t.sf((mean - 1) / sqrt(pooled), 31))
    assert newest["p_value"] < 1e-6
    few = tests["models:/shoal_sentiment/3", "baseline"]
    assert (few["statistic"], few["is_drifted"], few["note"]) == (None, False, "too_few_rows: 3 of 30 users in the current window")
    again.replace("ops.drift", other, on=DAY, kind=("number", "category"))
    assert again.read_current("ops.drift").groupBy("kind").count().orderBy("kind").collect() == [("loss", 4), ("number", 1)]
    reader = Lake(lake.spark, lake.root, settings, lake.run)
    found_test = loss_tests(reader, DAY)["shoal_sentiment/4"]
    assert (found_test.day, found_test.rise, found_test.is_drifted) == (DAY, pytest.approx(mean - 1), False)
    assert loss_tests(reader, BEFORE) == {}
    # A version that has learned up to 4 March: the window of the 17th ends 13 days later, one too few.
    learned = ({"sentiment": {"4": date(2024, 3, day)}, "emotion": {}, "viral": {}}.__getitem__ for day in (3, 4))
    third, fourth = (compared_pairs(reader, 14, DAY, {}, each) for each in learned)
    assert [(pair.model[-1], pair.names) for pair in third] == [("3", ("previous", "baseline")), ("4", ("previous", "baseline"))]
    assert [pair.model[-1] for pair in fourth] == ["3"]
    known = {"sentiment": {"4": date(2024, 3, 3)}, "emotion": {}, "viral": {}}
    delayed = compared_pairs(reader, 14, DAY, {"sentiment": 1}, known.__getitem__)
    assert [pair.model[-1] for pair in delayed] == ["3"]


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
    # Of lists users are the clusters: NDCG of two users.
    of_ndcg = lake.read_current("ops.model_metrics").where("metric = 'ndcg@10'").collect()[0]
    deviation = abs(gain / (1 + gain) - 1) / sqrt(2)
    assert (of_ndcg["clusters"], of_ndcg["standard_error"]) == (2, pytest.approx(deviation / sqrt(2)))


def test_an_error_of_likes_is_one_of_logarithms(lake: Lake) -> None:
    from shoal.models.matured_losses import engagement_losses

    said = lake.spark.createDataFrame(
        [("p", "v", date(2024, 3, 6), 9.0), ("p", "v", date(2024, 3, 7), 99.0), ("other", "v", date(2024, 3, 6), 1.0)],
        "item_id string, model_version string, as_of date, predicted_likes double",
    )
    truth = lake.spark.createDataFrame([("p", "a", 99)], "item_id string, author_id string, likes bigint")
    found = engagement_losses(said, truth).collect()
    assert [(r["model_version"], r["cluster"], r["loss"]) for r in found] == [("v", "a", pytest.approx(log1p(99) - log1p(9)))]
