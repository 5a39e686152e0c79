"""`shoal train sentiment` and `shoal score sentiment`, in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from shoal.cli.score import score_emotion, score_entities, score_keywords, score_language, score_moderation, score_sentiment
from shoal.cli.train import train_moderation, train_sentiment
from shoal.errors import InputError, UsageError

from tests.mine.text.conftest import make_texts

FEW = ["inverse_penalties=[1]", "class_weight_powers=[0]"]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "words", "stars", "probability_good"])
        writer.writerows((i, text, label, "old") for i, (text, label, _) in enumerate(make_texts()))
    return path


def test_train_then_score_with_a_folder_and_with_the_lake(
    spark: SparkSession, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, lake, out = tmp_path / "model", str(tmp_path / "lake"), tmp_path / "scored.csv"
    train_sentiment(reviews, "words", "stars", model=model, sets=FEW)
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["dropped_rows"], said["labels"]) == (150, 4, ["bad", "good", "mixed"])
    assert said["metrics"]["macro_f1"] > 0.95 > said["baseline"]["macro_f1"]
    assert said["train_rows"] + said["test_rows"] == 150

    score_sentiment(reviews, "words", out, model=model)
    reported = json.loads(capsys.readouterr().out)
    with out.open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert list(rows[0]) == [
        "id", "words", "stars", "predicted_label", "probability_bad", "probability_good", "probability_mixed", "model_version",
    ]  # fmt: skip
    assert [row["id"] for row in rows] == [str(i) for i in range(154)]
    assert sum(row["predicted_label"] == row["stars"] for row in rows) > 145
    assert {row["model_version"] for row in rows} == {said["model_version"]} == {reported["model_version"]}
    assert reported["rows"] == 154
    assert reported["predicted"]["bad"] == sum(row["predicted_label"] == "bad" for row in rows)
    named = ("probability_bad", "probability_good", "probability_mixed")
    assert all(sum(float(row[name]) for name in named) == pytest.approx(1.0) for row in rows)

    with pytest.raises(InputError, match="no champion of sentiment"):
        score_sentiment(reviews, "words", out, lake=lake)
    train_sentiment(reviews, "words", "stars", lake=lake, sets=FEW)
    registered = json.loads(capsys.readouterr().out)
    assert (registered["model_version"], registered["is_champion"]) == ("shoal_sentiment/1", True)
    assert Path(registered["model"]).is_dir()
    score_sentiment(reviews, "words", out, lake=lake)
    with out.open(newline="", encoding="utf-8") as text:
        again = list(csv.DictReader(text))
    assert [row["predicted_label"] for row in again] == [row["predicted_label"] for row in rows]
    assert {row["model_version"] for row in again} == {"shoal_sentiment/1"}


def test_mistakes_are_one_line(spark: SparkSession, reviews: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out.csv"
    with pytest.raises(InputError, match="no column 'nope'; found id, words"):
        train_sentiment(reviews, "words", "nope", model=model)
    with pytest.raises(InputError, match=r"reviews\.csv: all labelled texts have the label 'old'"):
        train_sentiment(reviews, "words", "probability_good", model=model)
    with pytest.raises(UsageError, match="is the text column too"):
        train_sentiment(reviews, "words", "words", model=model)
    with pytest.raises(UsageError, match="is a file; expected a folder"):
        train_sentiment(reviews, "words", "stars", model=reviews)
    with pytest.raises(InputError, match="no model there"):
        score_sentiment(reviews, "words", out, model=model)
    with pytest.raises(UsageError, match="expected a name that ends in"):
        score_sentiment(reviews, "words", tmp_path / "out.doc", model=model)
    assert not model.exists()
    assert not out.exists()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_other_tasks_have_names_of_their_own(
    spark: SparkSession, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model", tmp_path / "scored.parquet"
    train_moderation(reviews, "words", "stars", model=model, sets=FEW)
    trained = json.loads(capsys.readouterr().out)
    assert (trained["task"], trained["fitted_rows"]) == ("moderation", 150)
    assert trained["model_version"].startswith("moderation-")
    assert json.loads((model / "model.json").read_text())["task"] == "moderation"
    score_moderation(reviews, "words", out, model=model)
    rows = spark.read.parquet(str(out)).collect()
    assert [row["id"] for row in rows] == [str(i) for i in range(154)]
    assert {row["model_version"] for row in rows} == {trained["model_version"]}
    with pytest.raises(InputError, match="has no champion of emotion"):
        score_emotion(reviews, "words", out, lake=str(tmp_path / "lake"))


def test_what_needs_no_model(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given, out, lines = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "out.jsonl"
    given.write_text("id,label,text\n1,x,I love this great film\n2,y,Je suis au travail ce matin #triste @ami\n3,z,\n4,w,ok\n")
    score_sentiment(given, "text", out)
    said = json.loads(capsys.readouterr().out)
    # "ok" is a word of the lexicon, French is not.
    assert (said["rows"], said["predicted"]["positive"], said["predicted"]["neutral"]) == (4, 2, 2)
    rows = read_csv(out)
    assert list(rows[0]) == ["id", "label", "text", "polarity", "subjectivity", "predicted_label", "model_version"]
    assert [(row["id"], row["label"]) for row in rows] == [("1", "x"), ("2", "y"), ("3", "z"), ("4", "w")]
    assert (rows[0]["predicted_label"], rows[0]["model_version"]) == ("positive", "vader/3.3.2/en")
    assert not (tmp_path / "lake").exists()

    (tmp_path / "plain.csv").write_text("text\nawful\n")
    score_sentiment(tmp_path / "plain.csv", "text", out)
    assert list(read_csv(out)[0])[1:4] == ["polarity", "subjectivity", "label"]
    assert read_csv(out)[0]["label"] == "negative"

    score_language(given, "text", out)
    assert [row["language"] for row in read_csv(out)] == ["en", "fr", "unknown", "unknown"]
    assert list(read_csv(out)[0])[3:] == ["language", "confidence", "model_version"]
    score_entities(given, "text", lines)
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert (found[1]["hashtags"], found[1]["mentions"], found[1]["urls"]) == (["triste"], ["ami"], [])
    score_keywords(given, "text", out)
    assert "great film" in json.loads(read_csv(out)[0]["keywords"])
    (tmp_path / "named.csv").write_text("language\nbonjour\n")
    with pytest.raises(UsageError, match="the command writes a column of this name"):
        score_language(tmp_path / "named.csv", "language", out)
