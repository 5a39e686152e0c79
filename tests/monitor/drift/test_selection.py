"""What of a table's rows is compared: described events and texts, features as their contract says, scores by part."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.errors import UsageError
from shoal.lake.contract import contract, contract_names
from shoal.monitor.drift.selection import describe_decisions, describe_texts, select_features, select_scores

DAY = date(2024, 3, 30)


def test_features_are_compared_as_their_contract_says(spark: SparkSession) -> None:
    """A time becomes an age, a rate is divided by the age, which is at least a day; rows that `where` excludes are not compared."""
    schema = "user_id string, run_id string, total bigint, month bigint, likes bigint, first_at timestamp, last_at timestamp"
    noon = datetime(2024, 3, 30, 12)
    rows = [("u", "r", 9, 3, 8, datetime(2024, 3, 27), noon), ("v", "r", 9, 2, 5, noon, noon), ("w", "r", 9, 1, 5, None, noon),
            ("gone", "r", 9, 0, 5, noon, noon)]  # fmt: skip
    drift = {"total": "none", "month": "value", "likes": "rate", "last_at": "value", "first_at": "none", "user_id": None}
    frame = spark.createDataFrame(rows, schema)
    features = select_features(frame, drift, DAY, where="month > 0", age="first_at")
    assert [row.asDict() for row in features.orderBy("month", ascending=False).collect()] == [
        {"month": 3, "likes_per_day": 2.0, "last_age_days": 0.5},
        {"month": 2, "likes_per_day": 5.0, "last_age_days": 0.5},
        {"month": 1, "likes_per_day": None, "last_age_days": 0.5},
    ]


def test_every_feature_says_how_it_is_compared_and_no_id_is() -> None:
    for made in (contract(name) for name in contract_names() if name.startswith("features.")):
        unsaid = {name for name, column in made.columns.items() if column.drift is None}
        assert unsaid == {*made.key, "run_id"}, made.name
        assert [n for n, c in made.columns.items() if n.endswith("_id") and c.drift not in (None, "none")] == []


def test_a_contract_with_a_rate_names_the_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.lake.contract.FOLDER", tmp_path)
    file = tmp_path / "features.made_up.yaml"
    columns = "columns:\n  id: {type: string, null: false, comment: the id}\n  n: {type: bigint, drift: %s, comment: a count}\n"
    text = "name: features.made_up\ngrain: one row an id\nkey: [id]\n" + columns
    for drift, rest, message in (
        ("rate", "", "a column with drift: rate needs drift_age"),
        ("rate", "drift_age: age_days\n", r"unknown columns \['age_days'\]"),
        ("often", "", "columns.n.drift"),
    ):
        file.write_text(text % drift + rest, encoding="utf-8")
        with pytest.raises(UsageError, match=message):
            contract("features.made_up")


def test_counts_of_everything_up_to_a_day_are_not_compared() -> None:
    for name in ("features.users", "features.items"):
        compared = [n for n, c in contract(name).columns.items() if c.drift in ("value", "rate")]
        assert [n for n in compared if not n.endswith(("_7d", "_28d"))] == ["recency_days"]


def test_texts_are_described_in_code_points_and_words(spark: SparkSession) -> None:
    rows = [("post", None, " two  words😀\n", datetime(2024, 3, 1, 7, 59), "s"), ("post", "x", "", datetime(2024, 3, 1, 0), "s")]
    texts = spark.createDataFrame(rows, "kind string, label string, text string, created_at timestamp, source string")
    first, blank = describe_texts(texts).collect()
    assert first.asDict() == {
        "kind": "post", "label": None, "text_length": 13, "word_count": 2, "hour": "07", "source": "s",
    }  # fmt: skip
    assert (blank["text_length"], blank["word_count"], blank["hour"]) == (0, 0, "00")


def test_scores_of_one_part_only(spark: SparkSession) -> None:
    recommended = spark.createDataFrame([("als", 0.5), ("popularity", 90.0)], "source string, score double")
    scores = select_scores(recommended, "source", "als")
    assert scores.columns == ["score:als"]
    assert scores.collect() == [(0.5,)]


def test_a_decision_is_its_verdict(spark: SparkSession) -> None:
    decisions = spark.createDataFrame([("i1", "removed", "manual")], "item_id string, verdict string, source string")
    found = describe_decisions(decisions)
    assert found.columns == ["verdict", "source"]
    assert [tuple(row) for row in found.collect()] == [("removed", "manual")]
