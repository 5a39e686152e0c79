"""The chance to be in the top quarter by followers, without followers."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.errors import InputError
from shoal.mine.people.influencers import score_influencers, train_influencers

NAMES = {"likes": "mean_likes", "rank": "page_rank", "rate": "engagement_rate", "copy": "subs", "noise": "posts"}


@pytest.fixture(scope="module")
def accounts(spark: SparkSession) -> DataFrame:
    """Followers and behaviour come from one hidden quality; `copy` is twice the followers."""
    draw = np.random.default_rng(1)
    quality = draw.normal(size=500)
    followers = np.exp(6 + 1.5 * quality).astype(int)
    columns = (np.exp(quality + draw.normal(0, 0.5, 500)), np.exp(quality + draw.normal(0, 0.5, 500)), 5 / followers,
               2.0 * followers + 1, draw.normal(size=500))  # fmt: skip
    rows = [(i, int(f), *(float(c[i]) for c in columns)) for i, f in enumerate(followers)]
    fields = ", ".join(f"{name} double" for name in NAMES)
    return spark.createDataFrame(rows, f"position bigint, followers bigint, {fields}").persist()


def test_followers_and_what_is_made_of_them_are_no_feature(accounts: DataFrame) -> None:
    training = train_influencers(accounts, NAMES, 7)
    assert training.left_out == {"engagement_rate": "its name says followers", "subs": "it orders accounts as followers do"}
    assert set(training.importances) == {"mean_likes", "page_rank", "posts"}
    assert training.importances["posts"] < 0.2
    assert training.metrics["roc_auc"] > 0.85 and training.metrics["brier"] < training.metrics["brier_constant"]  # type: ignore[operator]
    scored = {row["position"]: row["probability"] for row in score_influencers(accounts, training.model).collect()}
    assert np.mean(list(scored.values())) == pytest.approx(0.25, abs=0.06)
    # A post's own followers are not looked at: without them the answer is the same.
    again = score_influencers(accounts.drop("followers", "rate", "copy"), training.model).collect()
    assert {row["position"]: row["probability"] for row in again} == scored


def test_on_shuffled_followers_it_is_no_better_than_chance(spark: SparkSession, accounts: DataFrame) -> None:
    rows = accounts.select("position", *NAMES).toPandas()
    rows.insert(1, "followers", np.random.default_rng(5).permutation(len(rows)))
    training = train_influencers(spark.createDataFrame(rows), NAMES, 7)
    assert 0.3 < float(training.metrics["roc_auc"] or 0) < 0.7


@pytest.mark.parametrize(
    ("rows", "names", "says"),
    [
        ([(i, 5, 1.0) for i in range(50)], {"a": "a"}, "all 50 accounts have 5 followers"),
        ([(i, i, 1.0) for i in range(5)], {"a": "a"}, "5 accounts with followers to learn from; expected at least 40"),
        ([(i, i, float(i)) for i in range(50)], {"a": "fans"}, "no column to learn from besides followers"),
    ],
)
def test_what_cannot_be_learned_from(
    spark: SparkSession, rows: list[tuple[int, int, float]], names: dict[str, str], says: str
) -> None:
    frame = spark.createDataFrame(rows, "position bigint, followers bigint, a double")
    with pytest.raises(InputError, match=says):
        train_influencers(frame, names, 7)
