"""Authors, models of posts and people, their scores and the reasons, from a lake with planted effects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import SkippedError
from shoal.lake.lake import Lake, Run
from shoal.mine.people import influencers
from shoal.mine.posts import levels
from shoal.runner.job import find_job
from sklearn.metrics import roc_auc_score

from tests.publish.report.literal import rows

pytestmark = pytest.mark.slow
DAY = date(2024, 4, 30)
CONF = load()
AUTHORS, POSTS = 60, 8
MODELS = ("viral", "engagement", "influencers")


@pytest.fixture(scope="module")
def small_forests() -> Iterator[None]:
    """A few trees are enough for planted effects."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (levels, influencers):
            patch.setattr(module, "TREES", 8)
        yield


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, small_forests: None) -> Lake:
    """60 authors of 8 posts in 112 days: likes by the author's quality, six times as many with a giveaway, half more at 18 o'clock.
    Young posts have likes that are none of theirs. Followers go with quality."""
    made = Lake(spark, Path(tmp_path_factory.mktemp("posts")) / "lake", CONF, Run("run-1", "test"))
    draw = np.random.default_rng(11)
    items, seen, users, follows = [], [], [], []
    for author in range(AUTHORS):
        quality = draw.normal()
        users.append({"user_id": f"u{author}", "followers": int(np.exp(5 + 1.5 * quality + draw.normal(0, 0.4))), "following": 10})
        follows += [{"src_id": f"u{author}", "dst_id": f"u{(author + step) % AUTHORS}"} for step in (1, 2)]
        for post in range(POSTS):
            is_hot, hour = draw.random() < 1 / 5, int(draw.choice([9, 18]))
            when = datetime(2024, 4, 30) - timedelta(days=110 - 15 * post - author % 7) + timedelta(hours=hour)
            likes = np.exp(4 + quality + draw.normal(0, 0.2)) * (6 if is_hot else 1) * (1.5 if hour == 18 else 1)
            is_young = when >= datetime(2024, 5, 1) - timedelta(days=14)
            words = " ".join(draw.choice(["sun", "rain", "tea", "walk"], 3))
            name = f"p{author}-{post}"
            text = f"{words} @friend{' giveaway' if is_hot else ''}"
            items.append({"item_id": name, "kind": "post", "owner_id": f"u{author}", "text": text, "created_at": when})
            counts = {"likes": 9_999_999 if is_young else int(likes), "comments": int(likes / 10)}
            seen.append({"item_id": name, "observed_at": when, **counts})
    for table, values in (("items", items), ("item_engagement", seen), ("users", users), ("follows", follows)):
        made.upsert(f"silver.{table}", rows(spark, f"silver.{table}", *values))
    for name in ("build_authors", "train_posts", "score_posts", "score_people"):
        job = find_job(name)
        job.run(made, CONF.section(job.model), DAY)
    return made


def test_models_are_champions_beside_baselines(lake: Lake) -> None:
    found = {(r["task"], r["model"], r["metric"], r["slice"]): r for r in lake.read("ops.model_metrics", on=DAY).collect()}
    assert found["viral", "viral", "roc_auc", "all"]["value"] > found["viral", "mean_of_last_20", "roc_auc", "all"]["value"]
    ours = found["engagement", "engagement", "mae_log", "all"]
    assert ours["value"] < found["engagement", "mean_of_last_5", "mae_log", "all"]["value"]
    assert ("engagement", "engagement", "mae_log", "comments") in found
    assert found["influencers", "influencers", "brier", "all"]["value"] < found["influencers", "constant", "brier", "all"]["value"]
    assert all(r["is_champion"] == (r["model"] == r["task"]) for r in found.values())
    assert {lake.run.tags[f"{task}_version"] for task in MODELS} == {f"shoal_{task}/1" for task in MODELS}


def test_young_posts_are_scored_by_what_was_known(lake: Lake) -> None:
    scored = lake.read("gold.viral_posts", on=DAY).join(lake.read("silver.items"), "item_id").collect()
    assert {r["item_id"] for r in scored} == {
        r["item_id"] for r in lake.read("silver.items").where("created_at >= '2024-04-17' and created_at < '2024-05-01'").collect()
    }
    is_hot = ["giveaway" in r["text"] for r in scored]
    assert roc_auc_score(is_hot, [r["probability_for_author"] for r in scored]) > 0.9
    predicted = lake.read("gold.engagement_predictions", on=DAY).collect()
    assert len(predicted) == len(scored)
    # Millions of likes of the young posts are not looked at, neither their own nor as a past.
    assert max(r["predicted_likes"] for r in predicted) < 20_000
    assert all(r["likes_low"] <= r["predicted_likes"] <= r["likes_high"] and 0 < r["confidence"] < 1 for r in predicted)


def test_contributions_sum_to_the_score(lake: Lake) -> None:
    sums = lake.read("gold.explanations", on=DAY).groupBy("task", "entity_id").agg(
        F.sum("contribution").alias("total"), F.count("*").alias("rows"), F.max("rank").alias("last")
    )  # fmt: skip
    odds = F.col("probability").alias("score")
    scores = (
        lake.read("gold.viral_posts", on=DAY).select(F.lit("viral").alias("task"), F.col("item_id").alias("entity_id"), odds)
        .unionByName(lake.read("gold.influencers", on=DAY).select(
            F.lit("influencers").alias("task"), F.col("user_id").alias("entity_id"), odds))
        .unionByName(lake.read("gold.engagement_predictions", on=DAY).select(
            F.lit("engagement").alias("task"), F.col("item_id").alias("entity_id"), F.log1p("predicted_likes").alias("score")))
    )  # fmt: skip
    both = scores.join(sums, ["task", "entity_id"], "left").collect()
    assert {r["task"] for r in both} == set(MODELS)
    for row in both:
        total = row["total"] if row["task"] == "engagement" else 1 / (1 + np.exp(-row["total"]))
        assert total == pytest.approx(row["score"], abs=1e-9)
        assert row["rows"] == row["last"] + 1 <= CONF.posts.explained_features + 2
    words = lake.read("gold.explanations", on=DAY).where("task = 'viral'")
    hot = [r["contribution"] for r in words.where("feature = 'word: giveaway'").collect()]
    assert hot and min(hot) > 0
    assert not words.where("feature like '%@%'").count()


def test_followers_teach_nothing_and_importances_name_what_matters(lake: Lake) -> None:
    found = lake.read("gold.feature_importances", on=DAY).collect()
    of = {(r["task"], r["kind"], r["feature"]): r["importance"] for r in found}
    assert not [r["feature"] for r in found if r["task"] == "influencers" and "follower" in r["feature"]]
    lost = {name: v for (task, kind, name), v in of.items() if (task, kind) == ("influencers", "permutation")}
    # Comments are a tenth of the likes: either tells of the other.
    assert max(lost, key=lambda name: lost[name]) in ("mean likes", "mean comments")
    weights = {name: v for (task, kind, name), v in of.items() if (task, kind) == ("viral", "coefficient")}
    words = [name for name in weights if name.startswith("word: ")]
    assert max(words, key=lambda name: weights[name]) == "word: giveaway"
    people = {r["user_id"]: r for r in lake.read("gold.influencers", on=DAY).collect()}
    assert len(people) == AUTHORS
    most = max(people.values(), key=lambda r: r["followers"])
    assert most["reach"] == pytest.approx(1.0)
    for row in people.values():
        parts = [row[name] for name in ("reach", "engagement", "authority")]
        assert row["influence_score"] == pytest.approx(np.mean(parts)) and row["authority"] == 0.0
    cut = np.quantile([r["followers"] for r in people.values()], 0.75)
    assert roc_auc_score([r["followers"] >= cut for r in people.values()], [r["probability"] for r in people.values()]) > 0.8


def test_the_better_hour_is_found(lake: Lake) -> None:
    found = lake.read("gold.posting_times", on=DAY).where("scope = 'overall'").collect()
    assert {r["hour"]: r["rank"] for r in found} == {18: 1, 9: 2}
    assert sum(r["posts"] for r in found) < AUTHORS * POSTS
    assert lake.read("gold.posting_times", on=DAY).where("scope = 'author'").select("author_id").distinct().count() == AUTHORS


def test_a_lake_without_enough_is_skipped_with_the_reason(spark: SparkSession, make_lake: object) -> None:
    lake = make_lake()  # type: ignore[operator]
    post = {"item_id": "p", "kind": "post", "owner_id": "u", "text": "x", "created_at": datetime(2024, 4, 1)}
    lake.upsert("silver.items", rows(spark, "silver.items", post))
    with pytest.raises(SkippedError, match="viral: no post has both likes and a time.*influencers: features.authors does"):
        find_job("train_posts").run(lake, CONF.posts, DAY)
    with pytest.raises(SkippedError, match="no champion of viral or engagement, and no post with likes"):
        find_job("score_posts").run(lake, CONF.posts, DAY)
    with pytest.raises(SkippedError, match=r"features\.authors does not exist"):
        find_job("score_people").run(lake, CONF.posts, DAY)


def test_posts_that_have_matured_decide_between_champion_and_challenger(lake: Lake) -> None:
    """Twenty days decide: posts of 19 April to 8 May are two weeks old by 22 May, and not by 2 May."""
    day = date(2024, 5, 22)
    conf = load(sets=["retrain.max_age_days=20", "retrain.evaluation_days=20"])
    later = Lake(lake.spark, lake.root, conf, Run("run-2", "retrain"))
    find_job("retrain").run(later, conf.retrain, day)
    found = {r["task"]: r for r in later.read_current("ops.retraining").collect()}
    assert set(found) == set(MODELS)
    assert {(r["due"], r["trained_on"], r["window_start"], r["window_end"]) for r in found.values()} == {
        ("age", DAY, date(2024, 5, 3), day)
    }
    matured = lake.read("silver.items").where("created_at >= '2024-04-19' and created_at < '2024-05-09'").count()
    assert matured > 30
    assert [(found[task]["metric"], found[task]["cases"]) for task in ("viral", "engagement")] == [
        ("log_loss", matured), ("absolute_error", matured),
    ]  # fmt: skip
    # The ten million likes of each of these posts are far from what anybody expects: log1p is 16.1, expected are some 5.
    assert 8 < found["engagement"]["champion_value"] < 14
    assert 8 < found["engagement"]["challenger_value"] < 14
    # A fifth of the accounts decides.
    people = found["influencers"]
    assert people["metric"] == "log_loss" and 0 < people["cases"] < AUTHORS / 2
