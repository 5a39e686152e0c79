"""The federated training on a lake: what it records and registers, a run that was killed, and who can score with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.conf.sections import Settings
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.mine.text.plain_classifier import load_plain_classifier
from shoal.models import federated_texts
from shoal.models.registry import champion, versions
from shoal.runner.job import find_job

from tests.mine.text.conftest import make_texts

DAY = date(2024, 3, 1)
FEW = ("train_federated.rounds=2", "train_federated.hash_bits=8", "train_federated.min_units=5", "train_federated.word_ngrams=1")


def settings_with(*pairs: str) -> Settings:
    return load(sets=[*FEW, *(f"train_federated.{pair}" for pair in pairs)])


def put_texts(lake: Lake) -> None:
    """150 texts of 50 people, tweets and reviews; ten more have no author."""
    rows = [
        (f"t{i:03}", ("tweet", "review")[i % 50 % 2], f"p{i % 50}", text, label, datetime(2024, 2, 1))
        for i, (text, label, _) in enumerate(make_texts()[:150])
    ]
    rows += [(f"u{i}", "tweet", None, f"lovely {i}", "good", datetime(2024, 2, 1)) for i in range(10)]
    frame = lake.spark.createDataFrame(
        rows, "text_id string, kind string, author_id string, text string, label string, created_at timestamp"
    )
    nothing = dict.fromkeys(("item_id", "conversation_id", "emotion_label", "moderation_label"), F.lit(None).cast("string"))
    lake.upsert("silver.texts", frame.withColumns(nothing).withColumn("source", F.lit("test")))


def rounds(lake: Lake) -> list[dict]:
    return [row.asDict() for row in lake.read_current("ops.fed_rounds").orderBy("run_id", "round", "source").collect()]


def test_a_training_records_its_rounds_and_registers_its_own_model(make_lake: Callable[..., Lake]) -> None:
    train, lake, settings = find_job("train_federated"), make_lake(), settings_with("source_column=kind")
    put_texts(lake)
    train.run(lake, settings.train_federated, DAY)
    found = rounds(lake)
    assert [(row["round"], row["source"]) for row in found] == [(n, kind) for n in range(3) for kind in ("review", "tweet")]
    assert {(row["run_id"], row["as_of"], row["task"], row["source_column"], row["unit"], row["noise"]) for row in found} == {
        ("run-1", DAY, "sentiment", "kind", "author", "system")
    }  # fmt: skip
    people = sum(row["units"] for row in found if row["round"] == 1)
    assert [row["delta"] for row in found] == pytest.approx([people**-1.1] * 6)
    assert [row["epsilon"] for row in found if row["source"] == "tweet"][-1] == pytest.approx(4, abs=1e-6)
    assert [row["loss"] is None for row in found] == [True, True, False, False, False, False]
    assert lake.run.tags["rows_without_person"] != "0"
    model = champion(lake, "shoal_federated_sentiment")
    assert model is not None
    assert champion(lake, "shoal_sentiment") is None
    assert lake.run.tags["model_version"] == "shoal_federated_sentiment/1"
    assert load_plain_classifier(model.folder).labels == ("bad", "good", "mixed")
    metrics = lake.read_current("ops.model_metrics").where("slice = 'all' and metric = 'macro_f1' and model = 'linear'").collect()
    assert [(row["task"], row["value"], row["is_champion"]) for row in metrics] == [
        ("federated_sentiment", float(lake.run.tags["macro_f1"]), True)
    ]  # fmt: skip

    # Another run draws other noise: another model, and its epsilon is added to the record.
    again = make_lake("run-2")
    train.run(again, settings.train_federated, DAY)
    assert again.run.tags["model_version"] == "shoal_federated_sentiment/2"
    assert [row["run_id"] for row in rounds(again)] == ["run-1"] * 6 + ["run-2"] * 6
    assert again.read_current("ops.model_metrics").select("model_version").where("model = 'linear'").distinct().count() == 1


def test_a_run_killed_after_its_rounds_is_run_again(make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    train, lake, settings = find_job("train_federated"), make_lake(), settings_with("epsilon=none", "serves=true")
    put_texts(lake)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(federated_texts, "register_classifier", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run(lake, settings.train_federated, DAY)
    assert versions(lake, "shoal_sentiment") == []
    again = make_lake("run-2")
    train.run(again, settings.train_federated, DAY)
    assert [(row["run_id"], row["noise"], row["noise_multiplier"], row["epsilon"]) for row in rounds(again)] == [
        (run, "none", 0.0, None) for run in ("run-1", "run-2") for _ in range(3)
    ]  # fmt: skip
    # The task's own model: score_texts takes it.
    scoring = make_lake("run-3")
    find_job("score_texts").run(scoring, settings.train_sentiment, DAY)
    scored = scoring.read_current("gold.sentiments").select("model_version", "label").distinct().collect()
    assert {row["model_version"] for row in scored} == {"shoal_sentiment/1"}
    assert {row["label"] for row in scored} <= {"bad", "good", "mixed"}


def test_what_cannot_be_trained_is_skipped_or_refused(lake: Lake) -> None:
    train = find_job("train_federated")
    with pytest.raises(SkippedError, match=r"silver\.texts does not exist"):
        train.run(lake, settings_with().train_federated, DAY)
    put_texts(lake)
    with pytest.raises(SkippedError, match=r"no text with a emotion_label in silver\.texts up to 2024-03-01"):
        train.run(lake, settings_with("task=emotion").train_federated, DAY)
    with pytest.raises(SkippedError, match=r"silver\.texts up to 2024-03-01: no source has 1000 people"):
        train.run(lake, settings_with("min_units=1000").train_federated, DAY)
    for column in ("author_id", "label", "created_at", "nothing"):
        with pytest.raises(UsageError, match=f"source_column {column}: expected one of kind, item_id, source"):
            train.run(lake, settings_with(f"source_column={column}").train_federated, DAY)
    assert not lake.exists("ops.fed_rounds")
