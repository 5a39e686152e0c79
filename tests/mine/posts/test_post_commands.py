"""`shoal train|score engagement` and `viral`: a world in which one word makes a post go far, and one author is large."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from shoal.cli.posts import score_engagement_file, score_viral_file, train_engagement_file, train_viral_file
from shoal.errors import InputError, UsageError
from shoal.mine.posts import search
from shoal.mine.posts.levels import Tuning
from sklearn.metrics import roc_auc_score

pytestmark = pytest.mark.slow
Rows = list[dict[str, str]]
NAMES = ["when", "user", "tweet", "favorites", "replies", "note"]
RENAMED = ["column_mapping.created_at=when"]


def make_posts(posts: int = 360) -> Rows:
    """Two authors in turn, levels 100 and 3,000; one post in eight has the word that multiplies its likes by six."""
    draw = np.random.default_rng(4)
    rows: Rows = []
    for i in range(posts):
        is_hot = draw.random() < 1 / 8
        likes = (100, 3_000)[i % 2] * np.exp(draw.normal(0, 0.3)) * (6 if is_hot else 1)
        words = " ".join(draw.choice(["sun", "rain", "tea", "walk", "book", "road"], 4))
        when = datetime(2024, 1, 1) + timedelta(hours=5 * i)
        post = {
            "when": when.strftime("%m/%d/%y %H:%M"),
            "user": "ab"[i % 2],
            "tweet": f"{words}{' giveaway' if is_hot else ''}, {i}",
        }
        rows.append({**post, "favorites": str(int(likes)), "replies": str(int(likes / 10)), "note": f'"{i}"'})
    return rows


def write(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, NAMES)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of the first 280 posts, and the later ones as a file."""
    place = tmp_path_factory.mktemp("a folder, with a comma")
    rows = make_posts()
    train = write(place / "train.csv", rows[:280])
    write(place / "new.csv", rows[280:])
    train_engagement_file(train, place / "engagement", sets=RENAMED)
    train_viral_file(train, place / "viral", sets=RENAMED)
    return place


@pytest.fixture(scope="module")
def score(folder: Path) -> Callable[[str, Rows], Rows]:
    """Score rows with one of the two models."""

    def scored(task: str, rows: Rows) -> Rows:
        command = {"engagement": score_engagement_file, "viral": score_viral_file}[task]
        command(write(folder / "rows.csv", rows), folder / task, folder / "out.csv", sets=RENAMED)
        return read(folder / "out.csv")

    return scored


@pytest.fixture(scope="module")
def later(score: Callable[[str, Rows], Rows]) -> dict[str, Rows]:
    """The later posts as each of the models scores them."""
    return {task: score(task, make_posts()[280:]) for task in ("engagement", "viral")}


def test_engagement_keeps_the_rows_and_beats_the_mean_of_the_last_five(later: dict[str, Rows]) -> None:
    rows = make_posts()[280:]
    scored = later["engagement"]
    assert [{name: row[name] for name in NAMES} for row in scored] == rows
    counts = [f"{part}" for c in ("likes", "comments") for part in (f"predicted_{c}", f"{c}_low", f"{c}_high")]
    assert list(scored[0])[6:] == [*counts, "confidence", "model_version"]
    truth = np.log1p([float(row["favorites"]) for row in rows])
    given, low, high = (np.log1p([float(row[n]) for row in scored]) for n in ("predicted_likes", "likes_low", "likes_high"))
    whole = np.log1p([float(row["favorites"]) for row in make_posts()])
    recent = np.array([whole[i - 10 : i : 2].mean() for i in range(280, 360)])
    assert np.abs(given - truth).mean() < 0.8 * np.abs(recent - truth).mean()
    assert 0.68 <= ((low <= truth) & (truth <= high)).mean() <= 0.92
    assert all(0 < float(row["confidence"]) < 1 for row in scored)
    assert {row["model_version"] for row in scored} == {scored[0]["model_version"]}


def test_a_posts_own_counts_are_never_looked_at_and_later_posts_know_them(
    score: Callable[[str, Rows], Rows], later: dict[str, Rows]
) -> None:
    other = make_posts()[280:]
    other[4] |= {"favorites": "9999999", "replies": "9999999"}
    for task, name in (("engagement", "predicted_likes"), ("viral", "probability")):
        before, after = later[task], score(task, other)
        assert [row[name] for row in before[:5]] == [row[name] for row in after[:5]]
        assert before[6][name] != after[6][name]  # the next post of that author
        assert before[5][name] == after[5][name]  # the other author's


def test_viral_finds_the_planted_word_and_hidden_likes_do_no_harm(
    score: Callable[[str, Rows], Rows], later: dict[str, Rows]
) -> None:
    rows = make_posts()[280:]
    scored = later["viral"]
    assert list(scored[0])[6:] == ["probability", "probability_for_author", "model_version"]
    likes = np.array([float(row["favorites"]) for row in rows])
    given = np.array([float(row["probability"]) for row in scored])
    # Some of the eight posts at the top are there by chance alone: the noise of the larger author.
    assert roc_auc_score(likes >= np.quantile(likes, 0.9), given) > 0.8
    is_hot = np.array(["giveaway" in row["tweet"] for row in rows])
    assert roc_auc_score(is_hot, [float(row["probability_for_author"]) for row in scored]) > 0.9
    hidden = score("viral", [row | {"favorites": "-1", "when": row["when"] if i else ""} for i, row in enumerate(rows)])
    assert len(hidden) == len(rows) and all(0 <= float(row["probability"]) <= 1 for row in hidden)


def test_on_shuffled_likes_it_is_no_better_than_chance(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in make_posts() if row["user"] == "a"]
    likes = np.random.default_rng(9).permutation([row["favorites"] for row in rows])
    shuffled = [row | {"favorites": str(n)} for row, n in zip(rows, likes, strict=True)]
    train_viral_file(write(tmp_path / "t.csv", shuffled[:140]), tmp_path / "m", sets=RENAMED)
    score_viral_file(write(tmp_path / "s.csv", rows[140:]), tmp_path / "m", tmp_path / "o.csv", sets=RENAMED)
    truth = np.array([float(n) for n in likes[140:]])
    given = [float(row["probability"]) for row in read(tmp_path / "o.csv")]
    assert 0.1 < roc_auc_score(truth >= np.quantile(truth, 0.75), given) < 0.8


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    rows, model = make_posts(40), tmp_path / "model"
    path = write(tmp_path / "few.csv", rows)
    with pytest.raises(InputError, match=r"few.csv: no column created_at .*name it with --set column_mapping.created_at=NAME"):
        train_viral_file(path, model)
    with pytest.raises(UsageError, match="column_mapping.liked: no such column is read here"):
        train_viral_file(path, model, sets=["column_mapping.liked=favorites"])
    with pytest.raises(InputError, match="column created_at: 1 rows such as 'soon'; expected unix seconds"):
        train_viral_file(write(tmp_path / "x.csv", [rows[0] | {"when": "soon"}, *rows[1:]]), model, sets=RENAMED)
    with pytest.raises(InputError, match="all 40 posts have 5 likes; expected posts that differ"):
        train_viral_file(write(tmp_path / "x.csv", [row | {"favorites": "5"} for row in rows]), model, sets=RENAMED)
    with pytest.raises(InputError, match="no post has both likes and a time"):
        train_engagement_file(write(tmp_path / "x.csv", [row | {"favorites": ""} for row in rows]), model, sets=RENAMED)
    with pytest.raises(InputError, match="a model of viral; expected one of engagement"):
        score_engagement_file(path, folder / "viral", tmp_path / "out.csv", sets=RENAMED)
    with pytest.raises(InputError, match=r"no model there \(no model.json\)"):
        score_engagement_file(path, model, tmp_path / "out.csv", sets=RENAMED)
    with pytest.raises(UsageError, match="something else is there"):
        train_engagement_file(path, tmp_path, sets=RENAMED)
    assert json.loads((folder / "viral" / "model.json").read_text())["task"] == "viral"


def test_a_search_tries_settings_and_the_last_tenth_has_no_say(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = (Tuning(penalty=1e9, trees=1, depth=1, leaf=200), Tuning(kind="boosting", trees=60, depth=3))
    monkeypatch.setattr(search, "CANDIDATES", few)
    rows = make_posts()
    for task, command in (("engagement", train_engagement_file), ("viral", train_viral_file)):
        found = []
        for late in ("5", "7"):
            given = rows[:324] + [row | {"favorites": late if i % 3 else "0"} for i, row in enumerate(rows[324:])]
            model = tmp_path / f"{task}_{late}"
            command(write(tmp_path / "t.csv", given), model, is_search=True, minutes=30.0, sets=RENAMED)
            found.append(json.loads((model / "search.json").read_text()))
        scores = [[trial[trials["metric"]] for trial in trials["trials"]] for trials in found]
        assert len(scores[0]) == 2
        assert scores[0] == pytest.approx(scores[1], abs=1e-9)
        best = found[0]["trials"][int(np.argmax(scores[0]))]["candidate"]
        assert found[0]["champion"] == found[1]["champion"] == best
        # Whose post it is says nearly all of viral here; of likes the word says more.
        assert task == "viral" or best["kind"] == "boosting"
        version = json.loads((tmp_path / f"{task}_5" / "model.json").read_text())["version"]
        score = {"engagement": score_engagement_file, "viral": score_viral_file}[task]
        score(write(tmp_path / "s.csv", rows[300:]), tmp_path / f"{task}_5", tmp_path / "o.csv", sets=RENAMED)
        assert {row["model_version"] for row in read(tmp_path / "o.csv")} == {version}
