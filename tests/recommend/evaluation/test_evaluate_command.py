"""`shoal evaluate recommender` on plain files, in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.cli.evaluate import read_follows, read_items, read_users, recommender
from shoal.errors import InputError, UsageError
from shoal.recommend.candidates.demographics import UserGroups, user_groups
from shoal.recommend.evaluation import evaluate

QUICK = ["ranks=[4]", "reg_params=[0.1]", "alphas=[1.0]", "max_iter=3", "rating_rank=2", "rating_reg_params=[0.05]", "content.l2=1"]


def write(path: Path, header: list[str], rows: Iterable[Iterable[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])
    return path


@pytest.fixture
def films(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Twelve users; even ones see the ten seas, odd ones the ten wars; of each kind two films are new in the test file."""
    events = [(f"u{u}", f"{'sea' if u % 2 == 0 else 'war'}{i}", 4 + u % 2, 100 * u + i) for u in range(12) for i in range(10)]
    known = [row for row in events if not row[1].endswith(("8", "9"))]
    new = [row for row in events if row[1].endswith(("8", "9"))]
    names = ["userId", "movieId", "rating", "timestamp"]
    items = [(f"{kind}{i}", f"A {kind} film {i}", f"{kind}|film") for kind in ("sea", "war") for i in range(10)]
    # The new wars are the more: where all are equally popular, ties go to the smaller id, and those are seas.
    return (write(tmp_path / "train.csv", names, known), write(tmp_path / "test.csv", names, new),
            write(tmp_path / "films.csv", ["movieId", "title", "genres"], items))  # fmt: skip


def test_new_items_are_ranked_by_what_they_are_about(
    spark: SparkSession, films: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test, items = films
    recommender(train, test, k=2, model="content", items=items, recommendations=tmp_path / "lists.csv",
                lake=str(tmp_path / "lake"), as_of="2024-03-01", sets=[*QUICK, "curve=[1, 4]"])  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    assert list(said["models"]) == ["content", "random", "popularity"]
    # Two new films are sought: both in two places or in four are all there is to find, one in one is half of it.
    assert [said["curves"]["content"][f"recall@{length}"] for length in (1, 2, 4)] == [0.5, 1.0, 1.0]
    assert (tmp_path / "lake" / "ops" / "model_metrics" / "as_of=2024-03-01").is_dir()
    assert said["run_id"]
    assert (said["paired"]["best"], set(said["paired"]["better_by"])) == ("content", {"random", "popularity"})
    low, high = said["intervals"]["content"]["ndcg@2"]
    assert low <= said["models"]["content"]["ndcg@2"] <= high
    new = said["new_items"]
    assert {each["users"] for each in new.values()} == {12}
    assert new["content"]["ndcg@2"] == 1.0
    # Equally popular genres: everybody gets the seas.
    assert new["genre_popularity"]["ndcg@2"] == 0.5
    with (tmp_path / "lists.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert {row["model"] for row in rows} == {"content"}
    assert {(row["user_id"], row["item_id"]) for row in rows if row["user_id"] == "u1"} == {("u1", "war8"), ("u1", "war9")}


def test_als_tells_the_errors_of_its_ratings_too(
    spark: SparkSession, films: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    train, test, _ = films
    recommender(train, test, k=2, model="als", sets=QUICK)
    said = json.loads(capsys.readouterr().out)
    assert list(said["ratings"]) == ["mean", "bias", "als"]
    assert said["models"]["als"]["rmse"] == said["ratings"]["als"]["rmse"]
    # Even users give 4, odd ones 5: the mean is off by a half; a damped bias of eight ratings takes a third of that.
    assert said["ratings"]["mean"] == {"rmse": 0.5, "mae": 0.5, "ratings": 24}
    assert said["ratings"]["bias"]["rmse"] < 0.35
    assert said["new_items"] == {}


def test_content_needs_items(spark: SparkSession, films: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="--items FILE is required for model content"):
        recommender(films[0], films[1], k=2, model="content", sets=QUICK)


def test_a_file_of_items_under_the_names_people_give(spark: SparkSession, tmp_path: Path) -> None:
    given = [("x", "b", "Long ago", '["sea", "old ship"]', "9.5"), ("x", "a", "", "", ""), ("y", "a", "", " one|two ", "")]
    path = write(tmp_path / "items.csv", ["asin", "movieId", "overview", "tags", "price"], given)
    rows = {row["item_id"]: row for row in read_items(spark, path).collect()}
    assert (rows["b"]["text"], rows["b"]["hashtags"], rows["b"]["price_usd"]) == ("Long ago", ["sea", "old ship"], 9.5)
    assert rows["a"]["title"] is None
    assert len(rows) == 2
    bad = write(tmp_path / "bad.csv", ["item_id", "price"], [("a", "cheap"), ("b", "1")])
    with pytest.raises(InputError, match="bad.csv: column price_usd: 1 rows without a number"):
        read_items(spark, bad)


def test_a_file_of_users_under_the_names_people_give(spark: SparkSession, tmp_path: Path) -> None:
    given = [("b", "30", "F", "DE", "x"), ("b", "25", "F", "DE", "y"), ("a", "", "", "", "z")]
    path = write(tmp_path / "users.csv", ["userId", "Age", "sex", "country_code", "zip"], given)
    rows = {row["user_id"]: row.asDict() for row in read_users(spark, path).collect()}
    assert rows == {
        "a": dict.fromkeys(("country", "language", "age_group", "gender", "occupation")) | {"user_id": "a"},
        "b": {"user_id": "b", "country": "DE", "language": None, "age_group": "25", "gender": "F", "occupation": None},
    }
    bad = write(tmp_path / "bad.csv", ["userId", "sex"], [("", "f")])
    with pytest.raises(InputError, match="column user_id: 1 rows left empty; expected an id"):
        read_users(spark, bad)
    nothing = write(tmp_path / "nothing.csv", ["userId", "zip"], [("a", "1")])
    with pytest.raises(InputError, match="nothing.csv: nothing is known of any user; expected one of the columns country"):
        read_users(spark, nothing)


def test_a_follow_leads_a_newcomer_to_items(
    spark: SparkSession, films: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, _, _ = films
    test = write(tmp_path / "newcomer.csv", ["userId", "movieId"], [("new", "war0"), ("new", "war1"), ("alone", "sea0")])
    follows = write(tmp_path / "follows.csv", ["source", "target"], [("new", "u1"), ("u2", "new")])
    recommender(train, test, k=4, model="pagerank", follows=follows, recommendations=tmp_path / "lists.csv",
                sets=["pagerank_dampings=[0.5]"])  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    # u1 saw wars; of those all are equally likely. Nobody leads alone anywhere.
    with (tmp_path / "lists.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [(row["user_id"], row["item_id"]) for row in rows] == [("new", f"war{n}") for n in range(4)]
    assert said["models"]["pagerank"]["recall@4"] == 0.5
    assert said["settings"] == {"pagerank": {"damping": 0.5, "beta": 0.5}}
    bad = write(tmp_path / "bad.csv", ["source", "target"], [("new", "")])
    with pytest.raises(InputError, match="column dst: 1 rows left empty; expected an id"):
        read_follows(spark, bad)


def test_users_whom_no_model_was_fitted_with_get_lists_from_what_is_known_of_them(
    spark: SparkSession, films: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """u10 and u11 are held out: with the seas 0 to 4 known of u10 the seas 5, 6 and 7 are sought, and so with the wars of u11."""
    with films[0].open(encoding="utf-8") as text:
        header, *rows = list(csv.reader(text))
    held = [row for row in rows if row[0] in ("u10", "u11")]
    train = write(tmp_path / "others.csv", header, [row for row in rows if row not in held])
    known = write(tmp_path / "known.csv", header, [row for row in held if int(row[1][3:]) < 5])
    test = write(tmp_path / "sought.csv", header, [row for row in held if int(row[1][3:]) >= 5])
    groups: list[tuple[str, ...]] = []

    def noted(profiles: DataFrame | None) -> UserGroups | None:
        made = user_groups(profiles)
        groups.append(made.names if made is not None else ())
        return made

    monkeypatch.setattr(evaluate, "user_groups", noted)
    users = write(tmp_path / "users.csv", ["uid", "sex", "age"], [(f"u{u}", "fm"[u % 2], 20 + u) for u in range(12)])
    recommender(train, test, k=3, protocol="strong", fold_in=known, users=users, sets=QUICK)
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert "the models user_neighbours, pagerank are skipped: they list for training users only" in shown.err
    for model in ("ease", "als", "item_neighbours", "blend"):
        assert said["models"][model]["ndcg@3"] == 1.0, model
    # Six of either sex; no age has five users.
    assert groups == [("gender=f", "gender=m")]
    assert said["strong"]["ease"]["recall@20"] == said["strong"]["ease"]["ndcg@100"] == 1.0
    assert said["slices"]["ease"]["short_history"]["users"] == 2  # what is known of them counts, not the training file
    assert set(said["strong"]) == set(said["models"]) >= {"ease", "random", "popularity"}
    assert said["ratings"] == said["new_items"] == {}
    # All test events are later: the blend would be asked what comes next.
    assert said["question"] == {"random_holdout_share": 0.0, "from": "times"}


def test_strong_generalisation_refuses_users_that_a_model_would_know(films: tuple[Path, Path, Path], tmp_path: Path) -> None:
    train, test, _ = films
    with pytest.raises(UsageError, match=r"--protocol weak: --fold-in FILE goes with --protocol strong"):
        recommender(train, test, fold_in=train)
    with pytest.raises(UsageError, match=r"--protocol strong: --fold-in FILE"):
        recommender(train, test, protocol="strong")
    with pytest.raises(InputError, match=r"train\.csv: 12 users are in the training file too"):
        recommender(train, test, protocol="strong", fold_in=train, sets=QUICK)
    with pytest.raises(UsageError, match=r"--model pagerank: lists for users that it was fitted with"):
        others = write(tmp_path / "others.csv", ["userId", "movieId", "rating", "timestamp"], [("x", "sea1", 4, 1)])
        recommender(train, test, protocol="strong", fold_in=others, model="pagerank", sets=QUICK)
