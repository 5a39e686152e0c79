"""`shoal score anomalies`, `shoal segment`, `shoal train|score influencers` in this process, on small files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.cli.anomalies import score_anomalies
from shoal.cli.influencers import score_influencers_file, train_influencers_file
from shoal.cli.segment import segment
from shoal.errors import InputError, UsageError


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_moments_of_several_series(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Series b has one odd day; rows come in any order and one has no value."""
    rows: list[list[object]] = []
    for day in range(60):
        date = np.datetime64("2024-01-01") + day
        rows += [[name, str(date), 1_000 if (name, day) == ("b", 50) else 10 + day % 7] for name in ("b", "a")]
    rows[8][2] = ""
    out = tmp_path / "out.csv"
    path = write(tmp_path / "series.csv", ["name", "a.day", "score"], rows[::-1])
    score_anomalies(path, out, time_column="a.day", value_column="score", series_column="name")
    assert json.loads(capsys.readouterr().out) == {"task": "anomalies", "rows": 120, "anomalies": 1, "output": str(out)}
    found = read(out)
    assert list(found[0]) == ["name", "a.day", "score", "anomaly_score", "is_anomaly", "expected", "expected_low", "expected_high"]
    assert [[row["name"], row["a.day"]] for row in found] == [[str(v) for v in row[:2]] for row in rows[::-1]]
    raised = [row for row in found if row["is_anomaly"] == "true"]
    assert [(row["name"], row["a.day"]) for row in raised] == [("b", "2024-02-20")]
    assert float(raised[0]["expected"]) == pytest.approx(11, abs=0.6)  # day 50 is a Tuesday
    assert float(raised[0]["expected_high"]) < 1_000 < 100 * float(raised[0]["anomaly_score"])
    with pytest.raises(InputError, match="column score: 1 rows such as 'many'; expected numbers"):
        score_anomalies(write(path, ["t", "score"], [["2024-01-01", "many"]]), out, time_column="t", value_column="score")
    with pytest.raises(UsageError, match="expected --time-column and --value-column"):
        score_anomalies(path, out, time_column="t")


def test_rows_of_columns(spark: SparkSession, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = [[i, *draw.normal(size=2).round(4).tolist()] for i in range(200)]
    rows[7][1:] = [30.0, -30.0]
    out = tmp_path / "out.csv"
    path = write(tmp_path / "rows.csv", ["id", "x y", "z"], rows)
    score_anomalies(path, out, feature_columns="x y, z", contamination=0.01)
    found = read(out)
    assert list(found[0]) == ["id", "x y", "z", "anomaly_score", "is_anomaly"]
    assert [row["id"] for row in found] == [str(i) for i in range(200)]
    assert found[7]["is_anomaly"] == "true" and sum(row["is_anomaly"] == "true" for row in found) <= 3
    with pytest.raises(InputError, match="no column 'nope'"):
        score_anomalies(path, out, feature_columns="nope")
    with pytest.raises(UsageError, match="--contamination 0.7: expected a share above 0, at most 0.5"):
        score_anomalies(path, out, feature_columns="z", contamination=0.7)


def test_segments_and_influencers_of_a_file(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(1)
    quality = draw.normal(size=200)
    rows = [
        [
            f"u{i}",
            "bio",
            int(np.exp(6 + 1.5 * q)),
            round(float(np.exp(q + draw.normal(0, 0.6))), 3),
            ["true", "false"][i % 2],
            f"{1 + i % 5}.5k",
            f"{i % 7}%",
        ]
        for i, q in enumerate(quality)
    ]
    path = write(tmp_path / "accounts.csv", ["id", "about", "Followers_Count", "mean likes", "is_shop", "views", "part"], rows)
    out = tmp_path / "out.csv"
    segment(path, "id", out, k=2)
    said = json.loads(capsys.readouterr().out)
    assert (
        said["columns"] == ["Followers_Count", "mean likes", "is_shop", "views", "part"] and sum(said["segments"].values()) == 200
    )
    found = read(out)
    assert list(found[0]) == [
        "id", "about", "Followers_Count", "mean likes", "is_shop", "views", "part", "segment_id", "segment_name",
    ]  # fmt: skip
    assert [row["id"] for row in found] == [f"u{i}" for i in range(200)]
    assert {row["segment_id"] for row in found} == {"0", "1"}

    train_influencers_file(path, tmp_path / "model")
    said = json.loads(capsys.readouterr().out)
    assert set(said["importances"]) == {"mean likes", "is_shop", "views", "part"} and said["metrics"]["roc_auc"] > 0.8
    score_influencers_file(path, tmp_path / "model", out)
    found = read(out)
    assert list(found[0])[7:] == ["probability", "model_version"]
    best = sorted(found, key=lambda row: -float(row["probability"]))[:50]
    assert sum(int(row["Followers_Count"]) >= said["threshold_followers"] for row in best) >= 35
    with pytest.raises(InputError, match="none of the model's columns is there; expected mean likes, is_shop, views, part"):
        score_influencers_file(write(tmp_path / "x.csv", ["id", "z"], [["1", 2]]), tmp_path / "model", out)
    with pytest.raises(InputError, match="no column of numbers besides id; found id, about"):
        segment(write(tmp_path / "x.csv", ["id", "about"], [["1", "text"]]), "id", out)
